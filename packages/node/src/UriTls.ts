/**
 * What an NBD URI says of TLS, with its credentials read.
 *
 * @since 0.1.0
 * @internal
 */
import type { NbdUri } from "@effect-nbd/core/NbdUri"
import type { Psk, TlsSettings, X509 } from "@effect-nbd/core/Tls"
import { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as TlsCredentials from "./TlsCredentials.ts"

/**
 * The settings of a URI that asks for TLS: `nbds` requires it, and `nbd` with a parameter for it takes it where the
 * server agrees, since the parameter means nothing without. `undefined` leaves it to the handle. It has been checked
 * against a policy before: files that it names are read.
 *
 * `given` are the credentials where the URI names no files of them; without those, it is libnbd's default directory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const settingsOf = (
  uri: NbdUri,
  given: X509 | Psk | undefined
): Effect.Effect<TlsSettings | undefined, TlsCredentialsError> => {
  const { tls, transport } = uri
  if (!tls.required && tls.credentials === undefined && tls.hostname === undefined && tls.verifyPeer) {
    return Effect.succeed(undefined)
  }
  // What is reached through ssh is meant by the name that ssh was given.
  const hostname = tls.hostname ?? (transport._tag === "Ssh" ? transport.host : undefined)
  return Effect.map(credentialsOf(uri, given), (credentials) => ({
    mode: tls.required ? "Require" : "Allow",
    credentials,
    hostname,
    verification: tls.verifyPeer ? "ChainAndName" : "AcceptAnyCertificate"
  }))
}

const credentialsOf = (
  { tls: { credentials, username } }: NbdUri,
  given: X509 | Psk | undefined
): Effect.Effect<X509 | Psk, TlsCredentialsError> => {
  if (credentials?._tag === "X509" && credentials.directory !== undefined) {
    return TlsCredentials.fromDirectory(credentials.directory)
  }
  if (credentials?._tag === "Psk" && credentials.file !== undefined) {
    return TlsCredentials.pskFromFile({ file: credentials.file, username })
  }
  const wanted = credentials?._tag ?? given?._tag ?? "X509"
  if (wanted === "X509") return given?._tag === "X509" ? Effect.succeed(given) : TlsCredentials.fromDefaultDirectory
  if (given?._tag !== "Psk") return unusable("the URI asks for one, and there is no file of them")
  return username === undefined || username === given.username
    ? Effect.succeed(given)
    : unusable(`it is the key of ${JSON.stringify(given.username)}, and the URI is for ${JSON.stringify(username)}`)
}

const unusable = (reason: string) => Effect.fail(new TlsCredentialsError({ part: "Psk", file: undefined, reason }))
