/**
 * What TLS is asked of a connection: whether, with which credentials, and what of the peer is verified.
 *
 * Everything is in memory here: where files come in, the package that knows files reads them first. Secrets are
 * `Redacted`, so that no log and no error shows them.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"

/**
 * Whether a connection is to be encrypted (libnbd: `set_tls`).
 *
 * - `Disable`: not at all.
 * - `Allow`: where the server agrees; otherwise in plaintext. Once the server has agreed there is no way back.
 * - `Require`: or not at all.
 *
 * @since 0.1.0
 * @category models
 */
export type TlsMode = "Disable" | "Allow" | "Require"

/**
 * What is verified of a server's certificate.
 *
 * - `ChainAndName`: it was issued by a known authority, is valid now, and is for the name that was connected to.
 * - `ChainOnly`: for any name.
 * - `AcceptAnyCertificate`: nothing. Anybody in between can read and change everything.
 *
 * @since 0.1.0
 * @category models
 */
export type Verification = "ChainAndName" | "ChainOnly" | "AcceptAnyCertificate"

/**
 * Certificates. Texts are in PEM.
 *
 * @since 0.1.0
 * @category models
 */
export interface X509 {
  readonly _tag: "X509"
  /** Who may have issued the server's certificate. Default: whom the platform trusts, in Node.js its own list. */
  readonly authorities?: ReadonlyArray<string> | undefined
  /** Lists of certificates that do not count any more: current ones, of every authority that a chain may go through. */
  readonly revocations?: ReadonlyArray<string> | undefined
  /** What this client shows of itself to a server that asks: one, or one of each kind of key for the server to choose. */
  readonly identities?: ReadonlyArray<Identity> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  /** The certificate itself first, then those between it and its authority. */
  readonly certificate: string
  readonly key: Redacted.Redacted
  /** Of a key that is encrypted. */
  readonly passphrase?: Redacted.Redacted | undefined
}

/**
 * A secret that both sides have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Psk {
  readonly _tag: "Psk"
  readonly username: string
  readonly key: Redacted.Redacted<Uint8Array>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TlsSettings {
  readonly mode: TlsMode
  /** Default: no identity, and the authorities that the system trusts. */
  readonly credentials?: X509 | Psk | undefined
  /** Default: `ChainAndName`. Pre-shared keys verify both sides and leave nothing else to verify. */
  readonly verification?: Verification | undefined
  /** The name to verify, in place of the host that is connected to. A Unix socket or a command has none of its own. */
  readonly hostname?: string | undefined
  /** Default: from TLS 1.2 to the newest there is. */
  readonly minimumVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  readonly maximumVersion?: "TLSv1.2" | "TLSv1.3" | undefined
}

/**
 * A server's certificates, one of each kind of key at most, and what it asks of its clients. Texts are in PEM.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerX509 {
  readonly _tag: "X509"
  readonly identities: readonly [Identity, ...ReadonlyArray<Identity>]
  /**
   * Whether clients show a certificate: `Ignore` (the default) asks for none; `Request` lets in those that have none,
   * and refuses those whose own does not pass; `Require` refuses both.
   */
  readonly clientCertificates?: "Ignore" | "Request" | "Require" | undefined
  /** Who may have issued a client's certificate. Default: none. */
  readonly authorities?: ReadonlyArray<string> | undefined
  /** Lists of clients' certificates that do not count any more. */
  readonly revocations?: ReadonlyArray<string> | undefined
}

/**
 * The secrets that a server shares with its clients.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerPsk {
  readonly _tag: "Psk"
  /** The key of a user; `undefined` refuses the user. */
  readonly keyOf: (username: string) => Redacted.Redacted<Uint8Array> | undefined
}

/**
 * What a server brings to TLS.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsServerSettings {
  readonly credentials: ServerX509 | ServerPsk
  /** Default: from TLS 1.2 to the newest there is. */
  readonly minimumVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  readonly maximumVersion?: "TLSv1.2" | "TLSv1.3" | undefined
}
