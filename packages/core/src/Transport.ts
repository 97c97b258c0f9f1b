/**
 * The seam between the protocol and what carries its bytes.
 *
 * A transport knows sockets, pipes or memory and nothing about NBD; the protocol knows NBD and nothing about
 * sockets. The seam is a callback with backpressure rather than a stream of chunks, because a reply is parsed in
 * the transport's own receive buffer: no copy and no fiber between the kernel and the caller's memory.
 *
 * It does not reconnect, does not retry and does not interpret a byte.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { TlsServerSettings, TlsSettings } from "./Tls.ts"
import type { TlsCredentialsError, TlsError, TlsHandshakeError, TlsVerificationError } from "./TlsError.ts"
import type { OpenError, ProgramExitedError, TransportLostError } from "./TransportError.ts"
import type { NbdUri } from "./uri/UriModel.ts"

/**
 * How the peer's half of a connection came to its end.
 *
 * - `Finished`: the peer ended its half in order (FIN, end of a pipe). Whether that was the right moment is for the
 *   protocol to say. `program` tells how the program behind a command transport exited, where there is one.
 * - `Broken`: the transport failed; nothing more will come.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionEnd =
  | { readonly _tag: "Finished"; readonly program: ProgramExitedError | undefined }
  | { readonly _tag: "Broken"; readonly error: ConnectionFault }

/**
 * Why an open connection broke. Under TLS 1.3 a server judges its client's credentials when the client's handshake is
 * over: an end that comes before anything else is still a `TlsHandshakeError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectionFault = TransportLostError | ProgramExitedError | TlsHandshakeError

/**
 * Puts TLS between a connection and its peer, as a client, and gives the connection to use from then on. The plaintext
 * one is silent and must not be used any more. Plaintext that has arrived and was not delivered yet, or arrives where
 * TLS should, fails the handshake.
 *
 * It has no time limit of its own. The new connection lives in the scope of `open`; after a failure or an interruption
 * nothing is left of either.
 *
 * @since 0.1.0
 * @category models
 */
export type TlsUpgrade = Effect.Effect<Connection, TlsVerificationError | TlsHandshakeError | TransportLostError>

/**
 * What a connection calls. Nothing here may throw, and a connection never calls it from inside `receive`, `resume`,
 * `write`, `endWrites` or `close`: always later, from its own turn.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receiver {
  /**
   * Takes the next bytes, in order. They are borrowed: the connection writes over them as soon as the call returns.
   * All of them count as taken; `false` asks the connection to deliver no more until `resume`.
   */
  readonly onBytes: (bytes: Uint8Array) => boolean
  /**
   * Where the next bytes belong, for a connection that can have them put there at once instead of into memory of its own.
   * It may ask whenever everything before them was delivered, puts there as many as it likes, and calls `onBytes` with
   * just these. From the answer until that call has returned, or until `close`, the memory may be written to. Absent, or
   * `undefined`: nowhere in particular.
   */
  readonly place?: (() => Uint8Array | undefined) | undefined
  /** Called once, after the last byte. */
  readonly onEnd: (end: ConnectionEnd) => void
  /** Called after `write` returned `false`, once there is room again. */
  readonly onDrain: () => void
}

/**
 * One open, ordered, two-way byte channel. Reading and writing never wait for each other: bytes keep arriving while
 * writes are held back, or a server that will not read before its replies are taken would stall both ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  /** The peer in words, for errors and spans, for example `tcp 127.0.0.1:10809`. */
  readonly peer: string
  /**
   * Delivers bytes to `receiver` from now on, in place of an earlier receiver, whose pause it lifts. Nothing is
   * delivered before the first call; what arrived before it, the end included, is kept. An end that one receiver
   * was told of is not told to the next.
   */
  readonly receive: (receiver: Receiver) => void
  /** Asks for bytes again after `onBytes` returned `false`. */
  readonly resume: () => void
  /**
   * Sends the chunks in order, as one write where the transport can. The chunks must stay unchanged until they are
   * sent. `false`: everything was accepted, but do not write more until `onDrain`. After `endWrites`, `close` or the
   * end of the connection the chunks are dropped: the end is reported by `onEnd`.
   */
  readonly write: (chunks: ReadonlyArray<Uint8Array>) => boolean
  /** Ends our half in order, after what was written. */
  readonly endWrites: () => void
  /**
   * Checks the settings and gets ready for TLS. Nothing is sent before what it gives is run, once and between two
   * messages of the protocol: so credentials that cannot be used are found before the server is asked to encrypt.
   * `TlsVerificationError` here means that there is no name to verify. Absent where TLS cannot be done.
   */
  readonly prepareTls?:
    | ((settings: TlsSettings) => Effect.Effect<TlsUpgrade, TlsCredentialsError | TlsVerificationError>)
    | undefined
  /**
   * The other side of it: waits for the peer to begin TLS. What is true of `TlsUpgrade` is true of this. Present on
   * connections that a listener has accepted, where it can be done.
   */
  readonly acceptTls?:
    | ((settings: TlsServerSettings) => Effect.Effect<Connection, TlsError | TransportLostError>)
    | undefined
  /** Drops the connection at once. `onEnd` is not called any more. May be called again, and after the end. */
  readonly close: () => void
}

/**
 * Opens connections to one target, which the `Layer` that provides it has chosen: core never sees an address.
 * Opening again gives another connection.
 *
 * Closing the scope of `open` closes its connection and waits until nothing of it is left: what was written is given
 * a short time to leave, then the socket is destroyed and the child process ended.
 *
 * @since 0.1.0
 * @category tags
 */
export class Transport extends Context.Tag("@effect-nbd/core/Transport")<Transport, {
  /** The target in words, for errors and spans, for example `tcp localhost:10809`. */
  readonly target: string
  /** The export that the target names, where it names one, as a URI does: what a handle enters if its config names none. */
  readonly exportName?: string | undefined
  /** The TLS that the target asks for, as an `nbds` URI does: what a handle uses if its config says nothing of TLS. */
  readonly tls?: TlsSettings | undefined
  /**
   * How long a peer there may take to say its first byte, where that can be told: 5 seconds over TCP, where other services
   * wait for their client to speak. It counts if the handle's config says nothing of time.
   */
  readonly greetingTimeout?: Duration.DurationInput | undefined
  /** The target as a URI, where it can be written as one: what a handle's `uri` begins with. */
  readonly uri?: NbdUri | undefined
  /** How long a handle waits, when its scope ends, for replies under way, if its config does not say. Default: 1 second. */
  readonly closeTimeout?: Duration.DurationInput | undefined
  readonly open: Effect.Effect<Connection, OpenError, Scope.Scope>
}>() {}
