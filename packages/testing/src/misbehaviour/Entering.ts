/**
 * Misbehaviour on the way into an export, and with meta contexts (H-036, H-046 to H-059).
 *
 * @since 0.1.0
 */
import { concat, encodeText, maxStringBytes, viewOf } from "@effect-nbd/core/wire/Bytes"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { behind, each, fields, first, saying } from "./Changes.ts"
import { encode, type Frame, optionReply, type OptionReplyFrame, raw, simpleReply, withPayload } from "./Frame.ts"
import { make, type Misbehaviour, type Moment, type MomentOf, type Speech } from "./Model.ts"
import { firstReply, ofType } from "./ReplyChanges.ts"

/** With an id: another misbehaviour may have made it one of the type alone. */
const isContext = (frame: Frame): frame is OptionReplyFrame =>
  ofType(replyType.META_CONTEXT)(frame) && frame.payload.byteLength >= 4
const isAck = ofType(replyType.ACK)

const isChoice = (option: number): boolean => option === optionCode.INFO || option === optionCode.GO

const refused = (option: number): Speech => saying(optionReply(option, replyType.ERR_POLICY, encodeText("not today")))

const errorInPlaceOfAck =
  (options: ReadonlyArray<number>) => (speech: Speech, { option }: MomentOf<"OptionAnswer">): Speech | undefined =>
    options.includes(option)
      ? first(speech, isAck, () => optionReply(option, replyType.ERR_POLICY, encodeText("not today")))
      : undefined

const unsupported = (_: Speech, moment: Moment): Speech | undefined =>
  moment._tag === "OptionAnswer" && moment.option === optionCode.GO
    ? saying(optionReply(optionCode.GO, replyType.ERR_UNSUP))
    : undefined

const behindGo = (frame: Frame) => (speech: Speech, { option }: MomentOf<"OptionAnswer">): Speech | undefined =>
  option === optionCode.GO && speech.frames.some(isAck) ? behind(speech, frame) : undefined

const onlySet =
  (change: (speech: Speech) => Speech | undefined) => (speech: Speech, { option }: MomentOf<"OptionAnswer">) =>
    option === optionCode.SET_META_CONTEXT ? change(speech) : undefined

const withId = (reply: OptionReplyFrame, id: number): OptionReplyFrame =>
  withPayload(reply, concat([fields([4, id]), reply.payload.subarray(4)]))

const named = (reply: OptionReplyFrame, id: number, name: string): OptionReplyFrame =>
  withPayload(reply, concat([fields([4, id]), encodeText(name)]))

/**
 * Information is followed by an error.
 *
 * @since 0.1.0
 * @category steering
 */
export const infoThenError: Misbehaviour = make({
  name: "infoThenError",
  rule: "H-036",
  reaction: "Option",
  sentence: "Information is followed by an error.",
  moment: "OptionAnswer",
  change: errorInPlaceOfAck([optionCode.INFO, optionCode.GO])
})

/**
 * The server asks for what the client did: that it ask for block size constraints.
 *
 * @since 0.1.0
 * @category steering
 */
export const blockSizeRequired: Misbehaviour = make({
  name: "blockSizeRequired",
  rule: "H-046",
  reaction: "Option",
  sentence: "The server asks for what the client did: that it ask for block size constraints.",
  moment: "OptionAnswer",
  change: (_, { option }) => isChoice(option) ? saying(optionReply(option, replyType.ERR_BLOCK_SIZE_REQD)) : undefined
})

/**
 * The server requires TLS although TLS has begun.
 *
 * @since 0.1.0
 * @category steering
 */
export const tlsRequiredUnderTls: Misbehaviour = make({
  name: "tlsRequiredUnderTls",
  rule: "H-047",
  reaction: "Option",
  sentence: "The server requires TLS although TLS has begun.",
  moment: "OptionAnswer",
  change: (_, { encrypted, option }) => encrypted ? saying(optionReply(option, replyType.ERR_TLS_REQD)) : undefined
})

/**
 * NBD_OPT_GO is not supported, and NBD_OPT_EXPORT_NAME is answered by a close.
 *
 * @since 0.1.0
 * @category steering
 */
export const goUnsupportedThenClosed: Misbehaviour = make({
  name: "goUnsupportedThenClosed",
  rule: "H-048",
  reaction: "Connection",
  sentence: "NBD_OPT_GO is not supported, and NBD_OPT_EXPORT_NAME is answered by a close.",
  change: (speech, moment) =>
    moment._tag === "ExportName" ? { frames: [], afterwards: "End" } : unsupported(speech, moment)
})

/**
 * NBD_OPT_GO is not supported although extended headers are, which rule out the other way in.
 *
 * @since 0.1.0
 * @category steering
 */
