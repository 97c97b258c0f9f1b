/**
 * Calls into the file system, as Effects.
 *
 * Reads and writes are made at once, on the thread that also serves the sockets, as nbdcopy does it: to give each to a
 * thread of Node's pool and to fetch its bytes from the memory of the other processor takes 0.4 s more processor time for 4 GiB
 * (of 1.7 s; two processors, pages in memory). In return the process does nothing else while the disk is slow: it answers a
 * signal after the call.
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
  const paced = pacing()
  return (offset: bigint, destination: Uint8Array): Effect.Effect<number, FileError | FileTooShortError> =>
    paced((): Effect.Effect<number, FileError | FileTooShortError> => {
      const { byteLength } = destination
      for (let at = 0; at < byteLength;) {
        const count = attempt(
          "read",
          path,
          () => fs.readSync(fd, destination, at, byteLength - at, offset + BigInt(at))
        )
        if (typeof count !== "number") return Effect.fail(count)
        if (count === 0) return Effect.fail(new FileTooShortError({ path, offset: offset + BigInt(at) }))
        at += count
      }
      return Effect.succeed(byteLength)
    })
}

/**
 * Writes all of some bytes to a position in a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const writing = (fd: number, path: string) => {
  const paced = pacing()
  return (offset: bigint, bytes: Uint8Array): Effect.Effect<void, FileError> =>
    paced((): Effect.Effect<void, FileError> => {
      const { byteLength } = bytes
      for (let at = 0; at < byteLength;) {
        const count = attempt("write", path, () => fs.writeSync(fd, bytes, at, byteLength - at, Number(offset) + at))
        if (typeof count !== "number") return Effect.fail(count)
        at += count
      }
      return Effect.void
    })
}

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

const attempt = (operation: FileError["operation"], path: string, call: () => number): number | FileError => {
  try {
    return call()
  } catch (error) {
    return failure(operation, path, error)
  }
}

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
