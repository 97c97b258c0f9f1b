/**
 * NBD over a Unix stream socket. Abstract sockets are not supported.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { ConnectTimeoutError } from "@effect-nbd/core/TransportError"
import { ConnectionRefusedError, UnreachableError } from "@effect-nbd/core/TransportError"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as FullQueue from "./FullQueue.ts"
import * as SocketConnection from "./SocketConnection.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** At most 107 bytes, the system's limit; 103 on systems other than Linux. */
  readonly path: string
  /** How long a socket whose queue of connections is full is asked again. Default: 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
}

/**
 * `open` fails with `ConnectionRefusedError` when nothing listens on the socket, otherwise with `UnreachableError` and
 * the system's code: `ENOENT`, `EACCES`, `ENAMETOOLONG` for a path over 107 bytes, `EINVAL` for one with a NUL.
 *
 * The system answers at once, with `EAGAIN` where the server's queue of connections is full. That passes when the server
 * accepts one: until then it is asked again, after 5 ms at first and every 100 ms later, and `ConnectTimeoutError` is what
 * it fails with when the time is up.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Transport["Type"] => {
  const target = `unix ${options.path}`
  return { target, uri: NbdUri.of({ _tag: "Unix", path: options.path }), open: open(options, target) }
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Transport> => Layer.succeed(Transport, make(options))

/**
 * As `make`, as a layer whose options come from configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Config.Wrap<Options>): Layer.Layer<Transport, ConfigError.ConfigError> =>
  Layer.effect(Transport, Effect.map(Config.unwrap(options), make))

const open = (
  { connectTimeout, path }: Options,
  target: string
): Effect.Effect<Connection, ConnectionRefusedError | UnreachableError | ConnectTimeoutError, Scope.Scope> =>
  SocketConnection.open({ path }, target).pipe(
    FullQueue.waitingFor(path, target, connectTimeout),
    Effect.mapError((failed) => {
      if ("_tag" in failed) return failed
      const facts = { target, network: "unix", attempts: [failed] } as const
      return failed.code === "ECONNREFUSED" ? new ConnectionRefusedError(facts) : new UnreachableError(facts)
    })
  )
