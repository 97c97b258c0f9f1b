/**
 * Regular files as ends of a copy, read and written at positions.
 *
 * A call into the file system cannot be called back: an interruption waits for it, so that no buffer is in use by the
 * system any more when the Effect is over. Pipes and devices, which have no positions or no size, are refused.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { getSystemErrorMap } from "node:util"
import type { BlockSize, Sink, Source } from "./Copy.ts"

/**
 * The system refused an operation on a file.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileError extends Data.TaggedError("FileError")<{
  readonly operation: "open" | "read" | "write" | "truncate" | "flush"
  readonly path: string
  /** The system's name, for example `ENOENT` or `ENOSPC`. */
  readonly code: string
  /** The system's words. */
  readonly reason: string
}> {
  override get message(): string {
    return `cannot ${this.operation} ${this.path}: ${this.reason} (${this.code})`
  }
}

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
 * The file ended early: it has become shorter since it was opened.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileTooShortError extends Data.TaggedError("FileTooShortError")<{
  readonly path: string
  readonly offset: bigint
}> {
  override get message(): string {
    return `${this.path} ended at ${this.offset}: it has become shorter`
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

/** Files take what comes, in pages by preference. */
const blockSize: BlockSize = { minimum: 1, preferred: 4096, maximum: 0x4000_0000 }

interface OpenFile {
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
 * Opens a file for reading.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (path: string): Effect.Effect<FileSource, FileError | NotRegularFileError, Scope.Scope> =>
  Effect.map(open(path, "r"), ({ fd, stats }) => {
    const readInto = (offset: bigint, destination: Uint8Array): Effect.Effect<void, FileError | FileTooShortError> =>
      Effect.flatMap(
        call<number>("read", path, (done) => fs.read(fd, destination, 0, destination.byteLength, offset, done)),
        (count) =>
          count === destination.byteLength ?
            Effect.void :
            count === 0 ?
            Effect.fail(new FileTooShortError({ path, offset })) :
            readInto(offset + BigInt(count), destination.subarray(count))
      )
    return { name: path, size: stats.size, blockSize, readInto, stats }
  })

/**
 * Opens a file for writing, and makes it if it is not there. It gets the size of the source when the copy begins.
 * `from` is the source, where that is a file as well.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sink = (
  path: string,
  from: FileSource | undefined
): Effect.Effect<Sink, FileError | NotRegularFileError | SameFileError, Scope.Scope> =>
  Effect.gen(function*() {
    const { fd, stats } = yield* open(path, fs.constants.O_WRONLY | fs.constants.O_CREAT)
    if (from?.stats.dev === stats.dev && from.stats.ino === stats.ino) {
      return yield* new SameFileError({ source: from.name, destination: path })
    }
    const write = (offset: bigint, bytes: Uint8Array): Effect.Effect<void, FileError> =>
      Effect.flatMap(
        call<number>("write", path, (done) => fs.write(fd, bytes, 0, bytes.byteLength, Number(offset), done)),
        (count) => count === bytes.byteLength ? Effect.void : write(offset + BigInt(count), bytes.subarray(count))
      )
    return {
      name: path,
      capacity: undefined,
      blockSize,
      prepare: (size) => call<void>("truncate", path, (done) => fs.ftruncate(fd, Number(size), done)),
      write,
      flush: call<void>("flush", path, (done) => fs.fsync(fd, done))
    }
  })

const open = (
  path: string,
  flags: string | number
): Effect.Effect<OpenFile, FileError | NotRegularFileError, Scope.Scope> =>
  Effect.gen(function*() {
    // Opening a pipe would wait for its other end, so it is looked at first. One that is not there may be made.
    const before = yield* Effect.option(
      call<fs.BigIntStats>("open", path, (done) => fs.stat(path, { bigint: true }, done))
    )
    if (before._tag === "Some") yield* requireRegular(path, before.value)
    const fd = yield* Effect.acquireRelease(
      call<number>("open", path, (done) => fs.open(path, flags, 0o666, done)),
      (fd) => Effect.async<void>((resume) => fs.close(fd, () => resume(Effect.void)))
    )
    const stats = yield* call<fs.BigIntStats>("open", path, (done) => fs.fstat(fd, { bigint: true }, done))
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

const call = <A>(
  operation: FileError["operation"],
  path: string,
  start: (done: (error: NodeJS.ErrnoException | null, value: A) => void) => void
): Effect.Effect<A, FileError> =>
  Effect.uninterruptible(
    Effect.async((resume) =>
      start((error, value) =>
        resume(error === null ? Effect.succeed(value) : Effect.fail(failure(operation, path, error)))
      )
    )
  )

const failure = (operation: FileError["operation"], path: string, error: NodeJS.ErrnoException): FileError => {
  const [code, reason] = getSystemErrorMap().get(error.errno ?? 0) ?? [error.code ?? "EIO", error.message]
  return new FileError({ operation, path, code, reason })
}
