/**
 * The server's side of the transmission phase: requests in, replies out.
 *
 * Requests are read one after another. On a disk in memory they are carried out in that order as well; on one of
 * functions, side by side. A reply that is delayed or held does not keep later ones back. Memory is bounded: so much for
 * the payload of all sessions together (session/Memory), and the headers of at most `maxPending` requests of each; beyond
 * that, and while the client takes no replies, no further requests are read.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Decider, Decision, Failure } from "../Decider.ts"
import type { Request } from "../ServerRequest.ts"
import { type Accepted, Answering, type TransmissionRules } from "./Answering.ts"
import { check, checkManners, filtered, isFiltered, longestFilter } from "./RequestCheck.ts"
import { skipPayload, takeHeader, takePayload } from "./RequestIntake.ts"
import { type ClientMisbehavedError, note, type SessionContext } from "./SessionContext.ts"
import type { Terms } from "./Terms.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type TransmissionRules
} from "./Answering.ts"

/**
 * How the transmission phase ended, short of failing.
 *
 * @since 0.1.0
 * @category models
 */
export type TransmissionEnd = "Disconnected" | "Dropped" | "ShutDown"

/**
 * Serves requests until the client disconnects, the connection ends, a request is decided on to drop it, or `shutDown` is
 * done: then what is pending fails with ESHUTDOWN (S-093).
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  context: SessionContext,
  terms: Terms,
  rules: TransmissionRules,
  decider: Decider,
  shutDown: Deferred.Deferred<void>
): Effect.Effect<TransmissionEnd, StreamEnded | ClientMisbehavedError> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function*() {
      const answering = new Answering(context, terms, rules, scope)
      const serving = new Serving(context, terms, answering, decider)
      yield* Scope.addFinalizer(scope, Effect.sync(() => decider.forget(context.session)))
      const end = yield* Effect.raceFirst(
        serving.requests,
        Effect.as(Deferred.await(shutDown), "ShutDown" as const)
      )
      if (end === "ShutDown") answering.failPending()
      return end
    })
  )

/** Takes requests one after another, and has them answered. */
class Serving {
  private readonly context: SessionContext
  private readonly terms: Terms
  private readonly answering: Answering
  private readonly decider: Decider

  constructor(
    context: SessionContext,
    terms: Terms,
    answering: Answering,
    decider: Decider
  ) {
    this.context = context
    this.terms = terms
    this.answering = answering
    this.decider = decider
  }

  get requests(): Effect.Effect<"Disconnected" | "Dropped", StreamEnded | ClientMisbehavedError> {
    const { context, terms } = this
    return Effect.gen(this, function*() {
      while (true) {
        const header = yield* takeHeader(context, terms.replyStyle, terms.export.limits.maximum)
        const later = context.place.turn
        if (later !== undefined) yield* later
        if (header.command === commandCode.DISC) return yield* this.disconnect(header)
        const accepted = yield* this.accept(header)
        this.answering.pending.add(accepted.request)
        context.observer.request(context.session, accepted.request)
        const deciding = this.decider.decide(context.session, accepted.request)
        const decision = deciding === undefined ? proceeding : yield* deciding
        if ((yield* this.answering.serve(accepted, decision)) === "Drop") return "Dropped"
      }
    })
  }

  /** Outstanding requests are finished first (S-092). */
  private disconnect(request: Request): Effect.Effect<"Disconnected", StreamEnded | ClientMisbehavedError> {
    return Effect.gen(this, function*() {
      yield* skipPayload(this.context, request)
      this.context.observer.request(this.context.session, request)
      this.inspect(request)
      yield* Effect.raceFirst(this.answering.done, this.broken)
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
        else this.decider.release(session)
      })
    )
  }

  /** Takes the request's payload, and drops it where it is of no use. */
  private accept(request: Request): Effect.Effect<Accepted, StreamEnded | ClientMisbehavedError> {
    return Effect.gen(this, function*() {
      const refused = this.inspect(request)
      if (request.payloadLength > 0) yield* this.answering.beforePayload(request)
      const isFilter = isFiltered(request)
      if (refused !== undefined || isFilter && request.payloadLength > longestFilter(this.terms)) {
        yield* skipPayload(this.context, request)
        return { request, payload: undefined, refused: refused ?? tooManyContexts }
      }
      if (request.payloadLength === 0) return { request, payload: undefined, refused: undefined }
      const { account } = this.context
      const loan = yield* account.take("Incoming", request.payloadLength)
      const bytes = yield* takePayload(this.context, request)
      if (!isFilter) return { request, payload: { bytes, loan }, refused: undefined }
      const whole = filtered(request, bytes, this.terms)
      yield* account.giveBack(loan)
      if ("cookie" in whole) return { request: whole, payload: undefined, refused: undefined }
      if (whole.violation !== undefined) note(this.context, whole.violation)
      return { request, payload: undefined, refused: whole.failure }
    })
  }

  /** Why the request must fail, if it must; what its client did wrong is recorded. */
  private inspect(request: Request): Failure | undefined {
    for (const { cookie } of this.answering.pending) {
      if (cookie !== request.cookie) continue
      note(this.context, new WireError("a cookie that no pending request has", `${cookie}`, "C-126"))
    }
    const slip = checkManners(request, this.terms)
    if (slip !== undefined) note(this.context, slip)
    const refusal = check(request, this.terms)
    if (refusal?.violation !== undefined) note(this.context, refusal.violation)
    return refusal?.failure
  }
}

const proceeding: Decision = { _tag: "Continue" }

const tooManyContexts: Failure = { errno: "EINVAL", message: "more meta contexts than were selected" }
