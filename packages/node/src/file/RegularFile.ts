/**
 * Opens regular files. Pipes and devices, which have no positions or no size, are refused.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as FileCalls from "./FileCalls.ts"

/**
 * It is there, but it is no regular file.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotRegularFileError extends Data.TaggedError("NotRegularFileError")<{
  readonly path: string
  readonly found: "directory" | "device" | "pipe or socket"
}> {
  override get message(): string {
    return `${this.path} is a ${this.found}, not a regular file`
  }
}

/**
 * Opens a regular file until the scope is closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  path: string,
  flags: string | number
): Effect.Effect<FileCalls.Opened, FileCalls.FileError | NotRegularFileError, Scope.Scope> =>
  Effect.gen(function*() {
    // Opening a pipe would wait for its other end, so it is looked at first. One that is not there may be made.
    const before = yield* Effect.option(
      FileCalls.call<fs.BigIntStats>("open", path, (done) => fs.stat(path, { bigint: true }, done))
    )
    if (before._tag === "Some") yield* requireRegular(path, before.value)
    const opened = yield* FileCalls.open(path, flags)
    yield* requireRegular(path, opened.stats)
    return opened
  })

/**
 * Fails where what is there is no regular file.
 *
 * @since 0.1.0
 * @category guards
 */
export const requireRegular = (path: string, stats: fs.BigIntStats): Effect.Effect<void, NotRegularFileError> =>
  stats.isFile()
    ? Effect.void
    : Effect.fail(
      new NotRegularFileError({
        path,
        found: stats.isDirectory()
          ? "directory"
          : stats.isBlockDevice() || stats.isCharacterDevice()
          ? "device"
          : "pipe or socket"
      })
    )
