/**
 * The server's side of TLS on a stream that is open already.
 *
 * @since 0.1.0
 * @internal
 */
import type { TlsServerSettings } from "@effect-nbd/core/Tls"
import type { TlsError } from "@effect-nbd/core/TlsError"
import { TlsVerificationError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { Duplex } from "node:stream"
import * as tls from "node:tls"
import * as TlsContext from "./TlsContext.ts"
import * as TlsFault from "./TlsFault.ts"

/**
 * Waits for the client at the other end of the stream to complete the TLS handshake. After a failure or an interruption the stream is
 * destroyed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const handshake = (
  settings: TlsServerSettings,
  stream: Duplex,
  peer: string
): Effect.Effect<tls.TLSSocket, TlsError> => {
  const { credentials } = settings
  const asked = credentials._tag === "X509" ? credentials.clientCertificates ?? "Ignore" : "Ignore"
  const begin = (context: tls.SecureContextOptions) =>
    Effect.async<tls.TLSSocket, TlsError>((resume) => {
      const server = tls.createServer({
        ...context,
        ...TlsContext.versionsOf(settings),
        requestCert: asked !== "Ignore",
        rejectUnauthorized: asked === "Require",
        // The time limit is whose who waits.
        handshakeTimeout: 0,
        ...(credentials._tag === "X509" ? {} : {
          pskCallback: (_: tls.TLSSocket, identity: string) => {
            const key = credentials.keyOf(identity)
            return key === undefined ? null : Redacted.value(key)
          }
        })
      })
      const fail = (error: TlsError): void => {
        stream.destroy()
        resume(Effect.fail(error))
      }
      server.on("tlsClientError", (error, socket) => {
        socket.on("error", () => {})
        fail(verdict(peer, socket) ?? TlsFault.handshakeError(peer, "Server", error))
      })
      server.once("secureConnection", (socket) => {
        socket.on("error", () => {})
        socket.allowHalfOpen = true
        const refused = asked === "Request" && isShown(socket) ? verdict(peer, socket) : undefined
        if (refused !== undefined) return fail(refused)
        resume(Effect.succeed(socket))
      })
      // A client that leaves in the middle is noticed only by a socket that is not half open then.
      stream.allowHalfOpen = false
      server.emit("connection", stream)
      return Effect.sync(() => stream.destroy())
    })
  return Effect.suspend(() =>
    Either.match(TlsContext.serverOptions(credentials), {
      onLeft: Effect.fail,
      onRight: begin
    })
  )
}

const isShown = (socket: tls.TLSSocket): boolean => Object.keys(socket.getPeerCertificate()).length > 0

const verdict = (peer: string, socket: tls.TLSSocket): TlsVerificationError | undefined => {
  const code: unknown = socket.authorizationError
  return typeof code === "string"
    ? new TlsVerificationError({ peer, check: TlsFault.checkOf(code), hostname: undefined, code })
    : undefined
}
