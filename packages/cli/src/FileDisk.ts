/**
 * A regular file as the disk of an export.
 *
 * Node can neither ask where its holes are nor make some: everything is said to be data, zeroes are written, and there is
 * no trim.
 *
 * @since 0.1.0
 */
import { errno, type ErrnoName } from "@effect-nbd/core/wire/Errno"
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as RegularFile from "@effect-nbd/node/file/RegularFile"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import { type Disk, DiskError } from "@effect-nbd/server/Disk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"

/**
 * The file has bytes, and is said to have none, as those of /proc: it cannot be served.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSizeError extends Data.TaggedError("NoSizeError")<{ readonly path: string }> {
  override get message(): string {
    return `${this.path} has bytes but no size, and so cannot be an export`
  }
}

/**
 * Opens the file until the scope is closed. Its size is that of the export, whatever happens to the file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  path: string,
  options: { readonly readOnly: boolean }
): Effect.Effect<
  { readonly size: bigint; readonly disk: Disk },
  FileCalls.FileError | RegularFile.NotRegularFileError | NoSizeError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { fd, stats } = yield* RegularFile.open(path, options.readOnly ? "r" : "r+")
    if (stats.size === 0n && (yield* FileCalls.readingToEnd(fd, path)(0n, new Uint8Array(1))) > 0) {
      return yield* new NoSizeError({ path })
    }
    const fill = FileCalls.reading(fd, path)
    const readable = {
      read: (offset: bigint, length: number) =>
        Effect.suspend(() => {
          const bytes = new Uint8Array(length)
          return Effect.mapBoth(fill(offset, bytes), { onSuccess: () => bytes, onFailure: diskError })
        })
    }
    if (options.readOnly) return { size: stats.size, disk: readable }
    const writing = FileCalls.writing(fd, path)
    const write = (offset: bigint, bytes: Uint8Array) => Effect.mapError(writing(offset, bytes), diskError)
    const zero = WrittenZeroes.by(write)
    const disk: Disk = {
      ...readable,
      write,
      writeZeroes: (offset, length, { fastZero }) => fastZero ? slow : zero(offset, length),
      flush: Effect.mapError(FileCalls.call<void>("flush", path, (done) => fs.fdatasync(fd, done)), diskError)
    }
    return { size: stats.size, disk }
  })

const slow = Effect.suspend(() => new DiskError({ errno: "ENOTSUP", reason: "zeroes have to be written" }))

/** The client is told what happened, and not the path. */
const diskError = (error: FileCalls.FileError | FileCalls.FileTooShortError): DiskError =>
  error._tag === "FileError"
    ? new DiskError({ errno: errnoOf(error.code), reason: `cannot ${error.operation} the file: ${error.reason}` })
    : new DiskError({ errno: "EIO", reason: "the file has become shorter" })

const isErrno = (code: string): code is ErrnoName => Object.hasOwn(errno, code)

const errnoOf = (code: string): ErrnoName =>
  isErrno(code) ? code : code === "EDQUOT" || code === "EFBIG" ? "ENOSPC" : "EIO"
