/**
 * One export over one connection or more: the first is enough to begin and to end a copy, others help where the server
 * allows them.
 *
 * A connection that is lost takes no request with it: what waits for its answer is done again over those that are left. So
 * only such requests belong here that may be done twice, as all of a copy may.
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import type { GeometryError } from "@effect-nbd/block/Geometry"
import * as NbdDevice from "@effect-nbd/client/NbdDevice"
import type { Export } from "@effect-nbd/core/Export"
import type { Connected } from "@effect-nbd/core/Handle"
import type { Statistics } from "@effect-nbd/core/Traffic"
import { CommandError } from "@effect-nbd/core/transmission/CommandError"
import { errno } from "@effect-nbd/core/wire/Errno"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Fault } from "./Failure.ts"
import * as Silence from "./Silence.ts"

/**
 * The connections to one export do not agree on what it is: it has changed in between, or there are several servers.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportChangedError extends Data.TaggedError("ExportChangedError")<{
  readonly export: string
  readonly sizes: ReadonlyArray<bigint>
}> {
  override get message(): string {
    return `${this.export} has a different size on each connection: ${this.sizes.join(", ")}`
  }
}

/**
 * A connection that has entered the export.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  /** What it has entered. */
  readonly device: BlockDevice<NbdDevice.NbdDeviceError>
  readonly export: Export
  readonly statistics: Effect.Effect<Statistics>
  /** Requests that wait for a reply. */
  readonly inFlight: Effect.Effect<number, Fault>
  /** Waits for the replies under way, and says goodbye. */
  readonly shutdown: Effect.Effect<void, Fault>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ExportConnections {
  /** In words, for errors. */
  readonly name: string
  /** What the first connection was told of it. */
  readonly export: Export
  /**
   * Runs a request over the connection whose turn it is. Where that one is lost, the request runs again over another one,
   * unless there is none or `mayRepeat` says no; then it fails with how it was lost.
   */
  readonly use: <A, E, R>(
    request: (connection: Connection) => Effect.Effect<A, E, R>,
    mayRepeat?: () => boolean
  ) => Effect.Effect<A, E | ExportChangedError, R>
  /** The same for a request that a server may work on for long. */
  readonly useForLong: ExportConnections["use"]
  /** The connection whose turn it is, for requests that belong together, and whether there is another one without it. */
  readonly next: () => Connection
  readonly leave: (connection: Connection, error: unknown) => boolean
  /** Fails once a connection has been silent for too long; see `Silence`. */
  readonly silence: (limit: Duration.Duration | undefined) => Effect.Effect<never, Silence.SilentServerError>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** In words, for errors. */
  readonly name: string
  /** How many connections are wanted. */
  readonly wanted: number
}

/** How long replies under way are waited for when a copy has failed. nbdkit 1.32 aborts where they are not. */
const goodbye = "1500 millis"

/**
 * Opens the first connection, and beside what follows the others, if the server lets them be used as one (C-143). One of
 * those that cannot be had, or does not say so itself (H-151), is done without, however that comes. When the scope closes
 * after a failure, replies under way are waited for, for a moment.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = <E extends Fault, R>(
  connected: Effect.Effect<Connected, E, R | Scope.Scope>,
  { name, wanted }: Options
): Effect.Effect<ExportConnections, E | GeometryError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const connect = Effect.flatMap(connected, connectionOf)
    // All at once, so that one that is slow to go does not keep the others.
    const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.parallel)
    const first = yield* Scope.extend(connect, scope)
    const connections = of(first, name)
    yield* Effect.addFinalizer((exit) => Exit.isSuccess(exit) ? Effect.void : connections.leaveAll)
    if (!first.export.canMultiConn || wanted < 2) return connections
    const another = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
        const opened = yield* Effect.exit(restore(Scope.extend(connect, own)))
        if (Exit.isSuccess(opened) && connections.join(opened.value)) return
        if (Exit.isFailure(opened)) {
          yield* Effect.logDebug(`goes on without another connection to ${name}`, opened.cause)
        }
        yield* Scope.close(own, Exit.void)
      })
    )
    yield* Effect.forkScoped(Effect.replicateEffect(another, wanted - 1, { concurrency: "unbounded", discard: true }))
    return connections
  })

/**
 * A single connection.
 *
 * @since 0.1.0
 * @category constructors
 */
