/**
 * What can go wrong between the greeting and the transmission phase, besides a broken protocol or transport.
 *
 * @since 0.1.0
 * @public
 */
import * as Duration from "effect/Duration"
import { TaggedError } from "../errors/TaggedError.ts"
import type { NotNbdServerError, Phase, ProtocolError, ServerDisconnectedError } from "../ProtocolError.ts"
import type { ConnectionFault } from "../Transport.ts"
import { optionCode, optionName } from "../wire/NbdOption.ts"
import { replyType } from "../wire/OptionReply.ts"

const said = (serverMessage: string): string => serverMessage === "" ? "" : `; the server says: ${serverMessage}`

const named = (exportName: string): string =>
  exportName === "" ? "the default export" : `export ${JSON.stringify(exportName)}`

/** Whether it may be the option that is refused, and not the client or the export. */
const mayDoWithoutGo = (
  { option, replyType: type }: { readonly option: string; readonly replyType: number }
): boolean => option === optionName(optionCode.GO) && type !== replyType.ERR_POLICY && type !== replyType.ERR_SHUTDOWN

/**
 * The server refused an option. The connection is fine: after a refusal the handle is still negotiating, unless the
 * server is shutting down (NBD_REP_ERR_SHUTDOWN).
 *
 * @since 0.1.0
 * @category errors
 */
export class OptionRefusedError extends TaggedError("NbdOptionRefusedError")<{
  /** The option's name in the specification, for example `NBD_OPT_LIST`. */
  readonly option: string
  /** The export that was asked for, where the option names one. */
  readonly exportName?: string | undefined
  /** The reply's name, for example `NBD_REP_ERR_POLICY`, or its number where it has none. */
  readonly reply: string
  /** The reply type as it came. */
  readonly replyType: number
  /** The server's text, safe to print; empty where it gave none. */
  readonly serverMessage: string
}> {
  override get message(): string {
    const what = this.exportName === undefined ? "" : ` for ${named(this.exportName)}`
    return `the server refused ${this.option} with ${this.reply}${what}${said(this.serverMessage)}${
      mayDoWithoutGo(this) ? "; forceExportName enters an export without that option" : ""
    }`
  }
}

/**
 * The server has no export of that name, or does not show it to this client (NBD_REP_ERR_UNKNOWN).
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportUnknownError extends TaggedError("NbdExportUnknownError")<{
  readonly exportName: string
  readonly serverMessage: string
}> {
  override get message(): string {
    const name = this.exportName === "" ? "default export" : named(this.exportName)
    return `the server has no ${name}${said(this.serverMessage)}`
  }
}

/**
 * The server wants TLS before it answers (NBD_REP_ERR_TLS_REQD). It may hide that an export does not exist (C-058).
 *
 * @since 0.1.0
 * @category errors
 */
export class TlsRequiredError extends TaggedError("NbdTlsRequiredError")<{
  readonly option: string
  readonly serverMessage: string
}> {
  override get message(): string {
    return `the server requires TLS before ${this.option}${said(this.serverMessage)}`
  }
}

/**
 * The server closed the connection in answer to NBD_OPT_EXPORT_NAME, which is the only way an old server can say that
 * it does not have, or does not give, that export (C-064).
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportRefusedError extends TaggedError("NbdExportRefusedError")<{
  readonly exportName: string
}> {
  override get message(): string {
    return `the server closed the connection when asked for ${named(this.exportName)}`
  }
}

/**
 * Why no string of the protocol can carry a text.
 *
 * @since 0.1.0
 * @category models
 */
export type TextFault = "longer than 4096 bytes" | "contains a NUL" | "contains an unpaired surrogate"

/**
 * No server can be asked for an export of that name: it is longer than 4096 bytes, contains a NUL or is not Unicode.
 * Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportNameInvalidError extends TaggedError("NbdExportNameInvalidError")<{
  readonly exportName: string
  readonly reason: TextFault
}> {
  override get message(): string {
    return `not a name for an export: ${this.reason}`
  }
}

/**
 * The server speaks a handshake without haggling, so what was asked for cannot be asked of it. An oldstyle server has
 * one export and no names; a newstyle server that is not fixed knows NBD_OPT_EXPORT_NAME alone.
 *
 * @since 0.1.0
 * @category errors
 */
export class OptionUnavailableError extends TaggedError("NbdOptionUnavailableError")<{
  readonly wanted: string
  readonly protocol: "oldstyle" | "newstyle"
}> {
  override get message(): string {
    return `${this.wanted} is not possible: the server speaks ${this.protocol} only`
  }
}

