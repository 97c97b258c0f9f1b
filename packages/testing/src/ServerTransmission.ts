/**
 * The server's side of the transmission phase: requests in, replies out.
 *
 * Requests are read one after another. On a disk in memory they are carried out in that order as well; on one of
 * functions, side by side. A reply that is delayed or held does not keep later ones back. Memory is bounded: 64 MiB of
 * payload in each direction, and the headers of at most `maxPending` requests; beyond that, and while the client takes
 * no replies, no further requests are read.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Speech } from "./misbehaviour/Model.ts"
import { recordedOf } from "./Recording.ts"
import { carryOut, safely } from "./session/Execution.ts"
import { failure, failureInside, type Reply, type ReplyRules, success } from "./session/ReplyEncoding.ts"
import { maxPayload, type Request } from "./session/Request.ts"
import { check, checkManners, filtered, isFiltered, longestFilter } from "./session/RequestCheck.ts"
import { skipPayload, takeHeader, takePayload } from "./session/RequestIntake.ts"
import { type ClientMisbehavedError, note, type SessionContext } from "./session/SessionContext.ts"
import type { Terms } from "./session/Terms.ts"
import type { Decision, Failure, Steering } from "./Steering.ts"

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
 * How the transmission phase ended, short of failing.
 *
 * @since 0.1.0
 * @category models
 */
export type TransmissionEnd = "Disconnected" | "Dropped" | "ShutDown"

/**
 * Serves requests until the client disconnects, the connection ends, a request is steered to drop it, or `shutDown` is
 * done: then what is pending fails with ESHUTDOWN (S-093).
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  context: SessionContext,
  terms: Terms,
  rules: TransmissionRules,
  steering: Steering,
  shutDown: Deferred.Deferred<void>
): Effect.Effect<TransmissionEnd, StreamEnded | ClientMisbehavedError> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function*() {
      const serving = new Serving(context, terms, rules, steering, scope)
      yield* Scope.addFinalizer(scope, Effect.sync(() => steering.forget(context.session)))
      const end = yield* Effect.raceFirst(
        serving.requests,
        Effect.as(Deferred.await(shutDown), "ShutDown" as const)
      )
      if (end === "ShutDown") serving.failPending()
      return end
    })
  )

/** A request that is to be answered: what it asks has been decided on, and its payload is there. */
interface Accepted {
  readonly request: Request
  readonly payload: Uint8Array
  /** Why it must fail, if it must. */
  readonly refused: Failure | undefined
}

class Serving {
  private readonly context: SessionContext
  private readonly terms: Terms
  private readonly rules: TransmissionRules
  private readonly steering: Steering
  private readonly scope: Scope.Scope
  /** Requests not answered yet, in order of arrival. */
  private readonly pending = new Set<Request>()
  /** Requests that a misbehaving server has answered before it knew what they bring. */
  private readonly answered = new WeakSet<Request>()
  /** One permit for each request that waits for its answer aside from the reading of requests. */
  private readonly slots: Effect.Semaphore
  /** One permit for each byte of payload that clients have sent and no disk has taken yet. */
  private readonly incoming = Effect.unsafeMakeSemaphore(maxPayload)
  /** One permit for each byte of data that disks of functions have given and no client has taken yet. */
  private readonly outgoing = Effect.unsafeMakeSemaphore(maxPayload)
  /** Whoever has it makes one reply and sends it, so that one reply at a time is in memory. */
  private readonly turn = Effect.unsafeMakeSemaphore(1)

  constructor(
    context: SessionContext,
    terms: Terms,
    rules: TransmissionRules,
    steering: Steering,
    scope: Scope.Scope
  ) {
    this.context = context
    this.terms = terms
    this.rules = rules
    this.steering = steering
    this.scope = scope
    this.slots = Effect.unsafeMakeSemaphore(rules.maxPending)
  }

  get requests(): Effect.Effect<"Disconnected" | "Dropped", StreamEnded | ClientMisbehavedError> {
    const { context, terms } = this
    return Effect.gen(this, function*() {
      while (true) {
        const header = yield* takeHeader(context, terms.replyStyle, terms.export.limits.maximum)
        if (header.command === commandCode.DISC) return yield* this.disconnect(header)
        const accepted = yield* this.accept(header)
        this.pending.add(accepted.request)
        const request = context.recorder.request(context.session, accepted.request)
        const decision = yield* this.steering.decide(request)
        if ((yield* this.serve(accepted, decision)) === "Drop") return "Dropped"
      }
    })
  }

  /** Answers everything that still waits with ESHUTDOWN, in order of arrival. */
  failPending(): void {
    const { reader: { connection }, voice } = this.context
    if (voice.isMute) return
    for (const request of this.pending) {
      connection.write(this.failed(request, { errno: "ESHUTDOWN", message: "the server is shutting down" }))
    }
    this.pending.clear()
  }

  /** Outstanding requests are finished first (S-092): each of them has one of the permits. */
  private disconnect(request: Request): Effect.Effect<"Disconnected", StreamEnded | ClientMisbehavedError> {
    return Effect.gen(this, function*() {
      yield* skipPayload(this.context, request)
      this.context.recorder.request(this.context.session, request)
      this.inspect(request)
      yield* Effect.raceFirst(this.slots.take(this.rules.maxPending), this.broken)
      return "Disconnected" as const
    })
  }

