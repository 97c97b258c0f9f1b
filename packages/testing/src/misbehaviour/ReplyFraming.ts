/**
 * Misbehaviour in replies of whatever command (H-074 to H-089).
 *
 * They apply to the answer to any request that they fit, unless they are given a place.
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { errorPayload, failing, isReply, to } from "./AnswerChanges.ts"
import { behind, type Cut, cutAfter, first, isFrame, saying } from "./Changes.ts"
import { chunk, type Frame, simpleReply, type SimpleReplyFrame } from "./Frame.ts"
import { make, type Misbehaviour, type MomentOf, type Speech } from "./Model.ts"

/** Added to a cookie it makes one that no client has. */
const unheardOf = 0x1_0000_0000_0000n

/** A simple reply in place of another, where simple replies can be. */
const simple =
  (reply: (cookie: bigint) => Frame) => (_: Speech, { replyStyle, request }: MomentOf<"Answer">): Speech | undefined =>
    replyStyle === "Extended" ? undefined : saying(reply(request.cookie))

const onSimple = (change: (reply: SimpleReplyFrame) => SimpleReplyFrame) => (speech: Speech): Speech | undefined =>
  first(speech, isFrame("SimpleReply"), change)

/**
 * A reply begins with a magic that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownReplyMagic = (magic = 0x1234_5678): Misbehaviour =>
  make({
    name: "unknownReplyMagic",
    rule: "H-074",
    reaction: "Connection",
    sentence: "A reply begins with a magic that nobody knows.",
    moment: "Answer",
    change: (speech) => first(speech, isReply, (reply) => ({ ...reply, magic }))
  })

/**
 * A reply has chunks, which were not agreed on.
 *
 * @since 0.1.0
 * @category steering
 */
export const chunkNotAgreedOn: Misbehaviour = make({
  name: "chunkNotAgreedOn",
  rule: "H-075",
  reaction: "Connection",
  sentence: "A reply has chunks, which were not agreed on.",
  moment: "Answer",
  change: (_, { replyStyle, request: { cookie, offset } }) =>
    replyStyle === "Simple" ? saying(chunk("Structured", { cookie, offset, type: chunkType.NONE })) : undefined
})

/**
 * A chunk has the other kind of header than was agreed on.
 *
 * @since 0.1.0
 * @category steering
 */
export const otherHeaders: Misbehaviour = make({
  name: "otherHeaders",
  rule: "H-076",
  reaction: "Connection",
  sentence: "A chunk has the other kind of header than was agreed on.",
  moment: "Answer",
  change: (_, { replyStyle, request: { cookie, offset } }) => {
    const error = { cookie, offset, type: chunkType.ERROR, payload: errorPayload(errno.EIO, "in another style") }
    return saying(chunk(replyStyle === "Extended" ? "Structured" : "Extended", error))
  }
})

/**
 * A simple reply has the cookie of no request.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownCookieSimple: Misbehaviour = make({
  name: "unknownCookieSimple",
  rule: "H-077",
  reaction: "Connection",
  sentence: "A simple reply has the cookie of no request.",
  moment: "Answer",
  change: simple((cookie) => simpleReply(cookie + unheardOf, 0))
})

/**
 * A reply or chunk has the cookie of no request.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownCookie: Misbehaviour = make({
  name: "unknownCookie",
  rule: "H-078",
  reaction: "Connection",
  sentence: "A reply or chunk has the cookie of no request.",
  moment: "Answer",
  change: (speech) => first(speech, isReply, (reply) => ({ ...reply, cookie: reply.cookie + unheardOf }))
})

/**
 * A request is answered twice.
 *
 * @since 0.1.0
 * @category steering
 */
export const secondFinalReply: Misbehaviour = make({
  name: "secondFinalReply",
  rule: "H-079",
  reaction: "Connection",
  sentence: "A request is answered twice.",
  moment: "Answer",
  change: (speech) => behind(speech, ...speech.frames)
})

/**
 * A reply comes so late that its request may have been given up. It is said behind the next reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const lateReply: Misbehaviour = make({
  name: "lateReply",
  rule: "H-080",
  reaction: "Tolerated",
  sentence: "A reply comes so late that its request may have been given up.",
  moment: "Answer",
  place: { times: 1 },
  change: ({ frames }) => saying({ _tag: "Later", frames })
})

/**
 * A simple reply has an error value that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownErrno = (value = 9999): Misbehaviour =>
  make({
    name: "unknownErrno",
    rule: "H-081",
    reaction: "Request",
    sentence: "A simple reply has an error value that nobody knows.",
    moment: "Answer",
    change: simple((cookie) => simpleReply(cookie, value))
  })

/**
 * A request fails because the server is shutting down.
 *
 * @since 0.1.0
 * @category steering
 */
