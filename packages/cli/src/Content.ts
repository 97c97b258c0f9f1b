/**
 * What the first bytes of an export look like, in the words of file(1).
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** As many as nbdinfo looks at. */
const looked = 8192

/**
 * How much of an export has to be read: 8 KiB, or else a whole block, or all of it.
 *
 * @since 0.1.0
 * @category getters
 */
export const lengthToRead = ({ minimumBlockSize, size }: Export): number => {
  const length = Math.max(looked, minimumBlockSize)
  return size < length ? Number(size) : length
}

/**
 * The first line that file(1) says of these bytes; `undefined` where it says nothing within ten seconds or cannot be run.
 *
 * A file, and not a pipe, since file(1) says more of a file: the size of what was packed, for one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const describe = (bytes: Uint8Array): Effect.Effect<string | undefined> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => mkdtemp(join(tmpdir(), "effect-nbd-"))),
    (folder) => {
      const path = join(folder, "content")
      return Effect.zipRight(Effect.tryPromise(() => writeFile(path, bytes.subarray(0, looked))), firstLineOf(path))
    },
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  ).pipe(Effect.orElseSucceed(() => undefined))

const firstLineOf = (path: string): Effect.Effect<string | undefined> =>
  Effect.async((resume) => {
    const child = execFile("file", ["-b", "--", path], { timeout: 10_000, killSignal: "SIGKILL" }, (error, stdout) => {
      const [line = ""] = stdout.split("\n")
      resume(Effect.succeed(error !== null || line === "" ? undefined : line))
    })
    return Effect.async<void>((stopped) => {
      child.once("close", () => stopped(Effect.void))
      child.kill("SIGKILL")
    })
  })
