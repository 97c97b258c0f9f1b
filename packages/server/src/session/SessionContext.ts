/**
 * What the phases of one session share: its connection, its speaker and observer, and the telling of a client's fault from a
 * lost connection.
 *
 * @since 0.1.0
 */
import { FrameReader, StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import type { Connection } from "@effect-nbd/core/Transport"
import { WireError } from "@effect-nbd/core/wire/WireError"
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Ending, Observer, Violation } from "../Observer.ts"
import type { Moment, SaidInstead, Speaker, Speaking } from "../Speaker.ts"
import type { Account } from "./Memory.ts"
import { Outgoing } from "./Outgoing.ts"
import type { Place } from "./Turns.ts"

/**
 * One session's ends of things.
 *
 * @since 0.1.0
 * @category models
 */
export class SessionContext {
  /** Numbered from 1. */
  readonly session: number
  readonly observer: Observer
  /** The server is shutting down: no option is answered well any more (S-020). */
  isShuttingDown = false
  readonly speaker: Speaker
  readonly outgoing: Outgoing
  /** Its part of the server's memory for payload. */
  readonly account: Account
  /** The session's place in the server's turns. */
  readonly place: Place
  /** Breaks the connection: the session has come to this end. */
  readonly breakOff: (ending: Ending) => void
  private current: FrameReader

  /** `sever` breaks the connection once what was sent has arrived. */
  constructor(
    { account, breakOff, connection, observer, place, session, sever, speaking }: {
      readonly session: number
      readonly connection: Connection
      readonly observer: Observer
      readonly speaking: Speaking
      readonly account: Account
      readonly place: Place
      readonly breakOff: (ending: Ending) => void
      readonly sever: () => void
    }
  ) {
    this.session = session
    this.observer = observer
    this.account = account
    this.place = place
    this.breakOff = breakOff
    this.current = new FrameReader(connection)
    this.outgoing = new Outgoing(() => this.current, account.progress, sever)
    this.speaker = speaking(this.outgoing)
  }

  /** Reads from the connection in use now. */
  get reader(): FrameReader {
    return this.current
  }

  /**
   * Says what the server has to say at this moment. Answers with what was said instead, where the speaker said something
   * else.
   */
  say(parts: ReadonlyArray<Uint8Array>, moment: () => Moment): Effect.Effect<SaidInstead | undefined> {
    return this.speaker.say(parts, moment)
  }

  /** From now on the session goes on over this connection, which lies over the one before. */
  replace(connection: Connection): void {
    this.current = new FrameReader(connection)
  }
}

/**
 * The end of a session of which a part died, which is logged.
 *
 * @since 0.1.0
 * @category constructors
 */
export const died = (cause: Cause.Cause<never>): Effect.Effect<Ending> =>
  Effect.as(Effect.logError("a session of the server died", cause), { _tag: "Died", cause })

/**
 * The client broke a rule that its session cannot recover from. Other sessions go on.
 *
 * @since 0.1.0
 * @category errors
 */
export class ClientMisbehavedError extends Data.TaggedError("NbdClientMisbehavedError")<{
  readonly violation: Violation
}> {
  override get message(): string {
    const { expected, received, rule } = this.violation
    return `the client broke the protocol: expected ${expected}, received ${received} (${rule})`
  }
}

/**
 * Records a fatal violation and fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export const misbehaved = (context: SessionContext, error: WireError): Effect.Effect<never, ClientMisbehavedError> =>
  Effect.suspend(() => new ClientMisbehavedError({ violation: violationOf(context, error, true) }))

/**
 * Takes the rest of a message whose beginning has been read: an end of the stream here cuts it short, and an orderly one
 * is the client's fault.
 *
 * @since 0.1.0
 * @category constructors
 */
export const takeRest = (
  context: SessionContext,
  count: number,
  rule: string
): Effect.Effect<Uint8Array, StreamEnded | ClientMisbehavedError> =>
  Effect.catchAll(context.reader.take(count), (ended) => cutShort(context, ended, rule))

/**
 * The same for a payload, which is put together from pieces: all of it is in memory once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const takeLong = (
  context: SessionContext,
  count: number,
  rule: string
): Effect.Effect<Uint8Array, StreamEnded | ClientMisbehavedError> =>
  count <= longestPiece ? takeRest(context, count, rule) : takePieces(context, count, rule)

const takePieces = Effect.fnUntraced(function*(context: SessionContext, count: number, rule: string) {
  const taken = new Uint8Array(count)
  for (let at = 0; at < count; at += longestPiece) {
    const piece = context.reader.take(Math.min(longestPiece, count - at))
    taken.set(
      yield* Effect.catchAll(piece, ({ end, received }) => {
        taken.set(received, at)
        return cutShort(
          context,
          new StreamEnded({ end, wanted: count, received: taken.subarray(0, at + received.byteLength) }),
          rule
        )
      }),
      at
    )
    yield* context.account.progress.step("Incoming")
  }
  return taken
})

const longestPiece = 65_536

/**
 * Records a violation that its session survives.
 *
 * @since 0.1.0
 * @category inspection
 */
export const note = (context: SessionContext, error: WireError): void => {
  violationOf(context, error, false)
}

/** The violation, which the observer has been told of. */
const violationOf = (
  { observer, session }: SessionContext,
  { expected, received, rule }: WireError,
  fatal: boolean
): Violation => {
  const violation: Violation = { session, expected, received, rule, fatal }
  observer.violation(violation)
  return violation
}

/**
 * Takes the beginning of a message. An end of the stream here is no violation unless it cuts the message short.
 *
 * @since 0.1.0
 * @category constructors
 */
export const takeStart = (
  context: SessionContext,
  count: number,
  rule: string
): Effect.Effect<Uint8Array, StreamEnded | ClientMisbehavedError> =>
  Effect.suspend(() =>
    context.speaker.isDeaf
      ? Effect.never
      : Effect.catchAll(
        context.reader.take(count),
        (ended) => ended.received.byteLength === 0 ? Effect.fail(ended) : cutShort(context, ended, rule)
      )
  )

const cutShort = (
  context: SessionContext,
  ended: StreamEnded,
  rule: string
): Effect.Effect<never, StreamEnded | ClientMisbehavedError> =>
  ended.end._tag === "Broken"
    ? Effect.fail(ended)
    : misbehaved(context, new WireError(`${ended.wanted} bytes`, `${ended.received.byteLength} and the end`, rule))
