/**
 * Reply headers of the transmission phase: the simple reply, and the structured and extended reply chunks with their
 * payloads.
 *
 * @since 0.1.0
 */
import { encodeBlockStatus, type StatusDescriptor, type StatusWidth } from "./BlockStatus.ts"
import { concat, decodeDisplayText, encodeText, maxStringBytes, viewOf } from "./Bytes.ts"
import type { ReplyFlags } from "./Flags.ts"
import { magic } from "./Magic.ts"
import { WireError } from "./WireError.ts"

/**
 * Chunk types. A type with bit 15 set is an error, also where the rest of it is unknown.
 *
 * @since 0.1.0
 * @category constants
 */
export const chunkType = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002
} as const

/**
 * @since 0.1.0
 * @category guards
 */
export const isErrorChunk = (type: number): boolean => (type & 0x8000) !== 0

/**
 * Lengths of the headers in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const size = {
  simple: 16,
  chunk: 20,
  extended: 32
} as const

/**
 * Bytes of a chunk's payload that come before its data, or all of it where the chunk carries no data.
 *
 * @since 0.1.0
 * @category constants
 */
export const payloadHead = {
  OFFSET_DATA: 8,
  OFFSET_HOLE: 12,
  ERROR: 6,
  ERROR_OFFSET: 14
} as const

