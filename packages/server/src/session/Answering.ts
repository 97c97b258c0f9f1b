/**
 * The answers of one session: each request is carried out, and answered at once, later or not at all.
 *
 * Memory is bounded: so many requests wait at a time, and every payload takes its bytes from the memory that the sessions
 * share. One reply at a time is sent. Which requests there are, and what is wrong with them, is for others to say.
 *
 * @since 0.1.0
 */
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Decision, Failure } from "../Decider.ts"
import { maxPayload, type Request } from "../ServerRequest.ts"
import type { SaidInstead } from "../Speaker.ts"
import { carryOut, safely } from "./Execution.ts"
import type { Loan } from "./Memory.ts"
import { failure, failureInside, type Reply, type ReplyRules, success } from "./ReplyEncoding.ts"
import { died, type SessionContext } from "./SessionContext.ts"
import type { Terms } from "./Terms.ts"
import type { Place } from "./Turns.ts"

/**
 * What the transmission phase of a session goes by.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransmissionRules extends ReplyRules {
  /** Requests that may wait for their answer at a time. */
  readonly maxPending: number
}

/**
 * A request that is to be answered: what it asks has been decided on, and its payload is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accepted {
  readonly request: Request
  /** What came behind its header, and is of use. */
  readonly payload: { readonly bytes: Uint8Array; readonly loan: Loan } | undefined
  /** Why it must fail, if it must. */
  readonly refused: Failure | undefined
}

/**
 * What is to be answered in one session, and has not been yet.
 *
 * @since 0.1.0
 * @category models
 */
export class Answering {
  /** Requests not answered yet, in order of arrival. */
  readonly pending = new Set<Request>()
  /** Requests that the speaker has answered before it was known what they bring. */
  private readonly answered = new WeakSet<Request>()
  /** One permit for each request that waits for its answer aside from the reading of requests. */
  private readonly slots: Effect.Semaphore
  /** Whoever has it sends one reply. Nobody who has it waits for memory. */
  private readonly turn = Effect.unsafeMakeSemaphore(1)

  private readonly context: SessionContext
  private readonly terms: Terms
  private readonly rules: TransmissionRules
  private readonly scope: Scope.Scope

  /** What is answered later is answered in the scope. */
  constructor(context: SessionContext, terms: Terms, rules: TransmissionRules, scope: Scope.Scope) {
    this.context = context
    this.terms = terms
    this.rules = rules
    this.scope = scope
    this.slots = Effect.unsafeMakeSemaphore(rules.maxPending)
  }

  /** Is done when all that is to be answered has been. No more requests may come then. */
  get done(): Effect.Effect<void> {
    return Effect.asVoid(this.slots.take(this.rules.maxPending))
  }

  /** The header has come, and its payload not yet: a speaker may answer now, and no second answer follows. */
  beforePayload(request: Request): Effect.Effect<void> {
    return Effect.map(this.say("Payload", request, []), (said) => {
      if (said !== undefined) this.answered.add(request)
    })
  }

  /** Answers everything that still waits with ESHUTDOWN, in order of arrival. */
  failPending(): void {
    const { outgoing, reader: { connection }, speaker } = this.context
    if (speaker.isMute) return
    // A reply that is being sent must not be cut off.
    connection.write(outgoing.takeRest())
    for (const request of this.pending) {
      if (this.answered.has(request)) continue
      connection.write(this.failed(request, { errno: "ESHUTDOWN", message: "the server is shutting down" }))
    }
    this.pending.clear()
  }

  /** Does with it what was decided. */
  serve(accepted: Accepted, decision: Decision): Effect.Effect<"Drop" | "Go on"> {
    switch (decision._tag) {
      case "Continue":
        return Effect.as(
          this.isDoneAtOnce(accepted.request) ? this.answer(accepted) : this.answerLater(accepted, Effect.void),
          "Go on"
        )
      case "Delay":
        return Effect.as(this.answerLater(accepted, Effect.sleep(decision.duration)), "Go on")
      case "Hold":
        return Effect.as(this.answerLater(accepted, decision.released), "Go on")
      case "Fail":
        return Effect.as(this.answer({ ...accepted, refused: decision }), "Go on")
      case "Hang":
        this.pending.delete(accepted.request)
        return Effect.as(this.drop(accepted), "Go on")
      case "Drop":
        return Effect.succeed("Drop")
    }
  }

  /** Carries the request out, and answers it. */
  private answer(accepted: Accepted): Effect.Effect<void> {
    return Effect.flatMap(this.carryOut(accepted), (failed) => this.reply(accepted.request, failed))
  }

