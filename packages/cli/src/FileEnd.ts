/**
 * Regular files as ends of a copy, read and written at positions. Pipes and devices, which have no positions or no size,
 * are refused.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { type BlockSize, lending, type Sink, type Source } from "./CopyEnds.ts"
import * as FileCalls from "./FileCalls.ts"
import * as FileHoles from "./FileHoles.ts"
import * as WrittenZeroes from "./WrittenZeroes.ts"

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
 * Both ends are the same file. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class SameFileError extends Data.TaggedError("SameFileError")<{
  readonly source: string
  readonly destination: string
}> {
  override get message(): string {
    return `${this.source} and ${this.destination} are the same file`
  }
}

/** While some are written others are read: with fewer and longer requests one of the two waits for the other. */
const suited = { requests: 16, requestSize: 524_288 }

/** Files take what comes, in pages by preference. */
const blockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 0x4000_0000 }

/**
 * @since 0.1.0
 * @category models
 */
export interface OpenFile {
  readonly fd: number
  readonly stats: fs.BigIntStats
}

/**
 * A source with what is needed to tell it from a destination.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileSource extends Source {
  readonly stats: fs.BigIntStats
}

/**
 * Opens a file for reading. Where it has holes is asked if it has fewer blocks than its size would take.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (
  path: string
): Effect.Effect<FileSource, FileCalls.FileError | NotRegularFileError, Scope.Scope> =>
  Effect.map(open(path, "r"), ({ fd, stats }) => ({
    name: path,
    size: stats.size,
    blockSize,
    // In blocks of 512 bytes, whatever those of the file system are.
    extents: stats.blocks * 512n < stats.size ? FileHoles.extents(fd, stats.size) : undefined,
    read: lending(FileCalls.reading(fd, path)),
    stats
  }))

/**
 * Opens a file for writing, and makes it if it is not there. When the copy begins it is emptied, so that what is never
 * written are holes. `from` is the source, where that is a file as well. With `allocated` there are no holes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = (
  path: string,
  options: { readonly from: FileSource | undefined; readonly allocated: boolean }
): Effect.Effect<Sink, FileCalls.FileError | NotRegularFileError | SameFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const { fd, stats } = yield* open(path, fs.constants.O_WRONLY | fs.constants.O_CREAT)
    const { allocated, from } = options
    if (from?.stats.dev === stats.dev && from.stats.ino === stats.ino) {
      return yield* new SameFileError({ source: from.name, destination: path })
    }
    const truncate = (size: bigint) =>
      FileCalls.call<void>("truncate", path, (done) => fs.ftruncate(fd, Number(size), done))
    // Emptied, even if it was empty, a file on ext4 is brought to the disk when it is closed: 1 s longer for 2 GiB.
    const empty = stats.size === 0n ? Effect.void : truncate(0n)
    const write = FileCalls.writing(fd, path)
    return {
      name: path,
      capacity: undefined,
      blockSize,
      suited,
      prepare: (size) => Effect.zipRight(empty, size === undefined ? Effect.void : truncate(size)),
      write,
      zero: allocated ? WrittenZeroes.by(write) : () => Effect.void,
      finish: truncate,
      flush: FileCalls.call<void>("flush", path, (done) => fs.fsync(fd, done))
    }
  })

/**
 * Opens a regular file until the scope is closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  path: string,
  flags: string | number
): Effect.Effect<OpenFile, FileCalls.FileError | NotRegularFileError, Scope.Scope> =>
  Effect.gen(function*() {
    // Opening a pipe would wait for its other end, so it is looked at first. One that is not there may be made.
    const before = yield* Effect.option(
      FileCalls.call<fs.BigIntStats>("open", path, (done) => fs.stat(path, { bigint: true }, done))
    )
    if (before._tag === "Some") yield* requireRegular(path, before.value)
    const fd = yield* Effect.acquireRelease(
      FileCalls.call<number>("open", path, (done) => fs.open(path, flags, 0o666, done)),
      (fd) => Effect.async<void>((resume) => fs.close(fd, () => resume(Effect.void)))
    )
    const stats = yield* FileCalls.call<fs.BigIntStats>("open", path, (done) => fs.fstat(fd, { bigint: true }, done))
    yield* requireRegular(path, stats)
    return { fd, stats }
  })

const requireRegular = (path: string, stats: fs.BigIntStats): Effect.Effect<void, NotRegularFileError> =>
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
