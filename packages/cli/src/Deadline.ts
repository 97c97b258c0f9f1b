/**
 * How long all of a command may take, however many steps it has.
 *
 * Each step has limits of its own: for connecting, for the handshake, for the answer to an option. A server that just
 * keeps to each of them could go on for ever all the same.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Race from "./Race.ts"

/**
 * All of the command has taken too long, though no step of it has.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeadlineError extends Data.TaggedError("DeadlineError")<{
  readonly timeout: Duration.Duration
}> {
  override get message(): string {
    return `the server had not told everything within ${
      Duration.format(this.timeout)
    }: a longer --timeout would give it more time`
  }
}

/**
 * A moment in time: fails when it has come, and does nothing until then. None where there is no limit.
 *
 * @since 0.1.0
 * @category models
 */
export type Deadline = Option.Option<Effect.Effect<never, DeadlineError>>

/** A step that has the same time of its own knows better what has happened, and is let say so. */
const headStart = Duration.millis(500)

/**
 * Begins to count. An infinite time never ends.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (timeout: Duration.Duration): Effect.Effect<Deadline> =>
  Effect.map(Clock.currentTimeMillis, (begun): Deadline => {
    if (!Duration.isFinite(timeout)) return Option.none()
    const end = begun + Duration.toMillis(timeout) + Duration.toMillis(headStart)
    return Option.some(
      Clock.currentTimeMillis.pipe(
        Effect.flatMap((now) => Effect.sleep(Math.max(0, end - now))),
        Effect.zipRight(Effect.fail(new DeadlineError({ timeout })))
      )
    )
  })

/**
 * Interrupts what is not done in time, and waits until it has cleaned up.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within =
  (deadline: Deadline) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineError, R> =>
    Option.isSome(deadline) ? Race.first(effect, deadline.value) : effect

/**
 * The same for a stream, which fails in the middle.
 *
 * @since 0.1.0
 * @category combinators
 */
export const streamWithin =
  (deadline: Deadline) => <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E | DeadlineError, R> =>
    Option.isSome(deadline) ? Stream.interruptWhen(stream, deadline.value) : stream
