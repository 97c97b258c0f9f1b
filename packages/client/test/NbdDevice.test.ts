/** A connected handle as a block device, over the fake server in memory. */
import { NbdDevice } from "@effect-nbd/client"
import { Handle, type HandleConfig, MetaContext, Transport } from "@effect-nbd/core"
import type { MemoryExportConfig } from "@effect-nbd/server/ServedExport"
import { BlockDeviceLaws, FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"

const mebibyte = 1_048_576

const contexts = (...names: ReadonlyArray<string>) => ({
  metaContexts: names.map((name) => ({ name, optional: true }))
})

/** The device over a server of its own, and the server. */
const open = (
  disk: Partial<MemoryExportConfig> = {},
  config: HandleConfig.HandleConfig = contexts(MetaContext.baseAllocation)
) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: [{ name: "disk", size: mebibyte, ...disk }] })
    const handle = yield* Handle.connect({ exportName: "disk", ...config }).pipe(
      Effect.provideService(Transport.Transport, FakeServer.transport(server))
    )
    return { server, handle, device: yield* NbdDevice.of(handle) }
  })

const blocks = { minimum: 512, preferred: 4096, maximum: 65_536 }

const disks: Readonly<Record<string, Partial<MemoryExportConfig>>> = {
  "that offers everything": {},
  "of blocks of 512 bytes and requests of 64 KiB at most": { blockSize: blocks },
  "of a size that is no multiple of its blocks": { size: mebibyte + 511, blockSize: blocks },
  "of 2^63 - 1 bytes": { size: 2n ** 63n - 1n },
  "of no bytes": { size: 0 },
  "without zeroing, trimming, flushing and FUA": {
    can: { flush: false, fua: false, trim: false, writeZeroes: false }
  },
  "that is read-only": { readOnly: true }
}

describe.each(Object.entries(disks))("the device of an export %s", (_name, disk) => {
  const device = Effect.map(open(disk), ({ device }) => device)
  for (const { name, run } of BlockDeviceLaws.laws(device, { runs: 6 })) it.effect(name, () => run)
})

