/**
 * Node streams as a core `Connection`: an accepted socket, a process's own stdin and stdout, a child's pipes.
 *
 * Bytes come by 'data' events, held back by `pause`. For a socket that this side opens, `SocketConnection` is faster.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import type { Readable, Writable } from "node:stream"
import * as Delivery from "./Delivery.ts"
import * as StreamConnection from "./StreamConnection.ts"

/**
 * `readable` and `writable` may be one `Duplex`. They carry bytes: no encoding set, not in object mode.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly readable: Readable
  readonly writable: Writable
  /** The peer in words, for errors, for example `client 127.0.0.1:40312`. */
  readonly peer: string
  /** Called once, when `close` of the connection is called first. Default: nothing. */
  readonly onClose?: () => void
  /** Called once with how the streams ended; the receiver is told what `report` gets. Default: the end as it is. */
  readonly explain?: (end: ConnectionEnd, report: (end: ConnectionEnd) => void) => void
}

/**
 * Makes a `Connection` of the streams, which belong to it from now on. An `end` of the readable is `Finished`; an
 * error, or a close without an end, is `Broken`, after what the stream had buffered. When only the writable fails, the
 * peer's half is still read to its end, for at most 250 ms once the receiver takes bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStreams = (options: Options): Connection => attach(options).connection

/**
 * As `fromStreams`, with what a transport needs to close in order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (options: StreamConnection.Options): StreamConnection.Attached => {
  const { readable } = options
  const delivery = Delivery.make({ pause: () => readable.pause(), resume: () => readable.resume() })
  const onData = (chunk: Uint8Array): void => {
    // Plain bytes, since `slice` of a Buffer does not copy. A program's exit makes Node resume its stdout, so bytes
    // can come while they are held back: they are kept, and the stream is paused again.
    delivery.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
  }
  readable.pause()
  readable.on("data", onData)
  return StreamConnection.attach(options, delivery, () => readable.off("data", onData))
}
