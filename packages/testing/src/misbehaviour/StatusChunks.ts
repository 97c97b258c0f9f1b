/**
 * Misbehaviour in the chunks of block status, whatever extents are in them (H-133 to H-136, H-143, H-145 to H-149).
 *
 * @since 0.1.0
 */
import { maxDescriptors, statusSize } from "@effect-nbd/core/wire/BlockStatus"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { chunkFor, onlyChunk, to, unfinished } from "./AnswerChanges.ts"
import { fields, first } from "./Changes.ts"
import { type ChunkFrame, type Frame, withPayload } from "./Frame.ts"
import { make, type Misbehaviour } from "./Model.ts"
import { firstStatus, isStatus, onStatus, widthOf } from "./StatusChanges.ts"

const isExtended = (frame: Frame): frame is ChunkFrame => frame._tag === "Chunk" && frame.header === "Extended"

/**
 * A status chunk is of a length that cannot be.
 *
 * @since 0.1.0
 * @category steering
 */
export const statusLength: Misbehaviour = make({
  name: "statusLength",
  rule: "H-133",
  reaction: "Connection",
  sentence: "A status chunk is of a length that cannot be.",
  moment: "Answer",
  change: firstStatus((chunk) => withPayload(chunk, chunk.payload.subarray(0, 11)))
})

/**
 * A status chunk is about a context that was not selected.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownContextId: Misbehaviour = make({
  name: "unknownContextId",
  rule: "H-134",
  reaction: "Connection",
  sentence: "A status chunk is about a context that was not selected.",
  moment: "Answer",
  change: onStatus(({ contextId, extents }) => ({ contextId: contextId + 1000, extents }))
})

/**
 * There are two status chunks about the same context.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextTwice: Misbehaviour = make({
  name: "contextTwice",
  rule: "H-135",
  reaction: "Connection",
  sentence: "There are two status chunks about the same context.",
  moment: "Answer",
  change: firstStatus((chunk) => [unfinished(chunk), chunk])
})

/**
 * There is no status chunk about a context that was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const contextMissing: Misbehaviour = make({
  name: "contextMissing",
  rule: "H-136",
  reaction: "Request",
  sentence: "There is no status chunk about a context that was asked for.",
  moment: "Answer",
  change: (speech, moment) => {
    const none = chunkFor(moment, chunkType.NONE)
    return none && first(speech, isStatus, (chunk) => unfinished(chunk).flags === chunk.flags ? [] : none)
  }
})

/**
 * A status chunk announces more than 2^20 extents.
 *
 * @since 0.1.0
 * @category steering
 */
export const tooManyExtents: Misbehaviour = make({
  name: "tooManyExtents",
  rule: "H-143",
  reaction: "Guarded",
  sentence: "A status chunk announces more than 2^20 extents.",
  moment: "Answer",
  change: firstStatus((chunk) => {
    const { descriptor, head } = statusSize[widthOf(chunk)]
    return { ...chunk, length: BigInt(head + descriptor * (maxDescriptors + 1)) }
  })
})

/**
 * There is a status chunk although no context was selected.
 *
 * @since 0.1.0
 * @category steering
 */
export const statusWithoutContexts: Misbehaviour = make({
  name: "statusWithoutContexts",
  rule: "H-145",
  reaction: "Connection",
  sentence: "There is a status chunk although no context was selected.",
  moment: "Answer",
  change: to("BLOCK_STATUS", onlyChunk(chunkType.BLOCK_STATUS, fields([4, 1], [4, 512], [4, 0])))
})

/**
 * A status chunk is of the type that goes with the other kind of header.
 *
 * @since 0.1.0
 * @category steering
 */
export const otherStatusType: Misbehaviour = make({
  name: "otherStatusType",
  rule: "H-146",
  reaction: "Connection",
  sentence: "A status chunk is of the type that goes with the other kind of header.",
  moment: "Answer",
  change: firstStatus((chunk) => ({
    ...chunk,
    type: chunk.type === chunkType.BLOCK_STATUS ? chunkType.BLOCK_STATUS_EXT : chunkType.BLOCK_STATUS
  }))
})

/**
 * A status chunk of 64 bits counts another number of extents than it has.
 *
 * @since 0.1.0
 * @category steering
 */
export const wrongExtentCount: Misbehaviour = make({
  name: "wrongExtentCount",
  rule: "H-147",
  reaction: "Connection",
  sentence: "A status chunk of 64 bits counts another number of extents than it has.",
  moment: "Answer",
  change: firstStatus((chunk) => {
    const payload = Uint8Array.from(chunk.payload)
    // Another misbehaviour may have left no count.
    if (widthOf(chunk) === "extended" && payload.byteLength >= 8) payload.set(fields([4, 0]), 4)
    return withPayload(chunk, payload)
  })
})

/**
 * An extended header has another offset than the request.
 *
 * @since 0.1.0
 * @category steering
 */
export const otherOffset: Misbehaviour = make({
  name: "otherOffset",
  rule: "H-149",
  reaction: "Connection",
  sentence: "An extended header has another offset than the request.",
  moment: "Answer",
  change: (speech) => first(speech, isExtended, (chunk) => ({ ...chunk, offset: chunk.offset + 512n }))
})
