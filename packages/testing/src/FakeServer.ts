/**
 * An NBD server in memory, as a Layer: it provides the Transport that connects to it, and itself to look at and to steer.
 *
 * It holds clients to the rules of the specification, and keeps those for servers unless it is told how to break them:
 * see Misbehaviour, and ScriptedServer for exact bytes.
 *
 * @since 0.1.0
 */
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import { ConnectionRefusedError, type OpenError } from "@effect-nbd/core/TransportError"
import type { Failure } from "@effect-nbd/server/Decider"
import * as NbdServer from "@effect-nbd/server/NbdServer"
import type { ServedExport } from "@effect-nbd/server/ServedExport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as MemoryPipe from "./MemoryPipe.ts"
import { ActiveMisbehaviours, MisbehavingSpeaker } from "./misbehaviour/MisbehavingSpeaker.ts"
import type { Misbehaviour } from "./misbehaviour/Model.ts"
import {
  type RecordedClientFlags,
  type RecordedOption,
  type RecordedRequest,
  Recorder,
  type SessionEnd,
  type Violation
} from "./Recording.ts"
import { type Handler, Steering } from "./Steering.ts"

/**
 * What to serve and how. Everything but the exports has a default. Connections of `open` only make believe in TLS: they
 * look at no credentials and hide nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface FakeServerConfig extends Omit<NbdServer.ServerConfig, "speaking" | "decider" | "observer"> {
  /** How it breaks the rules, until `misbehave` says otherwise; not at all by default. */
  readonly misbehaviours?: ReadonlyArray<Misbehaviour>
  /**
   * How bytes arrive, in both directions or in each; by default what `MemoryPipe.fromConfig` says. Of no effect on
   * `serve`.
   */
  readonly delivery?: MemoryPipe.Delivery | MemoryPipe.Directions
  /** Entries that each list of the record keeps, the newest ones; 4096 by default. */
  readonly history?: number
}

/**
 * A running fake server.
 *
 * @since 0.1.0
 * @category models
 */
export interface FakeServerService {
  /** The exports by name. */
  readonly exports: ReadonlyMap<string, ServedExport>
  /** The bytes of an export, behind the protocol's back. A name that is not exported is a defect. */
  readonly exportBytes: (name: string, offset: bigint, length: number) => Effect.Effect<Uint8Array, Failure>

  /** Opens a connection and serves it; closing the scope closes the connection's client end. */
  readonly open: Effect.Effect<Connection, OpenError, Scope.Scope>
  /** Serves a connection made elsewhere, until its session is over. */
  readonly serve: (connection: Connection) => Effect.Effect<void>

  /** Requests in order of arrival, NBD_CMD_DISC included; the newest `history` of them, as in every list here. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** Options in order of arrival. */
  readonly options: Effect.Effect<ReadonlyArray<RecordedOption>>
  /** Client flags in order of arrival. */
  readonly clientFlags: Effect.Effect<ReadonlyArray<RecordedClientFlags>>
  /** What clients did wrong. */
  readonly violations: Effect.Effect<ReadonlyArray<Violation>>
  /** How sessions ended. */
  readonly ends: Effect.Effect<ReadonlyArray<SessionEnd>>
  /** How many sessions are open now. */
  readonly sessions: Effect.Effect<number>
  /** Bytes of payload that are in memory now, of all sessions together: see `memory` of the config. */
  readonly memory: Effect.Effect<number>
  /** Requests that wait for their release now. */
  readonly held: Effect.Effect<ReadonlyArray<RecordedRequest>>

  /** Waits until `count` requests have arrived since the server began, and gives the list. */
  readonly awaitRequests: (count: number) => Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** Waits until `count` options have arrived since the server began, and gives the list. */
  readonly awaitOptions: (count: number) => Effect.Effect<ReadonlyArray<RecordedOption>>
  /** Waits until `count` violations were seen since the server began, and gives the list. */
  readonly awaitViolations: (count: number) => Effect.Effect<ReadonlyArray<Violation>>
  /** Waits until `count` sessions have ended since the server began, and gives the list. */
  readonly awaitEnds: (count: number) => Effect.Effect<ReadonlyArray<SessionEnd>>
  /** Waits until exactly `count` sessions are open. */
  readonly awaitSessions: (count: number) => Effect.Effect<void>

  /** Decides about each request from now on; `undefined` lets all of them through again. */
  readonly onRequest: (handler: Handler | undefined) => Effect.Effect<void>
  /**
   * Breaks the rules in these ways from now on, and in no others. Where several apply to one thing that the server says,
   * each is given what the one before it has made of it.
   */
  readonly misbehave: (misbehaviours: ReadonlyArray<Misbehaviour>) => Effect.Effect<void>
  /** Holds every request from now on: carried out, but not answered before its release. */
  readonly hold: Effect.Effect<void>
  /** Holds no more, and lets everything held go, in order of arrival. */
  readonly release: Effect.Effect<void>
  /** Lets the held requests that match go, in order of arrival, and says how many they were. Holding goes on. */
  readonly releaseWhere: (matches: (request: RecordedRequest) => boolean) => Effect.Effect<number>
  /**
   * Ends every session in order: what is pending fails with ESHUTDOWN, then the connection ends. A client that is still
   * haggling is refused with NBD_REP_ERR_SHUTDOWN, and has 5 seconds to leave.
   */
  readonly disconnectAll: Effect.Effect<void>
  /** Breaks every connection, in the middle of a reply if one is under way. */
  readonly killAll: Effect.Effect<void>
  /** Whether `open` fails with ConnectionRefusedError from now on. */
  readonly refuseConnections: (refused: boolean) => Effect.Effect<void>
}

