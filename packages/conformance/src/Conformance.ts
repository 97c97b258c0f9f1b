/**
 * The behaviour that every transport and every server must show, as checks that take a Transport from a Layer, and a
 * report that says rule by rule what they found.
 *
 * A check is an Effect that succeeds, or fails with what it expected and what it saw: it is bound to no test runner.
 * `checks` go through this library's client: where a capability is missing, they check that the command which needs it is
 * refused before it is sent. `serverChecks` speak to the server themselves, byte by byte, and look at what the client
 * would hide. Both write to the export.
 *
 * @since 0.1.0
 */
import { CommandError } from "@effect-nbd/core/transmission/CommandError"
import { Transport } from "@effect-nbd/core/Transport"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import {
  type Check,
  ConformanceError,
  connect,
  lengthNear,
  limitsOf,
  RuleError,
  type RuleId,
  Skipped,
  skipped,
  type Target
} from "./checks/Check.ts"
import { commandChecks } from "./checks/CommandChecks.ts"
import { concurrencyChecks } from "./checks/ConcurrencyChecks.ts"
import { endChecks } from "./checks/EndChecks.ts"
import { unlessForgotten } from "./checks/Keeping.ts"
import { negotiationChecks } from "./checks/NegotiationChecks.ts"
import { Pace } from "./checks/Pace.ts"
import { Patience } from "./checks/Patience.ts"
import { stateOf } from "./checks/PlainQuestion.ts"
import { type CheckResult, type Report, reportOf, type Verdict } from "./checks/Report.ts"
import { contextChecks } from "./checks/server/ContextChecks.ts"
import { exportChecks } from "./checks/server/ExportChecks.ts"
import { extendedChecks } from "./checks/server/ExtendedChecks.ts"
import { greetingChecks } from "./checks/server/GreetingChecks.ts"
import { isOfCircumstance } from "./checks/server/Judge.ts"
import { optionChecks } from "./checks/server/OptionChecks.ts"
import { replyChecks } from "./checks/server/ReplyChecks.ts"
import { requestChecks } from "./checks/server/RequestChecks.ts"
import { tlsChecks } from "./checks/server/TlsChecks.ts"
import { zeroChecks } from "./checks/server/ZeroChecks.ts"
import { statusChecks } from "./checks/StatusChecks.ts"

export { type Check, ConformanceError, type RuleId, Skipped, type Target } from "./checks/Check.ts"
export { targetOf } from "./checks/Discovery.ts"
export {
  type CheckResult,
  format,
  type Report,
  reportOf,
  type RuleResult,
  type Stopped,
  toJson,
  type Verdict
} from "./checks/Report.ts"
export { ruleTable } from "./checks/RuleTable.ts"

/**
 * All checks of behaviour for a target, in an order that makes the first failure the most telling one. Each connects for
 * itself. Where the target is read-only, those that write are skipped. They name what they exercise of the rules for
 * clients: which rule for servers a server breaks is for `serverChecks` to say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checks = (target: Target): ReadonlyArray<Check> => {
  const all = [
    ...negotiationChecks(target),
    ...commandChecks(target),
    ...statusChecks(target),
    ...concurrencyChecks(target),
    ...endChecks(target)
  ]
  const keeping = unlessForgotten(target)
  const fitting = all
    .map((check) => unlessRefused(check, "NbdOutOfBoundsError", "the export is too small for it"))
    .map(unlessItFails)
    // Of an export that keeps nothing one check is to tell, and no other to fail because of it.
    .map((check) => check.rules.includes("C-214") ? check : keeping(check))
  return target.readOnly === true
    ? fitting.map((check) => unlessRefused(check, "NbdReadOnlyError", "the export is read-only"))
    : fitting
}

/** What our own client refuses tells nothing of the server. */
const unlessRefused = (check: Check, tag: string, reason: string): Check => ({
  ...check,
  run: Effect.catchIf(check.run, (error) => isRefusal(error, tag), () => skipped(reason))
})

/** What a disk cannot do tells nothing of the protocol. */
const unlessItFails = (check: Check): Check => ({
  ...check,
  run: Effect.catchAll(
    check.run,
    (error) =>
      error instanceof CommandError && isOfCircumstance(error.value) ? skipped(error.message) : Effect.fail(error)
  )
})

