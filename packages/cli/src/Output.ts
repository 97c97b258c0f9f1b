/**
 * Standard output and standard error, as Effects that wait until the text has left.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { stripVTControlCharacters } from "node:util"
import { OutputError } from "./Failure.ts"

/**
 * Prints to standard output; fails when nobody reads it any more.
 *
 * @since 0.1.0
 * @category printing
 */
export const print = (text: string): Effect.Effect<void, OutputError> =>
  Effect.async((resume) => {
    quieten(process.stdout)
    process.stdout.write(forReader(process.stdout, text), (error) => {
      resume(error == null ? Effect.void : Effect.fail(new OutputError({ code: codeOf(error) })))
    })
  })

/**
 * Prints to standard error. That it cannot be told to anybody is nobody's concern.
 *
 * @since 0.1.0
 * @category printing
 */
export const complain = (text: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    quieten(process.stderr)
    process.stderr.write(forReader(process.stderr, text), () => resume(Effect.void))
  })

/** Colours are for terminals. */
const forReader = (stream: NodeJS.WriteStream, text: string): string =>
  stream.isTTY && process.env["NO_COLOR"] === undefined ? text : stripVTControlCharacters(text)

/** A failed write is told to its callback, and then once more as an event, which nobody else would handle. */
const quieten = (stream: NodeJS.WriteStream): void => {
  if (stream.listenerCount("error", ignore) === 0) stream.on("error", ignore)
}

const ignore = (): void => {}

const codeOf = (error: Error): string => "code" in error && typeof error.code === "string" ? error.code : "EIO"
