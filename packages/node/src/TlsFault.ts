/**
 * What the codes of Node.js and OpenSSL mean: which check a certificate did not pass, and who ended a handshake.
 *
 * @since 0.1.0
 * @internal
 */
import { TlsHandshakeError, TlsVerificationError } from "@effect-nbd/core/TlsError"
import { codeOf } from "./StreamConnection.ts"

/**
 * The check behind a result of verification. Of those that are not listed, nothing says more than that the certificate
 * is not fit.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkOf = (code: string): TlsVerificationError["check"] => checks[code] ?? "Usage"

const checks: { readonly [code: string]: TlsVerificationError["check"] } = {
  UNABLE_TO_GET_ISSUER_CERT: "Authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "Authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "Authority",
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: "Authority",
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: "Authority",
  CERT_SIGNATURE_FAILURE: "Authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "Authority",
  SELF_SIGNED_CERT_IN_CHAIN: "Authority",
  CERT_CHAIN_TOO_LONG: "Authority",
  CERT_UNTRUSTED: "Authority",
  INVALID_CA: "Authority",
  PATH_LENGTH_EXCEEDED: "Authority",
  CERT_NOT_YET_VALID: "Date",
  CERT_HAS_EXPIRED: "Date",
  ERROR_IN_CERT_NOT_BEFORE_FIELD: "Date",
  ERROR_IN_CERT_NOT_AFTER_FIELD: "Date",
  CERT_REVOKED: "Revoked",
  UNABLE_TO_GET_CRL: "Revoked",
  UNABLE_TO_DECRYPT_CRL_SIGNATURE: "Revoked",
  CRL_SIGNATURE_FAILURE: "Revoked",
  CRL_NOT_YET_VALID: "Revoked",
  CRL_HAS_EXPIRED: "Revoked",
  ERROR_IN_CRL_LAST_UPDATE_FIELD: "Revoked",
  ERROR_IN_CRL_NEXT_UPDATE_FIELD: "Revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "Name",
  ERR_TLS_CERT_ALTNAME_FORMAT: "Name",
  HOSTNAME_MISMATCH: "Name"
}

/** Alerts of the other side whose names OpenSSL does not spell as such. */
const alert =
  /_ALERT_|^ERR_SSL_TLSV1_(UNRECOGNIZED_NAME|UNSUPPORTED_EXTENSION|CERTIFICATE_UNOBTAINABLE|BAD_CERTIFICATE_(STATUS_RESPONSE|HASH_VALUE))$/

/** The peer went away, in order or not. */
const gone = new Set([
  "ECONNRESET",
  "EPIPE",
  "ABORT_ERR",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_SSL_UNEXPECTED_EOF_WHILE_READING"
])

/**
 * Whether it was the peer that ended the handshake.
 *
 * @since 0.1.0
 * @category guards
 */
export const isByPeer = (code: string): boolean => alert.test(code) || gone.has(code)

/**
 * A failure of the handshake that has nothing to do with the peer's certificate, as this side's `role` sees it.
 *
 * @since 0.1.0
 * @category errors
 */
export const handshakeError = (peer: string, role: "Client" | "Server", error: unknown): TlsHandshakeError => {
  const code = codeOf(error)
  const other = role === "Client" ? "Server" : "Client"
  return new TlsHandshakeError({ peer, code, by: isByPeer(code) ? other : role, cause: error })
}

/** Among them a key that is not the same: every message that is protected by it is wrong then. */
const aboutKeys =
  /_ALERT_(DECRYPT_ERROR|BAD_RECORD_MAC|DECRYPTION_FAILED|UNKNOWN_PSK_IDENTITY|ILLEGAL_PARAMETER|ACCESS_DENIED|HANDSHAKE_FAILURE)$/

/**
 * The same between two sides with pre-shared keys, where the key is nearly all that either can dislike.
 *
 * @since 0.1.0
 * @category errors
 */
export const pskError = (peer: string, error: unknown): TlsHandshakeError | TlsVerificationError => {
  const code = codeOf(error)
  return aboutKeys.test(code) || gone.has(code) || code in checks
    ? new TlsVerificationError({ peer, check: "Key", hostname: undefined, code })
    : handshakeError(peer, "Client", error)
}