const isRefusal = (error: unknown, tag: string): boolean =>
  Predicate.isTagged(error, tag) || error instanceof ConformanceError && error.actual === tag

/**
 * What the specification asks of servers and a client can see (S-003 to S-100), each by a raw client of its own. Those
 * that need the handshake's options are skipped where the target has another protocol.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverChecks = (target: Target): ReadonlyArray<Check> =>
  [
    ...greetingChecks(target),
    ...optionChecks(target),
    ...tlsChecks(target),
    ...exportChecks(target),
    ...contextChecks(target),
    ...requestChecks(target),
    ...replyChecks(target),
    ...zeroChecks(target),
    ...extendedChecks(target)
  ].map(unlessForgotten(target))

/**
 * The rules for servers that no check is about, and why.
 *
 * @since 0.1.0
 * @category constants
 */
export const elsewhere: ReadonlyArray<{ readonly rule: RuleId; readonly why: string }> = [
  { rule: "S-001", why: "is a matter of sockets: when bytes leave shows in no byte" },
  { rule: "S-002", why: "is a matter of addresses, which the Transport knows and the suite does not" },
  { rule: "S-020", why: "no client can have a server shut down" },
  { rule: "S-090", why: "what is rare is a matter of judgement; where an error is wrong, another rule says so" },
  { rule: "S-093", why: "no client can have a server shut down" }
]

/**
 * How checks are run.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions {
  /** Those of `serverChecks` and `checks`, in this order, by default. */
  readonly checks?: ReadonlyArray<Check>
  /** How long one check may take; 15 seconds by default. It has to be several times what the server takes to answer. */
  readonly timeout?: Duration.DurationInput
  /** Told of each check as soon as it is over. */
  readonly onResult?: (result: CheckResult) => Effect.Effect<void>
}

/**
 * Runs the checks one after another, and reports on all of them: it fails for none.
 *
 * A check that is not over in time has failed where the server owed an answer: it was silent for more than three times as
 * long as it ever took to say something, also to an ordinary read that is asked for on another connection, once in a run
 * and with twice the time. So has each check of a server that says nothing at all. Otherwise the verdict is `Unclear`: the
 * server is slow, and the check may do with a longer timeout. It is `Unclear` too where the server turned a connection away
 * before it said a word, and let the next one in: it may have had no room.
 *
 * After each check that has failed or is unclear, the server is asked a plain question on a connection of its own: to enter
 * the export, and for a read. Where it does not answer within the timeout, the run stops: what else would fail, would
 * fail because of that. It stops too where the server lets no client in any more; then that check is `Unclear`. The report says after which check.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (target: Target, options: RunOptions = {}): Effect.Effect<Report, never, Transport> =>
  Effect.gen(function*() {
    const { onResult = () => Effect.void } = options
    const timeout = Duration.decode(options.timeout ?? "15 seconds")
    const pace = new Pace(yield* Effect.clock)
    const patience = new Patience()
    const transport = patience.watch(pace.watch(yield* Transport))
    // An ordinary answer, for comparison. Where there is none in all this time, that is told of no server as slowness.
    const ordinary = yield* Effect.once(
      connect(target).pipe(
        Effect.flatMap((connected) => connected.read(0n, lengthNear(limitsOf(connected), 512))),
        Effect.scoped,
        Effect.timeout(Duration.times(timeout, 2)),
        Effect.ignore
      )
    )
    const all = options.checks ?? [...serverChecks(target), ...checks(target)]
    const results: Array<CheckResult> = []
    const made = Effect.gen(function*() {
      for (const [index, { name, rules, run }] of all.entries()) {
        patience.turnedAway = false
        const found = yield* verdictOf(rules, limited(run, timeout, pace, ordinary))
        const wasTurnedAway = found._tag === "Failed" && patience.turnedAway
        const isOver = found._tag === "Passed" || found._tag === "Skipped"
        const left = all.length - index - 1
        const state = isOver || (left === 0 && !wasTurnedAway) ? "Answers" : yield* stateOf(target, timeout)
        const verdict: Verdict = state === "Refuses"
          ? { _tag: "Unclear", reason: refuses }
          : wasTurnedAway && state === "Answers"
          ? { _tag: "Unclear", reason: noRoom }
          : found
        const result: CheckResult = { name, rules, verdict }
        results.push(result)
        yield* onResult(result)
        if (state !== "Answers" && left > 0) return reportOf(results, { after: name, left, why: state })
      }
      return reportOf(results)
    })
    return yield* Effect.provideService(made, Transport, transport)
  })

const refuses =
  "the server lets no client into the export any more, as is its right, and that may be all that was wrong"

const noRoom = "the server closed a connection before it said a word, and let the next one in: it may have had no room"

/** What a check comes to that is not over in time, and of which no more is known. */
class Unclear extends Data.TaggedError("Unclear")<{ readonly reason: string }> {}

