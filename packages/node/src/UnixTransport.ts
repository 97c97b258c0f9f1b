/**
 * NBD over a Unix stream socket. Abstract sockets are not supported.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { Attempt } from "@effect-nbd/core/TransportError"
import { ConnectionRefusedError, UnreachableError } from "@effect-nbd/core/TransportError"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { maxSocketPathBytes } from "./PrivateFolder.ts"
import * as SocketConnection from "./SocketConnection.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** At most 107 bytes, the system's limit. */
  readonly path: string
}

/**
 * `open` fails with `ConnectionRefusedError` when nothing listens on the socket, otherwise with `UnreachableError` and
 * the system's code: `ENOENT`, `EACCES`, `ENAMETOOLONG` for a path over 107 bytes, `EINVAL` for one with a NUL.
 * The system answers at once, so there is no time limit.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Transport["Type"] => {
  const target = `unix ${options.path}`
  return { target, uri: NbdUri.of({ _tag: "Unix", path: options.path }), open: open(options.path, target) }
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

type Failure = ConnectionRefusedError | UnreachableError

const open = (path: string, target: string): Effect.Effect<Connection, Failure, Scope.Scope> => {
  const failure = (attempt: Attempt): Failure =>
    attempt.code === "ECONNREFUSED"
      ? new ConnectionRefusedError({ target, network: "unix", attempts: [attempt] })
      : new UnreachableError({ target, network: "unix", attempts: [attempt] })
  const refused = refusal(path)
  return refused === undefined
    ? Effect.mapError(SocketConnection.open({ path }, target), failure)
    : Effect.suspend(() => Effect.fail(failure({ address: path, code: refused })))
}

/** Node would take an empty path for a TCP port, and cut others short. */
const refusal = (path: string): string | undefined => {
  if (path === "") return "ENOENT"
  if (path.includes("\0")) return "EINVAL"
  return Buffer.byteLength(path) > maxSocketPathBytes ? "ENAMETOOLONG" : undefined
}
