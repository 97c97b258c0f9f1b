/**
 * The server's side of the handshake: the greeting, and option haggling until an export is agreed on.
 *
 * It offers what its rules say and keeps to the server's part of the specification (S-003 to S-040). It has no TLS and no
 * metadata contexts: their options are answered with NBD_REP_ERR_UNSUP.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { decodeText, maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { encodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { ClientFlags, HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import {
  decodeClientFlags,
  encodeNewstyleGreeting,
  encodeOldstyleGreeting,
  size as greetingSize
} from "@effect-nbd/core/wire/Greeting"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import {
  decodeInfoRequest,
  decodeOptionHeader,
  headerSize,
  optionCode,
  type OptionName,
  optionName
} from "@effect-nbd/core/wire/NbdOption"
import { encodeOptionReply, type OptionReply, replyType, type ReplyTypeName } from "@effect-nbd/core/wire/OptionReply"
import { hex, isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { FakeExport } from "./FakeExport.ts"
import {
  type ClientMisbehavedError,
  misbehaved,
  note,
  type SessionContext,
  takeRest,
  takeStart
} from "./session/SessionContext.ts"

/**
 * The handshakes a server may speak: with options, with NBD_OPT_EXPORT_NAME alone, or without any choice.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol = "newstyle-fixed" | "newstyle" | "oldstyle"

/**
 * Name of an error reply without its prefix, for example `ERR_POLICY`.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorReplyName = Extract<ReplyTypeName, `ERR_${string}`>

/**
 * Options to refuse whatever they ask, each with an error reply and a text, which is empty by default. A refused
 * EXPORT_NAME ends the connection, since it has no error reply.
 *
 * @since 0.1.0
 * @category models
 */
export type Refusals = {
  readonly [Name in OptionName]?: ErrorReplyName | { readonly reply: ErrorReplyName; readonly message: string }
}

/**
 * What the server offers while haggling.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandshakeRules {
  /** In the order of NBD_OPT_LIST. The first is the oldstyle one, and the default where none has the empty name. */
  readonly exports: ReadonlyArray<FakeExport>
  readonly protocol: Protocol
  readonly structuredReplies: boolean
  readonly noZeroes: boolean
  /** Refuse clients that do not ask for the constraints of an export that has some. */
  readonly requireBlockSize: boolean
  readonly refuse: Refusals
}

/**
 * What haggling settled.
 *
 * @since 0.1.0
 * @category models
 */
export type Settled =
  | { readonly _tag: "Agreed"; readonly export: FakeExport; readonly replyStyle: "Simple" | "Structured" }
  | { readonly _tag: "Aborted" }
  | { readonly _tag: "ExportRefused"; readonly exportName: string }

/**
 * Most bytes of option data that are read. The longest option there can be, a full INFO request, has 135,172; anything
 * above is taken for an attempt to exhaust memory and ends the connection (S-018).
 *
 * @since 0.1.0
 * @category models
 */
export const maxOptionBytes = 262_144

