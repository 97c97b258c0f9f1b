/**
 * NBD over a Node.js stream that the program itself has, or knows how to get: the socket of an HTTP upgrade, a channel of
 * an SSH library, one end of a pair. For a socket that this package can open, `TcpTransport` and `UnixTransport` are
 * faster.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import { StreamNotOpenedError, StreamTakenError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"
import { encryptable } from "./Encryptable.ts"
import * as EventConnection from "./EventConnection.ts"
import { inContext } from "./InContext.ts"
import * as Linger from "./Linger.ts"
import { inOwnScope } from "./OwnScope.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the stream leads to in words, for errors and spans, for example `upgrade storage.example`. */
  readonly target: string
  /**
   * The host at the other end, by name or address, for its certificate. Default: none, so that TLS needs another name to
   * verify in its settings.
   */
  readonly hostname?: string | undefined
}

export { StreamTakenError } from "@effect-nbd/core/TransportError"

/**
 * Runs `acquire` for each `open`, in the scope of that connection. The stream carries bytes (no encoding set, not in
 * object mode), no other code reads from it or writes to it, and it belongs to the connection: closing the scope sends
 * what was written for at most 500 ms, and destroys the stream.
 *
 * `open` fails with `StreamNotOpenedError`, whose cause is what `acquire` failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E>(
  acquire: Effect.Effect<Duplex, E, Scope.Scope>,
  options: Options
): Transport["Type"] => ({
  target: options.target,
  open: acquire.pipe(
    Effect.mapError((cause) => new StreamNotOpenedError({ target: options.target, cause })),
    Effect.flatMap((duplex) => connect(duplex, options)),
    inOwnScope
  )
})

/**
 * For a stream that is there already, and so for one connection: to `open` again fails with
 * `StreamNotOpenedError`, whose cause is `StreamTakenError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDuplex = (duplex: Duplex, options: Options): Transport["Type"] => {
  let taken = false
  return make(
    Effect.suspend(() => {
      if (taken) return Effect.fail(new StreamTakenError({ target: options.target }))
      taken = true
      return Effect.succeed(duplex)
    }),
    options
  )
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R = never>(
  acquire: Effect.Effect<Duplex, E, R | Scope.Scope>,
  options: Options
): Layer.Layer<Transport, never, R> =>
  Layer.effect(Transport, Effect.map(inContext(acquire), (acquire) => make(acquire, options)))

const connect = (duplex: Duplex, { hostname, target }: Options): Effect.Effect<Connection, never, Scope.Scope> => {
  const attach = Effect.sync(() => {
    const linger = Linger.watch(duplex)
    const streams = { readable: duplex, writable: duplex, peer: target, hostname }
    const { abandon, connection, writable } = encryptable(EventConnection.attach(streams), streams)
    const release = Effect.suspend(() => {
      abandon()
      return linger(writable())
    })
    return { connection, release }
  })
  return Effect.map(Effect.acquireRelease(attach, ({ release }) => release), ({ connection }) => connection)
}
