/**
 * The client's side of TLS on a stream that is open already.
 *
 * @since 0.1.0
 * @internal
 */
import type { TlsSettings, X509 } from "@effect-nbd/core/Tls"
import { type TlsCredentialsError, type TlsHandshakeError, TlsVerificationError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as net from "node:net"
import type { Duplex } from "node:stream"
import * as tls from "node:tls"
import * as TlsContext from "./TlsContext.ts"
import * as TlsFault from "./TlsFault.ts"

/**
 * Whom the stream leads to: in words for errors, and by the host's name or address where it has one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly peer: string
  readonly hostname: string | undefined
}

/**
 * TLS that is ready to begin.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prepared {
  readonly options: tls.ConnectionOptions
  readonly target: Target
  /** What a failure of the handshake is. */
  readonly fault: (socket: tls.TLSSocket, error: unknown) => TlsVerificationError | TlsHandshakeError
}

const noCredentials: X509 = { _tag: "X509" }

/**
 * Checks the settings. `TlsVerificationError`: there is no name to verify, and the settings say neither which it is nor
 * that it does not matter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prepare = (
  settings: TlsSettings,
  { hostname: host, peer }: Target
): Effect.Effect<Prepared, TlsCredentialsError | TlsVerificationError> =>
  Effect.suspend(() =>
    Either.gen(function*() {
      const { credentials = noCredentials, verification = "ChainAndName" } = settings
      const hostname = bareName(settings.hostname ?? host ?? "")
      const target = { peer, hostname: hostname === "" ? undefined : hostname }
      const context = yield* TlsContext.clientOptions(credentials)
      const secureContext = yield* TlsContext.contextOf({ ...context, ...TlsContext.versionsOf(settings) })
      const common: tls.ConnectionOptions = {
        secureContext,
        minDHSize: 2048,
        // A name that is an address is no server name (RFC 6066).
        ...(hostname === "" || net.isIP(hostname) !== 0 ? {} : { servername: hostname })
      }
      if (credentials._tag === "Psk") {
        const { key, username: identity } = credentials
        return {
          target,
          fault: (_, error) => TlsFault.pskError(peer, error),
          options: {
            ...common,
            rejectUnauthorized: true,
            pskCallback: () => ({ identity, psk: Redacted.value(key) }),
            // One whom the system trusts could show a certificate in place of the key.
            checkServerIdentity: (_, certificate) => Object.keys(certificate).length === 0 ? undefined : instead()
          }
        }
      }
      if (verification === "ChainAndName" && hostname === "") {
        return yield* Either.left(
          new TlsVerificationError({ peer, check: "Name", hostname: undefined, code: "ERR_NO_HOSTNAME" })
        )
      }
      const fault: Prepared["fault"] = (socket, error) => {
        const code: unknown = socket.authorizationError
        return verification !== "AcceptAnyCertificate" && typeof code === "string"
          ? new TlsVerificationError({ peer, check: TlsFault.checkOf(code), hostname: target.hostname, code })
          : TlsFault.handshakeError(peer, "Client", error)
      }
      return {
        target,
        fault,
        options: {
          ...common,
          // Said here, or the environment of the process could switch it off.
          rejectUnauthorized: verification !== "AcceptAnyCertificate",
          checkServerIdentity: (_, certificate) =>
            verification === "ChainAndName" ? tls.checkServerIdentity(hostname, certificate) : undefined
        }
      }
    })
  )

const instead = () => Object.assign(new Error("a certificate in place of the key"), { code: "CERT_UNTRUSTED" })

/** Without the brackets and the zone of an IPv6 address, and without the last dot of a name. */
const bareName = (name: string): string => {
  const bare = /^\[(.*)\]$/.exec(name)?.[1] ?? name
  return net.isIP(bare) === 0 ? bare.replace(/\.$/, "") : bare.replace(/%.*$/, "")
}

/**
 * Shakes hands over the stream. After a failure or an interruption the stream is destroyed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const handshake = (
  { fault, options }: Prepared,
  stream: Duplex
): Effect.Effect<tls.TLSSocket, TlsVerificationError | TlsHandshakeError> =>
  Effect.async((resume) => {
    const socket = tls.connect({ ...options, socket: stream })
    const give = (): void => {
      socket.destroy()
      stream.destroy()
    }
    const settle = (): void => {
      socket.off("secureConnect", onSecure)
      socket.off("error", onError)
      socket.off("close", onClose)
    }
    const fail = (error: unknown): void => {
      settle()
      give()
      resume(Effect.fail(fault(socket, error)))
    }
    const onSecure = (): void => {
      settle()
      resume(Effect.succeed(socket))
    }
    const onError = (error: unknown): void => fail(error)
    const onClose = (): void => fail(Object.assign(new Error("closed"), { code: "ERR_STREAM_PREMATURE_CLOSE" }))
    socket.on("error", () => {})
    socket.once("secureConnect", onSecure)
    socket.once("error", onError)
    socket.once("close", onClose)
    return Effect.sync(() => {
      settle()
      give()
    })
  })
