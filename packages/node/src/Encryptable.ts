/**
 * A connection over Node streams that TLS can be put under, in place: as a client, or as the server.
 *
 * What holds the connection keeps one object for it, in plaintext and under TLS.
 *
 * @since 0.1.0
 * @internal
 */
import { TlsHandshakeError } from "@effect-nbd/core/TlsError"
import type { Connection, TlsUpgrade } from "@effect-nbd/core/Transport"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import { Duplex, type Readable, type Writable } from "node:stream"
import type { TLSSocket } from "node:tls"
import type * as StreamConnection from "./StreamConnection.ts"
import * as TlsClient from "./TlsClient.ts"
import * as TlsConnection from "./TlsConnection.ts"
import * as TlsServer from "./TlsServer.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends StreamConnection.Options {
  /** The host that is connected to, by name or address, for its certificate. A Unix socket or a program has none. */
  readonly hostname?: string | undefined
}

/**
 * The connection with TLS to be had on it, of both kinds: which of the two it is, its owner knows.
 *
 * @since 0.1.0
 * @category constructors
 */
export const encryptable = (plain: StreamConnection.Attached, options: Options): StreamConnection.Attached => {
  const { explain, hostname, onEndWrites, peer, readable, writable } = options
  let current = plain

  /** Takes the streams away from the plaintext connection, in one step with the beginning of the handshake. */
  const over = <E>(handshake: (stream: Duplex) => Effect.Effect<TLSSocket, E>, role: "Client" | "Server") =>
    Effect.suspend((): Effect.Effect<Connection, E | TransportLostError | TlsHandshakeError> => {
      const hindrance = plain.surrender()
      if (hindrance !== undefined) {
        plain.connection.close()
        return Effect.fail(
          hindrance === "Ended"
            ? new TransportLostError({ peer, code: "ERR_STREAM_PREMATURE_CLOSE" })
            : new TlsHandshakeError({ peer, code: "ERR_PLAINTEXT_BEFORE_TLS", by: role })
        )
      }
      return Effect.map(handshake(asDuplex(readable, writable)), (socket) => {
        const onClose = (): void => plain.connection.close()
        current = TlsConnection.attach(socket, role, { peer, explain, onEndWrites, onClose })
        return current.connection
      })
    })

  return {
    ...plain,
    connection: {
      ...plain.connection,
      // The code that made the connection knows it by this object alone, and has it end under TLS too.
      endWrites: () => current.connection.endWrites(),
      prepareTls: (settings) =>
        Effect.map(
          TlsClient.prepare(settings, { peer, hostname }),
          (prepared): TlsUpgrade => over((stream) => TlsClient.handshake(prepared, stream), "Client")
        ),
      acceptTls: (settings) => over((stream) => TlsServer.handshake(settings, stream, peer), "Server")
    },
    writable: () => current.writable(),
    writesLost: (error) => current.writesLost(error),
    abandon: () => current.abandon()
  }
}

/** TLS wants one stream: where there are two, they are joined. */
const asDuplex = (readable: Readable, writable: Writable): Duplex =>
  readable instanceof Duplex && Object.is(readable, writable) ? readable : Duplex.from({ readable, writable })
