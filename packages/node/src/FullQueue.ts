/**
 * A Unix socket whose queue of connections is full. Where TCP would wait, the system answers with EAGAIN at once; it passes
 * when the server accepts a connection.
 *
 * @since 0.1.0
 * @internal
 */
import { type Attempt, ConnectTimeoutError } from "@effect-nbd/core/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { inOwnScope } from "./OwnScope.ts"

/**
 * How long it is waited for by default.
 *
 * @since 0.1.0
 * @category constants
 */
export const patience: Duration.Duration = Duration.seconds(5)

/**
 * Opens again while the queue is full, until the time is up: after 5 ms at first, then after longer times, and every 100 ms
 * in the end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const waitingFor =
  (path: string, target: string, timeout: Duration.DurationInput = patience) =>
  <A, R>(open: Effect.Effect<A, Attempt, R>): Effect.Effect<A, Attempt | ConnectTimeoutError, R | Scope.Scope> =>
    open.pipe(
      Effect.retry({ while: ({ code }) => code === "EAGAIN", schedule }),
      Effect.timeoutFail({
        duration: timeout,
        // Nothing else takes time.
        onTimeout: () =>
          new ConnectTimeoutError({
            target,
            network: "unix",
            timeout: Duration.decode(timeout),
            attempts: [{ address: path, code: "EAGAIN" }]
          })
      }),
      inOwnScope
    )

/** Apart by chance, for clients that came together. */
const schedule = Schedule.exponential("5 millis").pipe(Schedule.union(Schedule.spaced("100 millis")), Schedule.jittered)
