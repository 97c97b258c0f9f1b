/**
 * The state of haggling on one connection, and the ways of replying.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { optionName } from "@effect-nbd/core/wire/NbdOption"
import { encodeOptionReply, type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { ServedExport } from "../ServedExport.ts"
import { note, type SessionContext } from "../session/SessionContext.ts"
import type { SelectedContext } from "../session/Terms.ts"
import type { ErrorReplyName, HandshakeRules } from "./Rules.ts"

/**
 * What a client has negotiated so far. TLS begins it anew (S-027).
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly encrypted: boolean
  readonly replyStyle: ReplyStyle
  /** By the last NBD_OPT_SET_META_CONTEXT, where it succeeded. */
  readonly selection: Selection | undefined
}

/**
 * Meta contexts, and the name of the export that they were selected for: for another name they do not count (C-149).
 *
 * @since 0.1.0
 * @category models
 */
export interface Selection {
  readonly exportName: string
  readonly contexts: ReadonlyArray<SelectedContext>
}

/**
 * @since 0.1.0
 * @category models
 */
export class Haggling {
  readonly context: SessionContext
  readonly rules: HandshakeRules
  /** Whether the reply to NBD_OPT_EXPORT_NAME comes without its padding. */
  readonly noZeroes: boolean
  progress: Progress = { encrypted: false, replyStyle: "Simple", selection: undefined }
  private contextIds = 0

  constructor(context: SessionContext, rules: HandshakeRules, noZeroes: boolean) {
    this.context = context
    this.rules = rules
    this.noZeroes = noZeroes
  }

  /** Every context that is ever selected on a connection gets an id of its own, the first one 0. */
  nextContextId(): number {
    return this.contextIds++
  }

  /** The exports that this client may know of, in the order of listing. */
  get exports(): ReadonlyArray<ServedExport> {
    return this.progress.encrypted ? this.rules.exports : this.rules.exports.filter(({ tlsOnly }) => !tlsOnly)
  }

  /** An export that this client may know of. */
  find(name: string): ServedExport | undefined {
    const named = this.exports.find((candidate) => candidate.name === name)
    return named ?? (name === "" ? this.exports[0] : undefined)
  }

  reply(option: number, replies: ReadonlyArray<OptionReply>): Effect.Effect<undefined> {
    return Effect.as(this.grant(option, replies), undefined)
  }

  /** Says yes, and answers whether that is what was said: the speaker may have refused. */
  grant(option: number, replies: ReadonlyArray<OptionReply>): Effect.Effect<boolean> {
    const { session } = this.context
    const { encrypted, replyStyle } = this.progress
    const parts = replies.map((reply) => encodeOptionReply(option, reply))
    return Effect.map(
      this.context.say(parts, () => ({ _tag: "OptionAnswer", session, option, encrypted, replyStyle })),
      (instead) => instead?.refuses !== true
    )
  }

  error(option: number, name: ErrorReplyName, message: string): Effect.Effect<undefined> {
    return this.reply(option, [{ _tag: "ErrorReply", type: replyType[name], message }])
  }

  unknownExport(option: number, name: string): Effect.Effect<undefined> {
    return this.error(option, "ERR_UNKNOWN", `no export is called ${quoted(name)}`)
  }

  /** The client broke a rule, which is noted. */
  invalid(option: number, error: WireError): Effect.Effect<undefined> {
    note(this.context, error)
    return this.error(option, "ERR_INVALID", `expected ${error.expected}, received ${error.received}`)
  }

  /** The answer to data where an option has none, or `undefined` where there is none (S-025, S-026, S-028). */
  strayData(option: number, data: Uint8Array): Effect.Effect<undefined> | undefined {
    if (data.byteLength === 0) return undefined
    return this.invalid(option, new WireError("no data", `${data.byteLength} bytes`, `${optionName(option)}, C-038`))
  }
}

/**
 * A client's text inside one of ours. It is cut, since quoting can make it longer than a string may be (S-003).
 *
 * @since 0.1.0
 * @category formatting
 */
export const quoted = (text: string): string =>
  text.length <= 100 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 100))}…`
