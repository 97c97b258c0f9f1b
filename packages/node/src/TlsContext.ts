/**
 * Credentials checked part by part, and turned into what `node:tls` takes.
 *
 * Node.js itself passes over authorities that it cannot read, and names neither the part nor the file of what else is
 * wrong. No error here shows more of a secret than that it does not fit.
 *
 * @since 0.1.0
 * @internal
 */
import type { Identity, Psk, ServerPsk, ServerX509, X509 } from "@effect-nbd/core/Tls"
import { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as crypto from "node:crypto"
import * as tls from "node:tls"
import { codeOf } from "./StreamConnection.ts"

/**
 * What came of a check: nothing, or the error.
 *
 * @since 0.1.0
 * @category models
 */
export type Checked = Either.Either<void, TlsCredentialsError>

type Part = TlsCredentialsError["part"]

const unusable = (part: Part, file: string | undefined, reason: string) =>
  Either.left(new TlsCredentialsError({ part, file, reason }))

const attempt = <A>(part: Part, file: string | undefined, run: () => A): Either.Either<A, TlsCredentialsError> =>
  Either.try({ try: run, catch: (error) => new TlsCredentialsError({ part, file, reason: codeOf(error) }) })

const begin = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/g
const whole = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]+-----END \1-----/g

/** The certificates of a text, all of them in order. */
const certificatesOf = (
  part: "Authorities" | "Certificate",
  pem: string,
  file: string | undefined
): Either.Either<ReadonlyArray<crypto.X509Certificate>, TlsCredentialsError> => {
  const found = pem.match(whole) ?? []
  if (found.length === 0) return unusable(part, file, "there is no certificate in PEM in it")
  if (found.length !== pem.match(begin)?.length) return unusable(part, file, "a certificate in it is cut short")
  return attempt(part, file, () => found.map((one) => new crypto.X509Certificate(one)))
}

/**
 * Whether every certificate of a text can be read, and there is one.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkAuthorities = (pem: string, file?: string): Checked =>
  Either.map(certificatesOf("Authorities", pem, file), () => undefined)

/**
 * Whether a list of revocations can be read.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkRevocations = (pem: string, file?: string): Checked =>
  Either.map(
    attempt("Revocations", file, () => tls.createSecureContext({ ca: [], crl: pem })),
    () => undefined
  )

/**
 * Whether the certificates can be read, and the key can and is the first one's.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkIdentity = (
  identity: Identity,
  files: { readonly certificate?: string | undefined; readonly key?: string | undefined } = {}
): Checked =>
  Either.flatMap(
    certificatesOf("Certificate", identity.certificate, files.certificate),
    ([own]) =>
      Either.flatMap(privateKeyOf(identity, files.key), (key) =>
        own === undefined || own.checkPrivateKey(key)
          ? Either.right(undefined)
          : unusable("Key", files.key, "it is not the key of the certificate"))
  )

const privateKeyOf = (
  { key, passphrase }: Identity,
  file: string | undefined
): Either.Either<crypto.KeyObject, TlsCredentialsError> => {
  const pem = Redacted.value(key)
  const isEncrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)
  if (isEncrypted && passphrase === undefined) {
    return unusable("Passphrase", file, "the key is encrypted, and there is none")
  }
  return attempt(isEncrypted ? "Passphrase" : "Key", file, () =>
    crypto.createPrivateKey(
      passphrase === undefined ? { key: pem } : { key: pem, passphrase: Redacted.value(passphrase) }
    ))
}

/** The most that OpenSSL takes, in bytes. */
const longest = { username: 256, key: 512 } as const

/**
 * Whether a user and a key of that form can be sent at all.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkPsk = ({ key, username }: Psk, file?: string): Checked => {
  const length = Buffer.byteLength(username)
  if (length === 0 || length > longest.username || username.includes("\0")) {
    return unusable("Psk", file, `a user's name has from 1 to ${longest.username} bytes, none of them NUL`)
  }
  const { byteLength } = Redacted.value(key)
  return byteLength === 0 || byteLength > longest.key
    ? unusable("Psk", file, `a key has from 1 to ${longest.key} bytes`)
    : Either.right(undefined)
}

/**
 * Under TLS 1.3 a pre-shared key that says nothing else is used with SHA-256. Under TLS 1.2 these come first that keep
 * what was said secret even when the key becomes known.
 *
 * @since 0.1.0
 * @category constants
 */
