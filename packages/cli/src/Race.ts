/**
 * Races that are over only when both sides are.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/**
 * The outcome of the side that is done first, once the other has been interrupted and has cleaned up. So it is as well where the
 * race itself is interrupted: `Effect.raceFirst` would go on at once then, and what is around it would close the files and
 * connections that both sides still use.
 *
 * @since 0.1.0
 * @category combinators
 */
export const first = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  that: Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> => {
  const sides: ReadonlyArray<Effect.Effect<never, Exit.Exit<A | A2, E | E2>, R | R2>> = [decided(self), decided(that)]
  // An outcome that fails ends what runs beside it, whatever the outcome is.
  return Effect.forEach(sides, (side) => side, { concurrency: "unbounded", discard: true }).pipe(
    Effect.zipRight(Effect.never),
    Effect.catchAll((outcome) => outcome)
  )
}

const decided = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<never, Exit.Exit<A, E>, R> =>
  Effect.flatMap(Effect.exit(effect), Effect.fail)
