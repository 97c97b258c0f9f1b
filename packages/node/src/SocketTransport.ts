/**
 * NBD over a `Socket` of `@effect/platform`, and so over WebSocket. It runs wherever such a socket can be had, at the
 * price of what a `Socket` lacks:
 *
 * - It cannot be told to wait. What has come and was not taken is kept, and when that is too much the connection breaks
 *   with `ENOBUFS`.
 * - A WebSocket takes everything that is written at once, so that its own buffer grows: what is in flight bounds that.
 * - It has no half close: to end writing, as the goodbye to the server does, closes it. A WebSocket whose peer does not
 *   answer that is dropped in its own time, which may be after the scope.
 * - One whose messages come as `Blob`s loses their order. A browser's own WebSocket needs `binaryType = "arraybuffer"`.
 *
 * @since 0.1.0
 */
import { Transport } from "@effect-nbd/core/Transport"
import * as Socket from "@effect/platform/Socket"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as DuplexTransport from "./DuplexTransport.ts"
import { inContext } from "./InContext.ts"
import * as SocketDuplex from "./SocketDuplex.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends DuplexTransport.Options {
  /** How much may have come without being taken, in bytes. Default: 64 MiB, as much as may be in flight by default. */
  readonly maxUnread?: number | undefined
}

/**
 * Runs `acquire` for each `open`: a `Socket` has one connection at a time. For a WebSocket it is
 * `Socket.makeWebSocket(url)`.
 *
 * `open` fails with `StreamNotOpenedError`, whose cause is a `SocketError` or what `acquire` failed with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E>(
  acquire: Effect.Effect<Socket.Socket, E, Scope.Scope>,
  { maxUnread = 67_108_864, ...options }: Options
): Transport["Type"] =>
  DuplexTransport.make(Effect.flatMap(acquire, (socket) => SocketDuplex.open(socket, maxUnread)), options)

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R = never>(
  acquire: Effect.Effect<Socket.Socket, E, R | Scope.Scope>,
  options: Options
): Layer.Layer<Transport, never, R> =>
  Layer.effect(Transport, Effect.map(inContext(acquire), (acquire) => make(acquire, options)))

/**
 * The `Socket` in the context, such as `NodeSocket.layerWebSocket` provides. While one connection is open, another
 * `open` fails with `StreamNotOpenedError`, whose cause is `StreamTakenError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSocket = (options: Options): Layer.Layer<Transport, never, Socket.Socket> =>
  Layer.effect(Transport, Effect.map(Socket.Socket, (socket) => make(oneAtATime(socket, options.target), options)))

const oneAtATime = (
  socket: Socket.Socket,
  target: string
): Effect.Effect<Socket.Socket, DuplexTransport.StreamTakenError, Scope.Scope> => {
  let taken = false
  return Effect.acquireRelease(
    Effect.suspend(() => {
      if (taken) return Effect.fail(new DuplexTransport.StreamTakenError({ target }))
      taken = true
      return Effect.succeed(socket)
    }),
    () =>
      Effect.sync(() => {
        taken = false
      })
  )
}
