/** The laws over devices in memory and of functions, and devices that break each of them. */
import { BlockDevice, Memory } from "@effect-nbd/block"
import { BlockDeviceLaws } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const mebibyte = 1_048_576n

const content = (offset: bigint, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => Number((offset + BigInt(index)) % 251n))

const devices = {
  "of a MiB": Memory.make({ size: mebibyte }),
  "of a size that is no multiple of its blocks": Memory.make({ size: mebibyte + 511n, minimum: 512 }),
  "of one byte": Memory.make({ size: 1n }),
  "of no bytes": Memory.make({ size: 0n }),
  "of fewer bytes than a block": Memory.make({ size: 511n, minimum: 512 }),
  "of 2^63 - 1 bytes": Memory.make({ size: 2n ** 63n - 1n }),
  "of blocks of 4096 bytes, and requests of no more": Memory.make({ size: mebibyte, minimum: 4096, maximum: 4096 }),
  "with content": Memory.make({ size: mebibyte, content }),
  "of functions, without more than reading and writing": Effect.suspend(() => {
    const bytes = new Uint8Array(100_000)
    return BlockDevice.fromFunctions({
      size: 100_000n,
      readInto: (offset, destination) =>
        Effect.sync(() => destination.set(bytes.subarray(Number(offset), Number(offset) + destination.byteLength))),
      write: (offset, written) => Effect.sync(() => bytes.set(written, Number(offset)))
    })
  }),
  "that is read-only": BlockDevice.fromFunctions({
    size: 100_000n,
    minimum: 512,
    readInto: (offset, destination) => Effect.sync(() => destination.set(content(offset, destination.byteLength)))
  })
}

describe.each(Object.entries(devices))("a device %s", (_name, device) => {
  for (const { name, run } of BlockDeviceLaws.laws(device, { runs: 8 })) it.effect(name, () => run)
})

const size = 65_536

/** A device of functions over an array, with one of them replaced. */
const broken = (change: (bytes: Uint8Array) => Partial<BlockDevice.Functions>) =>
  Effect.suspend(() => {
    const bytes = new Uint8Array(size).fill(7)
    const range = (offset: bigint, length: number | bigint) =>
      bytes.subarray(Number(offset), Number(offset) + Number(length))
    return BlockDevice.fromFunctions({
      size: BigInt(size),
      minimum: 512,
      readInto: (offset, destination) => Effect.sync(() => destination.set(range(offset, destination.byteLength))),
      write: (offset, written) => Effect.sync(() => range(offset, written.byteLength).set(written)),
      writeZeroes: (offset, length) => Effect.sync(() => void range(offset, length).fill(0)),
      flush: Effect.void,
      ...change(bytes)
    })
  })

type Sound = Effect.Effect.Success<ReturnType<typeof broken>>

/** The sound one, with requests that do something else before any check is made. */
const unchecked = (
  change: (device: Sound) => Partial<Sound>
) => Effect.map(broken(() => ({})), (device) => ({ ...device, ...change(device) }))

/** The law whose name has these words fails, and says with which program. */
const isBroken = (device: ReturnType<typeof broken>, words: string) =>
  Effect.gen(function*() {
    const law = BlockDeviceLaws.laws(device, { runs: 60, seed: 1 }).find(({ name }) => name.includes(words))
    const error = yield* Effect.flip(law?.run ?? Effect.dieMessage(`no law about ${words}`))
    expect(error.message).toContain(words)
  })

describe("a device that breaks a law is found", () => {
  it.effect("sound, it breaks none", () =>
    Effect.forEach(BlockDeviceLaws.laws(broken(() => ({})), { runs: 20 }), ({ run }) => run, { discard: true }))

  it.effect("its writes lose their last byte", () =>
    isBroken(
      broken((bytes) => ({
        write: (offset, written) => Effect.sync(() => bytes.set(written.subarray(0, -1), Number(offset)))
      })),
      "one request after the other"
    ))

  it.effect("its zeroes end too early", () =>
    isBroken(
      broken((bytes) => ({
        writeZeroes: (offset, length) =>
          Effect.sync(() => void bytes.fill(0, Number(offset), Number(offset) + Math.min(4096, Number(length))))
      })),
      "one request after the other"
    ))

  it.effect("its writes take the neighbour's bytes along when they run side by side", () =>
    isBroken(
      broken((bytes) => ({
        write: (offset, written) =>
          Effect.gen(function*() {
            const start = Number(offset) - Number(offset) % 4096
            const blocks = bytes.slice(start, Math.ceil((Number(offset) + written.byteLength) / 4096) * 4096)
            blocks.set(written, Number(offset) - start)
            yield* Effect.yieldNow()
            bytes.set(blocks, start)
          })
      })),
      "side by side that do not overlap"
    ))

  it.effect("its overlapping writes are mixed into bytes that nothing has written", () =>
    isBroken(
      broken((bytes) => ({
        write: (offset, written) => Effect.sync(() => bytes.set(written.map((byte) => byte ^ 1), Number(offset)))
      })),
      "requests that overlap"
    ))

  it.effect("it lends other bytes than it reads", () =>
    isBroken(
      broken(() => ({ readBorrowed: (_offset, length, use) => use(new Uint8Array(length).fill(9)) })),
      "say the same"
    ))

  it.effect("it says zero of what is not", () =>
    isBroken(
      broken(() => ({
        extents: (offset, length) => Stream.succeed({ offset, length, allocated: true, zero: true })
      })),
      "extents cover the range"
    ))

  it.effect("its extents leave a gap", () =>
    isBroken(
      broken(() => ({
        extents: (offset, length) =>
          Stream.succeed({ offset, length: length > 512n ? length - 512n : length, allocated: true, zero: false })
      })),
      "extents cover the range"
    ))

  it.effect("what it refuses has changed something", () =>
    isBroken(
      unchecked((device) => ({
        write: (offset, written) => {
          const done = device.write(offset, written)
          return offset + BigInt(written.byteLength) > device.size
            ? Effect.zipRight(device.write(0n, new Uint8Array(512).fill(9)), done)
            : done
        }
      })),
      "is refused, and changes nothing"
    ))

  it.effect.each(
    [
      ["past the end", (offset: bigint, length: number) => offset + BigInt(length) > BigInt(size)],
      ["before the start", (offset: bigint) => offset < 0n],
      ["from inside a block", (offset: bigint) => offset % 512n !== 0n],
      ["of a part of a block", (_offset: bigint, length: number) => length % 512 !== 0]
    ] as const
  )("it reads %s, where there is nothing to be read", ([, isNonsense]) =>
    isBroken(
      unchecked((device) => ({
        read: (offset, length) =>
          isNonsense(offset, length) ? Effect.succeed(new Uint8Array(0)) : device.read(offset, length)
      })),
      "is refused, and changes nothing"
    ))

  it.effect("its writes of no bytes change something", () =>
    isBroken(
      unchecked((device) => ({
        write: (offset, written) =>
          device.write(offset, written.byteLength === 0 ? new Uint8Array(512).fill(9) : written)
      })),
      "a range of no bytes"
    ))

  it.effect("its reads of no bytes are refused", () =>
    isBroken(
      unchecked((device) => ({
        read: (offset, length) => device.read(offset, length === 0 ? 1 : length)
      })),
      "a range of no bytes"
    ))

  it.effect("its reads of no bytes give some", () =>
    isBroken(
      unchecked((device) => ({
        read: (offset, length) => length === 0 ? Effect.succeed(new Uint8Array(1)) : device.read(offset, length)
      })),
      "a range of no bytes"
    ))
})
