/**
 * Why a connection could not be encrypted, or not with the peer that was meant. Each of these ends the connection.
 *
 * @since 0.1.0
 */
import { TaggedError } from "./errors/TaggedError.ts"

/**
 * TLS was required and is not to be had: nothing that matters was sent in plaintext.
 *
 * - `Refused`: the server refused NBD_OPT_STARTTLS.
 * - `Oldstyle`, `NotFixed`: the server speaks a handshake in which it cannot be asked.
 * - `Transport`: the transport cannot encrypt.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsUnavailableError extends TaggedError("NbdTlsUnavailableError")<{
  readonly peer: string
  readonly why: "Refused" | "Oldstyle" | "NotFixed" | "Transport"
  /** The server's text, safe to print; empty where it gave none. */
  readonly serverMessage: string
}> {
  override get message(): string {
    const said = this.serverMessage === "" ? "" : `; the server says: ${this.serverMessage}`
    return `TLS is required and ${this.peer} ${reasons[this.why]}${said}`
  }
}

const reasons = {
  Refused: "refused it",
  Oldstyle: "speaks oldstyle, which has none",
  NotFixed: "speaks newstyle without options, which has none",
  Transport: "is reached by a transport that cannot encrypt"
} as const

/**
 * The peer is not shown to be the one that was meant.
 *
 * - `Authority`: no trusted authority has issued its certificate.
 * - `Name`: it is for another name than `hostname`, or there was no name to verify.
 * - `Date`: it is not valid yet, or not any more.
 * - `Revoked`: its authority has withdrawn it, or no current list says that it has not.
 * - `Usage`: it is not a certificate for a server, or its signature or key is not acceptable.
 * - `Key`: the two sides do not have the same pre-shared key, or not for the same user.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsVerificationError extends TaggedError("NbdTlsVerificationError")<{
  readonly peer: string
  readonly check: "Authority" | "Name" | "Date" | "Revoked" | "Usage" | "Key"
  /** The name that was verified, where there was one. */
  readonly hostname: string | undefined
  /** The TLS library's code, for example `CERT_HAS_EXPIRED`. */
  readonly code: string
}> {
  override get message(): string {
    const name = this.hostname === undefined ? "no name was given to check it for" : `it is not for ${this.hostname}`
    switch (this.check) {
      case "Authority":
        return `the certificate of ${this.peer} was not issued by a trusted authority (${this.code})`
      case "Name":
        return `the certificate of ${this.peer} did not pass the check of its name: ${name} (${this.code})`
      case "Date":
        return `the certificate of ${this.peer} did not pass the check of its date (${this.code})`
      case "Revoked":
        return `the certificate of ${this.peer} did not pass the check for revocation (${this.code})`
      case "Usage":
        return `the certificate of ${this.peer} is not fit for a server (${this.code})`
      case "Key":
        return `${this.peer} did not show that it has the same pre-shared key (${this.code})`
    }
  }
}

/**
 * The TLS handshake failed for another reason than the server's certificate: the peer refused ours, or our key, or
 * the two have no version or cipher in common.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsHandshakeError extends TaggedError("NbdTlsHandshakeError")<{
  readonly peer: string
  /** The TLS library's code, for example `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`. */
  readonly code: string
  /** Who gave up: the server, by an alert, or this side. */
  readonly by: "Server" | "Client"
  readonly cause?: unknown
}> {
  override get message(): string {
    const failed = `the TLS handshake with ${this.peer} failed, ended by the ${this.by.toLowerCase()} (${this.code})`
    return this.by === "Server" && !this.code.includes("ALERT")
      ? `${failed}, which gave no reason: it may want other credentials, or any`
      : failed
  }
}

/**
 * TLS is up on this connection, and there is no second NBD_OPT_STARTTLS (C-068). Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsAlreadyStartedError extends TaggedError("NbdTlsAlreadyStartedError")<{
  readonly peer: string
}> {
  override get message(): string {
    return `the connection to ${this.peer} is encrypted already`
  }
}

/**
 * Own credentials cannot be used. Nothing was sent. It never shows a secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsCredentialsError extends TaggedError("NbdTlsCredentialsError")<{
  readonly part: "Authorities" | "Certificate" | "Key" | "Passphrase" | "Revocations" | "Psk" | "Directory"
  /** The file it was to come from, where it was one. */
  readonly file: string | undefined
  /** For example `ENOENT`, or what is wrong with it in words. */
  readonly reason: string
}> {
  override get message(): string {
    const from = this.file === undefined ? "" : ` in ${this.file}`
    return `cannot use the TLS ${parts[this.part]}${from}: ${this.reason}`
  }
}

const parts = {
  Authorities: "authorities",
  Certificate: "certificate",
  Key: "key",
  Passphrase: "key's passphrase",
  Revocations: "revocation list",
  Psk: "pre-shared key",
  Directory: "credentials directory"
} as const

/**
 * Every way in which the upgrade of a connection fails.
 *
 * @since 0.1.0
 * @category errors
 */
export type TlsError = TlsVerificationError | TlsHandshakeError | TlsCredentialsError