  /**
   * Is done when nobody is left to answer. A client that has disconnected and ended its half may still wait for replies,
   * or be gone: what is held is answered then, since nobody else would end its session.
   */
  private get broken(): Effect.Effect<void> {
    const { reader, session } = this.context
    return Effect.async<void>((resume) =>
      reader.whenIdleEnds(() => {
        if (reader.ended?._tag === "Broken") resume(Effect.void)
        else this.steering.release((request) => request.session === session)
      })
    )
  }

  /** Takes the request's payload, and drops it where it is of no use. */
  private accept(request: Request): Effect.Effect<Accepted, StreamEnded | ClientMisbehavedError> {
    return Effect.gen(this, function*() {
      const refused = this.inspect(request)
      if (request.payloadLength > 0 && (yield* this.say("Payload", request, [])) !== undefined) {
        this.answered.add(request)
      }
      const isFilter = isFiltered(request)
      if (refused !== undefined || isFilter && request.payloadLength > longestFilter(this.terms)) {
        yield* skipPayload(this.context, request)
        return { request, payload: nothing, refused: refused ?? tooManyContexts }
      }
      yield* this.incoming.take(request.payloadLength)
      const payload = yield* takePayload(this.context, request)
      if (!isFilter) return { request, payload, refused: undefined }
      yield* this.incoming.release(request.payloadLength)
      const whole = filtered(request, payload, this.terms)
      if ("cookie" in whole) return { request: whole, payload: nothing, refused: undefined }
      if (whole.violation !== undefined) note(this.context, whole.violation)
      return { request, payload: nothing, refused: whole.failure }
    })
  }

  private serve(accepted: Accepted, decision: Decision): Effect.Effect<"Drop" | "Go on"> {
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

  /** Why the request must fail, if it must; what its client did wrong is recorded. */
  private inspect(request: Request): Failure | undefined {
    for (const { cookie } of this.pending) {
      if (cookie !== request.cookie) continue
      note(this.context, new WireError("a cookie that no pending request has", `${cookie}`, "C-126"))
    }
    const slip = checkManners(request, this.terms)
    if (slip !== undefined) note(this.context, slip)
    const refusal = check(request, this.terms)
    if (refusal?.violation !== undefined) note(this.context, refusal.violation)
    return refusal?.failure
  }

  /** Carries the request out, and answers it. */
  private answer(accepted: Accepted): Effect.Effect<void> {
    return Effect.flatMap(this.carryOut(accepted), (failed) => this.reply(accepted.request, failed))
  }

  /** Carries the request out, and answers it when it may be: aside from the reading of requests. */
  private answerLater(accepted: Accepted, until: Effect.Effect<void>): Effect.Effect<void> {
    const { export: target } = this.terms
    // What is done at once is done before the next request is read.
    const carriedOut = target.isImmediate
      ? Effect.map(this.carryOut(accepted), Effect.succeed)
      : Effect.succeed(this.carryOut(accepted))
    return Effect.gen(this, function*() {
      const failed = yield* carriedOut
      yield* this.slots.take(1)
      const answering = failed.pipe(
        Effect.flatMap((failed) => Effect.zipRight(until, this.reply(accepted.request, failed))),
        Effect.ensuring(this.slots.release(1))
      )
      yield* Effect.forkIn(answering, this.scope)
    })
  }

  /** Why the request failed, if it did. */
  private carryOut(accepted: Accepted): Effect.Effect<Failure | undefined> {
    const { payload, refused, request } = accepted
    const done = refused === undefined
      ? Effect.match(carryOut(this.terms.export, request, payload), {
        onFailure: (failed): Failure | undefined => failed,
        onSuccess: () => undefined
      })
      : Effect.succeed(refused)
    return Effect.zipLeft(done, this.drop(accepted))
  }

  /** The payload is not needed any more. */
  private drop({ payload }: Accepted): Effect.Effect<void> {
    return payload.byteLength === 0 ? Effect.void : Effect.asVoid(this.incoming.release(payload.byteLength))
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
      return this.answered.has(request) ? Effect.void : Effect.asVoid(this.say("Answer", request, reply))
    }
    return failed !== undefined || this.isDoneAtOnce(request)
      ? this.turn.withPermits(1)(Effect.flatMap(made, sending))
      // A function takes its time, and others have their turn meanwhile.
      : this.outgoing.withPermits(this.longestReply(request))(
        Effect.flatMap(made, (reply) => this.turn.withPermits(1)(sending(reply)))
      )
  }

  private say(moment: "Payload" | "Answer", request: Request, reply: Reply): Effect.Effect<Speech | undefined> {
    const { context: { session }, context, terms: { replyStyle } } = this
    return context.say(reply, () => ({ _tag: moment, session, request: recordedOf(session, request), replyStyle }))
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
        return Math.min(maxPayload, 16 * this.rules.maxDescriptors * this.terms.contexts.length)
      default:
        return 0
    }
  }

  private failed(request: Request, failed: Failure): Reply {
    return failure(this.rules, this.terms, request, failed)
  }
}

const nothing = new Uint8Array(0)

const tooManyContexts: Failure = { errno: "EINVAL", message: "more meta contexts than were selected" }
