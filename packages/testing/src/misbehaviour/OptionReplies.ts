/**
 * Misbehaviour in option replies, of whatever option (H-015 to H-024, H-060, H-061).
 *
 * They apply to the answer to any option, unless they are given a place.
 *
 * @since 0.1.0
 */
import { concat, encodeText } from "@effect-nbd/core/wire/Bytes"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { isErrorType, replyType } from "@effect-nbd/core/wire/OptionReply"
import { type Cut, cutAfter, first, isFrame, saying } from "./Changes.ts"
import { encode, type Frame, optionReply, type OptionReplyFrame, raw, withPayload } from "./Frame.ts"
import { make, type Misbehaviour, type MomentOf, type Speech } from "./Model.ts"

const isReply = isFrame("OptionReply")

const isAck = (frame: Frame): frame is OptionReplyFrame => isReply(frame) && frame.type === replyType.ACK

const firstReply = (change: (reply: OptionReplyFrame) => OptionReplyFrame) => (speech: Speech) =>
  first(speech, isReply, change)

const refused = (type: number, text: Uint8Array) => (_: Speech, { option }: MomentOf<"OptionAnswer">): Speech =>
  saying(optionReply(option, type, text))

/** More bytes than any client should take of one answer. */
const mostEndless = 20_000_000

/** Not UTF-8, a NUL, and what clears a screen and rings a bell. */
const hostileText = concat([Uint8Array.of(0xc3, 0x28, 0x00), encodeText("\u001b[2J\u0007\r\n")])

/**
 * A reply begins with another magic.
 *
 * @since 0.1.0
 * @category steering
 */
export const wrongOptionReplyMagic: Misbehaviour = make({
  name: "wrongOptionReplyMagic",
  rule: "H-015",
  reaction: "Connection",
  sentence: "A reply begins with another magic.",
  moment: "OptionAnswer",
  change: firstReply((reply) => ({ ...reply, magic: reply.magic ^ 1n }))
})

/**
 * A reply is to another option than the one that was sent.
 *
 * @since 0.1.0
 * @category steering
 */
export const replyToAnotherOption: Misbehaviour = make({
  name: "replyToAnotherOption",
  rule: "H-016",
  reaction: "Connection",
  sentence: "A reply is to another option than the one that was sent.",
  moment: "OptionAnswer",
  change: firstReply((reply) => ({
    ...reply,
    option: reply.option === optionCode.LIST ? optionCode.INFO : optionCode.LIST
  }))
})

/**
 * A reply announces 4 GiB of payload.
 *
 * @since 0.1.0
 * @category steering
 */
export const optionReplyTooLong = (length = 0xffff_ffff): Misbehaviour =>
  make({
    name: "optionReplyTooLong",
    rule: "H-017",
    reaction: "Connection",
    sentence: "A reply announces 4 GiB of payload.",
    moment: "OptionAnswer",
    change: firstReply((reply) => ({ ...reply, length }))
  })

/**
 * An error has a text of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorTextTooLong: Misbehaviour = make({
  name: "errorTextTooLong",
  rule: "H-018",
  reaction: "Connection",
  sentence: "An error has a text of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: refused(replyType.ERR_POLICY, new Uint8Array(4097).fill(0x78))
})

/**
 * An error has a text that is not UTF-8 and steers a terminal.
 *
 * @since 0.1.0
 * @category steering
 */
export const hostileErrorText = (text: Uint8Array = hostileText): Misbehaviour =>
  make({
    name: "hostileErrorText",
    rule: "H-019",
    reaction: "Option",
    sentence: "An error has a text that is not UTF-8 and steers a terminal.",
    moment: "OptionAnswer",
    change: refused(replyType.ERR_POLICY, text)
  })