export const pskCiphers = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_CHACHA20_POLY1305_SHA256",
  "DHE-PSK-AES256-GCM-SHA384",
  "DHE-PSK-AES128-GCM-SHA256",
  "ECDHE-PSK-CHACHA20-POLY1305",
  "DHE-PSK-CHACHA20-POLY1305",
  "ECDHE-PSK-AES256-CBC-SHA384",
  "ECDHE-PSK-AES128-CBC-SHA256",
  "PSK-AES256-GCM-SHA384",
  "PSK-AES128-GCM-SHA256"
].join(":")

/**
 * What both sides say about versions: at least TLS 1.2, also where Node.js was started with an older one (C-080 to C-082).
 *
 * @since 0.1.0
 * @category constructors
 */
export const versionsOf = (
  { maximumVersion, minimumVersion }: {
    readonly minimumVersion?: tls.SecureVersion | undefined
    readonly maximumVersion?: tls.SecureVersion | undefined
  }
) => ({
  minVersion: minimumVersion ?? "TLSv1.2",
  ...(maximumVersion === undefined ? {} : { maxVersion: maximumVersion })
})

const identityOptions = (
  identities: ReadonlyArray<Identity>
): Either.Either<tls.SecureContextOptions, TlsCredentialsError> =>
  Either.gen(function*() {
    for (const identity of identities) yield* checkIdentity(identity)
    return {
      cert: identities.map(({ certificate }) => certificate),
      key: identities.map(({ key, passphrase }) => ({
        pem: Redacted.value(key),
        ...(passphrase === undefined ? {} : { passphrase: Redacted.value(passphrase) })
      }))
    }
  })

const trustOptions = (
  { authorities, revocations }: Pick<X509, "authorities" | "revocations">
): Either.Either<tls.SecureContextOptions, TlsCredentialsError> =>
  Either.gen(function*() {
    if (authorities?.length === 0) return yield* unusable("Authorities", undefined, "there are none in the list")
    for (const authority of authorities ?? []) yield* checkAuthorities(authority)
    for (const revocation of revocations ?? []) yield* checkRevocations(revocation)
    return {
      ...(authorities === undefined ? {} : { ca: [...authorities] }),
      ...(revocations === undefined || revocations.length === 0 ? {} : { crl: [...revocations] })
    }
  })

/**
 * A client's credentials for `createSecureContext`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientOptions = (
  credentials: X509 | Psk
): Either.Either<tls.SecureContextOptions, TlsCredentialsError> =>
  credentials._tag === "Psk"
    // No authority: a certificate that comes in place of the key is trusted by no one.
    ? Either.map(checkPsk(credentials), () => ({ ca: [], ciphers: pskCiphers }))
    : Either.zipWith(
      trustOptions(credentials),
      identityOptions(credentials.identities ?? []),
      (trust, identity) => ({ ...trust, ...identity })
    )

/**
 * A server's credentials for `createServer`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverOptions = (
  credentials: ServerX509 | ServerPsk
): Either.Either<tls.SecureContextOptions, TlsCredentialsError> => {
  if (credentials._tag === "Psk") return Either.right({ ciphers: pskCiphers })
  const { authorities, clientCertificates = "Ignore", identities } = credentials
  if (clientCertificates !== "Ignore" && authorities === undefined) {
    return unusable("Authorities", undefined, "there is nobody to have issued clients' certificates")
  }
  return Either.zipWith(trustOptions(credentials), identityOptions(identities), (trust, identity) => ({
    ...trust,
    ...identity
  }))
}

/**
 * The context, once more checked as a whole.
 *
 * @since 0.1.0
 * @category constructors
 */
export const contextOf = (
  options: tls.SecureContextOptions
): Either.Either<tls.SecureContext, TlsCredentialsError> =>
  attempt("Certificate", undefined, () => tls.createSecureContext(options))
