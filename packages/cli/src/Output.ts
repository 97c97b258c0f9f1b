/**
 * Standard output and standard error, as Effects that wait until the text has left.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { OutputError } from "./Failure.ts"
import * as Unseen from "./Unseen.ts"

/**
 * Whether colours make sense on standard output: on a terminal, unless the environment says `NO_COLOR`.
 *
 * @since 0.1.0
 * @category getters
 */
export const hasColours = (): boolean => process.stdout.isTTY && process.env["NO_COLOR"] === undefined

/**
 * Prints to standard output; fails when nobody reads it any more. Whoever makes a text makes it safe for a terminal, and
 * colours it only where that makes sense: nothing of it is changed here.
 *
 * @since 0.1.0
 * @category printing
 */
export const print = (text: string): Effect.Effect<void, OutputError> => write(text)

/**
 * The same for text or bytes. The bytes may be written over once it is done.
 *
 * @since 0.1.0
 * @category printing
 */
export const write = (content: string | Uint8Array): Effect.Effect<void, OutputError> =>
  Effect.async((resume) => {
    quieten(process.stdout)
    process.stdout.write(content, (error) => {
      resume(error == null ? Effect.void : Effect.fail(new OutputError({ code: codeOf(error) })))
    })
  })

/** Characters that are held back before anything is printed of a text that comes in pieces. */
const heldBack = 8_388_608

/**
 * Prints a text that may be of any length, as it is. Up to 8 Mi characters it is printed when it is complete, so that a
 * failure prints nothing; a longer one is printed as it comes, in constant memory, and `closing` is what ends it after a
 * failure in the middle, which `closing` then has told.
 *
 * @since 0.1.0
 * @category printing
 */
export const printPieces = <E, R>(
  pieces: Stream.Stream<string, E, R>,
  closing: (error: E) => Effect.Effect<string, E>
): Effect.Effect<void, E | OutputError, R> =>
  Effect.suspend(() => {
    let held: Array<string> | undefined = []
    let length = 0
    const release = Effect.suspend(() => {
      const text = held?.join("") ?? ""
      held = undefined
      return print(text)
    })
    return pieces.pipe(
      Stream.catchAll((error) => held === undefined ? Stream.fromEffect(closing(error)) : Stream.fail(error)),
      Stream.runForEach((piece) => {
        if (held === undefined) return print(piece)
        held.push(piece)
        length += piece.length
        return length > heldBack ? release : Effect.void
      }),
      Effect.zipRight(Effect.suspend(() => held === undefined ? Effect.void : release))
    )
  })

/**
 * The exit code of a program that ends well, in place of 0: the answer of a question, or that some of it failed or stayed unclear.
 *
 * @since 0.1.0
 * @category printing
 */
export const exitWith = (code: 1 | 2 | 3): Effect.Effect<void> =>
  Effect.sync(() => {
    process.exitCode = code
  })

/**
 * Prints lines without colours to standard error, with what would not be seen made visible. That it cannot be told to
 * anybody is nobody's concern.
 *
 * @since 0.1.0
 * @category printing
 */
export const complain = (text: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    note(text, () => resume(Effect.void))
  })

/**
 * The same without waiting, for a log.
 *
 * @since 0.1.0
 * @category printing
 */
export const note = (text: string, written?: () => void): void => {
  quieten(process.stderr)
  process.stderr.write(Unseen.replaced(text, (char) => char === "\n" ? char : Unseen.escaped(char)), written)
}

/** A failed write is told to its callback, and then once more as an event, which nobody else would handle. */
const quieten = (stream: NodeJS.WriteStream): void => {
  if (stream.listenerCount("error", ignore) === 0) stream.on("error", ignore)
}

const ignore = (): void => {}

/**
 * The system's name for what went wrong, for example `EPIPE`.
 *
 * @since 0.1.0
 * @category getters
 */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "EIO"