/**
 * The cookie of any transmission message, at offset 8 in all of them, as a number: exact below 2^53, and never equal
 * to one of ours above that.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeCookie = (view: DataView, at: number): number =>
  view.getUint32(at + 8) * 0x1_0000_0000 + view.getUint32(at + 12)

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeSimpleReply = (reply: { readonly error: number; readonly cookie: bigint }): Uint8Array => {
  const bytes = new Uint8Array(size.simple)
  const view = viewOf(bytes)
  view.setUint32(0, magic.SIMPLE_REPLY)
  view.setUint32(4, reply.error)
  view.setBigUint64(8, reply.cookie)
  return bytes
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ChunkHeader {
  readonly flags: ReplyFlags
  readonly type: number
  readonly cookie: bigint
  /** Bytes of payload that follow, up to 2^32 - 1. */
  readonly length: number
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeChunkHeader = (header: ChunkHeader): Uint8Array => {
  const bytes = new Uint8Array(size.chunk)
  const view = viewOf(bytes)
  view.setUint32(0, magic.STRUCTURED_REPLY)
  view.setUint16(4, header.flags)
  view.setUint16(6, header.type)
  view.setBigUint64(8, header.cookie)
  view.setUint32(16, header.length)
  return bytes
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ExtendedChunkHeader extends ChunkHeader {
  /** The request's offset, which every extended chunk repeats (C-226). */
  readonly offset: bigint
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeExtendedChunkHeader = (header: ExtendedChunkHeader): Uint8Array => {
  const bytes = new Uint8Array(size.extended)
  const view = viewOf(bytes)
  view.setUint32(0, magic.EXTENDED_REPLY)
  view.setUint16(4, header.flags)
  view.setUint16(6, header.type)
  view.setBigUint64(8, header.cookie)
  view.setBigUint64(16, header.offset)
  view.setBigUint64(24, BigInt(header.length))
  return bytes
}

/**
 * @since 0.1.0
 * @category models
 */
export type Chunk =
  | { readonly _tag: "None" }
  | { readonly _tag: "OffsetData"; readonly offset: bigint; readonly data: Uint8Array }
  | { readonly _tag: "OffsetHole"; readonly offset: bigint; readonly length: number }
  | { readonly _tag: "BlockStatus"; readonly contextId: number; readonly descriptors: ReadonlyArray<StatusDescriptor> }
  | { readonly _tag: "ErrorChunk"; readonly error: number; readonly message: string }
  | { readonly _tag: "ErrorOffsetChunk"; readonly error: number; readonly message: string; readonly offset: bigint }

/**
 * A whole structured chunk, header and payload. Its data is passed on by reference, as the last of the returned parts.
 * Block status comes in 32 bits a field.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeChunk = (cookie: bigint, flags: ReplyFlags, chunk: Chunk): ReadonlyArray<Uint8Array> =>
  encodePayload(chunk, "compact", (type, length) => encodeChunkHeader({ flags, type, cookie, length }))

/**
 * The same under extended headers: the header repeats the request's offset, and block status comes in 64 bits a field.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeExtendedChunk = (
  cookie: bigint,
  flags: ReplyFlags,
  offset: bigint,
  chunk: Chunk
): ReadonlyArray<Uint8Array> =>
  encodePayload(
    chunk,
    "extended",
    (type, length) => encodeExtendedChunkHeader({ flags, type, cookie, offset, length })
  )

const encodePayload = (
  chunk: Chunk,
  width: StatusWidth,
  header: (type: number, length: number) => Uint8Array
): ReadonlyArray<Uint8Array> => {
  const framed = (type: number, payload: Uint8Array, data?: Uint8Array): ReadonlyArray<Uint8Array> => {
    const head = concat([header(type, payload.byteLength + (data?.byteLength ?? 0)), payload])
    return data === undefined ? [head] : [head, data]
  }
  switch (chunk._tag) {
    case "None":
      return framed(chunkType.NONE, new Uint8Array(0))
    case "OffsetData": {
      const payload = new Uint8Array(payloadHead.OFFSET_DATA)
      viewOf(payload).setBigUint64(0, chunk.offset)
      return framed(chunkType.OFFSET_DATA, payload, chunk.data)
    }
    case "OffsetHole": {
      const payload = new Uint8Array(payloadHead.OFFSET_HOLE)
      const view = viewOf(payload)
      view.setBigUint64(0, chunk.offset)
      view.setUint32(8, chunk.length)
      return framed(chunkType.OFFSET_HOLE, payload)
    }
    case "BlockStatus":
      return framed(
        width === "compact" ? chunkType.BLOCK_STATUS : chunkType.BLOCK_STATUS_EXT,
        encodeBlockStatus(width, chunk)
      )
    case "ErrorChunk":
      return framed(chunkType.ERROR, encodeErrorHead(chunk.error, chunk.message))
    case "ErrorOffsetChunk": {
      const offset = new Uint8Array(8)
      viewOf(offset).setBigUint64(0, chunk.offset)
      return framed(chunkType.ERROR_OFFSET, concat([encodeErrorHead(chunk.error, chunk.message), offset]))
    }
  }
}

const encodeErrorHead = (error: number, message: string): Uint8Array => {
  const text = encodeText(message).subarray(0, maxStringBytes)
  const head = new Uint8Array(payloadHead.ERROR)
  const view = viewOf(head)
  view.setUint32(0, error)
  view.setUint16(4, text.byteLength)
  return concat([head, text])
}

/**
 * What an error chunk says. `offset` is there only in NBD_REPLY_TYPE_ERROR_OFFSET.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorPayload {
  readonly error: number
  /** The server's text, safe to print, cut at 4096 bytes. */
  readonly message: string
  readonly offset: bigint | undefined
}

/**
 * The payload of any error chunk: `payload` is the whole of it, or the first of its `length` bytes. A message that does
 * not fit is refused; bytes after it are of an error type this client does not know and are skipped (C-170, C-180,
 * H-121, H-124). An offset that is not among the bytes that are there counts as none.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeErrorPayload = (
  type: number,
  payload: Uint8Array,
  length: number = payload.byteLength
): ErrorPayload | WireError => {
  const rule = "Structured reply types, C-180"
  const fixed = type === chunkType.ERROR_OFFSET ? payloadHead.ERROR_OFFSET : payloadHead.ERROR
  if (payload.byteLength < fixed) {
    return new WireError(`an error chunk of at least ${fixed} bytes`, `${payload.byteLength} bytes`, rule)
  }
  const view = viewOf(payload)
  const messageLength = view.getUint16(4)
  if (messageLength > length - fixed) {
    return new WireError(`a message of at most ${length - fixed} bytes`, `${messageLength} bytes`, rule)
  }
  const hasOffset = type === chunkType.ERROR_OFFSET && payload.byteLength >= messageLength + fixed
  return {
    error: view.getUint32(0),
    message: decodeDisplayText(payload.subarray(6, 6 + Math.min(messageLength, maxStringBytes))),
    offset: hasOffset ? view.getBigUint64(6 + messageLength) : undefined
  }
}
