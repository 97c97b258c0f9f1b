/**
 * Lets everything else have its turn, in loops that might not wait for anything.
 *
 * A call of the system that is made at once, or a sink that has nothing to do, goes on without the event loop: timers,
 * sockets and signals would wait until the loop is over. How much is done in a round differs by a factor of thousands, so
 * what counts is time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** How long everything else may wait, in milliseconds of real time. */
const longest = 10

let last = performance.now()

const isDue = (): boolean => performance.now() - last > longest

/** They all go on in the same turn, as they would have without it: none of them alone for as long as it likes. */
const waiting = new Set<() => void>()

const turn = (): void => {
  last = performance.now()
  const released = [...waiting]
  waiting.clear()
  for (const goOn of released) goOn()
}

const nextTurn: Effect.Effect<void> = Effect.async((resume) => {
  const goOn = (): void => resume(Effect.void)
  if (waiting.size === 0) setImmediate(turn)
  waiting.add(goOn)
  return Effect.sync(() => waiting.delete(goOn))
})

/**
 * The effect, after a turn of the event loop where the last one that was given is more than 10 ms ago. To be put around the
 * body of every loop in which each round may be over at once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const fair = <A, E, R>(body: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => isDue() ? Effect.flatMap(nextTurn, body) : body())