export const goUnsupported: Misbehaviour = make({
  name: "goUnsupported",
  rule: "H-049",
  reaction: "Connection",
  sentence: "NBD_OPT_GO is not supported although extended headers are, which rule out the other way in.",
  change: unsupported
})

/**
 * The answer to NBD_OPT_EXPORT_NAME is padded where it should not be, or not where it should.
 *
 * @since 0.1.0
 * @category steering
 */
export const exportNamePad: Misbehaviour = make({
  name: "exportNamePad",
  rule: "H-052",
  reaction: "Connection",
  sentence: "The answer to NBD_OPT_EXPORT_NAME is padded where it should not be, or not where it should.",
  moment: "ExportName",
  change: (speech, { noZeroes }) => {
    const bytes = concat(speech.frames.map(encode))
    return saying(raw(noZeroes ? concat([bytes, new Uint8Array(124)]) : bytes.subarray(0, 10)))
  }
})

/**
 * 124 zeroes follow the acknowledgement of NBD_OPT_GO.
 *
 * @since 0.1.0
 * @category steering
 */
export const zeroesBehindGo: Misbehaviour = make({
  name: "zeroesBehindGo",
  rule: "H-053",
  reaction: "Connection",
  sentence: "124 zeroes follow the acknowledgement of NBD_OPT_GO.",
  moment: "OptionAnswer",
  change: behindGo(raw(new Uint8Array(124)))
})

/**
 * A reply follows the acknowledgement of NBD_OPT_GO, before there was any request.
 *
 * @since 0.1.0
 * @category steering
 */
export const replyBehindGo: Misbehaviour = make({
  name: "replyBehindGo",
  rule: "H-054",
  reaction: "Connection",
  sentence: "A reply follows the acknowledgement of NBD_OPT_GO, before there was any request.",
  moment: "OptionAnswer",
  change: behindGo(simpleReply(1n, 0))
})

/**
 * Meta contexts are listed, and then comes an error.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextsThenError: Misbehaviour = make({
  name: "contextsThenError",
  rule: "H-055",
  reaction: "Option",
  sentence: "Meta contexts are listed, and then comes an error.",
  moment: "OptionAnswer",
  change: errorInPlaceOfAck([optionCode.LIST_META_CONTEXT])
})

/**
 * Meta contexts are refused after they were selected before.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextsRefusedLater: Misbehaviour = make({
  name: "contextsRefusedLater",
  rule: "H-056",
  reaction: "Option",
  sentence: "Meta contexts are refused after they were selected before.",
  moment: "OptionAnswer",
  place: { nth: 2 },
  change: (_, { option }) => option === optionCode.SET_META_CONTEXT ? refused(option) : undefined
})

/**
 * A meta context has no name.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextReplyTooShort: Misbehaviour = make({
  name: "contextReplyTooShort",
  rule: "H-057",
  reaction: "Connection",
  sentence: "A meta context has no name.",
  moment: "OptionAnswer",
  change: firstReply(isContext, (reply) => withPayload(reply, reply.payload.subarray(0, 4)))
})

/**
 * A meta context has a name of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextNameTooLong: Misbehaviour = make({
  name: "contextNameTooLong",
  rule: "H-057",
  reaction: "Connection",
  sentence: "A meta context has a name of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: firstReply(
    isContext,
    (reply) => withPayload(reply, concat([fields([4, 1]), new Uint8Array(maxStringBytes + 1).fill(0x78)]))
  )
})

/**
 * Two meta contexts have the same id. It takes a client that asks for two.
 *
 * @since 0.1.0
 * @category steering
 */
export const duplicateContextIds: Misbehaviour = make({
  name: "duplicateContextIds",
  rule: "H-058",
  reaction: "Connection",
  sentence: "Two meta contexts have the same id.",
  moment: "OptionAnswer",
  change: onlySet((speech) => {
    const [id] = speech.frames.filter(isContext).map(({ payload }) => viewOf(payload).getUint32(0))
    return id === undefined ? undefined : each(speech, isContext, (reply) => [withId(reply, id)])
  })
})

/**
 * A meta context is selected that was not asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const unaskedContext: Misbehaviour = make({
  name: "unaskedContext",
  rule: "H-058",
  reaction: "Connection",
  sentence: "A meta context is selected that was not asked for.",
  moment: "OptionAnswer",
  change: onlySet((speech) => first(speech, isContext, (reply) => [reply, named(reply, 77, "x-unasked:for")]))
})

/**
 * A meta context has the id 0. The first one of a session has it anyway.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextIdZero: Misbehaviour = make({
  name: "contextIdZero",
  rule: "H-059",
  reaction: "Tolerated",
  sentence: "A meta context has the id 0.",
  moment: "OptionAnswer",
  change: onlySet((speech) => first(speech, isContext, (reply) => withId(reply, 0)))
})
