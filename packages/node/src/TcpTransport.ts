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
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketConnection from "./SocketConnection.ts"
import * as TcpAddress from "./TcpAddress.ts"
import * as TcpRace from "./TcpRace.ts"

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
  /**
   * After how long a silence the system begins to ask the peer whether it is still there (TCP keep-alive), from 1 second to 9
   * hours; never, if infinite. Default: 60 seconds.
   */
  readonly keepAlive?: Duration.DurationInput | undefined
  /** How to find the addresses of a name. Default: the system's resolver. */
  readonly lookup?: TcpAddress.Lookup | undefined
}

/**
 * `open` tries every address of the host, IPv6 and IPv4 in turn, beginning with the first: the next one when the one before
 * has failed, or has not answered for 250 ms (RFC 8305). The first that answers counts, and the others are closed.
 *
 * A peer that is silent is asked whether it is still there, every second from `keepAlive` on (Node.js lets no other interval
 * be set), and the connection is lost with `ETIMEDOUT` after ten questions without an answer. A peer that falls silent while
 * something that was sent to it is on its way is given up by the system alone, on Linux after some 15 minutes.
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
  const keepAlive = Duration.decode(options.keepAlive ?? "60 seconds")
  const open = Effect.suspend(() => {
    const failed: Array<Attempt | undefined> = []
    return Effect.gen(function*() {
      const number = yield* TcpAddress.resolvePort(port)
      const hosts = yield* TcpAddress.resolveHost(options.host, lookup)
      return yield* connectAny({ target, hostname: options.host, hosts, port: number, keepAlive }, failed)
    }).pipe(
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () =>
          new ConnectTimeoutError({
            target,
            network: "tcp",
            timeout,
            attempts: failed.filter(Predicate.isNotUndefined)
          })
      })
    )
  })
  return {
    target,
    uri: knownPort === undefined ? undefined : NbdUri.of({ _tag: "Tcp", host, port: knownPort }),
    // NBD servers speak first, and at once. What is silent for longer is most often another service.
    greetingTimeout: "5 seconds",
    open: inOwnScope(open)
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
  readonly keepAlive: Duration.Duration
}

type Failure = ConnectionRefusedError | UnreachableError

/** `failed` holds the attempts that have failed so far, in the order in which they were begun. */
const connectAny = (
  { hostname, hosts, keepAlive, port, target }: Candidates,
  failed: Array<Attempt | undefined>
): Effect.Effect<Connection, Failure, Scope.Scope> => {
  const none = () => noneAnswered(target, failed.filter(Predicate.isNotUndefined))
  if (hosts.length === 0) return Effect.fail(none())
  const attempts = TcpRace.interleaved(hosts).map((host) => {
    const address = { host, port }
    const peer = `tcp ${SocketConnection.addressInWords(address)}`
    return Effect.map(
      SocketConnection.openAttached(address, { peer, hostname, keepAlive }),
      ({ connection }) => connection
    )
  })
  return TcpRace.first(attempts, {
    failed: (attempt, index) => {
      failed[index] = attempt
    },
    none
  })
}

const noneAnswered = (target: string, attempts: ReadonlyArray<Attempt>): Failure =>
  attempts.length > 0 && attempts.every(({ code }) => code === "ECONNREFUSED")
    ? new ConnectionRefusedError({ target, network: "tcp", attempts })
    : new UnreachableError({ target, network: "tcp", attempts })
