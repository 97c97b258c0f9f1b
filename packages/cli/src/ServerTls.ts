/**
 * The TLS of `effect-nbd serve`: from what is said on the command line to what the server goes by.
 *
 * @since 0.1.0
 */
import type { TlsError } from "@effect-nbd/core/TlsError"
import * as TlsCredentials from "@effect-nbd/node/TlsCredentials"
import type { TlsRules } from "@effect-nbd/server/NbdServer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { UsageError } from "./Failure.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Wanted {
  readonly tls: Option.Option<"off" | "allow" | "require">
  /** A directory. */
  readonly tlsCertificates: Option.Option<string>
  /** A file of keys. */
  readonly tlsPsk: Option.Option<string>
  /** Clients show a certificate. */
  readonly tlsVerifyPeer: boolean
}

/**
 * Reads the credentials. `undefined`: no TLS.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rulesOf = (wanted: Wanted): Effect.Effect<TlsRules | undefined, UsageError | TlsError> =>
  Effect.gen(function*() {
    const hasCredentials = Option.isSome(wanted.tlsCertificates) || Option.isSome(wanted.tlsPsk)
    const tls = Option.getOrElse(wanted.tls, () => hasCredentials ? "require" : "off")
    if (Option.isSome(wanted.tlsCertificates) && Option.isSome(wanted.tlsPsk)) {
      return yield* new UsageError({ reason: "there can be only one of --tls-certificates and --tls-psk" })
    }
    if (wanted.tlsVerifyPeer && Option.isNone(wanted.tlsCertificates)) {
      return yield* new UsageError({ reason: "--tls-verify-peer needs --tls-certificates" })
    }
    for (
      const [name, path] of [["--tls-certificates", wanted.tlsCertificates], ["--tls-psk", wanted.tlsPsk]] as const
    ) {
      if (Option.contains(path, "")) return yield* new UsageError({ reason: `${name} is empty` })
    }
    if (tls === "off") return undefined
    if (!hasCredentials) {
      return yield* new UsageError({ reason: `--tls ${tls} needs --tls-certificates or --tls-psk` })
    }
    const credentials = yield* Option.match(wanted.tlsCertificates, {
      onSome: (directory) =>
        TlsCredentials.serverFromDirectory(directory, {
          clientCertificates: wanted.tlsVerifyPeer ? "Require" : "Ignore"
        }),
      onNone: () => TlsCredentials.serverPskFromFile(Option.getOrElse(wanted.tlsPsk, () => ""))
    })
    return { mode: tls === "require" ? "Require" : "Allow", settings: { credentials } }
  })
