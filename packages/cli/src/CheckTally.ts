/**
 * How far a run of checks has come, on one line of a terminal, and what it had found when it was interrupted.
 *
 * @since 0.1.0
 */
import * as Conformance from "@effect-nbd/conformance/Conformance"
import * as Effect from "effect/Effect"
import { erased } from "./ProgressBar.ts"
import type { Canvas } from "./ProgressBar.ts"

/**
 * Runs `body`, which is given what to call with each result. On a canvas every result replaces the line of the one
 * before, and the line is gone at the end. If it is interrupted, `unfinished` is given the report of what was looked at.
 *
 * @since 0.1.0
 * @category printing
 */
export const withTally = <A, E, R>(
  { canvas, total, unfinished }: {
    readonly canvas: Canvas | undefined
    /** How many results there will be. */
    readonly total: number
    readonly unfinished: (report: Conformance.Report) => Effect.Effect<void>
  },
  body: (onResult: (result: Conformance.CheckResult) => Effect.Effect<void>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const results: Array<Conformance.CheckResult> = []
    let failed = 0
    return body((result) =>
      Effect.sync(() => {
        results.push(result)
        if (result.verdict._tag === "Failed") failed += 1
        canvas?.write(`${erased}${lineOf(results.length, total, failed, result.name, canvas.columns())}`)
      })
    ).pipe(
      Effect.ensuring(Effect.sync(() => canvas?.write(erased))),
      Effect.onInterrupt(() => unfinished(Conformance.reportOf(results)))
    )
  })

/** One character shorter than the terminal is wide, since some of them break a line that is full. */
const lineOf = (done: number, total: number, failed: number, name: string, columns: number): string =>
  `${done} of ${total}, ${failed} failed: ${name}`.slice(0, Math.max(0, columns - 1))
