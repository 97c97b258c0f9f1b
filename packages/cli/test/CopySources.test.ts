/** Files as sources that are not what they were, or are said to be. */
import * as Copy from "#cli/Copy"
import type { Sink } from "#cli/CopyEnds"
import * as FileEnd from "#cli/FileEnd"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { join } from "node:path"
import { folder } from "./support/servers.ts"

/** A destination in memory that does something before the first write. */
const sinkOf = (before: () => void = () => {}): { readonly sink: Sink; readonly written: () => string } => {
  const memory = Buffer.alloc(1_048_576)
  let size = 0n
  let isFirst = true
  const first = (): void => {
    if (isFirst) before()
    isFirst = false
  }
  return {
    written: () => memory.toString("utf8", 0, Number(size)),
    sink: {
      name: "memory",
      size: undefined,
      geometry: { minimum: 1, preferred: 1, maximum: 1_048_576, canZero: true },
      write: (offset, bytes) =>
        Effect.sync(() => {
          first()
          memory.set(bytes, Number(offset))
        }),
      writeZeroes: () => Effect.sync(first),
      finish: (end) =>
        Effect.sync(() => {
          size = end
        }),
      flush: Effect.void
    }
  }
}

describe("a file as a source", () => {
  for (const [what, after] of [["shorter", 8192], ["longer", 1_048_577]] as const) {
    it.scopedLive(`is an error where it becomes ${what} while it is copied`, () =>
      Effect.gen(function*() {
        const path = join(yield* folder, "file")
        fs.writeFileSync(path, "data")
        fs.truncateSync(path, 1_048_576)
        const source = yield* FileEnd.source(path)
        const { sink } = sinkOf(() => fs.truncateSync(path, after))
        // All but the first bytes is a hole, and not read.
        const error = yield* Effect.flip(Copy.copy(source, sink, { requests: 1, requestSize: 4096 }))
        expect(error).toMatchObject({ _tag: "CopyError", operation: "read" })
        // The second where its holes were not yet asked for, and are read.
        expect(error.message).toMatch(
          new RegExp(`had 1048576 bytes when it was opened, and has ${after} now|ended at ${after}`)
        )
      }))
  }

  it.scopedLive("is read to its end where it has bytes but no size", () =>
    Effect.gen(function*() {
      const { sink, written } = sinkOf()
      const source = yield* FileEnd.source("/proc/version")
      expect(source.size).toBeUndefined()
      yield* Copy.copy(source, sink, { requestSize: 64 })
      expect(written()).toBe(fs.readFileSync("/proc/version", "utf8"))
      expect(written().length).toBeGreaterThan(10)
      const empty = join(yield* folder, "empty")
      fs.writeFileSync(empty, "")
      expect((yield* FileEnd.source(empty)).size).toBe(0n)
    }))
})
