/**
 * What a server says, in frames whose every field can be forged.
 *
 * It takes apart what the honest server would send, and puts frames together again. What the fields should be is known
 * to the wire modules; here each is what it is said to be.
 *
 * @since 0.1.0
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { magic } from "@effect-nbd/core/wire/Magic"
import { encodeOptionReplyBytes, headerSize as optionHeaderSize } from "@effect-nbd/core/wire/OptionReply"
import { encodeChunkHeader, encodeExtendedChunkHeader, encodeSimpleReply, size } from "@effect-nbd/core/wire/Reply"
import type * as Duration from "effect/Duration"

/**
 * An option reply. `length` is what its header says, whatever the payload has.
 *
 * @since 0.1.0
 * @category models
 */
export interface OptionReplyFrame {
  readonly _tag: "OptionReply"
  readonly magic: bigint
  readonly option: number
  readonly type: number
  readonly length: number
  readonly payload: Uint8Array
}

/**
 * A simple reply and the data behind it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SimpleReplyFrame {
  readonly _tag: "SimpleReply"
  readonly magic: number
  readonly error: number
  readonly cookie: bigint
  readonly data: Uint8Array
}

/**
 * A reply chunk with a structured or an extended header; the former has no offset. `length` is what the header says,
 * whatever the payload has.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChunkFrame {
  readonly _tag: "Chunk"
  readonly header: "Structured" | "Extended"
  readonly magic: number
  readonly flags: number
  readonly type: number
  readonly cookie: bigint
  readonly offset: bigint
  readonly length: bigint
  readonly payload: Uint8Array
}

/**
 * What is said, in this order. Frames between two pauses leave in one write.
 *
 * - `Raw`: bytes as they are; the greeting and the answer to NBD_OPT_EXPORT_NAME are always raw.
 * - `Pause`: the next frame comes in a write of its own, after a while on Effect's clock or at once where it is zero.
 *   Other answers of the session wait meanwhile.
 * - `Later`: what is in it is said behind the next thing that the session says.
 *
 * @since 0.1.0
 * @category models
 */
export type Frame =
  | { readonly _tag: "Raw"; readonly bytes: Uint8Array }
  | OptionReplyFrame
  | SimpleReplyFrame
  | ChunkFrame
  | { readonly _tag: "Pause"; readonly duration: Duration.DurationInput }
  | { readonly _tag: "Later"; readonly frames: ReadonlyArray<Frame> }

/**
 * Bytes as they are.
 *
 * @since 0.1.0
 * @category constructors
 */
export const raw = (bytes: Uint8Array): Frame => ({ _tag: "Raw", bytes })

/**
 * A sound option reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const optionReply = (
  option: number,
  type: number,
  payload: Uint8Array = new Uint8Array(0)
): OptionReplyFrame => ({
  _tag: "OptionReply",
  magic: magic.OPTION_REPLY,
  option,
  type,
  length: payload.byteLength,
  payload
})

/**
 * A sound simple reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const simpleReply = (cookie: bigint, error: number, data: Uint8Array = new Uint8Array(0)): SimpleReplyFrame => ({
  _tag: "SimpleReply",
  magic: magic.SIMPLE_REPLY,
  error,
  cookie,
  data
})

/**
 * A sound chunk. `offset` is the request's, and counts with an extended header only.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chunk = (
  header: ChunkFrame["header"],
  { cookie, flags = ReplyFlags.DONE, offset, payload = new Uint8Array(0), type }: {
    readonly cookie: bigint
    readonly offset: bigint
    readonly type: number
    readonly payload?: Uint8Array
    readonly flags?: number
  }
): ChunkFrame => ({
  _tag: "Chunk",
  header,
  magic: header === "Extended" ? magic.EXTENDED_REPLY : magic.STRUCTURED_REPLY,
  flags,
  type,
  cookie,
  offset,
  length: BigInt(payload.byteLength),
  payload
})

/**
 * The same frame with another payload, and the length of that.
 *
 * @since 0.1.0
 * @category constructors
 */
export const withPayload: {
  (frame: OptionReplyFrame, payload: Uint8Array): OptionReplyFrame
  (frame: ChunkFrame, payload: Uint8Array): ChunkFrame
} = <F extends OptionReplyFrame | ChunkFrame>(frame: F, payload: Uint8Array): F => ({
  ...frame,
  payload,
  length: frame._tag === "Chunk" ? BigInt(payload.byteLength) : payload.byteLength
})

/**
 * The bytes of a frame; none of a pause, nor of what is said later.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (frame: Frame): Uint8Array => {
  switch (frame._tag) {
    case "Raw":
      return frame.bytes
    case "OptionReply": {
      const bytes = encodeOptionReplyBytes(frame.option, frame.type, frame.payload)
      viewOf(bytes).setBigUint64(0, frame.magic)
      viewOf(bytes).setUint32(16, frame.length)
      return bytes
    }
    case "SimpleReply": {
      const header = encodeSimpleReply(frame)
      viewOf(header).setUint32(0, frame.magic)
      return concat([header, frame.data])
    }
    case "Chunk":
      return concat([chunkHeader(frame), frame.payload])
    default:
      return new Uint8Array(0)
  }
}

const chunkHeader = ({ cookie, flags, header, length, magic, offset, type }: ChunkFrame): Uint8Array => {
  const fields = { cookie, flags: ReplyFlags(flags), type, length: 0, offset }
  const bytes = header === "Extended" ? encodeExtendedChunkHeader(fields) : encodeChunkHeader(fields)
  const view = viewOf(bytes)
  view.setUint32(0, magic)
  if (header === "Extended") view.setBigUint64(24, length)
  else view.setUint32(16, Number(BigInt.asUintN(32, length)))
  return bytes
}

/**
 * The frames of option replies that are sound.
 *
 * @since 0.1.0
 * @category decoding
 */
export const optionReplies = (bytes: Uint8Array): ReadonlyArray<Frame> => {
  const frames: Array<Frame> = []
  for (let at = 0; at < bytes.byteLength;) {
    const view = viewOf(bytes.subarray(at))
    const end = at + optionHeaderSize + view.getUint32(16)
    frames.push(optionReply(view.getUint32(8), view.getUint32(12), bytes.slice(at + optionHeaderSize, end)))
    at = end
  }
  return frames
}

/**
 * The frames of a reply that is sound. What follows a simple reply is its data.
 *
 * @since 0.1.0
 * @category decoding
 */
export const replies = (bytes: Uint8Array): ReadonlyArray<Frame> => {
  const frames: Array<Frame> = []
  for (let at = 0; at < bytes.byteLength;) {
    const view = viewOf(bytes.subarray(at))
    const kind = view.getUint32(0)
    const cookie = view.getBigUint64(8)
    if (kind === magic.SIMPLE_REPLY) {
      frames.push(simpleReply(cookie, view.getUint32(4), bytes.slice(at + size.simple)))
      break
    }
    const isExtended = kind === magic.EXTENDED_REPLY
    const start = at + (isExtended ? size.extended : size.chunk)
    const end = start + view.getUint32(isExtended ? 28 : 16)
    frames.push(chunk(isExtended ? "Extended" : "Structured", {
      cookie,
      flags: view.getUint16(4),
      type: view.getUint16(6),
      offset: isExtended ? view.getBigUint64(16) : 0n,
      payload: bytes.slice(start, end)
    }))
    at = end
  }
  return frames
}
