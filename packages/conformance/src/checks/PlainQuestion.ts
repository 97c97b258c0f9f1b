/**
 * Whether a server still answers after a check that failed: a client that breaks no rule sends a request that every
 * server can answer.
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
 * The result: the server answered, as far as it ever did; it lets no client enter; or it did not answer.
 *
 * @since 0.1.0
 * @category models
 */
export type State = "Answers" | "Refuses" | "Silent"

/** The server lets no client enter. */
class Refused extends Data.TaggedError("Refused")<{}> {}

/** The server sends a greeting. */
const greeting = Effect.flatMap(open, (client) => client.take(1))

/** The server lets a client enter, and answers a read. */
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

/** A multiple of every minimum block size. It may be past the end of the export: an error reply is an answer too. */
const longest = 65_536

/** The same for a server that knows only one option, or none. */
const readingByHandle = (target: Target) =>
  Effect.flatMap(connect(target), (connected) => connected.read(0n, lengthNear(limitsOf(connected), 512)))

/** Anything that the server sent is an answer. */
const isAnswer = (error: unknown): boolean => {
  if (error instanceof RuleError) return isAnswer(error.error)
  return error instanceof Skip || error instanceof ConformanceError || error instanceof UndecodableError ||
    error instanceof UnboundedError || told.some((tag) => Predicate.isTagged(error, tag))
}

/** The result of our own client, for an answer or for an export that it entered. */
const told = ["NbdProtocolError", "NbdCommandError", "NbdReplyInvalidError", "NbdOutOfBoundsError"] as const

/**
 * Sends the request, and waits at most this long for an answer. If a connection cannot be opened, ends, or cannot enter
 * the export, it is tried again until that time: the server may still be starting, or may have to close another
 * client's connection first.
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
