/**
 * Misbehaviour in error chunks (H-120 to H-132).
 *
 * They come in place of the reply to any request, unless they are given a place. Where replies have no chunks they do
 * not apply.
 *
 * @since 0.1.0
 */
import { concat, encodeText, maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { chunkFor, errorPayload, onlyChunk } from "./AnswerChanges.ts"
import { fields, saying } from "./Changes.ts"
import { make, type Misbehaviour } from "./Model.ts"

/** Not UTF-8, a NUL, and what clears a screen and rings a bell. */
const hostileText = concat([Uint8Array.of(0xc3, 0x28, 0x00), encodeText("\u001b[2J\u0007\r\n")])

/**
 * An error is too short for its fields.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorTooShort = (length = 5): Misbehaviour =>
  make({
    name: "errorTooShort",
    rule: "H-120",
    reaction: "Request",
    sentence: "An error is too short for its fields.",
    moment: "Answer",
    change: onlyChunk(chunkType.ERROR, new Uint8Array(length))
  })

/**
 * An error has a text that is longer than itself.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorTextOverrun: Misbehaviour = make({
  name: "errorTextOverrun",
  rule: "H-121",
  reaction: "Request",
  sentence: "An error has a text that is longer than itself.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR, concat([fields([4, errno.EIO], [2, 100]), encodeText("short")]))
})

/**
 * An error is too short for its offset.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorOffsetTooShort: Misbehaviour = make({
  name: "errorOffsetTooShort",
  rule: "H-122",
  reaction: "Request",
  sentence: "An error is too short for its offset.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR_OFFSET, errorPayload(errno.EIO, "", new Uint8Array(7)))
})

/**
 * An error has a text of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const longErrorText: Misbehaviour = make({
  name: "longErrorText",
  rule: "H-123",
  reaction: "Request",
  sentence: "An error has a text of more than 4096 bytes.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR, errorPayload(errno.EIO, "x".repeat(maxStringBytes + 1)))
})

/**
 * There are more bytes behind the text of an error.
 *
 * @since 0.1.0
 * @category steering
 */
export const bytesBehindErrorText: Misbehaviour = make({
  name: "bytesBehindErrorText",
  rule: "H-124",
  reaction: "Request",
  sentence: "There are more bytes behind the text of an error.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR, errorPayload(errno.EIO, "so far", encodeText("and more")))
})

/**
 * An error has the value of success.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorOfZero: Misbehaviour = make({
  name: "errorOfZero",
  rule: "H-125",
  reaction: "Request",
  sentence: "An error has the value of success.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR, errorPayload(0, "no error"))
})

/**
 * An error has a value that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownErrnoInChunk = (value = 9999): Misbehaviour =>
  make({
    name: "unknownErrnoInChunk",
    rule: "H-126",
    reaction: "Request",
    sentence: "An error has a value that nobody knows.",
    moment: "Answer",
    change: onlyChunk(chunkType.ERROR, errorPayload(value))
  })

/**
 * An error has an offset that does not lie inside what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorOffsetOutside: Misbehaviour = make({
  name: "errorOffsetOutside",
  rule: "H-127",
  reaction: "Request",
  sentence: "An error has an offset that does not lie inside what was asked for.",
  moment: "Answer",
  change: (speech, moment) => {
    const { length, offset } = moment.request
    const outside = fields([8, offset + BigInt(length)])
    return onlyChunk(chunkType.ERROR_OFFSET, errorPayload(errno.EIO, "elsewhere", outside))(speech, moment)
  }
})

/**
 * An error is of a type that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownErrorType = (type = 0x8003): Misbehaviour =>
  make({
    name: "unknownErrorType",
    rule: "H-128",
    reaction: "Request",
    sentence: "An error is of a type that nobody knows.",
    moment: "Answer",
    change: onlyChunk(type, errorPayload(errno.EIO, "of a new kind", new Uint8Array(100)))
  })

/**
 * An error is followed by the rest of the reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorThenContent: Misbehaviour = make({
  name: "errorThenContent",
  rule: "H-129",
  reaction: "Request",
  sentence: "An error is followed by the rest of the reply.",
  moment: "Answer",
  change: ({ frames, afterwards }, moment) => {
    const error = chunkFor(moment, chunkType.ERROR, errorPayload(errno.EIO, "early"), 0)
    return error && { frames: [error, ...frames], afterwards }
  }
})

/**
 * An error is not the last chunk, and nothing follows.
 *
 * @since 0.1.0
 * @category steering
 */
export const errorThenSilence: Misbehaviour = make({
  name: "errorThenSilence",
  rule: "H-130",
  reaction: "Guarded",
  sentence: "An error is not the last chunk, and nothing follows.",
  moment: "Answer",
  change: onlyChunk(chunkType.ERROR, errorPayload(errno.EIO, "to be continued"), 0)
})

/**
 * There are several errors.
 *
 * @since 0.1.0
 * @category steering
 */
export const severalErrors: Misbehaviour = make({
  name: "severalErrors",
  rule: "H-131",
  reaction: "Request",
  sentence: "There are several errors.",
  moment: "Answer",
  change: (_, moment) => {
    const at = fields([8, moment.request.offset])
    const errors = [
      chunkFor(moment, chunkType.ERROR, errorPayload(errno.EIO, "the first"), 0),
      chunkFor(moment, chunkType.ERROR_OFFSET, errorPayload(errno.EPERM, "the second", at), 0),
      chunkFor(moment, chunkType.ERROR_OFFSET, errorPayload(errno.ENOMEM, "the third", at))
    ].filter((error) => error !== undefined)
    return errors.length === 0 ? undefined : saying(...errors)
  }
})

/**
 * An error has a text that is not UTF-8 and steers a terminal.
 *
 * @since 0.1.0
 * @category steering
 */
export const hostileErrorMessage = (text: Uint8Array = hostileText): Misbehaviour =>
  make({
    name: "hostileErrorMessage",
    rule: "H-132",
    reaction: "Request",
    sentence: "An error has a text that is not UTF-8 and steers a terminal.",
    moment: "Answer",
    change: onlyChunk(chunkType.ERROR, errorPayload(errno.EIO, text))
  })
