/**
 * Node streams as a core `Connection`: an accepted socket, a process's own stdin and stdout, a child's pipes.
 *
 * Bytes come by 'data' events, held back by `pause`. For a socket that this side opens, `SocketConnection` is faster.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import type { Readable, Writable } from "node:stream"
import { encryptable } from "./Encryptable.ts"
import * as EventConnection from "./EventConnection.ts"

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
  /**
   * The host at the other end, by name or address, for its certificate. Default: none, so that TLS needs another name to
   * verify in its settings.
   */
  readonly hostname?: string
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
 * TLS can be put under it, from either side.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStreams = (options: Options): Connection =>
  encryptable(EventConnection.attach(options), options).connection
