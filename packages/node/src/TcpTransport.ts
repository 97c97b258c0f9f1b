/**
 * NBD over TCP.
 *
 * It does not reconnect.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { Attempt } from "@effect-nbd/core/TransportError"
import { ConnectionRefusedError, ConnectTimeoutError, UnreachableError } from "@effect-nbd/core/TransportError"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketConnection from "./SocketConnection.ts"
import * as TcpAddress from "./TcpAddress.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A name or an IP literal; IPv6 with or without brackets. */
  readonly host: string
  /** A number from 1 to 65535, the same as digits, or a service name such as `nbd`. Default: 10809. */
  readonly port?: number | string | undefined
  /** For the lookup and all addresses together. Default: 30 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** How to find the addresses of a name. Default: the system's resolver. */
  readonly lookup?: TcpAddress.Lookup | undefined
}

/**
 * `open` tries every address of the host in order, until one answers. While others remain, one address has only its
 * share of the time that is left, so that a silent one does not use it all up.
 *
 * It fails with `ServiceNotFoundError`, `HostNotFoundError`, `ConnectionRefusedError` when every address refused,
 * `ConnectTimeoutError` when the time was up, otherwise `UnreachableError`; no socket is left open.
 *
 * It has a URI, unless the port is a service name other than `nbd`, which no URI has.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Transport["Type"] => {
  const port = options.port ?? 10_809
  const host = options.host.replace(/^\[(.*)\]$/, "$1")
  const target = `tcp ${SocketConnection.hostAndPort(host, port)}`
  const knownPort = TcpAddress.knownPort(port)
  const timeout = Duration.decode(options.connectTimeout ?? "30 seconds")
  const lookup = options.lookup ?? TcpAddress.systemLookup
  const open = Effect.gen(function*() {
    const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(timeout)
    const number = yield* TcpAddress.resolvePort(port)
    const hosts = yield* TcpAddress.resolveHost(options.host, lookup)
    return yield* connectAny({ target, hostname: options.host, hosts, port: number, deadline })
  })
  return {
    target,
    uri: knownPort === undefined ? undefined : NbdUri.of({ _tag: "Tcp", host, port: knownPort }),
    open: open.pipe(
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () => new ConnectTimeoutError({ target, network: "tcp", timeout })
      }),
      inOwnScope
    )
  }
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
export const layerConfig = (
  options: Config.Config.Wrap<Omit<Options, "lookup">>
): Layer.Layer<Transport, ConfigError.ConfigError> => Layer.effect(Transport, Effect.map(Config.unwrap(options), make))

interface Candidates {
  readonly target: string
  /** The host as it was given. */
  readonly hostname: string
  readonly hosts: ReadonlyArray<string>
  readonly port: number
  /** When the time is up, in milliseconds of the clock. */
  readonly deadline: number
}

type Failure = ConnectionRefusedError | UnreachableError

const connectAny = (
  candidates: Candidates,
  attempts: ReadonlyArray<Attempt> = []
): Effect.Effect<Connection, Failure, Scope.Scope> => {
  const { hosts, port, target } = candidates
  const host = hosts[attempts.length]
  if (host === undefined) return Effect.fail(noneAnswered(target, attempts))
  const address = { host, port }
  const name = SocketConnection.addressInWords(address)
  return SocketConnection.open(address, `tcp ${name}`, candidates.hostname).pipe(
    withinShare(candidates.deadline, hosts.length - attempts.length, { address: name, code: "ETIMEDOUT" }),
    Effect.catchAll((attempt) => connectAny(candidates, [...attempts, attempt]))
  )
}

/** The last address needs no limit of its own: the time for the whole ends it. */
const withinShare =
  (deadline: number, addressesLeft: number, late: Attempt) =>
  (attempt: Effect.Effect<Connection, Attempt, Scope.Scope>): Effect.Effect<Connection, Attempt, Scope.Scope> =>
    addressesLeft === 1 ?
      attempt :
      inOwnScope(Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.timeoutFail(attempt, {
          duration: Math.max(0, deadline - now) / addressesLeft,
          onTimeout: () => late
        })))

const noneAnswered = (target: string, attempts: ReadonlyArray<Attempt>): Failure =>
  attempts.length > 0 && attempts.every(({ code }) => code === "ECONNREFUSED")
    ? new ConnectionRefusedError({ target, network: "tcp", attempts })
    : new UnreachableError({ target, network: "tcp", attempts })
