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
import * as fs from "node:fs"
import { getSystemErrorMap } from "node:util"

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
 * Fills memory from a position in a file, however many calls that takes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reading = (fd: number, path: string) => {
  const transfer = transferring("read", path)
  return (offset: bigint, destination: Uint8Array): Effect.Effect<number, FileError | FileTooShortError> => {
    const { byteLength } = destination
    return Effect.flatMap(
      transfer(byteLength, {
        now: (at) => fs.readSync(fd, destination, at, byteLength - at, offset + BigInt(at)),
        later: (at, done) => fs.read(fd, destination, at, byteLength - at, offset + BigInt(at), done)
      }),
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
  return (offset: bigint, bytes: Uint8Array): Effect.Effect<void, FileError> => {
    const { byteLength } = bytes
    const length = (at: number): number => Math.min(byteLength - at, longestWrite)
    return Effect.flatMap(
      transfer(byteLength, {
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

/** One call for the bytes from `at` on; it gives the number of bytes that it did. */
interface Transfer {
  readonly now: (at: number) => number
  readonly later: (at: number, done: (error: NodeJS.ErrnoException | null, count: number) => void) => void
}

/** Fewer bytes than this are sooner done than handed over. */
const worthHandingOver = 131_072

/** Calls until all is done, or one call does nothing. Answers with the number of bytes done. */
const transferring = (operation: FileError["operation"], path: string) => {
  const paced = pacing()
  return (length: number, transfer: Transfer): Effect.Effect<number, FileError> =>
    length < worthHandingOver
      ? paced(() => atOnce(operation, path, length, transfer))
      : inPool(operation, path, length, transfer)
}

const atOnce = (
  operation: FileError["operation"],
  path: string,
  length: number,
  { now }: Transfer
): Effect.Effect<number, FileError> => {
  try {
    let at = 0
    for (let count = 1; at < length && count > 0; at += count) count = now(at)
    return Effect.succeed(at)
  } catch (error) {
    return Effect.fail(failure(operation, path, error))
  }
}

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

/** After so many calls everything else has its turn: from a file to a file nothing else would ever wait. */
const callsInTurn = 4

const pacing = () => {
  let calls = 0
  return <A, E>(call: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => ++calls % callsInTurn === 0 ? Effect.zipRight(nextTurn, Effect.suspend(call)) : call())
}

const nextTurn: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

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

const failure = (operation: FileError["operation"], path: string, error: unknown): FileError => {
  const { errno = 0, code = "EIO" }: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error))
  const [name, reason] = getSystemErrorMap().get(errno) ?? [code, String(error)]
  return new FileError({ operation, path, code: name, reason })
}
