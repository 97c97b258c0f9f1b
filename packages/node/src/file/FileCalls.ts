/**
 * Calls into the file system, as Effects.
 *
 * Reads and writes of 128 KiB and more are given to Node's pool of threads: while they copy, this thread serves the sockets
 * (2 GiB from an export to a file on ext4: 1.4 s instead of 1.6 s, two processors). Shorter ones are made at once,
 * since handing them over costs more than they do; the process does nothing else meanwhile, and so answers a signal after
 * the call.
 *
 * All other calls are Node's own, on its pool. A call cannot be called back: an interruption waits for it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { constants } from "node:os"
import { getSystemErrorMap } from "node:util"
import * as FarFile from "./FarFile.ts"
import * as Turns from "./Turns.ts"

/**
 * The system refused an operation on a file.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileError extends Data.TaggedError("FileError")<{
  readonly operation: "open" | "read" | "write" | "truncate" | "flush" | "close" | "create" | "replace" | "remove"
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
 * The file ended early: it has become shorter since it was opened, or never had the size that it was said to have.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileTooShortError extends Data.TaggedError("FileTooShortError")<{
  readonly path: string
  readonly offset: bigint
}> {
  override get message(): string {
    return `${this.path} ended at ${this.offset}, before its size: it has become shorter`
  }
}

/**
 * Fills memory from a position in a file, however many calls that takes, up to the end of the file. Answers with the number
 * of bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const readingToEnd = (fd: number, path: string) => {
  const transfer = transferring("read", path)
  return (offset: bigint, destination: Uint8Array): Effect.Effect<number, FileError> => {
    const { byteLength } = destination
    return transfer(byteLength, {
      now: (at) => fs.readSync(fd, destination, at, byteLength - at, offset + BigInt(at)),
      later: (at, done) => fs.read(fd, destination, at, byteLength - at, offset + BigInt(at), done)
    })
  }
}

/**
 * Fills memory from a position in a file. That the file ends before is an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reading = (fd: number, path: string) => {
  const read = readingToEnd(fd, path)
  return (offset: bigint, destination: Uint8Array): Effect.Effect<number, FileError | FileTooShortError> => {
    const { byteLength } = destination
    return Effect.flatMap(
      read(offset, destination),
      (count) =>
        count === byteLength
          ? Effect.succeed(count)
          : Effect.fail(new FileTooShortError({ path, offset: offset + BigInt(count) }))
    )
  }
}

/** On ext4 writes of 1 MiB, and some of 512 KiB, take three to five times as much system time as those of 256 KiB. */
const longestWrite = 262_144

/**
 * Writes all of some bytes to a position in a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const writing = (fd: number, path: string) => {
  const transfer = transferring("write", path)
  const far = FarFile.make(fd)
  return (offset: bigint, bytes: Uint8Array): Effect.Effect<void, FileError> => {
    const { byteLength } = bytes
    const length = (at: number): number => Math.min(byteLength - at, longestWrite)
    const isFar = offset + BigInt(byteLength) > FarFile.farthest
    return Effect.flatMap(
      isFar
        ? atOnce("write", path, byteLength, (at) => far.write(bytes.subarray(at), offset + BigInt(at)))
        : transfer(byteLength, {
          now: (at) => fs.writeSync(fd, bytes, at, length(at), Number(offset) + at),
          later: (at, done) => fs.write(fd, bytes, at, length(at), Number(offset) + at, done)
        }),
      (count) =>
        count === byteLength
          ? Effect.void
          : Effect.fail(new FileError({ operation: "write", path, code: "EIO", reason: "nothing was written" }))
    )
  }
}

/**
 * Makes a file as long as that.
 *
 * @since 0.1.0
 * @category constructors
 */