/**
 * Runs the handshake on a fresh connection until an export is agreed on or the client is turned away.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  context: SessionContext,
  rules: HandshakeRules
): Effect.Effect<Settled, StreamEnded | ClientMisbehavedError> =>
  rules.protocol === "oldstyle" ? oldstyle(context, rules) : newstyle(context, rules)

const oldstyle = (context: SessionContext, rules: HandshakeRules): Effect.Effect<Settled> => {
  const only = rules.exports[0]
  if (only === undefined) return Effect.succeed({ _tag: "ExportRefused", exportName: "" })
  const greeting = encodeOldstyleGreeting({ exportSize: only.size, flags: only.flags(false) })
  return Effect.as(context.reader.send([greeting]), { _tag: "Agreed", export: only, replyStyle: "Simple" })
}

const newstyle = Effect.fnUntraced(function*(context: SessionContext, rules: HandshakeRules) {
  const offered = (rules.protocol === "newstyle-fixed" ? HandshakeFlags.FIXED_NEWSTYLE : 0) |
    (rules.noZeroes ? HandshakeFlags.NO_ZEROES : 0)
  yield* context.reader.send([encodeNewstyleGreeting(HandshakeFlags(offered))])

  const flags = decodeClientFlags(yield* takeStart(context, greetingSize.clientFlags, "Client flags, S-007"))
  if (isWireError(flags)) return yield* misbehaved(context, flags)
  context.recorder.flags(context.session, flags)
  // The client's bits have the numbers of the server's, so what was not offered may not be set.
  const unknown = (flags & ~offered) >>> 0
  if (unknown !== 0) {
    const received = hex(flags, 4)
    return yield* misbehaved(context, new WireError(`client flags within ${hex(offered, 4)}`, received, "S-007"))
  }
  const fixed = (flags & ClientFlags.FIXED_NEWSTYLE) !== 0
  const noZeroes = (flags & ClientFlags.NO_ZEROES) !== 0
  return yield* haggle(new Haggling(context, rules, noZeroes), fixed)
})

const haggle = Effect.fnUntraced(function*(haggling: Haggling, fixed: boolean) {
  const { context } = haggling
  while (true) {
    const header = decodeOptionHeader(yield* takeStart(context, headerSize, "Option request, C-022"))
    if (isWireError(header)) return yield* misbehaved(context, header)
    const name = optionName(header.option)
    const longest = header.option === optionCode.EXPORT_NAME ? maxStringBytes : maxOptionBytes
    if (header.length > longest) {
      const error = new WireError(`at most ${longest} bytes of data in ${name}`, `${header.length}`, "S-018")
      return yield* misbehaved(context, error)
    }
    if (!fixed && header.option !== optionCode.EXPORT_NAME) {
      return yield* misbehaved(context, new WireError("NBD_OPT_EXPORT_NAME", name, "Newstyle, not fixed, C-019"))
    }
    const data = yield* takeRest(context, header.length, `${name}, C-022`)
    const settled = yield* haggling.answer(header.option, data)
    if (settled !== undefined) return settled
  }
})

const isOptionName = (name: string): name is OptionName => Object.hasOwn(optionCode, name)

/** The state of haggling on one connection, and the answer to each option. */
class Haggling {
  readonly context: SessionContext
  private readonly rules: HandshakeRules
  private readonly noZeroes: boolean
  private structured = false

  constructor(context: SessionContext, rules: HandshakeRules, noZeroes: boolean) {
    this.context = context
    this.rules = rules
    this.noZeroes = noZeroes
  }

  /** Answers one option; a result ends haggling. */
  answer(option: number, data: Uint8Array): Effect.Effect<Settled | undefined> {
    const request = option === optionCode.GO || option === optionCode.INFO ? decodeInfoRequest(data) : undefined
    const asked = request !== undefined && !isWireError(request) ? request.exportName : undefined
    const exportName = option === optionCode.EXPORT_NAME ? decodeText(data) : asked
    const { recorder, session } = this.context
    recorder.option({ session, option, name: optionName(option), data, exportName })

    const refusal = this.refusal(option)
    if (refusal !== undefined) {
      return option === optionCode.EXPORT_NAME
        ? Effect.succeed({ _tag: "ExportRefused", exportName: exportName ?? "" })
        : this.error(option, refusal.reply, refusal.message)
    }
    switch (option) {
      case optionCode.EXPORT_NAME:
        return this.exportName(exportName ?? "")
      case optionCode.ABORT:
        return Effect.as(this.reply(option, [{ _tag: "Ack" }]), { _tag: "Aborted" })
      case optionCode.LIST:
        return this.withoutData(option, data, () => this.list())
      case optionCode.STRUCTURED_REPLY:
        return this.withoutData(option, data, () => this.structuredReply())
      case optionCode.INFO:
      case optionCode.GO:
        return request === undefined || isWireError(request)
          ? this.invalid(option, request ?? new WireError("an INFO request", "none", "C-047"))
          : this.info(option, request.exportName, request.types)
      default:
        return this.error(option, "ERR_UNSUP", `${optionName(option)} is not supported`)
    }
  }

  private refusal(option: number): { readonly reply: ErrorReplyName; readonly message: string } | undefined {
    const name = optionName(option).replace(/^NBD_OPT_/, "")
    const refusal = isOptionName(name) ? this.rules.refuse[name] : undefined
    return typeof refusal === "string" ? { reply: refusal, message: "" } : refusal
  }

