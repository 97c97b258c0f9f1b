/**
 * Who speaks: all bytes that a server sends go through a speaker, at the step where they are due.
 *
 * The default sends them as they are. Another speaker may send other bytes, or none; it tells what the server has to know
 * of that, so that the two sides of a connection agree on what was agreed.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import * as Effect from "effect/Effect"
import type { Request } from "./ServerRequest.ts"

/**
 * When a server has something to say, or might say something. Sessions are numbered from 1.
 *
 * - `Greeting`: the first bytes.
 * - `OptionAnswer`: all replies to one option but NBD_OPT_EXPORT_NAME.
 * - `ExportName`: the answer to NBD_OPT_EXPORT_NAME.
 * - `TlsHandshake`: NBD_OPT_STARTTLS was acknowledged. The server says nothing and lets TLS begin; where something is said,
 *   TLS is not begun.
 * - `Payload`: the header of a request with payload has come, and the payload not yet. The server says nothing; what is said
 *   counts as the answer.
 * - `Answer`: the whole reply to one request.
 * - `Farewell`: the client has disconnected, and all it asked for is answered. The server says nothing and ends its half.
 *
 * @since 0.1.0
 * @category models
 */
export type Moment =
  | { readonly _tag: "Greeting"; readonly session: number; readonly handshake: "Newstyle" | "Oldstyle" }
  | {
    readonly _tag: "OptionAnswer"
    readonly session: number
    /** The option's code. */
    readonly option: number
    readonly encrypted: boolean
    /** As it was agreed on before this answer. */
    readonly replyStyle: ReplyStyle
  }
  | { readonly _tag: "ExportName"; readonly session: number; readonly noZeroes: boolean }
  | { readonly _tag: "TlsHandshake"; readonly session: number }
  | {
    readonly _tag: "Payload" | "Answer"
    readonly session: number
    readonly request: Request
    readonly replyStyle: ReplyStyle
  }
  | { readonly _tag: "Farewell"; readonly session: number }

/**
 * The sending side of a session's connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Line {
  /** Sends bytes, long ones in pieces; is done when the connection has room for more. */
  readonly send: (parts: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  /** The same in one write. */
  readonly write: (parts: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  /** Ends the server's half of the connection in order. */
  readonly endWrites: () => void
  /** Breaks the connection once what was sent has arrived. */
  readonly sever: () => void
}

/**
 * What was said in place of what the server had to say.
 *
 * @since 0.1.0
 * @category models
 */
export interface SaidInstead {
  /** It refuses an option that the server had granted. */
  readonly refuses: boolean
}

/**
 * The speaker of one session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Speaker {
  /** Nothing is said any more. */
  readonly isMute: boolean
  /** No message is taken any more: the session answers what it has, and stays. */
  readonly isDeaf: boolean
  /** Says what is due; answers with what was said instead, if it was something else. `parts` may be empty. */
  readonly say: (
    parts: ReadonlyArray<Uint8Array>,
    moment: () => Moment
  ) => Effect.Effect<SaidInstead | undefined>
}

/**
 * A speaker for each session.
 *
 * @since 0.1.0
 * @category models
 */
export type Speaking = (line: Line) => Speaker

/**
 * Says what is due, and nothing else: the default.
 *
 * @since 0.1.0
 * @category constants
 */
export const plain: Speaking = ({ send }) => ({
  isMute: false,
  isDeaf: false,
  say: (parts) => parts.length === 0 ? nothing : Effect.as(send(parts), undefined)
})

const nothing: Effect.Effect<undefined> = Effect.succeed(undefined)
