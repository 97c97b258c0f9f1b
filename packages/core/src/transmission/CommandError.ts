/**
 * What can become of a command, besides success.
 *
 * Three kinds, and a caller decides from the tag alone: we refused it (nothing was sent), the server refused it (the
 * connection is fine and the neighbours did not notice), or it was sent and then lost (it is not known whether it was done).
 *
 * @since 0.1.0
 * @public
 */
import { TaggedError } from "../errors/TaggedError.ts"
import type { ProtocolError, ServerDisconnectedError } from "../ProtocolError.ts"
import type { CommandName, Request } from "../Request.ts"
import type { ConnectionFault } from "../Transport.ts"
import type { ErrnoName } from "../wire/Errno.ts"
import { hex } from "../wire/WireError.ts"

const range = (
  self: { readonly command: CommandName; readonly offset: bigint; readonly length: number | bigint }
): string => self.command === "flush" ? "flush" : `${self.command} of ${self.length} bytes at ${self.offset}`

/**
 * The range does not lie inside the export, or is none at all (a negative or fractional number, or one beyond 64 bits).
 * Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutOfBoundsError extends TaggedError("NbdOutOfBoundsError")<{
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number | bigint
  readonly exportSize: bigint
}> {
  override get message(): string {
    return `${range(this)} is outside the export of ${this.exportSize} bytes`
  }
}

/**
 * Offset or length is not a multiple of the export's minimum block size. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnalignedError extends TaggedError("NbdUnalignedError")<{
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number | bigint
  readonly minimumBlockSize: number
}> {
  override get message(): string {
    return `${range(this)} is not aligned to the minimum block size of ${this.minimumBlockSize} bytes`
  }
}

/**
 * A range of no bytes: what servers do with one is unspecified. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class ZeroLengthError extends TaggedError("NbdZeroLengthError")<{
  readonly command: CommandName
  readonly offset: bigint
}> {
  override get message(): string {
    return `${this.command} of no bytes at ${this.offset}`
  }
}

/**
 * The request is longer than the server takes, or than one request can be. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestTooLargeError extends TaggedError("NbdRequestTooLargeError")<{
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number | bigint
  /** Longest request of this kind, in bytes. */
  readonly maximum: number
}> {
  override get message(): string {
    return `${range(this)} is longer than the maximum of ${this.maximum} bytes`
  }
}

/**
 * The export is read-only. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReadOnlyError extends TaggedError("NbdReadOnlyError")<{
  readonly command: CommandName
}> {
  override get message(): string {
    return `${this.command}: the export is read-only`
  }
}

/**
 * The server did not advertise what the command needs. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedError extends TaggedError("NbdUnsupportedError")<{
  readonly command: CommandName
  /** The transmission flag that is missing, as the specification spells it. */
  readonly missing:
    | "NBD_FLAG_SEND_FLUSH"
    | "NBD_FLAG_SEND_FUA"
    | "NBD_FLAG_SEND_TRIM"
    | "NBD_FLAG_SEND_WRITE_ZEROES"
    | "NBD_FLAG_SEND_FAST_ZERO"
    | "NBD_FLAG_SEND_CACHE"
    | "NBD_FLAG_SEND_DF"
}> {
  override get message(): string {
    return `${this.command}: the server does not offer ${this.missing}`
  }
}

/**
 * The command has no such flag, or is a number that cannot be sent this way. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommandFlagsError extends TaggedError("NbdCommandFlagsError")<{
  readonly command: CommandName
  readonly flags: number
  /** All flags that it may have here. */
  readonly known: number
}> {
  override get message(): string {
    return `${this.command} cannot be sent with the flags ${hex(this.flags, 2)}, it knows ${hex(this.known, 2)}`
  }
}

/**
 * Block status was asked for a context that the server has not granted for this export: for any at all, where `context`
 * is `undefined`. Contexts are asked for while connecting (`metaContexts`). Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoMetaContextError extends TaggedError("NbdNoMetaContextError")<{
  readonly command: CommandName
  readonly context: string | undefined
  readonly granted: ReadonlyArray<string>
}> {
  override get message(): string {
    return this.context === undefined
      ? `${this.command}: the server granted no meta context`
      : `${this.command}: the server did not grant the meta context ${JSON.stringify(this.context)}`
  }
}

/**
 * The server failed this request. The connection is fine.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommandError extends TaggedError("NbdCommandError")<{
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number
  /** What was asked for, of which the range above may be a part. It is printed without the content of its memory. */
  readonly request: Request
  /** Name of the error; a value outside the specification's table counts as `EINVAL`. */
  readonly errno: ErrnoName
  /** The error value as it came. */
  readonly value: number
  /** The server's text, safe to print; empty where it gave none. */
  readonly serverMessage: string
  /** Where in the export it failed, where the server said so. */
  readonly errorOffset: bigint | undefined
}> {
  override get message(): string {
    const where = this.errorOffset === undefined ? "" : ` at offset ${this.errorOffset}`
    const said = this.serverMessage === "" ? "" : `; the server says: ${this.serverMessage}`
    return `${range(this)} failed with ${this.errno}${where}${said}`
  }
}

/**
 * The server's reply to this request makes no sense, but the stream is still framed, so the connection is fine: it
 * contradicts itself or the request, or is an error in a form that was not agreed on. What a read had received is not
 * given out.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReplyInvalidError extends TaggedError("NbdReplyInvalidError")<{
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number
  /** What was asked for, of which the range above may be a part. It is printed without the content of its memory. */
  readonly request: Request
  readonly expected: string
  readonly received: string
  readonly rule: string
  /** The name of the error in the reply, if it could be read although the reply is invalid. */
  readonly errno: ErrnoName | undefined
}> {
  override get message(): string {
    const failed = this.errno === undefined ? "" : ` failed with ${this.errno}`
    return `${range(this)}${failed}: expected ${this.expected}, received ${this.received} (${this.rule})`
  }
}

/**
 * The handle's scope was closed while the request was in flight.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandleClosedError extends TaggedError("NbdHandleClosedError")<{}> {
  override get message(): string {
    return "the handle was closed"
  }
}

/**
 * What ends a connection in the transmission phase.
 *
 * @since 0.1.0
 * @category errors
 */
export type TransmissionFault = ProtocolError | ServerDisconnectedError | ConnectionFault

/**
 * The request was sent, or may have been, and the connection ended before its reply: whether it was done is unknown. To
 * make the request again on another connection, use `request`, which is all of it: what came before the range was done.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommandLostError extends TaggedError("NbdCommandLostError")<{
  readonly cookie: bigint
  readonly command: CommandName
  readonly offset: bigint
  readonly length: number
  /** What was asked for, of which the range above may be a part. It is printed without the content of its memory. */
  readonly request: Request
  readonly reason: TransmissionFault | HandleClosedError
}> {
  override get message(): string {
    return `${range(this)} was lost, its outcome is unknown: ${this.reason.message}`
  }
}

/**
 * What the server, or the loss of it, makes of a request that was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export type CommandFailure = CommandError | ReplyInvalidError | CommandLostError

/**
 * What this client refuses before it sends, for a command with a range.
 *
 * @since 0.1.0
 * @category errors
 */
export type RangeRefusal = OutOfBoundsError | UnalignedError | ZeroLengthError | RequestTooLargeError
