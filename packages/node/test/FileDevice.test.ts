/** Files as block devices: the laws, and what the system makes of files. */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import type { Extent } from "@effect-nbd/block/Extent"
import { FileDevice } from "@effect-nbd/node"
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import { BlockDeviceLaws } from "@effect-nbd/testing"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"
import nodeFs, * as fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { constants } from "node:os"
import { join } from "node:path"
import { folder } from "./Peers.ts"
import { has } from "./RealServers.ts"

const mebibyte = 1_048_576

/** Only a file system in memory has files that long. */
const memory = "/dev/shm"
const itInMemory = fs.existsSync(memory) ? it.scopedLive : it.scopedLive.skip

const folderInMemory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(memory, "effect-nbd-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
)

/** A file of so many bytes, all of them in a hole. */
const hollow = (size: bigint, place = folder) =>
  Effect.gen(function*() {
    const path = join(yield* place, "file")
    fs.writeFileSync(path, "")
    const fd = fs.openSync(path, "r+")
    yield* FileCalls.truncating(fd, path)(size)
    fs.closeSync(fd)
    return path
  })

const fileOf = (content: Uint8Array) =>
  Effect.map(folder, (directory) => {
    const path = join(directory, "file")
    fs.writeFileSync(path, content)
    return path
  })

const opened = (size: bigint, place = folder) => Effect.flatMap(hollow(size, place), (path) => FileDevice.open(path))

const extentsOf = <E>(device: BlockDevice<E>, options?: { readonly offset?: bigint; readonly length?: bigint }) =>
  Effect.map(Stream.runCollect(device.extents(options)), Chunk.toReadonlyArray)

const refusal = (errno: number): NodeJS.ErrnoException => Object.assign(new Error("refused"), { errno: -errno })

/** Until the scope is closed a disk quota is exceeded whenever a file is brought to the disk, and closing one tells of EIO. */
const refusing = Effect.acquireRelease(
  Effect.sync(() => {
    const { close } = nodeFs
    vi.spyOn(nodeFs, "fdatasync").mockImplementation((_, done) =>
      void setImmediate(done, refusal(constants.errno.EDQUOT))
    )
    vi.spyOn(nodeFs, "close").mockImplementation((fd, done) => close(fd, () => done?.(refusal(constants.errno.EIO))))
    syncBuiltinESMExports()
  }),
  () =>
    Effect.sync(() => {
      vi.restoreAllMocks()
      syncBuiltinESMExports()
    })
)

const devices = {
  "of a MiB": opened(1_048_576n),
  "of no whole block": opened(1_048_576n + 511n),
  "of fewer bytes than a page": opened(511n),
  "of one byte": opened(1n),
  "of no bytes": opened(0n),
  "without holes": Effect.flatMap(fileOf(randomBytes(300_000)), (path) => FileDevice.open(path)),
  "that is read-only": Effect.flatMap(
    fileOf(randomBytes(300_000)),
    (path) => FileDevice.open(path, { readOnly: true })
  ),
  ...fs.existsSync(memory)
    ? {
      "of 2^53 + 1 TiB + 7 bytes": opened((1n << 53n) + (1n << 40n) + 7n, folderInMemory),
      "of 2^63 - 1 bytes": opened((1n << 63n) - 1n, folderInMemory)
    }
    : {}
}

describe.each(Object.entries(devices))("a file %s", (_name, device) => {
  for (const { name, run } of BlockDeviceLaws.laws(device, { runs: 4 })) it.live(name, () => run)
})

