/**
 * Misbehaviour in block status (H-133 to H-149).
 *
 * @since 0.1.0
 */
import {
  decodeBlockStatus,
  encodeBlockStatus,
  maxDescriptors,
  type StatusDescriptor,
  statusSize,
  type StatusWidth
} from "@effect-nbd/core/wire/BlockStatus"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { chunkFor, isOf, onlyChunk, to, unfinished } from "./AnswerChanges.ts"
import { fields, first } from "./Changes.ts"
import { type ChunkFrame, type Frame, withPayload } from "./Frame.ts"
import { make, type Misbehaviour, type Speech } from "./Model.ts"

const isStatus = isOf(chunkType.BLOCK_STATUS, chunkType.BLOCK_STATUS_EXT)

const isExtended = (frame: Frame): frame is ChunkFrame => frame._tag === "Chunk" && frame.header === "Extended"

const widthOf = ({ type }: ChunkFrame): StatusWidth => type === chunkType.BLOCK_STATUS ? "compact" : "extended"

const firstStatus =
  (change: (chunk: ChunkFrame) => ChunkFrame | ReadonlyArray<ChunkFrame>) => (speech: Speech): Speech | undefined =>
    first(speech, isStatus, change)

interface Status {
  readonly contextId: number
  readonly extents: ReadonlyArray<StatusDescriptor>
}

const onStatus = (change: (status: Status) => Status) =>
  firstStatus((chunk) => {
    const width = widthOf(chunk)
    const found = decodeBlockStatus(width, chunk.payload)
    if (isWireError(found)) return chunk
    const extents = Array.from({ length: found.count }, (_, index) => ({
      length: found.lengthAt(index),
      flags: found.flagsAt(index)
    }))
    const { contextId, extents: descriptors } = change({ contextId: found.contextId, extents })
    return withPayload(chunk, encodeBlockStatus(width, { contextId, descriptors }))
  })

const onExtents = (change: (extents: Status["extents"]) => Status["extents"]) =>
  onStatus(({ contextId, extents }) => ({ contextId, extents: change(extents) }))

const onLastExtent = (change: (extent: StatusDescriptor) => StatusDescriptor) =>
  onExtents((extents) => extents.map((extent, index) => index === extents.length - 1 ? change(extent) : extent))

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
 * An extent has no bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const emptyExtent: Misbehaviour = make({
  name: "emptyExtent",
  rule: "H-137",
  reaction: "Connection",
  sentence: "An extent has no bytes.",
  moment: "Answer",
  change: onExtents((extents) => [{ length: 0n, flags: 0n }, ...extents])
})

/**
 * The extents before the last one reach the end of what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const extentsBeyondNeed: Misbehaviour = make({
  name: "extentsBeyondNeed",
  rule: "H-138",
  reaction: "Request",
  sentence: "The extents before the last one reach the end of what was asked for.",
  moment: "Answer",
  change: onExtents((extents) => [...extents, { length: 4096n, flags: 0n }])
})

/**
 * There are several extents although one was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const severalExtentsForOne: Misbehaviour = make({
  name: "severalExtentsForOne",
  rule: "H-139",
  reaction: "Tolerated",
  sentence: "There are several extents although one was asked for.",
  moment: "Answer",
  change: (speech, moment) =>
    (moment.request.flags & CommandFlags.REQ_ONE) === 0
      ? undefined
      : onExtents((extents) => [...extents, { length: 4096n, flags: 0n }])(speech)
})

/**
 * The last extent goes beyond what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const lastExtentLonger: Misbehaviour = make({
  name: "lastExtentLonger",
  rule: "H-140",
  reaction: "Tolerated",
  sentence: "The last extent goes beyond what was asked for.",
  moment: "Answer",
  change: onLastExtent(({ flags, length }) => ({ flags, length: length + 4096n }))
})

/**
 * The last extent goes beyond the export.
 *
 * @since 0.1.0
 * @category steering
 */
export const extentsBeyondExport: Misbehaviour = make({
  name: "extentsBeyondExport",
  rule: "H-141",
  reaction: "Tolerated",
  sentence: "The last extent goes beyond the export.",
  moment: "Answer",
  change: onLastExtent(({ flags }) => ({ flags, length: 0xffff_f000n }))
})

/**
 * An extent ends inside a block.
 *
 * @since 0.1.0
 * @category steering
 */
export const unalignedExtents: Misbehaviour = make({
  name: "unalignedExtents",
  rule: "H-142",
  reaction: "Tolerated",
  sentence: "An extent ends inside a block.",
  moment: "Answer",
  change: onExtents(([extent, ...extents]) =>
    extent === undefined ? [] : [{ ...extent, length: 100n }, { ...extent, length: extent.length - 100n }, ...extents]
  )
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
 * The flags of an extent have bits without a meaning.
 *
 * @since 0.1.0
 * @category steering
 */
export const reservedStatusBits: Misbehaviour = make({
  name: "reservedStatusBits",
  rule: "H-144",
  reaction: "Tolerated",
  sentence: "The flags of an extent have bits without a meaning.",
  moment: "Answer",
  change: onExtents((extents) => extents.map(({ flags, length }) => ({ flags: flags | 0xffff_fff0n, length })))
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
    if (widthOf(chunk) === "extended") payload.set(fields([4, 0]), 4)
    return withPayload(chunk, payload)
  })
})

/**
 * The flags of an extent have bits above 32. It takes extended headers.
 *
 * @since 0.1.0
 * @category steering
 */
export const wideStatus: Misbehaviour = make({
  name: "wideStatus",
  rule: "H-148",
  reaction: "Tolerated",
  sentence: "The flags of an extent have bits above 32.",
  moment: "Answer",
  change: onExtents((extents) => extents.map(({ flags, length }) => ({ flags: flags | 0x100_0000_0000n, length })))
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
