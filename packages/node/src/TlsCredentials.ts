/**
 * Credentials for TLS from files: certificates one by one or from a directory in libnbd's layout, and pre-shared keys
 * from a file of psktool's.
 *
 * Everything is checked when it is read, so that what is wrong fails here, by its file. What cannot be read is an error,
 * and never a reason to trust somebody else instead. Keys and passphrases are `Redacted` from the start.
 *
 * @since 0.1.0
 */
import type { Identity, Psk, ServerPsk, ServerX509, X509 } from "@effect-nbd/core/Tls"
import { TlsCredentialsError } from "@effect-nbd/core/TlsError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as os from "node:os"
import * as path from "node:path"
import * as PskFile from "./PskFile.ts"
import * as TextFile from "./TextFile.ts"
import * as TlsContext from "./TlsContext.ts"

/**
 * Paths of files in PEM.
 *
 * @since 0.1.0
 * @category models
 */
export interface Files {
  /** Who may have issued the peer's certificate. Default: whom Node.js trusts. */
  readonly authorities?: string | undefined
  /** The own certificate, then those between it and its authority. It needs a key. Default: none. */
  readonly certificate?: string | undefined
  /** The key of the certificate. */
  readonly key?: string | undefined
  /** Of a key that is encrypted. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** Certificates that do not count any more. Default: none. */
  readonly revocations?: string | undefined
}

