/**
 * NBD_OPT_STARTTLS: from plaintext to TLS, on the same connection.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type FrameReader, StreamEnded } from "../framing/FrameReader.ts"
import { ProtocolError } from "../ProtocolError.ts"
import type { TlsMode, TlsSettings } from "../Tls.ts"
import { type TlsError, TlsUnavailableError } from "../TlsError.ts"
import type { Connection, TlsUpgrade } from "../Transport.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { type OptionReply, replyType } from "../wire/OptionReply.ts"
import { disconnected, haggle, refused } from "./Haggling.ts"
import type { HagglingFault, OptionRefusedError, TlsRequiredError } from "./HandshakeError.ts"

/**
 * What a connection comes to that was to be encrypted according to a mode. `plaintext`: it is not asked for, or it need
 * not be had and the transport does not have it.
 *
 * @since 0.1.0
 * @category models
 */
export type Intent =
  | { readonly _tag: "Plaintext" }
  | { readonly _tag: "Encrypt"; readonly mode: Exclude<TlsMode, "Disable">; readonly upgrade: TlsUpgrade }

const plaintext: Intent = { _tag: "Plaintext" }

/**
 * Gets ready before anything is sent: credentials that cannot be used end it here, in every mode.
 *
 * @since 0.1.0
 * @category handshake
 */
export const intend = (
  connection: Connection,
  settings: TlsSettings
): Effect.Effect<Intent, TlsError | TlsUnavailableError> => {
  const { mode } = settings
  return mode === "Disable" || (mode === "Allow" && connection.prepareTls === undefined)
    ? Effect.succeed(plaintext)
    : Effect.map(prepare(connection, settings), (upgrade) => ({ _tag: "Encrypt", mode, upgrade }))
}

/**
 * The same for a caller who asks for TLS in any mode.
 *
 * @since 0.1.0
 * @category handshake
 */
export const prepare = (
  connection: Connection,
  settings: TlsSettings
): Effect.Effect<TlsUpgrade, TlsError | TlsUnavailableError> =>
  connection.prepareTls === undefined
    ? unavailable(connection.peer, "Transport")
    : connection.prepareTls(settings)

/**
 * Refuses to go on where TLS is required and the server's handshake has none (C-012, C-073, H-009, H-011).
 *
 * @since 0.1.0
 * @category guards
 */
export const checkCanEncrypt = (
  { connection }: FrameReader,
  intent: Intent,
  protocol: "Oldstyle" | "NotFixed"
): Effect.Effect<void, TlsUnavailableError> =>
  intent._tag === "Encrypt" && intent.mode === "Require" ? unavailable(connection.peer, protocol) : Effect.void

/**
 * Encrypts the connection as intended, and says whether it is now. A refusal is taken for an answer where TLS need not
 * be had (C-071), unless the server is shutting down (C-037); what goes wrong after the server has agreed is the end.
 *
 * @since 0.1.0
 * @category handshake
 */
export const secure = (
  reader: FrameReader,
  intent: Intent
): Effect.Effect<boolean, TlsUnavailableError | OptionRefusedError | TlsRequiredError | UpgradeFault> => {
  if (intent._tag === "Plaintext") return Effect.succeed(false)
  return Effect.gen(function*() {
    const refusal = yield* startTls(reader, intent.upgrade)
    if (refusal === undefined) return true
    if (refusal.type === replyType.ERR_SHUTDOWN) return yield* Effect.fail(refused(optionCode.STARTTLS, refusal))
    return intent.mode === "Allow" ? false : yield* unavailable(reader.connection.peer, "Refused", refusal.message)
  })
}

/**
 * What ends the connection on its way into TLS.
 *
 * @since 0.1.0
 * @category errors
 */
export type UpgradeFault = HagglingFault | Effect.Effect.Error<TlsUpgrade>

/**
 * Sends the option and encrypts the connection once the server agrees; or gives the server's refusal, after which the
 * connection goes on in plaintext.
 *
 * Nothing of what was read before may be taken for something that came encrypted: bytes behind the acknowledgement are
 * somebody's injection, and end the connection (C-070, C-084, H-063).
 *
 * @since 0.1.0
 * @category haggling
 */
export const startTls = (
  reader: FrameReader,
  upgrade: TlsUpgrade
): Effect.Effect<Extract<OptionReply, { readonly _tag: "ErrorReply" }> | undefined, UpgradeFault> =>
  Effect.gen(function*() {
    const { final } = yield* haggle(reader, optionCode.STARTTLS, new Uint8Array(0), () => undefined)
    if (final._tag === "ErrorReply") return final
    yield* checkNothingIsLeft(reader)
    if (reader.ended !== undefined) {
      const ended = new StreamEnded({ end: reader.ended, wanted: 1, received: new Uint8Array(0) })
      return yield* Effect.fail(disconnected(reader, "haggling")(ended))
    }
    const encrypted = yield* upgrade
    // The step before gave up the plaintext connection at once: these bytes came before that.
    yield* Effect.tapError(checkNothingIsLeft(reader), () => Effect.sync(() => encrypted.close()))
    reader.goOnOver(encrypted)
    return undefined
  })

const checkNothingIsLeft = (reader: FrameReader): Effect.Effect<void, ProtocolError> =>
  Effect.suspend(() =>
    reader.buffered === 0 ? Effect.void : Effect.fail(
      new ProtocolError({
        phase: "haggling",
        expected: "TLS after the server's agreement to it",
        received: `${reader.buffered} bytes of plaintext, injected by somebody in between`,
        rule: "TLS, C-084, as in CVE-2021-3716"
      })
    )
  )

const unavailable = (
  peer: string,
  why: TlsUnavailableError["why"],
  serverMessage = ""
): Effect.Effect<never, TlsUnavailableError> => Effect.fail(new TlsUnavailableError({ peer, why, serverMessage }))
