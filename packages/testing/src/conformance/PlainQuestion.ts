/**
 * Whether a server still answers, after a check that was not to its liking: what every server can be asked, by a client that
 * has done nothing wrong.
 *
 * @since 0.1.0
 */
import { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import type { Transport } from "@effect-nbd/core/Transport"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { open, UnboundedError, UndecodableError } from "../RawClient.ts"
import { ConformanceError, connect, lengthNear, limitsOf, RuleError, type Target } from "./Check.ts"
import { ask } from "./server/Asking.ts"
import { Skip } from "./server/Judge.ts"
import { enter } from "./server/Talk.ts"

/** It greets. */
const greeting = Effect.flatMap(open, (client) => client.take(1))

/** It lets a client in, and answers a read. */
const reading = (target: Target) => Effect.flatMap(enter(target), (talk) => ask(talk, "READ", { length: talk.block }))

/** The same where no option is known but one, or none. */
const readingByHandle = (target: Target) =>
  Effect.flatMap(connect(target), (connected) => connected.read(0n, lengthNear(limitsOf(connected), 512)))

/** Whatever it said is an answer, if it said something. */
const isAnswer = (error: unknown): boolean => {
  if (error instanceof RuleError) return isAnswer(error.error)
  if (error instanceof StreamEnded) return false
  return error instanceof Skip || error instanceof ConformanceError || error instanceof UndecodableError ||
    error instanceof UnboundedError || told.some((tag) => Predicate.isTagged(error, tag))
}

/** What our own client makes of an answer, or of an export that is entered. */
const told = ["NbdProtocolError", "NbdCommandError", "NbdReplyInvalidError", "NbdOutOfBoundsError"] as const

/**
 * Whether the server answers within this time, as far as it ever has. A connection that does not come about, or ends, is tried
 * again until then: the server may be starting, or have to be rid of another client first.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAnswering = (
  target: Target,
  timeout: Duration.Duration
): Effect.Effect<boolean, never, Transport> => {
  const question: Effect.Effect<unknown, unknown, Transport | Scope.Scope> = target.enterable === false
    ? greeting
    : (target.protocol ?? "newstyle-fixed") === "newstyle-fixed"
    ? reading(target)
    : readingByHandle(target)
  return Effect.scoped(question).pipe(
    Effect.catchIf(isAnswer, () => Effect.void),
    Effect.retry(Schedule.spaced("250 millis")),
    Effect.timeoutTo({ duration: timeout, onSuccess: () => true, onTimeout: () => false }),
    Effect.orElseSucceed(() => false)
  )
}
