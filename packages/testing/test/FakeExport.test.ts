import { maxRuns, Pages } from "@effect-nbd/block/Pages"
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { ServedExport } from "@effect-nbd/server"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { deviceOf, type Functions } from "./fixtures/Device.ts"
import { filled, pattern } from "./fixtures/RawClient.ts"

const { pageSize } = ServedExport

describe("against a plain array", () => {
  const size = 4 * pageSize + 1000
  const range = FastCheck.tuple(FastCheck.nat({ max: size - 1 }), FastCheck.nat({ max: 2 * pageSize + 10 })).map(
    ([offset, length]) => ({ offset, length: Math.min(length, size - offset) })
  )
  const pages = FastCheck.tuple(FastCheck.nat({ max: 4 }), FastCheck.integer({ min: 1, max: 5 })).map(
    ([page, count]) => ({ offset: page * pageSize, length: Math.min(count * pageSize, size - page * pageSize) })
  )
  const step = FastCheck.record({
    kind: FastCheck.constantFrom("write", "drop", "allocate"),
    at: FastCheck.oneof(range, pages),
    value: FastCheck.integer({ min: 1, max: 255 })
  })
  const generated = pattern(size, 5)
  const contents: ReadonlyArray<readonly [string, ServedExport.Content | undefined]> = [
    ["nothing", undefined],
    ["bytes", pattern(pageSize + 500, 3)],
    ["a function", (offset, length) => generated.slice(Number(offset), Number(offset) + length)]
  ]
  it.each(contents)("over %s, any program of writes, zeroes and trims reads back", (_name, content) => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 12 }), (steps) => {
        const disk = new Pages(BigInt(size), content, Infinity)
        const model = disk.read(0n, size)
        for (const { at: { length, offset }, kind, value } of steps) {
          if (kind === "write") disk.write(BigInt(offset), filled(length, value))
          else disk.zero(BigInt(offset), BigInt(length), kind === "allocate")
          model.fill(kind === "write" ? value : 0, offset, offset + length)
        }
        expect(Buffer.compare(disk.read(0n, size), model)).toBe(0)
        let at = 0n
        for (const { length, offset, state } of disk.stretches(0n, BigInt(size))) {
          expect(offset).toBe(at)
          at += length
          const isZero = disk.read(offset, Number(length)).every((byte) => byte === 0)
          if (state !== "Data" && state !== "Content") expect(isZero).toBe(true)
        }
        expect(at).toBe(BigInt(size))
      }),
      { numRuns: 60 }
    )
  })
})

it("content is read through, also at offsets that no number can hold", () => {
  const offset = 2n ** 63n - 12_345n
  const content = (at: bigint, length: number) =>
    Uint8Array.from({ length }, (_, index) => Number((at + BigInt(index)) % 251n))
  const disk = new Pages(2n ** 63n, content, Infinity)
  expect([...disk.read(offset, 3)]).toEqual([0n, 1n, 2n].map((index) => Number((offset + index) % 251n)))
  disk.write(offset + 1n, Uint8Array.of(255))
  expect([...disk.read(offset, 3)]).toEqual([Number(offset % 251n), 255, Number((offset + 2n) % 251n)])
})

it("the last bytes of the largest export there can be are written and read", () => {
  const disk = new Pages(2n ** 64n - 1n, undefined, Infinity)
  disk.write(2n ** 64n - 4n, Uint8Array.of(1, 2, 3))
  expect([...disk.read(2n ** 64n - 5n, 4)]).toEqual([0, 1, 2, 3])
})

it("ranges of 2^64 - 1 bytes are dropped, kept and described without counting pages", () => {
  const size = 2n ** 64n - 1n
  const disk = new Pages(size, (_, length) => filled(length, 7), Infinity)
  disk.write(2n ** 40n, filled(10, 1))
  expect(disk.zero(0n, size, false)).toBeUndefined()
  expect([...disk.stretches(0n, size)]).toEqual([{ offset: 0n, length: size, state: "Hole" }])
  expect([...disk.read(2n ** 40n, 2)]).toEqual([0, 0])
  expect(disk.zero(1n, size - 1n, true)).toBeUndefined()
  expect([...disk.stretches(0n, size)]).toEqual([{ offset: 0n, length: size, state: "Zero" }])
  expect(new Pages(size, undefined, 1 << 30).zero(0n, size, true)).toBe("ENOSPC")
})

it("stretches tell data, content, dropped pages and pages kept for later apart", () => {
  const disk = new Pages(BigInt(7 * pageSize), pattern(2 * pageSize), Infinity)
  disk.write(BigInt(pageSize), filled(3 * pageSize, 1))
  disk.zero(BigInt(2 * pageSize), BigInt(pageSize), false)
  disk.zero(BigInt(3 * pageSize), BigInt(pageSize), true)
  const page = BigInt(pageSize)
  expect([...disk.stretches(10n, 5n * page)]).toEqual([
    { offset: 10n, length: page - 10n, state: "Content" },
    { offset: page, length: page, state: "Data" },
    { offset: 2n * page, length: page, state: "Absent" },
    { offset: 3n * page, length: page, state: "Zero" },
    { offset: 4n * page, length: page + 10n, state: "Absent" }
  ])
  disk.zero(0n, page, false)
  expect([...disk.stretches(0n, page)]).toEqual([{ offset: 0n, length: page, state: "Hole" }])
})

