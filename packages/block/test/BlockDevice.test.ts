/** Devices of functions: what reaches the functions, and what is refused before. */
import { BlockDevice, Geometry, Memory } from "@effect-nbd/block"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** A device that writes down what it is asked. */
const recorded = (more: Partial<BlockDevice.Functions> = {}) => {
  const calls: Array<string> = []
  const call = (text: string) => Effect.sync(() => void calls.push(text))
  const device = BlockDevice.fromFunctions({
    name: "recorded",
    size: 1n << 40n,
    minimum: 512,
    maximum: 1_048_576,
    readInto: (offset, { byteLength }) => call(`read ${offset}+${byteLength}`),
    write: (offset, { byteLength }) => call(`write ${offset}+${byteLength}`),
    writeZeroes: (offset, length, { allocate = false }) =>
      call(`zero ${offset}+${length}${allocate ? " allocate" : ""}`),
    trim: (offset, length) => call(`trim ${offset}+${length}`),
    flush: call("flush"),
    ...more
  })
  return { calls, device }
}

describe("a device of functions", () => {
  it.effect("has its functions called with what was asked, and zeroes and trims however long they are", () =>
    Effect.gen(function*() {
      const { calls, device: make } = recorded()
      const device = yield* make
      yield* device.read(512n, 1024)
      yield* device.write(0n, new Uint8Array(512))
      yield* device.writeZeroes(512n, (1n << 40n) - 512n, { allocate: true })
      yield* device.trim(0n, 1n << 40n)
      expect(calls).toEqual(["read 512+1024", "write 0+512", "zero 512+1099511627264 allocate", "trim 0+1099511627776"])
    }))

  it.effect("flushes after a change that is to be durable, unless the function does that itself", () =>
    Effect.gen(function*() {
      const plain = recorded()
      yield* (yield* plain.device).write(0n, new Uint8Array(512), { fua: true })
      expect(plain.calls).toEqual(["write 0+512", "flush"])
      const own = recorded({ canFua: true })
      yield* (yield* own.device).write(0n, new Uint8Array(512), { fua: true })
      expect(own.calls).toEqual(["write 0+512"])
    }))

  it.effect("refuses what makes no sense, with the limit that it breaks", () =>
    Effect.gen(function*() {
      const { calls, device: make } = recorded()
      const device = yield* make
      const why = (effect: Effect.Effect<unknown, unknown>) => Effect.flip(effect)
      expect(yield* why(device.read(1n, 512))).toMatchObject({ why: "Unaligned", limit: 512n })
      expect(yield* why(device.read(0n, 2_097_152))).toMatchObject({ why: "TooLong", limit: 1_048_576n })
      expect(yield* why(device.read((1n << 40n) - 512n, 1024))).toMatchObject({ why: "OutOfBounds", limit: 1n << 40n })
      expect(yield* why(device.read(-512n, 512))).toMatchObject({ why: "OutOfBounds" })
      expect(yield* why(device.read(0n, Number.NaN))).toMatchObject({ why: "OutOfBounds" })
      expect(yield* why(device.writeZeroes(0n, 512n, { fast: true }))).toMatchObject({ why: "NotOffered" })
      expect(calls).toEqual([])
    }))

  it.effect("without write is read-only, and offers nothing that changes it", () =>
    Effect.gen(function*() {
      const device = yield* BlockDevice.fromFunctions({
        size: 4096n,
        readInto: () => Effect.void,
        trim: () => Effect.void,
        writeZeroes: () => Effect.void
      })
      expect(device.geometry).toMatchObject({ readOnly: true, canTrim: false, canZero: false, canFua: false })
      for (const request of [device.write(0n, new Uint8Array(1)), device.trim(0n, 1n), device.writeZeroes(0n, 1n)]) {
        expect(yield* Effect.flip(request)).toMatchObject({ _tag: "NbdRequestRefusedError", why: "ReadOnly" })
      }
      expect(yield* Effect.flip(device.flush)).toMatchObject({ why: "NotOffered" })
    }))

  it.effect("that knows nothing of its content says that all of it may be data", () =>
    Effect.gen(function*() {
      const device = yield* recorded().device
      const extents = yield* Stream.runCollect(device.extents({ offset: 512n, length: 1024n }))
      expect(Chunk.toReadonlyArray(extents)).toEqual([{ offset: 512n, length: 1024n, allocated: true, zero: false }])
    }))

  it.effect("lends bytes that are read already when they are looked at", () =>
    Effect.gen(function*() {
      const readInto = (_: bigint, destination: Uint8Array) =>
        Effect.zipRight(Effect.yieldNow(), Effect.sync(() => void destination.fill(7)))
      const device = yield* recorded({ readInto }).device
      expect(yield* device.readBorrowed(0n, 512, ([first]) => Effect.succeed(first))).toBe(7)
    }))

  it.effect("lends memory again once its bytes have been used, and not while they are", () =>
    Effect.gen(function*() {
      const device = yield* recorded().device
      const memory = (length: number) => device.readBorrowed(0n, length, ({ buffer }) => Effect.succeed(buffer))
      const first = yield* memory(4096)
      expect(yield* memory(512)).toBe(first)
      const both = yield* device.readBorrowed(0n, 512, (outer) =>
        Effect.map(memory(512), (inner) =>
          [outer.buffer, inner] as const))
      expect(both[0]).not.toBe(both[1])
    }))
})

