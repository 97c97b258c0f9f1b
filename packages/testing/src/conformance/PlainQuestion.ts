/**
 * Whether a server still answers, after a check that was not to its liking: what every server can be asked, by a client that
 * has done nothing wrong.
 *
 * @since 0.1.0
 */
import type { Transport } from "@effect-nbd/core/Transport"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { open, UnboundedError, UndecodableError } from "../RawClient.ts"
import { ConformanceError, connect, lengthNear, limitsOf, RuleError, type Target } from "./Check.ts"
import { isRefusal, Skip } from "./server/Judge.ts"
import { haggling, sizes } from "./server/Talk.ts"

/**
 * What became of the question: it was answered, as far as it ever could be; no client is let in; or there was no answer.
 *
 * @since 0.1.0
 * @category models
 */
export type State = "Answers" | "Refuses" | "Silent"

/** It lets no client in. */
class Refused extends Data.TaggedError("Refused")<{}> {}

/** It greets. */
const greeting = Effect.flatMap(open, (client) => client.take(1))

/** It lets a client in, and answers a read. */
const reading = (target: Target) =>
  Effect.gen(function*() {
    const client = yield* haggling(target)
    const replies = yield* client.info("GO", target.exportName, sizes)
    if (isRefusal(replies, "ERR_UNSUP")) {
      yield* Effect.catchTag(client.exportName(target.exportName), "NbdStreamEnded", () => Effect.fail(new Refused()))
    } else if (isRefusal(replies)) return yield* new Refused()
    yield* client.request("READ", { length: longest })
    yield* client.reply(longest)
  })

/** A multiple of every minimum block size. It may be past the end, which is an answer too. */
const longest = 65_536

/** The same where no option is known but one, or none. */
const readingByHandle = (target: Target) =>
  Effect.flatMap(connect(target), (connected) => connected.read(0n, lengthNear(limitsOf(connected), 512)))

/** Whatever it said is an answer, if it said something. */
const isAnswer = (error: unknown): boolean => {
  if (error instanceof RuleError) return isAnswer(error.error)
  return error instanceof Skip || error instanceof ConformanceError || error instanceof UndecodableError ||
    error instanceof UnboundedError || told.some((tag) => Predicate.isTagged(error, tag))
}

/** What our own client makes of an answer, or of an export that is entered. */
const told = ["NbdProtocolError", "NbdCommandError", "NbdReplyInvalidError", "NbdOutOfBoundsError"] as const

/**
 * Asks, and waits as long as this for an answer. A connection that does not come about, or ends, or is not let in, is tried
 * again until then: the server may be starting, or have to be rid of another client first.
 *
 * @since 0.1.0
 * @category guards
 */
export const stateOf = (target: Target, timeout: Duration.Duration): Effect.Effect<State, never, Transport> =>
  Effect.suspend(() => {
    let without: State = "Silent"
    const question: Effect.Effect<unknown, unknown, Transport | Scope.Scope> = target.enterable === false
      ? greeting
      : (target.protocol ?? "newstyle-fixed") === "newstyle-fixed"
      ? reading(target)
      : readingByHandle(target)
    return Effect.scoped(question).pipe(
      Effect.catchIf(isAnswer, () => Effect.void),
      Effect.tapError((error) =>
        Effect.sync(() => {
          without = error instanceof Refused ? "Refuses" : "Silent"
        })
      ),
      Effect.retry(Schedule.spaced("250 millis")),
      Effect.timeoutTo({ duration: timeout, onSuccess: (): State => "Answers", onTimeout: () => without }),
      Effect.orElseSucceed((): State => "Silent")
    )
  })
