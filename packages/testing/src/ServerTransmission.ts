/**
 * The server's side of the transmission phase: requests in, replies out.
 *
 * Requests are read one after another and writes take effect in the order of their arrival. A reply that is delayed or
 * held does not keep later ones back. Memory is bounded: one payload, one reply, and the headers of at most `maxPending`
 * requests; beyond that, and while the client takes no replies, no further requests are read. Metadata contexts and
 * extended headers are not spoken.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import { CommandFlags, type TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode, decodeRequestHeader, headerSize, type RequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { FakeExport } from "./FakeExport.ts"
import { failure, type ReplyRules, success } from "./session/ReplyEncoding.ts"
import { check, maxPayload } from "./session/RequestCheck.ts"
import {
  type ClientMisbehavedError,
  misbehaved,
  note,
  type SessionContext,
  takeRest,
  takeStart
} from "./session/SessionContext.ts"
import type { Failure, Steering } from "./Steering.ts"

/**
 * What the transmission phase of one session goes by.
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
  target: FakeExport,
  rules: TransmissionRules,
  steering: Steering,
  shutDown: Deferred.Deferred<void>
): Effect.Effect<TransmissionEnd, StreamEnded | ClientMisbehavedError> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function*() {
      const serving = new Serving(context, target, rules, steering, scope)
      yield* Scope.addFinalizer(scope, Effect.sync(() => steering.forget(context.session)))
      const end = yield* Effect.raceFirst(
        serving.requests,
        Effect.as(Deferred.await(shutDown), "ShutDown" as const)
      )
      if (end === "ShutDown") serving.failPending()
      return end
    })
  )

class Serving {
  private readonly context: SessionContext
  private readonly target: FakeExport
  private readonly rules: TransmissionRules
  private readonly steering: Steering
  private readonly scope: Scope.Scope
  private readonly flags: TransmissionFlags
  /** Requests not answered yet, in order of arrival. */
  private readonly pending = new Set<RequestHeader>()
  /** One permit for each request that waits for its answer aside from the reading of requests. */
  private readonly slots: Effect.Semaphore
  /** Whoever has it makes one reply and sends it, so that one reply at a time is in memory. */
  private readonly turn = Effect.unsafeMakeSemaphore(1)

  constructor(
    context: SessionContext,
    target: FakeExport,
    rules: TransmissionRules,
    steering: Steering,
    scope: Scope.Scope
  ) {
    this.context = context
    this.target = target
    this.rules = rules
    this.steering = steering
    this.scope = scope
    this.flags = target.flags(rules.replyStyle === "Structured")
    this.slots = Effect.unsafeMakeSemaphore(rules.maxPending)
  }

  get requests(): Effect.Effect<"Disconnected" | "Dropped", StreamEnded | ClientMisbehavedError> {
    return Effect.gen(this, function*() {
      const { context } = this
      while (true) {
        const start = yield* takeStart(context, headerSize, "Request header")
        const header = decodeRequestHeader(viewOf(start), 0)
        if (isWireError(header)) return yield* misbehaved(context, header)
        const payload = header.command === commandCode.WRITE ? yield* this.payload(header.length) : nothing
        if (header.command === commandCode.DISC) {
          context.recorder.request(context.session, header)
          this.inspect(header)
          // Outstanding requests are finished first (S-092): each of them has one of the permits.
          yield* Effect.raceFirst(this.slots.take(this.rules.maxPending), this.broken)
          return "Disconnected"
        }
        if ((yield* this.serve(header, payload)) === "Drop") return "Dropped"
      }
    })
  }

  /** Answers everything that still waits with ESHUTDOWN, in order of arrival. */
  failPending(): void {
    const { connection } = this.context.reader
    for (const header of this.pending) {
      connection.write(this.failed(header, { errno: "ESHUTDOWN", message: "the server is shutting down" }))
    }
    this.pending.clear()
  }

  /** Is done when nobody is left to answer: a client that has disconnected may still wait for replies. */
  private get broken(): Effect.Effect<void> {
    const { reader } = this.context
    return Effect.async<void>((resume) =>
      reader.whenIdleEnds(() => {
        if (reader.ended?._tag === "Broken") resume(Effect.void)
      })
    )
  }

  private payload(length: number): Effect.Effect<Uint8Array, StreamEnded | ClientMisbehavedError> {
    if (length > maxPayload) {
      const error = new WireError(`at most ${maxPayload} bytes of payload`, `${length}`, "NBD_CMD_WRITE, S-057")
      return misbehaved(this.context, error)
    }
    return takeRest(this.context, length, "NBD_CMD_WRITE, C-139")
  }

  private serve(header: RequestHeader, payload: Uint8Array): Effect.Effect<"Drop" | "Go on"> {
    return Effect.gen(this, function*() {
      const refused = this.inspect(header)
      this.pending.add(header)
      const request = this.context.recorder.request(this.context.session, header)
      const decision = yield* this.steering.decide(request)
      switch (decision._tag) {
        case "Continue":
          yield* this.answer(header, refused ?? this.carryOut(header, payload))
          return "Go on"
        case "Delay":
          yield* this.answerLater(header, refused ?? this.carryOut(header, payload), Effect.sleep(decision.duration))
          return "Go on"
        case "Hold":
          yield* this.answerLater(header, refused ?? this.carryOut(header, payload), decision.released)
          return "Go on"
        case "Fail":
          yield* this.answer(header, decision)
          return "Go on"
        case "Hang":
          this.pending.delete(header)
          return "Go on"
        case "Drop":
          return "Drop"
      }
    })
  }

  /** Why the request must fail, if it must; what its client did wrong is recorded. */
  private inspect(header: RequestHeader): Failure | undefined {
    for (const { cookie } of this.pending) {
      if (cookie !== header.cookie) continue
      note(this.context, new WireError("a cookie that no pending request has", `${cookie}`, "C-126"))
    }
    const refusal = check(header, this.target, this.flags)
    if (refusal?.violation !== undefined) note(this.context, refusal.violation)
    return refusal?.failure
  }

  /** Does what the request asks, except for a READ, whose bytes are copied when its reply is made. */
  private carryOut(header: RequestHeader, payload: Uint8Array): Failure | undefined {
    const { command, flags, length, offset } = header
    switch (command) {
      case commandCode.WRITE:
        return asFailure(this.target.write(offset, payload))
      case commandCode.TRIM:
        this.target.trim(offset, length)
        return undefined
      case commandCode.WRITE_ZEROES:
        return asFailure(this.target.zero(offset, length, (flags & CommandFlags.NO_HOLE) !== 0))
      default:
        return undefined
    }
  }

  private answerLater(
    header: RequestHeader,
    failed: Failure | undefined,
    until: Effect.Effect<void>
  ): Effect.Effect<void> {
    const answering = Effect.zipRight(until, this.answer(header, failed))
    return Effect.zipRight(
      this.slots.take(1),
      Effect.asVoid(Effect.forkIn(Effect.ensuring(answering, this.slots.release(1)), this.scope))
    )
  }

  private answer(header: RequestHeader, failed: Failure | undefined): Effect.Effect<void> {
    const sending = Effect.suspend(() => {
      this.pending.delete(header)
      return this.context.reader.send(
        failed === undefined ? success(this.rules, this.target, header) : this.failed(header, failed)
      )
    })
    return this.turn.withPermits(1)(sending)
  }

  private failed(header: RequestHeader, failed: Failure): ReadonlyArray<Uint8Array> {
    return failure(this.rules, this.target, header, failed)
  }
}

const nothing = new Uint8Array(0)

const asFailure = (errno: ErrnoName | undefined): Failure | undefined =>
  errno === undefined ? undefined : { errno, message: "no space left: the capacity of the export is used up" }
