/**
 * NBD_OPT_INFO and NBD_OPT_GO: asking about an export, and entering it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { checkBlockSize, type ExportFacts } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { ProtocolError } from "../ProtocolError.ts"
import { type Info, infoType } from "../wire/Info.ts"
import { encodeInfoRequest, optionCode, optionName } from "../wire/NbdOption.ts"
import { type OptionReply, replyType } from "../wire/OptionReply.ts"
import type { Agreed } from "./Agreed.ts"
import { enterByName } from "./ExportName.ts"
import { haggle, refused } from "./Haggling.ts"
import {
  type ExportRefusedError,
  ExportUnknownError,
  type HagglingFault,
  OptionForbiddenError,
  type OptionRefusedError,
  type TlsRequiredError
} from "./HandshakeError.ts"

/**
 * What to ask of the server about an export, besides its size and flags.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wanted {
  readonly blockSize: boolean
  /** Name and description. */
  readonly fullInfo: boolean
  /** Accept transmission flags that are all zero, without even HAS_FLAGS, as "no flag is set". */
  readonly zeroFlags?: boolean
}

/**
 * What the server told of an export: everything but its contexts, which have options of their own.
 *
 * @since 0.1.0
 * @category models
 */
export type ToldFacts = Omit<ExportFacts, "contexts">

type Refusal = OptionRefusedError | TlsRequiredError | ExportUnknownError

/**
 * Asks about an export and stays in haggling. What it learns is advisory: GO's answer governs (C-056).
 *
 * @since 0.1.0
 * @category haggling
 */
export const info = (
  reader: FrameReader,
  agreed: Agreed,
  exportName: string,
  wanted: Wanted
): Effect.Effect<ToldFacts, Refusal | HagglingFault> =>
  ask(reader, optionCode.INFO, agreed, exportName, wanted).pipe(
    Effect.flatMap((answer) =>
      answer._tag === "Accepted"
        ? Effect.succeed(answer.facts)
        : Effect.fail(refusal(optionCode.INFO, exportName, answer.reply))
    )
  )

/**
 * Enters an export. Only a server that does not know GO (ERR_UNSUP, and nothing else) is asked again by
 * NBD_OPT_EXPORT_NAME (C-042, C-043), as is one that is not fixed newstyle and so knows no other option (C-019).
 * Once extended headers are agreed on there is no such way back (C-220, H-049).
 *
 * @since 0.1.0
 * @category haggling
 */
export const go = (
  reader: FrameReader,
  agreed: Agreed,
  exportName: string,
  wanted: Wanted
): Effect.Effect<ToldFacts, Refusal | ExportRefusedError | HagglingFault> =>
  Effect.gen(function*() {
    if (agreed.protocol === "newstyle") return yield* fallBack(reader, agreed, exportName, wanted)
    const answer = yield* ask(reader, optionCode.GO, agreed, exportName, wanted)
    if (answer._tag === "Accepted") return answer.facts
    const { reply } = answer
    return reply.type === replyType.ERR_UNSUP && agreed.replyStyle !== "Extended"
      ? yield* fallBack(reader, agreed, exportName, wanted)
      : yield* Effect.fail(refusal(optionCode.GO, exportName, reply))
  })

/**
 * Enters an export by NBD_OPT_EXPORT_NAME without asking for GO first: for those who test servers.
 *
 * @since 0.1.0
 * @category haggling
 */
export const goByName = (
  reader: FrameReader,
  agreed: Agreed,
  exportName: string,
  wanted: Pick<Wanted, "zeroFlags"> = {}
): Effect.Effect<ToldFacts, OptionForbiddenError | ExportRefusedError | HagglingFault> =>
  agreed.replyStyle === "Extended"
    ? Effect.fail(
      new OptionForbiddenError({
        option: optionName(optionCode.EXPORT_NAME),
        why: "extended headers have been agreed on",
        rule: "NBD_OPT_EXTENDED_HEADERS, C-220"
      })
    )
    : fallBack(reader, agreed, exportName, wanted)

