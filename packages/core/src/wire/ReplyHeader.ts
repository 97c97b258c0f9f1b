/**
 * Decoders of the reply headers of the transmission phase, for code that looks at whole messages: fake clients, and the
 * annotation of transcripts. The client itself reads headers in place, in the connection's own buffer.
 *
 * @since 0.1.0
 */
import { viewOf } from "./Bytes.ts"
import { ReplyFlags } from "./Flags.ts"
import { magic } from "./Magic.ts"
import { type ChunkHeader, type ExtendedChunkHeader, size } from "./Reply.ts"
import { hex, WireError } from "./WireError.ts"

/**
 * A simple reply, without the data that follows it after a read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SimpleReplyHeader {
  /** 0 is success. */
  readonly error: number
  readonly cookie: bigint
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeSimpleReply = (bytes: Uint8Array): SimpleReplyHeader | WireError => {
  const fault = checkStart(bytes, size.simple, magic.SIMPLE_REPLY, "Simple reply message, C-153")
  if (fault !== undefined) return fault
  const view = viewOf(bytes)
  return { error: view.getUint32(4), cookie: view.getBigUint64(8) }
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeChunkHeader = (bytes: Uint8Array): ChunkHeader | WireError => {
  const fault = checkStart(bytes, size.chunk, magic.STRUCTURED_REPLY, "Structured reply chunk message, C-158")
  if (fault !== undefined) return fault
  const view = viewOf(bytes)
  return {
    flags: ReplyFlags(view.getUint16(4)),
    type: view.getUint16(6),
    cookie: view.getBigUint64(8),
    length: view.getUint32(16)
  }
}

/**
 * The length is exact up to 2^53 - 1, far above every length there may be.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeExtendedChunkHeader = (bytes: Uint8Array): ExtendedChunkHeader | WireError => {
  const fault = checkStart(bytes, size.extended, magic.EXTENDED_REPLY, "Extended reply chunk message, C-219")
  if (fault !== undefined) return fault
  const view = viewOf(bytes)
  return {
    flags: ReplyFlags(view.getUint16(4)),
    type: view.getUint16(6),
    cookie: view.getBigUint64(8),
    offset: view.getBigUint64(16),
    length: Number(view.getBigUint64(24))
  }
}

const checkStart = (bytes: Uint8Array, length: number, start: number, rule: string): WireError | undefined => {
  if (bytes.byteLength !== length) return new WireError(`${length} bytes of header`, `${bytes.byteLength} bytes`, rule)
  const found = viewOf(bytes).getUint32(0)
  return found === start ? undefined : new WireError(`magic ${hex(start, 4)}`, hex(found, 4), rule)
}