  /** Carries the request out, and answers it when it may be: aside from the reading of requests. */
  private answerLater(accepted: Accepted, until: Effect.Effect<void>): Effect.Effect<void> {
    const { export: target } = this.terms
    const { place } = this.context
    // What is done at once is done before the next request is read.
    const carriedOut = target.isImmediate
      ? Effect.map(this.carryOut(accepted), Effect.succeed)
      : Effect.succeed(inTurn(place, this.carryOut(accepted)))
    return Effect.gen(this, function*() {
      const failed = yield* carriedOut
      yield* this.slots.take(1)
      const answering = failed.pipe(
        Effect.flatMap((failed) => Effect.zipRight(until, inTurn(place, this.reply(accepted.request, failed)))),
        // Nobody joins the fiber: what dies in it would leave the request without an answer.
        Effect.catchAllCause((cause) => Effect.map(died(cause), this.context.breakOff)),
        Effect.ensuring(this.slots.release(1))
      )
      yield* Effect.forkIn(answering, this.scope)
    })
  }

  /** Why the request failed, if it did. */
  private carryOut(accepted: Accepted): Effect.Effect<Failure | undefined> {
    const { payload, refused, request } = accepted
    const done = refused === undefined
      ? Effect.match(carryOut(this.terms.export, request, payload?.bytes ?? nothing), {
        onFailure: (failed): Failure | undefined => failed,
        onSuccess: () => undefined
      })
      : Effect.succeed(refused)
    return Effect.zipLeft(done, this.drop(accepted))
  }

  /** The payload is not needed any more. */
  private drop({ payload }: Accepted): Effect.Effect<void> {
    return payload === undefined ? Effect.void : this.context.account.giveBack(payload.loan)
  }

  private reply(request: Request, failed: Failure | undefined): Effect.Effect<void> {
    const { rules, terms } = this
    const made: Effect.Effect<Reply> = failed === undefined
      ? Effect.catchAll(
        safely(Effect.suspend(() => success(rules, terms, request))),
        (failed) => Effect.succeed(this.failed(request, failed))
      )
      : failureInside(rules, terms, request, failed)
    const sending = (reply: Reply): Effect.Effect<void> => {
      this.pending.delete(request)
      return this.answered.has(request)
        ? Effect.void
        : Effect.asVoid(this.context.account.progress.whileDue("Outgoing", this.say("Answer", request, reply)))
    }
    const isMadeAtOnce = this.isDoneAtOnce(request) || failed !== undefined && failed.offset === undefined
    const answered = isMadeAtOnce
      ? this.turn.withPermits(1)(Effect.flatMap(made, sending))
      // A function takes its time, and others have their turn meanwhile.
      : Effect.flatMap(made, (reply) => this.turn.withPermits(1)(sending(reply)))
    const bytes = failed !== undefined && failed.offset === undefined ? 0 : this.longestReply(request)
    if (bytes === 0) return answered
    const { account } = this.context
    return Effect.flatMap(
      account.take("Outgoing", bytes),
      (loan) => Effect.flatMap(answered, () => account.giveBack(loan))
    )
  }

  private say(moment: "Payload" | "Answer", request: Request, reply: Reply): Effect.Effect<SaidInstead | undefined> {
    const { context: { session }, context, terms: { replyStyle } } = this
    return context.say(reply, () => ({ _tag: moment, session, request, replyStyle }))
  }

  private isDoneAtOnce({ command }: Request): boolean {
    const { hasOwnContexts, isImmediate } = this.terms.export
    return isImmediate && !(hasOwnContexts && command === commandCode.BLOCK_STATUS)
  }

  /** Bytes of payload that the reply may have, about. */
  private longestReply({ command, length }: Request): number {
    switch (command) {
      case commandCode.READ:
        return Number(length)
      case commandCode.BLOCK_STATUS:
        return Math.min(
          maxPayload,
          16 * Math.min(this.rules.maxDescriptors, Number(length)) * this.terms.contexts.length
        )
      default:
        return 0
    }
  }

  private failed(request: Request, failed: Failure): Reply {
    return failure(this.rules, this.terms, request, failed)
  }
}

/** Work that runs beside the reading of requests waits for turns separately. */
const inTurn = <A>(place: Place, effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.suspend(() => {
    const later = place.turn
    return later === undefined ? effect : Effect.zipRight(later, effect)
  })

const nothing = new Uint8Array(0)