describe("the device of a connected handle", () => {
  it.scoped("has the geometry that the server told", () =>
    Effect.gen(function*() {
      const { device } = yield* open({ blockSize: blocks, rotational: true, can: { fastZero: false } })
      expect(device.size).toBe(1_048_576n)
      expect(device.geometry).toEqual({
        ...blocks,
        readOnly: false,
        canTrim: true,
        canZero: true,
        canFastZero: false,
        canFlush: true,
        canFua: true,
        canExtents: true,
        rotational: true
      })
    }))

  it.scoped("has the sizes that a client may assume where the server told none, and 64 MiB at most", () =>
    Effect.gen(function*() {
      const told = yield* open()
      expect(told.device.geometry).toMatchObject({ minimum: 1, preferred: 4096, maximum: 33_554_432 })
      const large = { minimum: 4096, preferred: 2 ** 27, maximum: 0xffff_ffff }
      const unlimited = yield* open({ blockSize: large })
      expect(unlimited.device.geometry).toMatchObject({ minimum: 4096, preferred: 2 ** 26, maximum: 2 ** 26 })
    }))

  it.scoped("is not made of an export that no file can be as large as", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(open({ size: 2n ** 63n }))
      expect(error).toMatchObject({ _tag: "NbdGeometryError" })
    }))

  it.scoped("sends what it was asked for with the flags of its options", () =>
    Effect.gen(function*() {
      const { device, server } = yield* open()
      yield* device.write(0n, new Uint8Array(512), { fua: true })
      yield* device.writeZeroes(512n, 512n, { allocate: true, fast: true, fua: true })
      yield* device.trim(1024n, 512n, { fua: true })
      yield* device.flush
      const requests = yield* server.requests
      expect(requests.map(({ command, flags, length, offset }) => [command, flags & 0x1f, offset, length]))
        .toEqual([
          ["WRITE", 1, 0n, 512],
          ["WRITE_ZEROES", 1 + 2 + 16, 512n, 512],
          ["TRIM", 1, 1024n, 512],
          ["FLUSH", 0, 0n, 0]
        ])
    }))

  it.scoped("sends nothing for a range of no bytes, and refuses one outside of it", () =>
    Effect.gen(function*() {
      const { device, server } = yield* open()
      const at = (offset: bigint) => [
        device.read(offset, 0),
        device.readInto(offset, new Uint8Array(0)),
        device.readBorrowed(offset, 0, Effect.succeed),
        device.write(offset, new Uint8Array(0)),
        device.writeZeroes(offset, 0n),
        device.trim(offset, 0n)
      ]
      for (const request of at(device.size)) yield* request
      for (const request of at(device.size + 1n)) {
        expect(yield* Effect.flip(request)).toMatchObject({ _tag: "NbdRequestRefusedError", why: "OutOfBounds" })
      }
      expect(yield* server.requests).toEqual([])
    }))

  it.scoped("refuses to read more than is taken at once, also where that is no number of bytes", () =>
    Effect.gen(function*() {
      const { device } = yield* open()
      for (const length of [Infinity, 33_554_432.5, 33_554_433]) {
        expect(yield* Effect.flip(device.read(0n, length))).toMatchObject({
          _tag: "NbdRequestRefusedError",
          why: "TooLong",
          limit: 33_554_432n
        })
      }
      for (const length of [NaN, -1, 0.5]) {
        expect(yield* Effect.flip(device.read(0n, length))).toMatchObject({ _tag: "NbdOutOfBoundsError" })
      }
    }))

  it.scoped("zeroes and trims ranges longer than one request can say, in order", () =>
    Effect.gen(function*() {
      const size = 2n ** 63n - 1n
      const { device, server } = yield* open({ size })
      yield* device.writeZeroes(0n, size)
      const requests = yield* server.requests
      let at = 0n
      for (const { length, offset } of requests) {
        expect(offset).toBe(at)
        at += BigInt(length)
      }
      expect(at).toBe(size)
      expect(requests.length).toBeGreaterThan(1)
    }))

  it.scoped("says of an export without base:allocation that everything may be data", () =>
    Effect.gen(function*() {
      const { device } = yield* open({}, {})
      expect(device.geometry.canExtents).toBe(false)
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(device.extents({ offset: 512n })))).toEqual([
        { offset: 512n, length: 1_048_064n, allocated: true, zero: false }
      ])
    }))

  it.scoped("joins extents that differ in bits without a meaning alone (C-119)", () =>
    Effect.gen(function*() {
      const status = [
        { length: 4096n, flags: 3n },
        { length: 4096n, flags: 0x83n },
        { length: 1_040_384n, flags: 0x40n }
      ]
      const { device } = yield* open({
        allocation: false,
        contexts: [{ name: MetaContext.baseAllocation, status: () => Effect.succeed(status) }]
      })
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(device.extents()))).toEqual([
        { offset: 0n, length: 8192n, allocated: false, zero: true },
        { offset: 8192n, length: 1_040_384n, allocated: true, zero: false }
      ])
    }))

  it.scoped("tells what further contexts say, and fails for one that was not granted", () =>
    Effect.gen(function*() {
      const depth = MetaContext.qemuAllocationDepth
      const { device } = yield* open({ allocationDepth: true }, contexts(MetaContext.baseAllocation, depth))
      yield* device.write(0n, new Uint8Array(65_536).fill(1))
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(device.extents({ contexts: [depth] })))).toEqual([
        { offset: 0n, length: 65_536n, allocated: true, zero: false, flags: { [depth]: 1n } },
        { offset: 65_536n, length: 983_040n, allocated: false, zero: true, flags: { [depth]: 0n } }
      ])
      const other = Stream.runDrain(device.extents({ contexts: ["x:other"] }))
      expect(yield* Effect.flip(other)).toMatchObject({ _tag: "NbdNoMetaContextError" })
    }))

  it.scoped("fails its requests when the handle has been shut down", () =>
    Effect.gen(function*() {
      const { device, handle } = yield* open()
      yield* handle.shutdown
      const failed = yield* Effect.either(device.read(0n, 512))
      expect(Either.getLeft(failed)).toMatchObject({ value: { _tag: "NbdShutDownError" } })
    }))
})