/**
 * Reads certificates one by one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFiles = (files: Files): Effect.Effect<X509, TlsCredentialsError> =>
  Effect.gen(function*() {
    const authorities = yield* optional(files.authorities, authoritiesFrom)
    const revocations = yield* optional(files.revocations, revocationsFrom)
    const identity = yield* identityFrom(files)
    return {
      _tag: "X509",
      authorities,
      revocations,
      identities: identity === undefined ? undefined : [identity]
    }
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface DirectoryOptions {
  /** Of the keys in it that are encrypted. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * Reads a directory in libnbd's layout: `ca-cert.pem`, which has to be there; `client-cert.pem` and `client-key.pem`,
 * both or neither; `ca-crl.pem`; and, for servers that want another kind of key, `client-cert-0.pem` and
 * `client-key-0.pem` and so on, without a gap.
 *
 * libnbd trusts the system's authorities where `ca-cert.pem` cannot be read. Here it is an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDirectory = (
  directory: string,
  options: DirectoryOptions = {}
): Effect.Effect<X509, TlsCredentialsError> => layout(directory, "client", options)

/**
 * Reads the first directory that has a `ca-cert.pem` which can be read; where there is none, whom the system trusts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFirstDirectory = (
  directories: ReadonlyArray<string>,
  options: DirectoryOptions = {}
): Effect.Effect<X509, TlsCredentialsError> =>
  Effect.gen(function*() {
    for (const directory of directories) {
      if (yield* TextFile.isReadable(path.join(directory, caFile))) return yield* fromDirectory(directory, options)
    }
    return { _tag: "X509", authorities: yield* systemAuthorities }
  })

/**
 * Reads the directory that libnbd reads when it is told of none: `/etc/pki/libnbd` for root, `~/.pki/libnbd` or
 * `~/.config/pki/libnbd` for others; where there is none, whom the system trusts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDefaultDirectory: Effect.Effect<X509, TlsCredentialsError> = Effect.suspend(() =>
  fromFirstDirectory(
    process.geteuid?.() === 0
      ? ["/etc/pki/libnbd"]
      : [path.join(os.homedir(), ".pki/libnbd"), path.join(os.homedir(), ".config/pki/libnbd")]
  )
)

/**
 * Whom the system trusts, from the file that SSL_CERT_FILE names, or from where Linux distributions and BSDs have it.
 * `undefined` where there is no such file: then it is whom Node.js trusts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const systemAuthorities: Effect.Effect<ReadonlyArray<string> | undefined, TlsCredentialsError> = Effect.gen(
  function*() {
    const named = process.env["SSL_CERT_FILE"]
    if (named !== undefined && named !== "") return yield* authoritiesFrom(named)
    for (const bundle of bundles) {
      if (yield* TextFile.isReadable(bundle)) return yield* authoritiesFrom(bundle)
    }
    return undefined
  }
)

const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt"
]

/**
 * Reads the key of a user from a file of lines `user:key`, the key in hexadecimal, as psktool writes them. Default of
 * the user: $LOGNAME, or else the name that the system has for this process's user.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pskFromFile = (
  { file, username }: { readonly file: string; readonly username?: string | undefined }
): Effect.Effect<Psk, TlsCredentialsError> =>
  Effect.gen(function*() {
    const user = username ?? (yield* loginName)
    const keys = yield* PskFile.read(file)
    const key = keys.get(user)
    if (key === undefined) return yield* unusable("Psk", file, `user ${JSON.stringify(user)} is not in it`)
    const psk: Psk = { _tag: "Psk", username: user, key }
    yield* TlsContext.checkPsk(psk, file)
    return psk
  })

/**
 * Reads a server's certificate and whom it takes clients' certificates from, from a directory with `server-cert.pem`,
 * `server-key.pem`, `ca-cert.pem` and, if there is one, `ca-crl.pem`: the layout of nbdkit and qemu-nbd.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverFromDirectory = (
  directory: string,
  options: DirectoryOptions & { readonly clientCertificates?: ServerX509["clientCertificates"] } = {}
): Effect.Effect<ServerX509, TlsCredentialsError> =>
  Effect.gen(function*() {
    const { authorities, identities, revocations } = yield* layout(directory, "server", options)
    const [first, ...others] = identities ?? []
    if (first === undefined) {
      return yield* unusable("Certificate", path.join(directory, "server-cert.pem"), "ENOENT")
    }
    const { clientCertificates } = options
    return { _tag: "X509", identities: [first, ...others], clientCertificates, authorities, revocations }
  })

/**
 * Reads the keys of all users of a file, for a server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverPskFromFile = (file: string): Effect.Effect<ServerPsk, TlsCredentialsError> =>
  Effect.map(PskFile.read(file), (keys) => ({ _tag: "Psk", keyOf: (username) => keys.get(username) }))

const caFile = "ca-cert.pem"

const layout = (
  directory: string,
  role: "client" | "server",
  { passphrase }: DirectoryOptions
): Effect.Effect<X509, TlsCredentialsError> =>
  Effect.gen(function*() {
    const names = yield* TextFile.namesIn(directory)
    const within = (name: string) => path.join(directory, name)
    const ifThere = (name: string) => names.has(name) ? within(name) : undefined
    const authorities = yield* authoritiesFrom(within(caFile))
    const revocations = yield* optional(ifThere("ca-crl.pem"), revocationsFrom)
    const identities: Array<Identity> = []
    const add = (suffix: string) =>
      Effect.map(
        identityFrom({
          certificate: ifThere(`${role}-cert${suffix}.pem`),
          key: ifThere(`${role}-key${suffix}.pem`),
          passphrase
        }, (part) => within(`${role}-${part}${suffix}.pem`)),
        (identity) => identity !== undefined && identities.push(identity) > 0
      )
    yield* add("")
    for (let number = 0; yield* add(`-${number}`);) number++
    return { _tag: "X509", authorities, revocations, identities: identities.length === 0 ? undefined : identities }
  })

const optional = <A>(
  file: string | undefined,
  read: (file: string) => Effect.Effect<A, TlsCredentialsError>
): Effect.Effect<A | undefined, TlsCredentialsError> => file === undefined ? Effect.succeed(undefined) : read(file)

const authoritiesFrom = (file: string): Effect.Effect<ReadonlyArray<string>, TlsCredentialsError> =>
  Effect.tap(TextFile.read("Authorities", file), (pem) => TlsContext.checkAuthorities(pem, file)).pipe(
    Effect.map((pem) => [pem])
  )

const revocationsFrom = (file: string): Effect.Effect<ReadonlyArray<string>, TlsCredentialsError> =>
  Effect.tap(TextFile.read("Revocations", file), (pem) => TlsContext.checkRevocations(pem, file)).pipe(
    Effect.map((pem) => [pem])
  )

/** Both files or neither. `expected` names the one that is not there. */
const identityFrom = (
  { certificate, key, passphrase }: Pick<Files, "certificate" | "key" | "passphrase">,
  expected: (part: "cert" | "key") => string | undefined = () => undefined
): Effect.Effect<Identity | undefined, TlsCredentialsError> =>
  Effect.gen(function*() {
    if (certificate === undefined) {
      return key === undefined
        ? undefined
        : yield* unusable("Certificate", expected("cert"), `there is a key without one, ${key}`)
    }
    if (key === undefined) return yield* unusable("Key", expected("key"), `there is none for ${certificate}`)
    const identity: Identity = {
      certificate: yield* TextFile.read("Certificate", certificate),
      key: Redacted.make(yield* TextFile.read("Key", key)),
      passphrase
    }
    yield* TlsContext.checkIdentity(identity, { certificate, key })
    return identity
  })

const loginName: Effect.Effect<string, TlsCredentialsError> = Effect.suspend(() => {
  const named = process.env["LOGNAME"]
  if (named !== undefined && named !== "") return Effect.succeed(named)
  return Effect.try({
    try: () => os.userInfo().username,
    catch: () => new TlsCredentialsError({ part: "Psk", file: undefined, reason: "this user has no name" })
  })
})

const unusable = (part: TlsCredentialsError["part"], file: string | undefined, reason: string) =>
  Effect.fail(new TlsCredentialsError({ part, file, reason }))