it("writes beyond the capacity do nothing; dropping pages gives room again", () => {
  const disk = new Pages(BigInt(10 * pageSize), undefined, 2 * pageSize)
  const page = BigInt(pageSize)
  expect(disk.write(0n, filled(2 * pageSize, 1))).toBeUndefined()
  expect(disk.write(2n * page, Uint8Array.of(1))).toBe("ENOSPC")
  expect(disk.zero(2n * page, page, true)).toBe("ENOSPC")
  expect(disk.write(5n, Uint8Array.of(2))).toBeUndefined()
  disk.zero(0n, page, false)
  expect(disk.write(2n * page, Uint8Array.of(1))).toBeUndefined()
  expect([...disk.read(2n * page, 2)]).toEqual([1, 0])
})

it("S-091: over content no write fails with ENOSPC; that of a function fails with ENOMEM", () => {
  const page = BigInt(pageSize)
  const disk = new Pages(10n * page, (_, length) => filled(length, 7), pageSize)
  expect(disk.write(0n, filled(pageSize, 1))).toBeUndefined()
  expect(disk.write(page, filled(1, 1))).toBe("ENOMEM")
  // A part of a page takes the page.
  expect(disk.zero(2n * page + 1n, 1n, false)).toBe("ENOMEM")
  expect(disk.zero(page + 1n, page, false)).toBe("ENOMEM")
  expect(disk.zero(2n * page, page, false)).toBeUndefined()
  expect(disk.write(2n * page, filled(1, 1))).toBe("ENOSPC")
  expect([...disk.read(page, 2)]).toEqual([7, 7])
})

it("holes in content are remembered up to a bound: beyond it trimming does nothing", () => {
  const disk = new Pages(2n ** 60n, () => new Uint8Array(0), Infinity)
  const at = (index: number): bigint => BigInt(2 * index + 1) * BigInt(pageSize)
  for (let index = 0; index < maxRuns / 2; index++) disk.zero(at(index), BigInt(pageSize), false)
  expect(disk.zero(at(maxRuns), BigInt(pageSize), false)).toBe("ENOSPC")
  expect([...disk.stretches(at(maxRuns), 1n)]).toMatchObject([{ state: "Content" }])
})

describe("transmission flags", () => {
  const flags = (
    config: Partial<ServedExport.MemoryExportConfig>,
    replyStyle: ReplyStyle = "Structured",
    hasContexts = true
  ): number => ServedExport.make({ name: "disk", size: 1, ...config }).flags(replyStyle, hasContexts)

  it("S-009 S-010: everything by default, HAS_FLAGS always", () => {
    expect(flags({})).toBe(0x0ded)
    const none = {
      flush: false,
      fua: false,
      trim: false,
      writeZeroes: false,
      cache: false,
      df: false,
      multiConn: false
    }
    expect(flags({ can: none })).toBe(TransmissionFlags.HAS_FLAGS)
  })
  it("S-011: SEND_DF only with structured replies", () => {
    expect(flags({}, "Simple")).toBe(0x0d6d)
  })
  it("S-012: SEND_FAST_ZERO only with SEND_WRITE_ZEROES", () => {
    expect(flags({ can: { writeZeroes: false } }) & TransmissionFlags.SEND_FAST_ZERO).toBe(0)
  })
  it("S-099: BLOCK_STATUS_PAYLOAD only with extended headers and meta contexts", () => {
    expect(flags({}, "Extended")).toBe(0x1ded)
    expect(flags({}, "Extended", false)).toBe(0x0ded)
    expect(flags({ can: { blockStatusPayload: false } }, "Extended")).toBe(0x0ded)
  })
  it("S-010: a device offers what it can", () => {
    const read = () => Effect.succeed(new Uint8Array(1))
    const nothing = () => Effect.void
    const flags = (functions: Omit<Functions<never>, "read">, can: Partial<ServedExport.Capabilities> = {}): number =>
      ServedExport.make({ name: "disk", device: deviceOf(1, { read, ...functions }), can }).flags("Structured", true)
    expect(flags({})).toBe(0x0083)
    expect(flags({ write: nothing })).toBe(0x0081)
    expect(flags({ write: nothing, trim: nothing, flush: Effect.void }, { multiConn: true })).toBe(0x01ad)
    expect(flags({ rotational: true })).toBe(0x0093)
  })
  it("a read-only export offers nothing that writes", () => {
    expect(flags({ readOnly: true })).toBe(0x0587)
  })
  it("a rotational export says so", () => {
    expect(flags({ rotational: true }) & TransmissionFlags.ROTATIONAL).toBe(TransmissionFlags.ROTATIONAL)
  })
})
