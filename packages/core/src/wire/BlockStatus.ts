/**
 * Block status: the payload of the chunks that answer NBD_CMD_BLOCK_STATUS, in 32 and in 64 bits, and the payload that
 * a request may have under extended headers.
 *
 * A chunk may carry 2^20 descriptors. They stay encoded, and are read where they are needed: no object is made for one
 * that is not looked at.
 *
 * @since 0.1.0
 */
import { viewOf } from "./Bytes.ts"
import { WireError } from "./WireError.ts"

/**
 * One run of bytes of the same status.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatusDescriptor {
  /** Bytes, at least 1. */
  readonly length: bigint
  /** The meta context says what they mean. */
  readonly flags: bigint
}

/**
 * How wide the fields of a descriptor are: 32 bits in structured replies, 64 under extended headers (C-228).
 *
 * @since 0.1.0
 * @category models
 */
export type StatusWidth = "compact" | "extended"

/**
 * Most descriptors one chunk may have (C-197).
 *
 * @since 0.1.0
 * @category constants
 */
export const maxDescriptors = 1_048_576

/**
 * Bytes before the descriptors, and bytes of each.
 *
 * @since 0.1.0
 * @category constants
 */
export const statusSize = {
  compact: { head: 4, descriptor: 8 },
  extended: { head: 8, descriptor: 16 }
} as const

/**
 * Longest payload of a status chunk in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const longestStatus = (width: StatusWidth): number =>
  statusSize[width].head + maxDescriptors * statusSize[width].descriptor

/**
 * Whether a payload can have this length, so that it is known from the header (C-187, C-228).
 *
 * @since 0.1.0
 * @category guards
 */
export const isStatusLength = (width: StatusWidth, length: number): boolean => {
  const { descriptor, head } = statusSize[width]
  return length >= head + descriptor && length <= longestStatus(width) && (length - head) % descriptor === 0
}

/**
 * What one context has to say: the descriptors of a chunk, still encoded.
 *
 * @since 0.1.0
 * @category models
 */
export class Descriptors {
  readonly contextId: number
  /** At least 1. */
  readonly count: number
  private readonly view: DataView
  private readonly width: StatusWidth

  constructor(width: StatusWidth, payload: Uint8Array) {
    this.width = width
    this.view = viewOf(payload)
    this.contextId = this.view.getUint32(0)
    this.count = (payload.byteLength - statusSize[width].head) / statusSize[width].descriptor
  }

  lengthAt(index: number): bigint {
    return this.width === "compact"
      ? BigInt(this.view.getUint32(4 + 8 * index))
      : this.view.getBigUint64(8 + 16 * index)
  }

  flagsAt(index: number): bigint {
    return this.width === "compact"
      ? BigInt(this.view.getUint32(8 + 8 * index))
      : this.view.getBigUint64(16 + 16 * index)
  }
}

/**
 * Checks what can be checked without the request: the length, and in 64 bits the count, which must fill it exactly.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeBlockStatus = (width: StatusWidth, payload: Uint8Array): Descriptors | WireError => {
  const rule = width === "compact" ? "NBD_REPLY_TYPE_BLOCK_STATUS, C-187" : "NBD_REPLY_TYPE_BLOCK_STATUS_EXT, C-228"
  const { descriptor, head } = statusSize[width]
  if (!isStatusLength(width, payload.byteLength)) {
    return new WireError(`${head} bytes and ${descriptor} for each extent`, `${payload.byteLength} bytes`, rule)
  }
  const descriptors = new Descriptors(width, payload)
  if (width === "extended" && viewOf(payload).getUint32(4) !== descriptors.count) {
    return new WireError(`a count of ${descriptors.count} extents`, `${viewOf(payload).getUint32(4)}`, rule)
  }
  return descriptors
}

/**
 * In 32 bits the low half of a length or of flags is what is sent.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeBlockStatus = (
  width: StatusWidth,
  status: { readonly contextId: number; readonly descriptors: ReadonlyArray<StatusDescriptor> }
): Uint8Array => {
  const { descriptor, head } = statusSize[width]
  const bytes = new Uint8Array(head + descriptor * status.descriptors.length)
  const view = viewOf(bytes)
  view.setUint32(0, status.contextId)
  if (width === "extended") view.setUint32(4, status.descriptors.length)
  status.descriptors.forEach(({ flags, length }, index) => {
    const at = head + descriptor * index
    if (width === "compact") {
      view.setUint32(at, Number(BigInt.asUintN(32, length)))
      view.setUint32(at + 4, Number(BigInt.asUintN(32, flags)))
    } else {
      view.setBigUint64(at, length)
      view.setBigUint64(at + 8, flags)
    }
  })
  return bytes
}

/**
 * What a request for block status may carry under extended headers: for how many bytes, and for which contexts.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatusFilter {
  readonly length: bigint
  readonly contextIds: ReadonlyArray<number>
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeStatusFilter = (filter: StatusFilter): Uint8Array => {
  const bytes = new Uint8Array(8 + 4 * filter.contextIds.length)
  const view = viewOf(bytes)
  view.setBigUint64(0, filter.length)
  filter.contextIds.forEach((id, index) => view.setUint32(8 + 4 * index, id))
  return bytes
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeStatusFilter = (payload: Uint8Array): StatusFilter | WireError => {
  if (payload.byteLength < 8 || payload.byteLength % 4 !== 0) {
    return new WireError("8 bytes and 4 for each context", `${payload.byteLength} bytes`, "NBD_CMD_BLOCK_STATUS, C-224")
  }
  const view = viewOf(payload)
  const contextIds: Array<number> = []
  for (let at = 8; at < payload.byteLength; at += 4) contextIds.push(view.getUint32(at))
  return { length: view.getBigUint64(0), contextIds }
}