export const only = (connected: Connected, name: string): Effect.Effect<ExportConnections, GeometryError> =>
  Effect.map(connectionOf(connected), (connection) => of(connection, name))

const connectionOf = (connected: Connected): Effect.Effect<Connection, GeometryError> =>
  Effect.map(NbdDevice.of(connected), (device) => {
    const { export: entered, inFlight, shutdown, statistics } = connected
    return { device, export: entered, inFlight, shutdown, statistics }
  })

const of = (first: Connection, name: string) => {
  const live: Array<Connection> = [first]
  let turn = 0
  let long = 0
  let changed: ExportChangedError | undefined

  const next = (): Connection => {
    turn = turn + 1 < live.length ? turn + 1 : 0
    return live[turn] ?? first
  }

  const leave = (connection: Connection, error: unknown): boolean => {
    if (!isLost(error)) return false
    const at = live.indexOf(connection)
    // The last one stays, to tell why.
    if (at >= 0 && live.length > 1) live.splice(at, 1)
    return !live.includes(connection)
  }

  const use: ExportConnections["use"] = (request, mayRepeat = () => true) =>
    Effect.suspend(() => {
      if (changed !== undefined) return Effect.fail(changed)
      const connection = next()
      return Effect.catchAll(request(connection), (error) =>
        mayRepeat() && leave(connection, error)
          // What a connection says that was lost while nobody used it tells less than how this one was.
          ? Effect.mapError(use(request, mayRepeat), (later) => isRefusal(later) ? error : later)
          : Effect.fail(error))
    })

  return {
    name,
    export: first.export,
    use,
    useForLong: ((request, mayRepeat) =>
      Effect.suspend(() => {
        long++
        return Effect.ensuring(use(request, mayRepeat), Effect.sync(() => long--))
      })) satisfies ExportConnections["use"],
    next,
    leave,
    silence: (limit: Duration.Duration | undefined) =>
      Silence.watch(name, limit, () => ({
        connections: live.map((connection) => [connection, sightOf(connection)] as const),
        isLong: long > 0
      })),
    /** Whether it is used. */
    join: (connection: Connection): boolean => {
      if (!connection.export.canMultiConn) return false
      const sizes = [first.export.size, connection.export.size]
      if (sizes[0] !== sizes[1]) {
        changed ??= new ExportChangedError({ export: name, sizes })
        return false
      }
      live.push(connection)
      return true
    },
    leaveAll: Effect.suspend(() =>
      Effect.forEach(
        live,
        ({ shutdown }) => Effect.ignore(Effect.timeout(Effect.interruptible(shutdown), goodbye)),
        { concurrency: "unbounded", discard: true }
      )
    )
  }
}

const sightOf = ({ inFlight, statistics }: Connection): Effect.Effect<Silence.Sight> =>
  Effect.zipWith(
    Effect.orElseSucceed(inFlight, () => 0),
    statistics,
    (waiting, { bytesReceived }) => ({ waiting, received: bytesReceived })
  )

const tagOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined

const isRefusal = (error: unknown): boolean =>
  tagOf(error) === "NbdHandleDeadError" || tagOf(error) === "NbdShutDownError"

/** Whether the connection takes no more requests: it is gone, or its server has said that it is going (C-162). */
const isLost = (error: unknown): boolean =>
  tagOf(error) === "NbdCommandLostError" || isRefusal(error) ||
  (error instanceof CommandError && error.value === errno.ESHUTDOWN)