export const shutdownReply: Misbehaviour = make({
  name: "shutdownReply",
  rule: "H-082",
  reaction: "Connection",
  sentence: "A request fails because the server is shutting down.",
  moment: "Answer",
  change: failing(errno.ESHUTDOWN)
})

/**
 * A read is answered by a simple reply although chunks were agreed on.
 *
 * @since 0.1.0
 * @category steering
 */
export const simpleReadReply: Misbehaviour = make({
  name: "simpleReadReply",
  rule: "H-083",
  reaction: "Connection",
  sentence: "A read is answered by a simple reply although chunks were agreed on.",
  moment: "Answer",
  change: to(
    "READ",
    (_, { replyStyle, request: { cookie, length } }) =>
      replyStyle === "Structured" ? saying(simpleReply(cookie, 0, new Uint8Array(length))) : undefined
  )
})

/**
 * A read fails by a simple reply although chunks were agreed on.
 *
 * @since 0.1.0
 * @category steering
 */
export const simpleReadError = (value: number = errno.EIO): Misbehaviour =>
  make({
    name: "simpleReadError",
    rule: "H-083",
    reaction: "Request",
    sentence: "A read fails by a simple reply although chunks were agreed on.",
    moment: "Answer",
    change: to(
      "READ",
      (_, { replyStyle, request: { cookie } }) =>
        replyStyle === "Structured" ? saying(simpleReply(cookie, value)) : undefined
    )
  })

/**
 * Data follows a simple reply to a read although it is an error.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataBehindSimpleError: Misbehaviour = make({
  name: "dataBehindSimpleError",
  rule: "H-084",
  reaction: "Connection",
  sentence: "Data follows a simple reply to a read although it is an error.",
  moment: "Answer",
  change: to("READ", onSimple((reply) => ({ ...reply, error: errno.EIO })))
})

/**
 * A simple reply to a read has less data than was asked for, and what follows is taken for the rest.
 *
 * @since 0.1.0
 * @category steering
 */
export const shortSimpleRead: Misbehaviour = make({
  name: "shortSimpleRead",
  rule: "H-085",
  reaction: "Connection",
  sentence: "A simple reply to a read has less data than was asked for, and what follows is taken for the rest.",
  moment: "Answer",
  change: to("READ", onSimple((reply) => ({ ...reply, data: reply.data.subarray(0, reply.data.byteLength >> 1) })))
})

/**
 * The connection ends inside the data of a simple reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const simpleReadCut = (by: Cut["by"] = "End"): Misbehaviour =>
  make({
    name: "simpleReadCut",
    rule: "H-086",
    reaction: "Connection",
    sentence: "The connection ends inside the data of a simple reply.",
    moment: "Answer",
    change: to("READ", (speech, { replyStyle, request: { length } }) =>
      replyStyle === "Simple" ? cutAfter(speech, { after: 16 + (length >> 1), by }) : undefined)
  })

/**
 * Data follows a simple reply to something else than a read.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataBehindSimpleReply: Misbehaviour = make({
  name: "dataBehindSimpleReply",
  rule: "H-087",
  reaction: "Connection",
  sentence: "Data follows a simple reply to something else than a read.",
  moment: "Answer",
  change: (speech, moment) =>
    moment.request.code === commandCode.READ
      ? undefined
      : simple((cookie) => simpleReply(cookie, 0, new Uint8Array(64)))(speech, moment)
})

/**
 * Block status is answered by a simple success, and so by nothing.
 *
 * @since 0.1.0
 * @category steering
 */
export const simpleStatusSuccess: Misbehaviour = make({
  name: "simpleStatusSuccess",
  rule: "H-088",
  reaction: "Request",
  sentence: "Block status is answered by a simple success, and so by nothing.",
  moment: "Answer",
  change: to("BLOCK_STATUS", simple((cookie) => simpleReply(cookie, 0)))
})

/**
 * Block status is answered by a simple error.
 *
 * @since 0.1.0
 * @category steering
 */
export const simpleStatusError: Misbehaviour = make({
  name: "simpleStatusError",
  rule: "H-089",
  reaction: "Request",
  sentence: "Block status is answered by a simple error.",
  moment: "Answer",
  change: to("BLOCK_STATUS", simple((cookie) => simpleReply(cookie, errno.EIO)))
})