/**
 * An error is of a type that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownErrorReply = (type = 0x8000_4242): Misbehaviour =>
  make({
    name: "unknownErrorReply",
    rule: "H-020",
    reaction: "Option",
    sentence: "An error is of a type that nobody knows.",
    moment: "OptionAnswer",
    change: refused(type, encodeText("no"))
  })

/**
 * A reply is of a type that nobody knows, and no error.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownReplyType = (type = 0x4242): Misbehaviour =>
  make({
    name: "unknownReplyType",
    rule: "H-021",
    reaction: "Connection",
    sentence: "A reply is of a type that nobody knows, and no error.",
    moment: "OptionAnswer",
    change: firstReply((reply) => ({ ...reply, type }))
  })

/**
 * An acknowledgement has data.
 *
 * @since 0.1.0
 * @category steering
 */
export const ackWithData: Misbehaviour = make({
  name: "ackWithData",
  rule: "H-022",
  reaction: "Connection",
  sentence: "An acknowledgement has data.",
  moment: "OptionAnswer",
  change: (speech) => first(speech, isAck, (reply) => withPayload(reply, Uint8Array.of(1)))
})

/**
 * A reply is of a type that belongs to another option.
 *
 * @since 0.1.0
 * @category steering
 */
export const replyOfAnotherOption: Misbehaviour = make({
  name: "replyOfAnotherOption",
  rule: "H-023",
  reaction: "Connection",
  sentence: "A reply is of a type that belongs to another option.",
  moment: "OptionAnswer",
  change: firstReply((reply) => ({
    ...withPayload(reply, new Uint8Array(12)),
    type: reply.option === optionCode.LIST ? replyType.INFO : replyType.SERVER
  }))
})

/**
 * A reply that is not the last one comes again and again. `times` counts as far as 20 MB.
 *
 * @since 0.1.0
 * @category steering
 */
export const endlessReplies = (times = 65_537): Misbehaviour =>
  make({
    name: "endlessReplies",
    rule: "H-024",
    reaction: "Guarded",
    sentence: "A reply that is not the last one comes again and again.",
    moment: "OptionAnswer",
    change: (speech) =>
      first(speech, isReply, (reply) => {
        if (reply.type === replyType.ACK || isErrorType(reply.type)) return reply
        const bytes = encode(reply)
        const length = Math.min(times, Math.ceil(mostEndless / bytes.byteLength))
        return raw(concat(Array.from({ length }, () => bytes)))
      })
  })

/**
 * NBD_OPT_ABORT is not answered.
 *
 * @since 0.1.0
 * @category steering
 */
export const abortUnanswered = (by: "Silence" | "End" = "Silence"): Misbehaviour =>
  make({
    name: "abortUnanswered",
    rule: "H-060",
    reaction: "Tolerated",
    sentence: "NBD_OPT_ABORT is not answered.",
    moment: "OptionAnswer",
    change: (_, { option }) => option === optionCode.ABORT ? { frames: [], afterwards: by } : undefined
  })

/**
 * The connection ends inside a reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const optionReplyCut = (cut: Cut = { after: 9, by: "End" }): Misbehaviour =>
  make({
    name: "optionReplyCut",
    rule: "H-061",
    reaction: "Connection",
    sentence: "The connection ends inside a reply.",
    moment: "OptionAnswer",
    change: (speech) => cutAfter(speech, cut)
  })

/**
 * The server closes in place of refusing an option that it does not know.
 *
 * @since 0.1.0
 * @category steering
 */
export const closesOnOption: Misbehaviour = make({
  name: "closesOnOption",
  rule: "H-050",
  reaction: "Connection",
  sentence: "The server closes in place of refusing an option that it does not know.",
  moment: "OptionAnswer",
  change: (_, { option }) => option === optionCode.ABORT ? undefined : { frames: [], afterwards: "End" }
})

/**
 * The server refuses an option because it is shutting down.
 *
 * @since 0.1.0
 * @category steering
 */
export const refusesToShutDown: Misbehaviour = make({
  name: "refusesToShutDown",
  rule: "H-051",
  reaction: "Connection",
  sentence: "The server refuses an option because it is shutting down.",
  moment: "OptionAnswer",
  change: refused(replyType.ERR_SHUTDOWN, encodeText("going down"))
})