const fallBack = (
  reader: FrameReader,
  agreed: Agreed,
  exportName: string,
  { zeroFlags = false }: Pick<Wanted, "zeroFlags">
) =>
  enterByName(reader, exportName, agreed.noZeroes).pipe(
    Effect.tap(({ flags }) => flags === 0 && !zeroFlags ? noFlags(optionCode.EXPORT_NAME) : Effect.void),
    Effect.map(({ exportSize, flags }): ToldFacts => ({
      name: exportName,
      size: exportSize,
      flags,
      replyStyle: agreed.replyStyle,
      blockSize: Option.none(),
      canonicalName: Option.none(),
      description: Option.none()
    }))
  )

type ErrorReply = Extract<OptionReply, { readonly _tag: "ErrorReply" }>

type Asked = { readonly _tag: "Accepted"; readonly facts: ToldFacts } | {
  readonly _tag: "Refused"
  readonly reply: ErrorReply
}

const ask = (
  reader: FrameReader,
  option: number,
  agreed: Agreed,
  exportName: string,
  wanted: Wanted
): Effect.Effect<Asked, HagglingFault> =>
  Effect.gen(function*() {
    const types = [
      ...(wanted.fullInfo ? [infoType.NAME, infoType.DESCRIPTION] : []),
      ...(wanted.blockSize ? [infoType.BLOCK_SIZE] : [])
    ]
    const { final, replies } = yield* haggle(
      reader,
      option,
      encodeInfoRequest({ exportName, types }),
      (reply) => reply._tag === "InfoReply" ? reply.info : undefined
    )
    if (final._tag === "ErrorReply") {
      // Once more with what it asks for; if it was asked for already, the server contradicts itself (C-059, H-046).
      return final.type === replyType.ERR_BLOCK_SIZE_REQD && !wanted.blockSize
        ? yield* ask(reader, option, agreed, exportName, { ...wanted, blockSize: true })
        : { _tag: "Refused", reply: final }
    }
    return { _tag: "Accepted", facts: yield* collect(option, agreed, exportName, wanted, replies) }
  })

const collect = (
  option: number,
  agreed: Agreed,
  exportName: string,
  { zeroFlags = false }: Wanted,
  infos: ReadonlyArray<Info>
): Effect.Effect<ToldFacts, ProtocolError> =>
  Effect.gen(function*() {
    let facts: ToldFacts | undefined
    let blockSize: ExportFacts["blockSize"] = Option.none()
    let canonicalName: ExportFacts["canonicalName"] = Option.none()
    let description: ExportFacts["description"] = Option.none()
    for (const info of infos) {
      switch (info._tag) {
        case "ExportInfo": {
          if (facts !== undefined && (facts.size !== info.exportSize || facts.flags !== info.flags)) {
            return yield* breach(option, "one size and one set of flags", "two that differ", "NBD_REP_INFO, H-035")
          }
          if (info.flags === 0 && !zeroFlags) return yield* noFlags(option)
          const { exportSize: size, flags } = info
          facts = {
            name: exportName,
            size,
            flags,
            replyStyle: agreed.replyStyle,
            blockSize,
            canonicalName,
            description
          }
          break
        }
        case "BlockSizeInfo":
          blockSize = checkBlockSize(info)
          break
        case "NameInfo":
          canonicalName = Option.some(info.name)
          break
        case "DescriptionInfo":
          description = Option.some(info.description)
          break
        case "UnknownInfo":
          break
      }
    }
    return facts === undefined
      ? yield* breach(option, "NBD_INFO_EXPORT before the acknowledgement", "none", "NBD_OPT_GO, C-053")
      : { ...facts, blockSize, canonicalName, description }
  })

const breach = (option: number, expected: string, received: string, rule: string) =>
  Effect.fail(
    new ProtocolError({ phase: "haggling", expected: `${expected} in answer to ${optionName(option)}`, received, rule })
  )

/**
 * HAS_FLAGS must be set. Flags that are all zero are refused, as in libnbd, unless the caller accepts them, as QEMU
 * does. Flags that lack only HAS_FLAGS are always accepted (H-037).
 */
const noFlags = (option: number) => breach(option, flagsOrSetting, "0x0000", "Transmission flags, C-123")

/**
 * The expectation for an export's flags, in words.
 *
 * @since 0.1.0
 * @category constants
 */
export const flagsOrSetting = "transmission flags (acceptZeroFlags goes on without any)"

const refusal = (option: number, exportName: string, reply: ErrorReply): Refusal =>
  reply.type === replyType.ERR_UNKNOWN
    ? new ExportUnknownError({ exportName, serverMessage: reply.message })
    : refused(option, reply, exportName)