const limited = (
  run: Check["run"],
  timeout: Duration.Duration,
  pace: Pace,
  ordinary: Effect.Effect<void, never, Transport>
): Effect.Effect<Skipped | void, unknown, Transport> => {
  const limit = Duration.format(timeout)
  const late = (silence: number) =>
    Effect.zipRight(
      ordinary,
      Effect.suspend((): Effect.Effect<never, ConformanceError | Unclear> =>
        pace.isHanging(silence)
          ? Effect.fail(
            new ConformanceError({
              what: "the check",
              expected: `an end within ${limit}`,
              actual: `no answer for ${silence} ms, where others took ${pace.longest} ms at most`
            })
          )
          : slow(silence)
      )
    )
  const slow = (silence: number) =>
    Effect.fail(
      new Unclear({
        reason:
          `not over within ${limit}: the server takes up to ${pace.longest} ms to answer, and was silent for ${silence}`
      })
    )
  return Effect.sync(() => pace.begin()).pipe(
    Effect.zipRight(Effect.scoped(run)),
    Effect.timeoutTo({
      duration: timeout,
      onSuccess: (outcome) => Effect.succeed(outcome),
      // Looked at before the check is interrupted, which may say goodbye.
      onTimeout: () => pace.isHanging(pace.silence) ? late(pace.silence) : slow(pace.silence)
    }),
    Effect.flatten
  )
}

/** A defect is a failure too: the check may have met something that it was not written for. */
const verdictOf = <R>(
  rules: Check["rules"],
  run: Effect.Effect<Skipped | void, unknown, R>
): Effect.Effect<Verdict, never, R> =>
  Effect.matchCauseEffect(run, {
    onSuccess: (outcome): Effect.Effect<Verdict> =>
      Effect.succeed(outcome instanceof Skipped ? { _tag: "Skipped", reason: outcome.reason } : { _tag: "Passed" }),
    onFailure: (cause): Effect.Effect<Verdict> => {
      if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
      const squashed = Cause.squash(cause)
      if (squashed instanceof Unclear) return Effect.succeed({ _tag: "Unclear", reason: squashed.reason })
      const { error, rules: broken } = squashed instanceof RuleError ? squashed : { error: squashed, rules }
      const reason = error instanceof Error && error.message !== "" ? error.message : String(error)
      return Effect.succeed({ _tag: "Failed", error, reason, rules: broken })
    }
  })

/**
 * What a test runner has: `it` of vitest, of Jest and of `node:test` are such functions.
 *
 * @since 0.1.0
 * @category models
 */
export type Register = (title: string, test: () => Promise<void>) => unknown

/**
 * Makes a test of each check: `Conformance.register(it, Conformance.serverChecks(target), layer)`. The layer is built
 * for each anew, and its scope closed behind it. Where a check is skipped its test passes; `run` and its report tell.
 *
 * @since 0.1.0
 * @category constructors
 */
export const register = <E>(
  it: Register,
  checks: ReadonlyArray<Check>,
  layer: Layer.Layer<Transport, E>
): void => {
  for (const { name, rules, run } of checks) {
    const title = rules.length === 0 ? name : `${name} (${rules.join(", ")})`
    it(title, () => Effect.runPromise(run.pipe(Effect.scoped, Effect.provide(layer), Effect.asVoid)))
  }
}