describe("a geometry", () => {
  it.effect.each<readonly [Partial<Geometry.Geometry>, string]>([
    [{ minimum: 3 }, "no power of two"],
    [{ minimum: 0 }, "no power of two"],
    [{ minimum: 4096, preferred: 512 }, "below the minimum"],
    [{ maximum: 1000, minimum: 512, preferred: 512 }, "no multiple"],
    [{ maximum: 512 }, "below the preferred"],
    [{ maximum: 2 ** 60 }, "no multiple"]
  ])("of %o is refused", ([given, reason]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Geometry.make({ name: "disk", size: 4096n }, given))
      expect(error).toMatchObject({ _tag: "NbdGeometryError" })
      expect(error.message).toContain(reason)
    }))

  it.effect("has a size from 0 to 2^63 - 1", () =>
    Effect.gen(function*() {
      for (const size of [-1n, 2n ** 63n]) {
        expect((yield* Effect.flip(Geometry.make({ name: "disk", size }))).message).toContain("2^63 - 1")
      }
      expect((yield* Memory.make({ size: 2n ** 63n - 1n })).size).toBe(2n ** 63n - 1n)
    }))
})

describe("a device in memory", () => {
  it.effect("tells holes, zeroes that are kept, and data", () =>
    Effect.gen(function*() {
      const device = yield* Memory.make({ size: 262_144n })
      yield* device.write(65_536n, new Uint8Array(65_536).fill(1))
      yield* device.writeZeroes(131_072n, 65_536n, { allocate: true })
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(device.extents()))).toEqual([
        { offset: 0n, length: 65_536n, allocated: false, zero: true },
        { offset: 65_536n, length: 65_536n, allocated: true, zero: false },
        { offset: 131_072n, length: 65_536n, allocated: true, zero: true },
        { offset: 196_608n, length: 65_536n, allocated: false, zero: true }
      ])
    }))

  it.effect("fails with ENOSPC beyond its capacity", () =>
    Effect.gen(function*() {
      const device = yield* Memory.make({ size: 1n << 40n, capacity: 131_072 })
      yield* device.write(1n << 39n, new Uint8Array(131_072))
      const error = yield* Effect.flip(device.write(0n, new Uint8Array(1)))
      expect(error).toMatchObject({ _tag: "NbdDeviceError", errno: "ENOSPC", operation: "write" })
      yield* device.trim(1n << 39n, 131_072n)
      yield* device.write(0n, new Uint8Array(1))
    }))
})
