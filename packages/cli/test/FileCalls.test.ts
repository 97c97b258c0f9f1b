/** Transfers to and from files: those that are made at once, and those that Node's threads make. */
import * as FileCalls from "#cli/FileCalls"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"
import { folder } from "./support/servers.ts"

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
})
