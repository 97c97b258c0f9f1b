/**
 * One session of a server on any connection: handshake, transmission, and the way it ends.
 *
 * An orderly end is told to the client and waited for; a client that broke the protocol is closed on at once. Whatever
 * happens, the connection is closed when the session is over.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import type { Connection } from "@effect-nbd/core/Transport"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import type { Decider } from "../Decider.ts"
import type { Ending, Observer } from "../Observer.ts"
import type { Speaking } from "../Speaker.ts"
import type { Memory } from "./Memory.ts"
import * as ServerHandshake from "./ServerHandshake.ts"
import * as ServerTransmission from "./ServerTransmission.ts"
import { type ClientMisbehavedError, died, SessionContext } from "./SessionContext.ts"
import { Place, type Turns } from "./Turns.ts"

/**
 * What the sessions of one server share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shared {
  readonly handshake: ServerHandshake.HandshakeRules
  /** How long a client may take to enter an export. */
  readonly handshakeTimeout: Duration.Duration
  readonly transmission: ServerTransmission.TransmissionRules
  readonly speaking: Speaking
  readonly decider: Decider
  readonly observer: Observer
  readonly memory: Memory
  readonly turns: Turns
  /** Most sessions at a time. */
  readonly maxSessions: number
  /** The sessions open now, in order of arrival. */
  readonly sessions: Set<SessionControl>
  /** How many sessions there have been. */
  opened: number
}

/**
 * How a session's connection can be broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breaks {
  /** What is under way is lost. */
  readonly reset: () => void
  /** What is under way still arrives. */
  readonly sever: () => void
}

/**
 * How a session is ended from outside.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionControl {
  /** It has entered an export, and may keep its place as long as it likes. */
  isSettled: boolean
  readonly shutDown: Deferred.Deferred<void>
  /** Breaks the connection: the session ends like this. */
  readonly kill: Deferred.Deferred<Ending>
}

/** How long a client may take to leave after it was told to, or after the server has ended its own side. */
const lingering = "5 seconds"

/**
 * The ending of a session whose connection was broken on purpose.
 *
 * @since 0.1.0
 * @category constants
 */
export const killed: Ending = { _tag: "Killed" }

const displaced: Ending = { _tag: "Displaced" }
const stalled: Ending = { _tag: "Stalled" }
const shutDown: Ending = { _tag: "ShutDown" }
const timedOut: Ending = { _tag: "HandshakeTimedOut" }
const turnedAway: Ending = { _tag: "TurnedAway" }

/**
 * Runs one session to its end. `breaks` break the connection; by default it is closed. Interrupting closes it too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  shared: Shared,
  connection: Connection,
  breaks?: Breaks
): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    open(shared, connection, breaks),
    (opened) => opened === undefined ? Effect.void : use(shared, opened, breaks),
    (opened) => opened === undefined ? Effect.sync(() => connection.close()) : release(opened)
  )

interface Opened {
  readonly shared: Shared
  readonly context: SessionContext
  readonly control: SessionControl
  readonly state: { ending: Ending | undefined }
}

const open = Effect.fnUntraced(function*(shared: Shared, connection: Connection, breaks: Breaks | undefined) {
  const { memory, observer, speaking, turns } = shared
  const session = ++shared.opened
  const control: SessionControl = {
    isSettled: false,
    shutDown: yield* Deferred.make<void>(),
    kill: yield* Deferred.make<Ending>()
  }
  if (!hasRoom(shared)) {
    observer.opened(session)
    observer.ended(session, turnedAway)
    observer.closed(session)
    return undefined
  }
  shared.sessions.add(control)
  observer.opened(session)
  const breakOff = (ending: Ending): void => Deferred.unsafeDone(control.kill, Exit.succeed(ending))
  const context = new SessionContext({
    session,
    connection,
    observer,
    speaking,
    account: memory.open(() => breakOff(stalled)),
    place: new Place(turns),
    breakOff,
    sever: breaks?.sever ?? (() => breakOff(killed))
  })
  const opened: Opened = { shared, context, control, state: { ending: undefined } }
  return opened
})

/** Makes room, if need be, at the cost of the client that has been in its handshake for the longest. */
const hasRoom = ({ maxSessions, sessions }: Shared): boolean => {
  if (sessions.size < maxSessions) return true
  const oldest = [...sessions].find(({ isSettled }) => !isSettled)
  if (oldest === undefined) return false
  sessions.delete(oldest)
  Deferred.unsafeDone(oldest.kill, Exit.succeed(displaced))
  return true
}