/**
 * What has been agreed on forbids this option, so it was not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class OptionForbiddenError extends TaggedError("NbdOptionForbiddenError")<{
  /** The option's name in the specification, for example `NBD_OPT_SET_META_CONTEXT`. */
  readonly option: string
  readonly why: string
  /** The section of the specification that says so, and the rule's number. */
  readonly rule: string
}> {
  override get message(): string {
    return `${this.option} may not be sent: ${this.why} (${this.rule})`
  }
}

/**
 * No server can be asked for a meta context of that name: its text breaks the rules of the protocol, or it does not
 * begin with a namespace and a colon. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class MetaContextInvalidError extends TaggedError("NbdMetaContextInvalidError")<{
  readonly context: string
  readonly reason: TextFault | "has no namespace before a colon"
}> {
  override get message(): string {
    return `not a name for a meta context: ${this.reason}`
  }
}

/**
 * Meta contexts that were asked for, and not as optional ones, are not to be had of this export.
 *
 * - `NoOptions`: the server speaks a handshake without them.
 * - `NoChunks`: the server knows neither structured replies nor extended headers, without which there are none.
 * - `Refused`: the server refused NBD_OPT_SET_META_CONTEXT, with `reply`.
 * - `NotOffered`: the server granted others, or none.
 *
 * @since 0.1.0
 * @category errors
 */
export class MetaContextNotGrantedError extends TaggedError("NbdMetaContextNotGrantedError")<{
  readonly exportName: string
  /** Those that are missing, as they were asked for. */
  readonly contexts: ReadonlyArray<string>
  readonly why: "NoOptions" | "NoChunks" | "Refused" | "NotOffered"
  /** The reply's name, for example `NBD_REP_ERR_UNSUP`, where the server refused. */
  readonly reply: string | undefined
  /** The server's text, safe to print; empty where it gave none. */
  readonly serverMessage: string
}> {
  override get message(): string {
    const contexts = this.contexts.map((context) => JSON.stringify(context)).join(" and ")
    return `${named(this.exportName)} has no meta context ${contexts}: the server ${
      this.why === "Refused" ? `refused with ${this.reply}` : notGranted[this.why]
    }${said(this.serverMessage)}`
  }
}

const notGranted = {
  NoOptions: "speaks a handshake without options",
  NoChunks: "knows no structured replies",
  NotOffered: "does not offer it"
} as const

/**
 * The handshake was not over in time. It covers everything from the first byte, however slowly the server drips.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeTimeoutError extends TaggedError("NbdHandshakeTimeoutError")<{
  readonly peer: string
  readonly timeout: Duration.Duration
  /** Bytes that had come from the peer by then: none at all from one that waits for its client to speak, as HTTP does. */
  readonly received: number
}> {
  override get message(): string {
    if (this.received === 0) {
      return `${this.peer} said nothing within ${
        Duration.format(this.timeout)
      }: an NBD server speaks first, so this is another service, or a busy server that needs a longer timeout`
    }
    return `${this.peer} did not finish the handshake within ${Duration.format(this.timeout)}`
  }
}

/**
 * The fiber that connected was interrupted in the middle of the handshake, so the connection was given up.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectInterruptedError extends TaggedError("NbdConnectInterruptedError")<{
  readonly phase: Phase
}> {
  override get message(): string {
    return `connecting was interrupted during ${this.phase}`
  }
}

/**
 * Faults that end the connection while haggling.
 *
 * @since 0.1.0
 * @category errors
 */
export type HagglingFault = ProtocolError | ServerDisconnectedError | ConnectionFault

/**
 * Faults that end the connection while it greets.
 *
 * @since 0.1.0
 * @category errors
 */
export type GreetingFault = HagglingFault | NotNbdServerError

/**
 * Refusals by the server or by us that leave the handle negotiating.
 *
 * @since 0.1.0
 * @category errors
 */
export type OptionRefusal = OptionRefusedError | TlsRequiredError | OptionUnavailableError

/**
 * The same, for options that name an export.
 *
 * @since 0.1.0
 * @category errors
 */
export type ExportRefusal = OptionRefusal | ExportUnknownError | ExportNameInvalidError

/**
 * The same, for options that name an export and meta contexts of it.
 *
 * @since 0.1.0
 * @category errors
 */
export type ContextRefusal = ExportRefusal | MetaContextInvalidError | OptionForbiddenError

/**
 * Every refusal that leaves the handle negotiating.
 *
 * @since 0.1.0
 * @category errors
 */
export type HagglingRefusal = ContextRefusal | MetaContextNotGrantedError

/**
 * Nothing is known yet of an export, or of what the connection agreed on: while negotiating, ask with `info` first.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExportNotKnownError extends TaggedError("NbdExportNotKnownError")<{}> {
  override get message(): string {
    return "nothing is known of the export yet: ask for it with info, or enter it with go"
  }
}
