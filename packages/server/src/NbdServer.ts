/**
 * An NBD server for any block device, over any connection. It listens nowhere: each connection is handed to `serve`.
 *
 * It keeps to the rules of the specification for servers, holds its clients to theirs, and bounds what they can make it
 * remember. Three ports say who speaks, who decides and who observes; their defaults cost nothing.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ServedExport } from "./ServedExport.ts"
import { faultOf } from "./session/ConfigCheck.ts"
import { type ServerConfig, sharedOf } from "./session/ServerConfig.ts"
import * as Session from "./session/Session.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type ErrorReplyName,
  /**
   * @since 0.1.0
   * @category models
   */
  type Protocol,
  /**
   * @since 0.1.0
   * @category models
   */
  type Refusals,
  /**
   * @since 0.1.0
   * @category models
   */
  type TlsRules
} from "./haggling/Rules.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type ServerConfig
} from "./session/ServerConfig.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Breaks
} from "./session/Session.ts"

/**
 * The server cannot serve this configuration as it was meant: a size outside of 0 to 2^64 - 1 bytes, two exports of one
 * name, two meta contexts of one name in an export, a string of more than 4096 bytes, or a limit that is no whole number
 * from 1.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerConfigError extends Data.TaggedError("NbdServerConfigError")<{
  /** What is wrong, in words. */
  readonly reason: string
}> {
  override get message(): string {
    return `the server cannot be made: ${this.reason}`
  }
}

/**
 * A server, which has no connection of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface NbdServerService {
  /** The exports by name. */
  readonly exports: ReadonlyMap<string, ServedExport>
  /**
   * Serves a connection until its session is over, and closes it. Interrupting closes it too. Requests under way are
   * interrupted then. `breaks` break the connection where that takes more than closing it.
   */
  readonly serve: (connection: Connection, breaks?: Session.Breaks) => Effect.Effect<void>
  /** How many sessions are open now. */
  readonly sessions: Effect.Effect<number>
  /** Bytes of payload that are in memory now, of all sessions together: see `memory` of the config. */
  readonly memory: Effect.Effect<number>
  /**
   * Ends every session in order: what is pending fails with ESHUTDOWN, then the connection ends. A client that is still
   * haggling is refused with NBD_REP_ERR_SHUTDOWN, and has 5 seconds to leave.
   */
  readonly disconnectAll: Effect.Effect<void>
  /** Breaks every connection, in the middle of a reply if one is under way. */
  readonly killAll: Effect.Effect<void>
}

/**
 * A server, to hand connections to.
 *
 * @since 0.1.0
 * @category tags
 */
export class NbdServer extends Context.Tag("@effect-nbd/server/NbdServer")<NbdServer, NbdServerService>() {}

/**
 * A server for the exports of the configuration. Its sessions live as long as the effects of `serve` that run them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: ServerConfig): Effect.Effect<NbdServerService, ServerConfigError> =>
  Effect.suspend(() => {
    const reason = faultOf(config)
    return reason === undefined ? Effect.succeed(running(sharedOf(config))) : new ServerConfigError({ reason })
  })

const running = (shared: Session.Shared): NbdServerService => ({
  exports: new Map(shared.handshake.exports.map((served) => [served.name, served])),
  serve: (connection, breaks) => Session.run(shared, connection, breaks),
  sessions: Effect.sync(() => shared.sessions.size),
  memory: Effect.sync(() => shared.memory.lent),
  disconnectAll: Effect.suspend(() =>
    Effect.forEach([...shared.sessions], ({ shutDown }) => Deferred.succeed(shutDown, undefined), { discard: true })
  ),
  killAll: Effect.suspend(() =>
    Effect.forEach([...shared.sessions], ({ kill }) => Deferred.succeed(kill, Session.killed), { discard: true })
  )
})

/**
 * The same as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (config: ServerConfig): Layer.Layer<NbdServer, ServerConfigError> =>
  Layer.effect(NbdServer, make(config))
