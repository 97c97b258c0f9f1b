/**
 * Ways to change block status, from which misbehaviours are made.
 *
 * @since 0.1.0
 */
import {
  decodeBlockStatus,
  encodeBlockStatus,
  type StatusDescriptor,
  type StatusWidth
} from "@effect-nbd/core/wire/BlockStatus"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { isOf } from "./AnswerChanges.ts"
import { first } from "./Changes.ts"
import { type ChunkFrame, withPayload } from "./Frame.ts"
import type { Speech } from "./Model.ts"

/**
 * Frames that are chunks of block status.
 *
 * @since 0.1.0
 * @category guards
 */
export const isStatus = isOf(chunkType.BLOCK_STATUS, chunkType.BLOCK_STATUS_EXT)

/**
 * How wide the fields of a status chunk are, by its type.
 *
 * @since 0.1.0
 * @category decoding
 */
export const widthOf = ({ type }: ChunkFrame): StatusWidth => type === chunkType.BLOCK_STATUS ? "compact" : "extended"

/**
 * Other chunks in place of the first one of block status.
 *
 * @since 0.1.0
 * @category constructors
 */
export const firstStatus =
  (change: (chunk: ChunkFrame) => ChunkFrame | ReadonlyArray<ChunkFrame>) => (speech: Speech): Speech | undefined =>
    first(speech, isStatus, change)

/**
 * What a status chunk tells.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly contextId: number
  readonly extents: ReadonlyArray<StatusDescriptor>
}

/**
 * The first status chunk tells something else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onStatus = (change: (status: Status) => Status) =>
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

/**
 * It tells of other extents.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onExtents = (change: (extents: Status["extents"]) => Status["extents"]) =>
  onStatus(({ contextId, extents }) => ({ contextId, extents: change(extents) }))

/**
 * Its last extent is another.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onLastExtent = (change: (extent: StatusDescriptor) => StatusDescriptor) =>
  onExtents((extents) => extents.map((extent, index) => index === extents.length - 1 ? change(extent) : extent))
