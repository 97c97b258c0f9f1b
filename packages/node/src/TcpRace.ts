/**
 * Which of a host's addresses is connected to: happy eyeballs (RFC 8305). The next address is tried when the one before has
 * failed, or has not answered for 250 ms; the first that answers counts, and the others are closed.
 *
 * @since 0.1.0
 * @internal
 */
import type { Attempt } from "@effect-nbd/core/TransportError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as net from "node:net"

/**
 * How long an address may be silent before the next one is tried as well: RFC 8305's "Connection Attempt Delay".
 *
 * @since 0.1.0
 * @category constants
 */
export const attemptDelay: Duration.Duration = Duration.millis(250)

/**
 * IPv6 and IPv4 in turn, in their order, beginning with the kind of the first: one kind may be silent as a whole.
 *
 * @since 0.1.0
 * @category constructors
 */
export const interleaved = (hosts: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [first] = hosts
  if (first === undefined) return hosts
  const isLikeFirst = (host: string): boolean => net.isIPv6(host) === net.isIPv6(first)
  const [like, unlike] = [hosts.filter(isLikeFirst), hosts.filter((host) => !isLikeFirst(host))]
  return hosts.flatMap((_, turn) => [...like.slice(turn, turn + 1), ...unlike.slice(turn, turn + 1)])
}

/**
 * The first that succeeds, in a scope of its own inside the outer one; all others are interrupted and closed. Where none
 * does, `none` makes the error. `failed` is told of each failure when it happens. There is one attempt at least.
 *
 * @since 0.1.0
 * @category constructors
 */
export const first = <A, E>(
  attempts: ReadonlyArray<Effect.Effect<A, Attempt, Scope.Scope>>,
  { failed, none }: {
    readonly failed: (attempt: Attempt, index: number) => void
    readonly none: () => E
  }
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const outer = yield* Effect.scope
      const lanes = yield* Effect.forEach(attempts, (attempt, index) =>
        Effect.gen(function*() {
          const scope = yield* Scope.fork(outer, ExecutionStrategy.sequential)
          const over = yield* Deferred.make<void>()
          const run = Scope.extend(attempt, scope).pipe(
            Effect.tapError((error) => Effect.sync(() => failed(error, index))),
            Effect.ensuring(Deferred.succeed(over, undefined)),
            Effect.map((value) => ({ value, scope }))
          )
          return { scope, over, run }
        }))
      const racing = lanes.map(({ run }, index) => Effect.zipRight(turnOf(lanes.slice(0, index)), run))
      const exit = yield* Effect.exit(restore(Effect.raceAll(racing)))
      const winner = Exit.isSuccess(exit) ? exit.value.scope : undefined
      yield* Effect.forEach(lanes, ({ scope }) => scope === winner ? Effect.void : Scope.close(scope, Exit.void), {
        concurrency: "unbounded",
        discard: true
      })
      if (Exit.isSuccess(exit)) return exit.value.value
      return yield* Option.isSome(Cause.failureOption(exit.cause))
        ? Effect.fail(none())
        : Effect.failCause(Cause.stripFailures(exit.cause))
    })
  )

/** Done when each of those before has been given its time, or has failed sooner. */
const turnOf = (before: ReadonlyArray<{ readonly over: Deferred.Deferred<void> }>): Effect.Effect<void> =>
  Effect.forEach(before, ({ over }) => Effect.raceFirst(Deferred.await(over), Effect.sleep(attemptDelay)), {
    discard: true
  })
