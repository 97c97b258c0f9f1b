/**
 * Misbehaviour in the headers of chunks, in their order and in their kind (H-098, H-107 to H-109, H-115 to H-118).
 *
 * Where replies have no chunks it does not apply.
 *
 * @since 0.1.0
 */
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { chunkFor, onlyChunk, to, unfinished } from "./AnswerChanges.ts"
import { behind, each, fields, first, isFrame } from "./Changes.ts"
import { make, type Misbehaviour } from "./Model.ts"

const isChunk = isFrame("Chunk")

/**
 * A chunk announces 4 GiB.
 *
 * @since 0.1.0
 * @category steering
 */
export const chunkTooLong = (length = 0xffff_ffffn): Misbehaviour =>
  make({
    name: "chunkTooLong",
    rule: "H-098",
    reaction: "Connection",
    sentence: "A chunk announces 4 GiB.",
    moment: "Answer",
    change: (speech) => first(speech, isChunk, (chunk) => ({ ...chunk, length }))
  })

/**
 * A chunk that means nothing is not the last one.
 *
 * @since 0.1.0
 * @category steering
 */
export const noneWithoutDone: Misbehaviour = make({
  name: "noneWithoutDone",
  rule: "H-107",
  reaction: "Connection",
  sentence: "A chunk that means nothing is not the last one.",
  moment: "Answer",
  change: onlyChunk(chunkType.NONE, undefined, 0)
})

/**
 * A chunk that means nothing has a payload.
 *
 * @since 0.1.0
 * @category steering
 */
export const noneWithPayload: Misbehaviour = make({
  name: "noneWithPayload",
  rule: "H-107",
  reaction: "Connection",
  sentence: "A chunk that means nothing has a payload.",
  moment: "Answer",
  change: onlyChunk(chunkType.NONE, new Uint8Array(8))
})

/**
 * No chunk of a reply is the last one.
 *
 * @since 0.1.0
 * @category steering
 */
export const doneMissing: Misbehaviour = make({
  name: "doneMissing",
  rule: "H-108",
  reaction: "Guarded",
  sentence: "No chunk of a reply is the last one.",
  moment: "Answer",
  change: (speech) => each(speech, isChunk, (chunk) => [unfinished(chunk)])
})

/**
 * A chunk comes behind the last one of its reply.
 *
 * @since 0.1.0
 * @category steering
 */
export const chunkBehindDone: Misbehaviour = make({
  name: "chunkBehindDone",
  rule: "H-109",
  reaction: "Connection",
  sentence: "A chunk comes behind the last one of its reply.",
  moment: "Answer",
  change: (speech, moment) => {
    const more = chunkFor(moment, chunkType.NONE)
    return more && behind(speech, more)
  }
})

/**
 * A chunk is of a type that nobody knows, and no error.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownChunkType = (type = 7): Misbehaviour =>
  make({
    name: "unknownChunkType",
    rule: "H-115",
    reaction: "Connection",
    sentence: "A chunk is of a type that nobody knows, and no error.",
    moment: "Answer",
    change: (speech) => first(speech, isChunk, (chunk) => ({ ...chunk, type }))
  })

/**
 * Chunks have flags that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownReplyFlags = (flags = 0xfffe): Misbehaviour =>
  make({
    name: "unknownReplyFlags",
    rule: "H-116",
    reaction: "Tolerated",
    sentence: "Chunks have flags that nobody knows.",
    moment: "Answer",
    change: (speech) => each(speech, isChunk, (chunk) => [{ ...chunk, flags: chunk.flags | flags }])
  })

/**
 * Data comes in answer to something else than a read.
 *
 * @since 0.1.0
 * @category steering
 */
export const contentForOtherCommand: Misbehaviour = make({
  name: "contentForOtherCommand",
  rule: "H-117",
  reaction: "Connection",
  sentence: "Data comes in answer to something else than a read.",
  moment: "Answer",
  change: (speech, moment) =>
    moment.request.code === commandCode.READ
      ? undefined
      : onlyChunk(chunkType.OFFSET_DATA, fields([8, moment.request.offset], [8, 1]))(speech, moment)
})

/**
 * Block status comes in answer to a read.
 *
 * @since 0.1.0
 * @category steering
 */
export const statusForRead: Misbehaviour = make({
  name: "statusForRead",
  rule: "H-118",
  reaction: "Connection",
  sentence: "Block status comes in answer to a read.",
  moment: "Answer",
  change: to("READ", onlyChunk(chunkType.BLOCK_STATUS, fields([4, 0], [4, 512], [4, 0])))
})
