/**
 * A bar on one line of a terminal that tells how far a copy has come. Time is Effect's clock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Size from "./Size.ts"

/**
 * Where the bar is drawn.
 *
 * @since 0.1.0
 * @category models
 */
export interface Canvas {
  readonly write: (text: string) => void
  /** Width in characters, asked for before each drawing. */
  readonly columns: () => number
}

/**
 * How far it has come, at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly done: bigint
  /** `undefined` where only the end tells. */
  readonly total: bigint | undefined
  readonly millis: number
}

/**
 * Standard error.
 *
 * @since 0.1.0
 * @category constants
 */
export const standardError: Canvas = {
  write: (text) => process.stderr.write(text),
  columns: () => process.stderr.columns || 80
}

/** Ten drawings a second at most. */
const interval = "100 millis"

/**
 * Runs `body` with a bar below it. `body` is given a function to be called with the number of bytes that were done since
 * the last call; calling it costs an addition. At the end a line with size, time and rate takes the place of the bar;
 * a failed or interrupted `body` leaves the line empty.
 *
 * @since 0.1.0
 * @category printing
 */
export const withBar = <A, E, R>(
  canvas: Canvas,
  total: bigint | undefined,
  body: (advance: (bytes: number) => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    let done = 0n
    const progress = Effect.map(Clock.currentTimeMillis, (now): Progress => ({ done, total, millis: now - start }))
    const draw = Effect.map(progress, (now) => canvas.write(`\r${barOf(now, canvas.columns())}`))
    const drawing = yield* Effect.fork(Effect.repeat(draw, Schedule.spaced(interval)))
    const result = yield* body((bytes) => {
      done += BigInt(bytes)
    }).pipe(
      Effect.ensuring(Effect.zipRight(Fiber.interrupt(drawing), Effect.sync(() => canvas.write(erased))))
    )
    canvas.write(`${summaryOf(yield* progress)}\n`)
    return result
  })

/**
 * To the first column, and nothing on the line any more.
 *
 * @since 0.1.0
 * @category constants
 */
export const erased = "\r\u001b[K"

/**
 * The bar, or without a total how much and how fast, one character shorter than the terminal is wide, since some of them break a line that is full.
 *
 * @since 0.1.0
 * @category encoding
 */
export const barOf = (progress: Progress, columns: number): string => {
  const { done, total } = progress
  const room = Math.max(0, columns - 1)
  if (total === undefined) return `${Size.rounded(done)}${rateOf(progress)}`.slice(0, room).padEnd(room)
  // In thousandths, so that an export of any size is divided exactly.
  const thousandths = total === 0n ? 1000 : Number(done * 1000n / total)
  const before = `${String(Math.floor(thousandths / 10)).padStart(3)} % [`
  const after = `] ${Size.rounded(done)} of ${Size.rounded(total)}${rateOf(progress)}`
  const width = Math.max(0, room - before.length - after.length)
  const filled = Math.floor(width * thousandths / 1000)
  const line = before + "#".repeat(filled) + "-".repeat(width - filled) + after
  return line.slice(0, room).padEnd(room)
}

/**
 * The closing line: size, time and rate.
 *
 * @since 0.1.0
 * @category encoding
 */
export const summaryOf = (progress: Progress): string =>
  `copied ${Size.rounded(progress.done)} in ${(progress.millis / 1000).toFixed(2)} s${rateOf(progress)}`

const rateOf = ({ done, millis }: Progress): string =>
  millis <= 0 ? "" : `, ${Size.rounded(Number(done) * 1000 / millis)}/s`