  private find(name: string): FakeExport | undefined {
    const named = this.rules.exports.find((candidate) => candidate.name === name)
    return named ?? (name === "" ? this.rules.exports[0] : undefined)
  }

  private exportName(name: string): Effect.Effect<Settled> {
    const found = this.find(name)
    // There is no error reply to this option: closing is the refusal (S-021).
    if (found === undefined) return Effect.succeed({ _tag: "ExportRefused", exportName: name })
    const reply = { exportSize: found.size, flags: found.flags(this.structured) }
    return Effect.as(this.context.reader.send([encodeExportNameReply(reply, this.noZeroes)]), this.agreed(found))
  }

  private list(): Effect.Effect<undefined> {
    const servers: Array<OptionReply> = []
    for (const { description, name } of this.rules.exports) servers.push({ _tag: "Server", name, description })
    return this.reply(optionCode.LIST, [...servers, { _tag: "Ack" }])
  }

  private structuredReply(): Effect.Effect<undefined> {
    const option = optionCode.STRUCTURED_REPLY
    if (!this.rules.structuredReplies) return this.error(option, "ERR_UNSUP", "structured replies are not supported")
    if (this.structured) {
      return this.invalid(option, new WireError("NBD_OPT_STRUCTURED_REPLY once", "a second one", "C-026, S-017"))
    }
    this.structured = true
    return this.reply(option, [{ _tag: "Ack" }])
  }

  private info(option: number, name: string, types: ReadonlyArray<number>): Effect.Effect<Settled | undefined> {
    const asked = new Set(types)
    if (asked.size !== types.length) {
      note(this.context, new WireError("each information type once", types.join(", "), `${optionName(option)}, C-048`))
    }
    const found = this.find(name)
    if (found === undefined) return this.error(option, "ERR_UNKNOWN", `no export is called ${JSON.stringify(name)}`)

    const blockSize: Info = { _tag: "BlockSizeInfo", ...found.limits }
    if (this.rules.requireBlockSize && found.blockSize !== undefined && !asked.has(infoType.BLOCK_SIZE)) {
      const message = "this export has block size constraints: ask for NBD_INFO_BLOCK_SIZE"
      return this.reply(option, [
        { _tag: "InfoReply", info: blockSize },
        { _tag: "ErrorReply", type: replyType.ERR_BLOCK_SIZE_REQD, message }
      ])
    }
    const infos: Array<Info> = [{ _tag: "ExportInfo", exportSize: found.size, flags: found.flags(this.structured) }]
    if (asked.has(infoType.NAME)) infos.push({ _tag: "NameInfo", name: found.canonicalName })
    if (asked.has(infoType.DESCRIPTION) && found.description !== "") {
      infos.push({ _tag: "DescriptionInfo", description: found.description })
    }
    if (asked.has(infoType.BLOCK_SIZE)) infos.push(blockSize)
    const replies = infos.map((info): OptionReply => ({ _tag: "InfoReply", info }))
    const sent = this.reply(option, [...replies, { _tag: "Ack" }])
    return option === optionCode.GO ? Effect.as(sent, this.agreed(found)) : sent
  }

  private agreed(found: FakeExport): Settled {
    return { _tag: "Agreed", export: found, replyStyle: this.structured ? "Structured" : "Simple" }
  }

  private withoutData(
    option: number,
    data: Uint8Array,
    answer: () => Effect.Effect<undefined>
  ): Effect.Effect<undefined> {
    if (data.byteLength === 0) return answer()
    return this.invalid(option, new WireError("no data", `${data.byteLength} bytes`, `${optionName(option)}, C-038`))
  }

  private invalid(option: number, error: WireError): Effect.Effect<undefined> {
    note(this.context, error)
    return this.error(option, "ERR_INVALID", `expected ${error.expected}, received ${error.received}`)
  }

  private error(option: number, name: ErrorReplyName, message: string): Effect.Effect<undefined> {
    return this.reply(option, [{ _tag: "ErrorReply", type: replyType[name], message }])
  }

  private reply(option: number, replies: ReadonlyArray<OptionReply>): Effect.Effect<undefined> {
    const sent = this.context.reader.send(replies.map((reply) => encodeOptionReply(option, reply)))
    return Effect.as(sent, undefined)
  }
}