export const truncating = (fd: number, path: string) => {
  const far = FarFile.make(fd)
  return (size: bigint): Effect.Effect<void, FileError> =>
    size > FarFile.farthest
      ? Effect.try({ try: () => far.truncate(size), catch: (error) => failure("truncate", path, error) })
      : call<void>("truncate", path, (done) => fs.ftruncate(fd, Number(size), done))
}

/** One call for the bytes from `at` on; it gives the number of bytes that it did. */
interface Transfer {
  readonly now: (at: number) => number
  readonly later: (at: number, done: (error: NodeJS.ErrnoException | null, count: number) => void) => void
}

/** Fewer bytes than this are sooner done than handed over. */
const worthHandingOver = 131_072

/** Calls until all is done, or one call does nothing. Answers with the number of bytes done. */
const transferring =
  (operation: FileError["operation"], path: string) =>
  (length: number, transfer: Transfer): Effect.Effect<number, FileError> =>
    length < worthHandingOver
      ? atOnce(operation, path, length, transfer.now)
      : inPool(operation, path, length, transfer)

const atOnce = (
  operation: FileError["operation"],
  path: string,
  length: number,
  now: Transfer["now"]
): Effect.Effect<number, FileError> =>
  Turns.fair(() => {
    try {
      let at = 0
      for (let count = 1; at < length && count > 0; at += count) count = now(at)
      return Effect.succeed(at)
    } catch (error) {
      return Effect.fail(failure(operation, path, error))
    }
  })

const inPool = (
  operation: FileError["operation"],
  path: string,
  length: number,
  { later }: Transfer
): Effect.Effect<number, FileError> =>
  Effect.uninterruptible(
    Effect.async((resume) => {
      const goOn = (at: number): void =>
        later(at, (error, count) => {
          if (error !== null) resume(Effect.fail(failure(operation, path, error)))
          else if (count === 0 || at + count === length) resume(Effect.succeed(at + count))
          else goOn(at + count)
        })
      goOn(0)
    })
  )

/**
 * A call that calls back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const call = <A>(
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

/**
 * An open file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Opened {
  readonly fd: number
  readonly stats: fs.BigIntStats
  /** Closes it, once; the scope does the same, and does not tell what the system said. */
  readonly close: Effect.Effect<void, FileError>
}

/**
 * Opens a file until the scope is closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  path: string,
  flags: string | number,
  mode = 0o666
): Effect.Effect<Opened, FileError, Scope.Scope> =>
  Effect.gen(function*() {
    const { close, fd } = yield* Effect.acquireRelease(
      Effect.map(call<number>("open", path, (done) => fs.open(path, flags, mode, done)), (fd) => {
        let isOpen = true
        const close = Effect.suspend(() => {
          if (!isOpen) return Effect.void
          isOpen = false
          return call<void>("close", path, (done) => fs.close(fd, (error) => done(error ?? null)))
        })
        return { fd, close }
      }),
      ({ close }) => Effect.ignore(close)
    )
    const stats = yield* call<fs.BigIntStats>("open", path, (done) => fs.fstat(fd, { bigint: true }, done))
    return { fd, stats, close }
  })

/**
 * What the system said, as Node throws it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failure = (operation: FileError["operation"], path: string, error: unknown): FileError => {
  const thrown: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error))
  const [code, reason] = namesOf(thrown)
  return new FileError({ operation, path, code, reason })
}

/** Name and words. Node has words for what its library of system calls knows, and numbers alone for the rest. */
const namesOf = ({ code, errno, message }: NodeJS.ErrnoException): readonly [code: string, reason: string] => {
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno)
  if (known !== undefined) return [known[0], known[1]]
  const name = Object.entries(constants.errno).find(([, number]) => number === -(errno ?? 0))?.[0] ?? code ?? "EIO"
  return [name, words.get(name) ?? message]
}

/** What the library has no words for. */
const words: ReadonlyMap<string, string> = new Map([
  ["EDQUOT", "disk quota exceeded"],
  ["ESTALE", "the file is no longer on its server"]
])
