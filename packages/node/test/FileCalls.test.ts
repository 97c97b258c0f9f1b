/** Transfers to and from files: those that are made at once, and those that Node's threads make. */
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { folder } from "./Peers.ts"

/** Longer than what is made at once, and than one call of what is not. */
const lengths = [1, 4096, 131_071, 131_072, 262_145, 1_048_583]

const opened = (content: Uint8Array) =>
  Effect.gen(function*() {
    const path = join(yield* folder, "file")
    fs.writeFileSync(path, content)
    const fd = yield* Effect.acquireRelease(
      Effect.sync(() => fs.openSync(path, "r+")),
      (fd) => Effect.sync(() => fs.closeSync(fd))
    )
    return { fd, path }
  })

describe("FileCalls", () => {
  for (const length of lengths) {
    it.scopedLive(`reads and writes ${length} bytes where they belong, and nothing else`, () =>
      Effect.gen(function*() {
        const content = randomBytes(length + 20)
        const { fd, path } = yield* opened(content)
        const memory = new Uint8Array(length + 2)
        expect(yield* FileCalls.reading(fd, path)(7n, memory.subarray(1, length + 1))).toBe(length)
        expect([memory[0], memory[length + 1]]).toEqual([0, 0])
        expect(Buffer.from(memory.subarray(1, length + 1)).equals(content.subarray(7, 7 + length))).toBe(true)
        const bytes = randomBytes(length)
        yield* FileCalls.writing(fd, path)(11n, bytes)
        const written = fs.readFileSync(path)
        expect(written.equals(Buffer.concat([content.subarray(0, 11), bytes, content.subarray(11 + length)]))).toBe(
          true
        )
      }))

    it.scopedLive(`says where a file ended before ${length} bytes were read`, () =>
      Effect.gen(function*() {
        const { fd, path } = yield* opened(new Uint8Array(length + 6))
        const error = yield* Effect.flip(FileCalls.reading(fd, path)(7n, new Uint8Array(length)))
        expect(error).toMatchObject({ _tag: "FileTooShortError", path, offset: BigInt(length + 6) })
      }))

    it.scopedLive(`says what the system says to ${length} bytes`, () =>
      Effect.gen(function*() {
        const { path } = yield* opened(new Uint8Array(length))
        const readOnly = fs.openSync(path, "r")
        const refused = yield* Effect.flip(FileCalls.writing(readOnly, path)(0n, new Uint8Array(length)))
        fs.closeSync(readOnly)
        expect(refused).toMatchObject({ _tag: "FileError", operation: "write", path, code: "EBADF" })
      }))
  }

  // Only a file system in memory has files that long.
  const itInMemory = fs.existsSync("/dev/shm") ? it.scopedLive : it.scopedLive.skip

  itInMemory("writes beyond 2^53 where it belongs", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync("/dev/shm/effect-nbd-")),
        (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
      )
      const path = join(directory, "file")
      fs.writeFileSync(path, "start")
      const fd = fs.openSync(path, "r+")
      yield* FileCalls.truncating(fd, path)((1n << 63n) - 1n)
      expect(fs.fstatSync(fd, { bigint: true }).size).toBe((1n << 63n) - 1n)
      // A position that is no even number has no double.
      const places = [(1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1_000_001n, (1n << 62n) + 3n, (1n << 63n) - 300_001n]
      const bytes = randomBytes(300_000)
      const write = FileCalls.writing(fd, path)
      const read = FileCalls.reading(fd, path)
      for (const place of places) {
        yield* write(place, bytes)
        const memory = new Uint8Array(bytes.byteLength)
        yield* read(place, memory)
        expect(Buffer.from(memory).equals(bytes)).toBe(true)
      }
      const first = new Uint8Array(5)
      yield* read(0n, first)
      expect(Buffer.from(first).toString()).toBe("start")
      for (const place of [(1n << 63n) - 5n, 1n << 63n]) {
        expect(yield* Effect.flip(write(place, bytes))).toMatchObject({ operation: "write", code: "EFBIG" })
      }
      expect(yield* Effect.flip(FileCalls.truncating(fd, path)(1n << 63n))).toMatchObject({ code: "EFBIG" })
      fs.closeSync(fd)
    }))

  it("has names and words for what Node has only a number for", () => {
    const errno = -constants.errno.EDQUOT
    const thrown = Object.assign(new Error(`Unknown system error ${errno}`), {
      errno,
      code: `Unknown system error ${errno}`
    })
    const { message } = FileCalls.failure("write", "disk", thrown)
    expect(message).toBe("cannot write disk: disk quota exceeded (EDQUOT)")
  })
})