/**
 * A running fake server, to look at and to steer.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeServer extends Context.Tag("@effect-nbd/testing/FakeServer")<FakeServer, FakeServerService>() {}

const target = "fake server"

/**
 * A fake server whose sessions live in the scope. A configuration that cannot be served as it was meant is a defect that
 * says why: a size outside of 0 to 2^64 - 1 bytes, two exports of one name, two meta contexts of one name in an export, a
 * string of more than 4096 bytes, or a limit that is no whole number from 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: FakeServerConfig): Effect.Effect<FakeServerService, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const { delivery, history = 4096, misbehaviours = [], ...rules } = config
    if (!Number.isInteger(history) || history < 1) {
      return yield* Effect.dieMessage(`fake server: history is ${history}; it has to be a whole number from 1`)
    }
    const ports: Ports = {
      active: new ActiveMisbehaviours(misbehaviours),
      steering: new Steering(),
      recorder: new Recorder(history)
    }
    const { active, recorder, steering } = ports
    const server = yield* Effect.catchAll(
      NbdServer.make({
        ...rules,
        speaking: (line) => new MisbehavingSpeaker(active, line),
        decider: steering,
        observer: recorder
      }),
      ({ reason }) => Effect.dieMessage(`fake server: ${reason}`)
    )
    return running(server, ports, scope, delivery)
  })

/** What is behind the ports of the server. */
interface Ports {
  readonly active: ActiveMisbehaviours
  readonly steering: Steering
  readonly recorder: Recorder
}

const running = (
  server: NbdServer.NbdServerService,
  ports: Ports,
  scope: Scope.Scope,
  delivery: FakeServerConfig["delivery"]
): FakeServerService => {
  let refused = false
  const open = Effect.suspend(() =>
    refused
      ? new ConnectionRefusedError({ target, network: "tcp", attempts: [{ address: target, code: "ECONNREFUSED" }] })
      : openIn(scope, server, delivery)
  )
  return {
    open,
    serve: (connection) => server.serve(connection),
    exports: server.exports,
    exportBytes: exportBytes(server),
    memory: server.memory,
    disconnectAll: server.disconnectAll,
    killAll: server.killAll,
    ...inspection(ports),
    ...steering(ports),
    refuseConnections: (refuse) =>
      Effect.sync(() => {
        refused = refuse
      })
  }
}

const openIn = (
  scope: Scope.Scope,
  server: NbdServer.NbdServerService,
  delivery: FakeServerConfig["delivery"]
): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(MemoryPipe.open({ delivery, name: target }), (pipe) => {
      // Acquiring is uninterruptible, and a fiber would inherit that.
      const session = Effect.interruptible(server.serve(pipe.server, pipe))
      return Effect.as(Effect.forkIn(session, scope), pipe.client)
    }),
    (client) => Effect.sync(client.close)
  )

const exportBytes =
  ({ exports }: NbdServer.NbdServerService): FakeServerService["exportBytes"] => (name, offset, length) =>
    Effect.suspend(() => {
      const found = exports.get(name)
      return found === undefined
        ? Effect.dieMessage(`the fake server has no export called ${JSON.stringify(name)}`)
        : found.read(offset, length)
    })

const inspection = ({ recorder, steering }: Ports) => {
  const reached = <A>(list: { readonly count: number; readonly newest: () => ReadonlyArray<A> }) => (count: number) =>
    recorder.until(() => list.count >= count ? list.newest() : undefined)
  return {
    requests: Effect.sync(() => recorder.requests.newest()),
    options: Effect.sync(() => recorder.options.newest()),
    clientFlags: Effect.sync(() => recorder.flags.newest()),
    violations: Effect.sync(() => recorder.violations.newest()),
    ends: Effect.sync(() => recorder.ends.newest()),
    sessions: Effect.sync(() => recorder.open),
    held: Effect.sync(() => steering.held),
    awaitRequests: reached(recorder.requests),
    awaitOptions: reached(recorder.options),
    awaitViolations: reached(recorder.violations),
    awaitEnds: reached(recorder.ends),
    awaitSessions: (count: number) => Effect.asVoid(recorder.until(() => recorder.open === count ? true : undefined))
  }
}

const steering = ({ active, steering }: Ports) => ({
  misbehave: (misbehaviours: ReadonlyArray<Misbehaviour>) => Effect.sync(() => active.set(misbehaviours)),
  onRequest: (handler: Handler | undefined) =>
    Effect.sync(() => {
      steering.handler = handler
    }),
  hold: Effect.sync(() => {
    steering.holding = true
  }),
  release: Effect.sync(() => {
    steering.holding = false
    steering.releaseWhere(() => true)
  }),
  releaseWhere: (matches: (request: RecordedRequest) => boolean) => Effect.sync(() => steering.releaseWhere(matches))
})

/**
 * The Transport whose connections a fake server serves. A handle does not wait for what the server owes when its scope ends,
 * unless its `closeTimeout` says so: a test whose clock stands still would wait for ever.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transport = (server: FakeServerService): Context.Tag.Service<Transport> => ({
  target,
  open: server.open,
  closeTimeout: 0
})

/**
 * A fake server, and the Transport that connects to it. A configuration that cannot be served is a defect, as in `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (config: FakeServerConfig): Layer.Layer<FakeServer | Transport> =>
  Layer.scopedContext(
    Effect.map(
      make(config),
      (server) => Context.make(FakeServer, server).pipe(Context.add(Transport, transport(server)))
    )
  )

/**
 * Serves one connection of any kind, a socket for example, until its session is over. Interrupting closes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serve = (server: FakeServerService, connection: Connection): Effect.Effect<void> =>
  server.serve(connection)
