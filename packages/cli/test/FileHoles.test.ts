/** Copies of files with holes, as Perl or Python tell of them, and what becomes of a copy when they do not. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { bin, itWith, run, start } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

interface Sparse {
  readonly path: string
  readonly fd: number
  readonly content: Buffer
}

/** A file of `size` bytes with a few bytes of data at each of these offsets, and holes between them. */
const sparse = (size: number, ...offsets: ReadonlyArray<number>): Effect.Effect<Sparse, never, Scope.Scope> =>
  Effect.flatMap(folder, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const path = join(directory, "sparse")
        const fd = openSync(path, "w+")
        const content = Buffer.alloc(size)
        ftruncateSync(fd, size)
        for (const at of offsets) {
          content.write("data", at)
          writeSync(fd, "data", at)
        }
        return { path, fd, content }
      }),
      ({ fd }) => Effect.sync(() => closeSync(fd))
    ))

const mebibyte = 1_048_576
const isGone = (pidFile: string): boolean => {
  const pid = readFileSync(pidFile, "utf8").trim()
  if (pid === "") return true
  try {
    process.kill(Number(pid), 0)
    return false
  } catch {
    return true
  }
}

/** A folder for PATH, in which `perl` is a shell script, if there is one. */
const pathWith = (script?: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(folder, (directory) => {
    if (script !== undefined) {
      writeFileSync(join(directory, "perl"), `#!/bin/sh\n${script}\n`)
      chmodSync(join(directory, "perl"), 0o755)
    }
    return `PATH=${directory}`
  })

const copying = (path: string, ...args: ReadonlyArray<string>) =>
  ["/usr/bin/env", path, process.execPath, bin, "copy", ...args] as const

describe("a copy of a sparse file", () => {
  const size = 40 * mebibyte + 3

  it.scopedLive("is right whatever program looks for its holes, and without any", () =>
    Effect.gen(function*() {
      const { content, path } = yield* sparse(size, 5000, 20 * mebibyte - 2, size - 4)
      const copy = `${path}.copy`
      const environments = [
        `PATH=${process.env["PATH"]}`,
        yield* pathWith(),
        yield* pathWith("echo 0 8192; echo 4096 512; echo end"),
        yield* pathWith("echo 0 8192; exit 1")
      ]
      for (const environment of environments) {
        writeFileSync(copy, Buffer.alloc(size, 1))
        const { code, stderr } = yield* run(...copying(environment, path, copy))
        expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" })
        expect(readFileSync(copy).equals(content)).toBe(true)
        expect(statSync(copy).blocks * 512).toBeLessThan(mebibyte)
      }
    }))

  // To read so much would take minutes.
  itWith("perl")("reads the data alone", () =>
    Effect.gen(function*() {
      const { fd, path } = yield* sparse(8192, 0)
      const tebibyte = 1024 ** 4
      ftruncateSync(fd, tebibyte)
      writeSync(fd, "last", tebibyte - 4)
      const { code, stderr } = yield* run(process.execPath, bin, "copy", path, "null:")
      expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" })
    }))

  it.scopedLive("ends at a signal, and so does the program that looks for holes", () =>
    Effect.gen(function*() {
      const { path } = yield* sparse(size)
      const pidFile = `${path}.pid`
      const environment = yield* pathWith(`echo $$ > ${pidFile}; exec /bin/sleep 1000`)
      writeFileSync(pidFile, "")
      const copy = yield* start(...copying(environment, path, "null:"))
      yield* Effect.repeat(Effect.sync(() => readFileSync(pidFile, "utf8")), {
        until: (pid) => pid !== "",
        schedule: Schedule.spaced("10 millis")
      })
      yield* copy.kill("SIGINT")
      expect((yield* copy.ended).code).toBe(130)
      expect(isGone(pidFile)).toBe(true)
    }))
})
