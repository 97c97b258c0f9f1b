/**
 * The peer broke the protocol, or is no NBD server at all. Each of these ends the connection.
 *
 * @since 0.1.0
 */
import { TaggedError } from "./errors/TaggedError.ts"
import type { WireError } from "./wire/WireError.ts"

/**
 * Where in the life of a connection something happened.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = "greeting" | "haggling" | "transmission"

/**
 * The server broke a rule that the stream cannot recover from.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtocolError extends TaggedError("NbdProtocolError")<{
  readonly phase: Phase
  readonly expected: string
  readonly received: string
  /** The rule that was broken: a section of the specification, with this project's number for the rule where it has one. */
  readonly rule: string
}> {
  override get message(): string {
    return `the server broke the protocol during ${this.phase}: expected ${this.expected}, received ${this.received} (${this.rule})`
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const fromWireError = (phase: Phase, { expected, received, rule }: WireError): ProtocolError =>
  new ProtocolError({ phase, expected, received, rule })

/**
 * What listens there does not speak NBD.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotNbdServerError extends TaggedError("NbdNotNbdServerError")<{
  readonly peer: string
  /** The first bytes it sent, at most 64, safe to print. */
  readonly received: string
  /** What those bytes look like, where that can be told. */
  readonly looksLike: "HTTP" | "SSH" | "TLS" | "SMTP" | "VNC" | "unknown"
}> {
  override get message(): string {
    const guess = this.looksLike === "unknown" ? "" : `, it looks like ${this.looksLike}`
    return `${this.peer} is not an NBD server${guess} (it sent "${this.received}")`
  }
}

/**
 * The server ended the connection where the protocol does not let it end.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerDisconnectedError extends TaggedError("NbdServerDisconnectedError")<{
  readonly peer: string
  readonly phase: Phase
  /** Bytes of the message that was cut short; 0 when the stream ended between two messages. */
  readonly received: number
  /** Bytes that message should have had, as far as was known. */
  readonly wanted: number
  /** The option that waited for its answer, by its name in the specification. */
  readonly option?: string | undefined
  /** What a handle can be told so that the option is not asked, where there is something. */
  readonly remedy?: string | undefined
}> {
  override get message(): string {
    const part = this.received === 0 ? "" : `, after ${this.received} of ${this.wanted} bytes of a message`
    return `${this.peer} closed the connection during ${this.phase}${part}${atOption(this)}`
  }
}

/**
 * At which option a connection was lost, and what to do about it, for the end of a sentence.
 *
 * @since 0.1.0
 * @category formatting
 */
export const atOption = ({ option, remedy }: {
  readonly option?: string | undefined
  readonly remedy?: string | undefined
}): string =>
  option === undefined
    ? ""
    : `, in answer to ${option}${remedy === undefined ? "" : `, which is not asked with ${remedy}`}`