const use = Effect.fnUntraced(function*(shared: Shared, opened: Opened, breaks: Breaks | undefined) {
  const { context, control } = opened
  const reset = (): void => breaks === undefined ? context.reader.connection.close() : breaks.reset()
  const kill = Deferred.await(control.kill)
  const ending = yield* Effect.raceFirst(serve(shared, context, control), kill)
  control.isSettled = false
  end(opened, ending)
  if (isBroken(ending)) return reset()
  if (!isOrderly(ending)) return
  const { isMute } = context.speaker
  if (!isMute) context.reader.connection.endWrites()
  // Who keeps silent stays, though the client has ended its half.
  const left = isMute ? Effect.sleep(lingering) : Effect.timeoutOption(untilEnded(context), lingering)
  const last = yield* Effect.raceFirst(Effect.as(left, ending), kill)
  if (isBroken(last)) reset()
})

const release = (opened: Opened): Effect.Effect<void> =>
  Effect.sync(() => {
    const { context, control, shared } = opened
    context.reader.connection.close()
    shared.memory.close(context.account)
    // Without an ending of its own, the session was interrupted.
    if (opened.state.ending === undefined) end(opened, killed)
    shared.sessions.delete(control)
    shared.observer.closed(context.session)
  })

const end = ({ context, shared, state }: Opened, ending: Ending): void => {
  state.ending = ending
  shared.observer.ended(context.session, ending)
}

/** Ends that the client is told of in order, and given time to take its replies. */
const isOrderly = ({ _tag }: Ending): boolean => _tag === "Disconnected" || _tag === "Aborted" || _tag === "ShutDown"

/** Ends that leave unfinished what is under way. */
const isBroken = ({ _tag }: Ending): boolean => _tag === "Killed" || _tag === "Stalled" || _tag === "Died"

const serve = (shared: Shared, context: SessionContext, control: SessionControl): Effect.Effect<Ending> =>
  shakeHands(shared, context, control).pipe(
    Effect.flatMap((settled) =>
      settled._tag === "Agreed" ? transmit(shared, context, control, settled) : Effect.succeed(settled)
    ),
    Effect.catchAll((error) => Effect.succeed(endingOf(error))),
    Effect.tap((ending) =>
      isOrderly(ending) ? context.say([], () => ({ _tag: "Farewell", session: context.session })) : Effect.void
    ),
    Effect.catchAllCause(died)
  )

/** Without a time limit there is no timer. */
const shakeHands = (
  { handshake, handshakeTimeout }: Shared,
  context: SessionContext,
  control: SessionControl
): Effect.Effect<ServerHandshake.Settled | Ending, StreamEnded | ClientMisbehavedError> => {
  const settled = Effect.raceFirst(ServerHandshake.run(context, handshake), shuttingDown(context, control))
  return Duration.isFinite(handshakeTimeout)
    ? Effect.timeoutTo(settled, { duration: handshakeTimeout, onSuccess: identity, onTimeout: () => timedOut })
    : settled
}

/** Clients that are still haggling are told so, and given time to leave. */
const shuttingDown = (context: SessionContext, control: SessionControl): Effect.Effect<Ending> =>
  Deferred.await(control.shutDown).pipe(
    Effect.tap(() => {
      context.isShuttingDown = true
    }),
    Effect.zipRight(Effect.sleep(lingering)),
    Effect.as(shutDown)
  )

const transmit = (
  shared: Shared,
  context: SessionContext,
  control: SessionControl,
  { terms }: Extract<ServerHandshake.Settled, { readonly _tag: "Agreed" }>
): Effect.Effect<Ending, StreamEnded | ClientMisbehavedError> =>
  Effect.suspend(() => {
    control.isSettled = true
    return ServerTransmission.run(context, terms, shared.transmission, shared.decider, control.shutDown)
  }).pipe(Effect.map((end) => end === "Dropped" ? killed : { _tag: end }))

const endingOf = (error: StreamEnded | ClientMisbehavedError): Ending =>
  error._tag === "NbdStreamEnded"
    ? { _tag: "ClientLeft", end: error.end }
    : { _tag: "Misbehaved", violation: error.violation }

/** Takes and forgets what still comes: closing on unread bytes would break the connection. */
const untilEnded = ({ reader }: SessionContext): Effect.Effect<void> =>
  Effect.suspend(() => reader.take(Math.max(1, reader.buffered))).pipe(
    Effect.forever,
    Effect.catchAll(() => Effect.void)
  )