describe("a file as a device", () => {
  it.scopedLive("has the size and the bytes of the file, and the file has what was written", () =>
    Effect.gen(function*() {
      const content = randomBytes(mebibyte + 3)
      const path = yield* fileOf(content)
      const device = yield* FileDevice.open(path)
      expect([device.name, device.size]).toEqual([path, BigInt(content.byteLength)])
      expect(Buffer.from(yield* device.read(0n, content.byteLength)).equals(content)).toBe(true)
      yield* device.write(BigInt(mebibyte), Uint8Array.of(1, 2, 3), { fua: true })
      yield* device.writeZeroes(5n, 500_000n)
      yield* device.flush
      yield* device.close
      const left = Buffer.concat([
        content.subarray(0, 5),
        Buffer.alloc(500_000),
        content.subarray(500_005, mebibyte),
        Buffer.of(1, 2, 3)
      ])
      expect(fs.readFileSync(path).equals(left)).toBe(true)
    }))

  itInMemory("is written to where it was said beyond 2^53, and nowhere else", () =>
    Effect.gen(function*() {
      const size = (1n << 63n) - 1n
      const device = yield* opened(size, folderInMemory)
      // A position that is no even number has no double.
      const places = [0n, (1n << 53n) - 1n, (1n << 53n) + 1_000_001n, size - 300_000n]
      const bytes = places.map(() => randomBytes(300_000))
      for (const [index, place] of places.entries()) yield* device.write(place, bytes[index] ?? Buffer.alloc(0))
      for (const [index, place] of places.entries()) {
        expect(Buffer.from(yield* device.read(place, 300_000)).equals(bytes[index] ?? Buffer.alloc(0))).toBe(true)
      }
      expect(yield* Effect.flip(device.write(size - 1n, Uint8Array.of(1, 2)))).toMatchObject({ why: "OutOfBounds" })
    }))

  it.scopedLive("zeroes at once where that is asked for, or not at all", () =>
    Effect.gen(function*() {
      const path = yield* fileOf(Buffer.alloc(4096, 1))
      const device = yield* FileDevice.open(path)
      const error = yield* Effect.flip(device.writeZeroes(0n, 4096n, { fast: true }))
      expect(error).toMatchObject({ _tag: "NbdDeviceError", errno: "ENOTSUP" })
      expect(fs.readFileSync(path).equals(Buffer.alloc(4096, 1))).toBe(true)
    }))

  it.scopedLive("says where it ended, if it has become shorter", () =>
    Effect.gen(function*() {
      const path = yield* fileOf(Buffer.alloc(1000))
      const device = yield* FileDevice.open(path)
      yield* device.verifySize
      for (const [now, words] of [[600, "the file ended at 600"], [0, "the file ended at 500"]] as const) {
        fs.truncateSync(path, now)
        const error = yield* Effect.flip(device.read(500n, 500))
        expect(error).toMatchObject({ _tag: "NbdDeviceError", operation: "read", offset: 500n, errno: "EIO" })
        expect(error.message).toContain(words)
      }
      for (const now of [600, 1001]) {
        fs.truncateSync(path, now)
        const { message } = yield* Effect.flip(device.verifySize)
        expect(message).toContain(`had 1000 bytes when it was opened, and has ${now} now`)
      }
      expect(device.size).toBe(1000n)
    }))

  it.scopedLive("keeps what the system called it when it was not opened", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const refused = (path: string, readOnly = true) => Effect.flip(FileDevice.open(path, { readOnly }))
      const missing = yield* refused(join(directory, "missing"))
      expect(missing).toMatchObject({ _tag: "NbdFileOpenError", why: "Refused", code: "ENOENT" })
      expect(missing.message).toBe(`cannot open ${directory}/missing: no such file or directory (ENOENT)`)
      expect(JSON.parse(JSON.stringify(missing))).toMatchObject({ _tag: "NbdFileOpenError", code: "ENOENT" })
      const loop = join(directory, "loop")
      fs.symlinkSync(loop, loop)
      expect(yield* refused(loop, false)).toMatchObject({ why: "Refused", code: "ELOOP" })
    }))

  it.scopedLive("keeps what the system called it when a request failed, and when it was closed", () =>
    Effect.gen(function*() {
      const device = yield* opened(8192n)
      yield* refusing
      const unstored = yield* Effect.flip(device.flush)
      expect(unstored).toMatchObject({ _tag: "NbdDeviceError", operation: "flush", errno: "ENOSPC" })
      expect(unstored.message).toContain("cannot flush the file: disk quota exceeded (EDQUOT)")
      const durable = yield* Effect.flip(device.write(512n, Uint8Array.of(1), { fua: true }))
      expect(durable).toMatchObject({ _tag: "NbdDeviceError", errno: "ENOSPC" })
      const closed = yield* Effect.flip(device.close)
      expect(closed).toMatchObject({ _tag: "NbdDeviceError", errno: "EIO" })
      expect(closed.message).toContain("cannot close the file: i/o error (EIO)")
      // Once is all that there is: the number is free.
      yield* device.close
    }))

  it.scopedLive("is no folder, no device, no pipe, and nothing without a size", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const refused = (path: string) => Effect.flip(FileDevice.open(path, { readOnly: true }))
      expect(yield* refused(directory)).toMatchObject({
        why: "NotRegular",
        reason: "is a directory, not a regular file"
      })
      expect((yield* refused("/dev/null")).message).toBe("/dev/null is a device, not a regular file")
      if (fs.existsSync("/proc/version")) expect(yield* refused("/proc/version")).toMatchObject({ why: "NoSize" })
    }))

  it.scopedLive("takes no requests once it is closed, and waits for those under way", () =>
    Effect.gen(function*() {
      const path = yield* fileOf(Buffer.alloc(64 * mebibyte, 7))
      const scope = yield* Scope.make()
      const device = yield* Scope.extend(FileDevice.open(path), scope)
      const reading = yield* Effect.fork(device.read(0n, 64 * mebibyte))
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      const bytes = yield* Fiber.join(reading)
      expect(bytes.every((byte) => byte === 7)).toBe(true)
      // Another file has its number now.
      const other = fs.openSync(path, "r+")
      for (
        const request of [
          device.read(0n, 10),
          device.write(0n, new Uint8Array(10)),
          device.writeZeroes(0n, 10n),
          device.flush,
          device.verifySize,
          Stream.runDrain(device.extents())
        ]
      ) expect(yield* Effect.flip(request)).toMatchObject({ _tag: "NbdDeviceError", errno: "ESHUTDOWN" })
      fs.closeSync(other)
      expect(fs.readFileSync(path).every((byte) => byte === 7)).toBe(true)
      yield* device.close
    }))

  it.scopedLive("can be closed after a request that was interrupted", () =>
    Effect.gen(function*() {
      const device = yield* opened(BigInt(mebibyte) * 1024n)
      const started = yield* Deferred.make<void>()
      const zeroing = yield* Effect.fork(
        Effect.zipRight(Deferred.succeed(started, undefined), device.writeZeroes(0n, device.size))
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(zeroing)
      yield* device.close
    }))

  it.scopedLive("can be told from another, by any name that it was opened by", () =>
    Effect.gen(function*() {
      const path = yield* fileOf(Buffer.alloc(10))
      fs.symlinkSync(path, `${path}.link`)
      fs.copyFileSync(path, `${path}.copy`)
      const [one, same, other] = yield* Effect.all([
        FileDevice.open(path),
        FileDevice.open(`${path}.link`),
        FileDevice.open(`${path}.copy`)
      ])
      expect(same.file).toEqual(one.file)
      expect(other.file).not.toEqual(one.file)
    }))
})

