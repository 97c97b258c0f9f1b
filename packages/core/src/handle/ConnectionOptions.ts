/**
 * Haggling in the caller's hands: the options about the connection and not about an export.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ReplyStyle } from "../Export.ts"
import type { StateError } from "../HandleError.ts"
import { type RawReply, refused } from "../handshake/Haggling.ts"
import type {
  HandshakeTimeoutError,
  OptionForbiddenError,
  OptionRefusal,
  OptionRefusedError,
  OptionUnavailableError
} from "../handshake/HandshakeError.ts"
import { checkRawOption, rawOption } from "../handshake/RawOption.ts"
import { extendedHeaders as askExtendedHeaders, structuredReply } from "../handshake/ReplyStyle.ts"
import * as StartTls from "../handshake/StartTls.ts"
import type { TlsSettings } from "../Tls.ts"
import { TlsAlreadyStartedError, type TlsCredentialsError, type TlsUnavailableError } from "../TlsError.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { replyType } from "../wire/OptionReply.ts"
import type { HandleContext } from "./HandleContext.ts"
import { shutDownEarly } from "./HandleEnd.ts"
import {
  bounded,
  type Haggling,
  inTurn,
  leave,
  needsFixed,
  type OptionFault,
  refuseIf,
  runOption,
  updateNegotiating
} from "./OptionRun.ts"

/**
 * Of an option that the server may say no to: only a server that is shutting down is an `OptionRefusedError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type AgreeError = OptionRefusedError | OptionUnavailableError | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type RawOptionError = OptionForbiddenError | OptionUnavailableError | OptionFault

/**
 * The refusals leave the handle negotiating, in plaintext or in the TLS that is up; the others end it.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartTlsError =
  | OptionRefusal
  | TlsAlreadyStartedError
  | TlsUnavailableError
  | TlsCredentialsError
  | StartTls.UpgradeFault
  | HandshakeTimeoutError

/**
 * Asks for replies in chunks, unless that has been agreed on: it is not to be agreed on twice (C-026).
 *
 * @since 0.1.0
 * @category haggling
 */
export const structuredReplies = (
  handle: HandleContext
): Effect.Effect<boolean, StateError<"structuredReplies"> | AgreeError> =>
  runOption(handle, "structuredReplies", (live) =>
    live.state.agreed.replyStyle === "Simple"
      ? needsFixed(optionCode.STRUCTURED_REPLY, live).pipe(
        Effect.zipRight(structuredReply(live.channel.reader)),
        Effect.tap((agrees) => agrees ? restyle(handle, live, "Structured") : Effect.void)
      )
      : Effect.succeed(true))

/**
 * Asks for extended headers, unless they have been agreed on.
 *
 * @since 0.1.0
 * @category haggling
 */
export const extendedHeaders = (
  handle: HandleContext
): Effect.Effect<boolean, StateError<"extendedHeaders"> | AgreeError> =>
  runOption(handle, "extendedHeaders", (live) =>
    live.state.agreed.replyStyle === "Extended"
      ? Effect.succeed(true)
      : needsFixed(optionCode.EXTENDED_HEADERS, live).pipe(
        Effect.zipRight(askExtendedHeaders(live.channel.reader)),
        Effect.tap((agrees) => agrees ? restyle(handle, live, "Extended") : Effect.void)
      ))

/**
 * Sends any option. What an acknowledgement changes about the connection is kept up with; what it ends, haggling, ends
 * the handle.
 *
 * @since 0.1.0
 * @category haggling
 */
export const option = (
  handle: HandleContext,
  code: number,
  data: Uint8Array = new Uint8Array(0)
): Effect.Effect<ReadonlyArray<RawReply>, StateError<"option"> | RawOptionError> =>
  runOption(
    handle,
    "option",
    (live) =>
      Effect.zipRight(refuseIf(checkRawOption(code)), needsFixed(code, live)).pipe(
        Effect.zipRight(rawOption(live.channel.reader, code, data)),
        Effect.tap((replies) => followRawOption(handle, live, code, replies.at(-1)?.type))
      )
  )

/** Brings the state up to date with what a raw option has changed. */
const followRawOption = (
  handle: HandleContext,
  live: Haggling,
  code: number,
  final: number | undefined
): Effect.Effect<void> => {
  if (final === replyType.ERR_SHUTDOWN) return leave(handle, live, "Server")
  // What it selected, and for which export, is the caller's to know.
  if (code === optionCode.SET_META_CONTEXT) return updateNegotiating(handle, { contexts: Option.none() })
  if (final !== replyType.ACK) return Effect.void
  switch (code) {
    case optionCode.STRUCTURED_REPLY:
      return live.state.agreed.replyStyle === "Extended" ? Effect.void : restyle(handle, live, "Structured")
    case optionCode.EXTENDED_HEADERS:
      return restyle(handle, live, "Extended")
    case optionCode.ABORT:
    case optionCode.STARTTLS:
    case optionCode.GO:
      return Effect.sync(() => {
        shutDownEarly(handle.cell, "Client")
        live.channel.reader.connection.close()
      })
    default:
      return Effect.void
  }
}

/** What was told under another style of replies does not hold any more. */
const restyle = (handle: HandleContext, live: Haggling, replyStyle: ReplyStyle): Effect.Effect<void> =>
  updateNegotiating(handle, {
    agreed: { ...live.state.agreed, replyStyle },
    export: Option.none(),
    contexts: Option.none()
  })

/**
 * Encrypts the connection; what was agreed on or learned before is forgotten, and has to be asked again (C-078).
 *
 * @since 0.1.0
 * @category haggling
 */
export const startTls = (
  handle: HandleContext,
  tls: Omit<TlsSettings, "mode"> | undefined
): Effect.Effect<void, StateError<"startTls"> | StartTlsError> =>
  inTurn(handle, "startTls", (live) =>
    Effect.gen(function*() {
      const { reader, tls: usual } = live.channel
      yield* needsFixed(optionCode.STARTTLS, live)
      const { peer } = reader.connection
      if (live.state.agreed.tls) return yield* new TlsAlreadyStartedError({ peer })
      // Up to here nothing was sent, and a failure leaves the handle as it was.
      const upgrade = yield* StartTls.prepare(reader.connection, { ...usual, ...tls })
      yield* bounded(
        handle,
        handle.configuration.current,
        live,
        Effect.flatMap(
          StartTls.startTls(reader, upgrade),
          (refusal) => refusal === undefined ? Effect.void : Effect.fail(refused(optionCode.STARTTLS, refusal))
        )
      )
      yield* updateNegotiating(handle, {
        agreed: { ...live.state.agreed, replyStyle: "Simple", tls: true },
        export: Option.none(),
        contexts: Option.none()
      })
    }))