describe("the extents of a file", () => {
  const size = 8 * mebibyte

  const withData = Effect.map(hollow(BigInt(size)), (path) => {
    const fd = fs.openSync(path, "r+")
    fs.writeSync(fd, Buffer.alloc(mebibyte, 1), 0, mebibyte, 2 * mebibyte)
    fs.closeSync(fd)
    return path
  })

  it.scopedLive.skipIf(!has("perl") && !has("python3"))("tell its holes, in any range", () =>
    Effect.gen(function*() {
      const device = yield* FileDevice.open(yield* withData, { readOnly: true })
      const hole = (offset: number, length: number): Extent => ({
        offset: BigInt(offset),
        length: BigInt(length),
        allocated: false,
        zero: true
      })
      const data: Extent = { ...hole(2 * mebibyte, mebibyte), allocated: true, zero: false }
      expect(device.geometry.canExtents).toBe(true)
      expect(yield* extentsOf(device)).toEqual([hole(0, 2 * mebibyte), data, hole(3 * mebibyte, 5 * mebibyte)])
      expect(yield* extentsOf(device, { offset: BigInt(mebibyte + 5), length: BigInt(2 * mebibyte) })).toEqual([
        hole(mebibyte + 5, mebibyte - 5),
        { ...data, length: BigInt(mebibyte) },
        hole(3 * mebibyte, 5)
      ])
    }))

  it.scopedLive("are one of data where it has no holes", () =>
    Effect.gen(function*() {
      const device = yield* Effect.flatMap(fileOf(randomBytes(100_000)), (path) => FileDevice.open(path))
      expect(yield* extentsOf(device, { offset: 10n })).toEqual([
        { offset: 10n, length: 99_990n, allocated: true, zero: false }
      ])
    }))

  it.scopedLive.skipIf(!has("perl") && !has("python3"))("know of holes that were filled", () =>
    Effect.gen(function*() {
      const device = yield* FileDevice.open(yield* withData)
      yield* device.write(0n, new Uint8Array(4096).fill(1))
      yield* device.flush
      const [first] = yield* extentsOf(device)
      expect(first).toMatchObject({ offset: 0n, allocated: true, zero: false })
    }))
})
