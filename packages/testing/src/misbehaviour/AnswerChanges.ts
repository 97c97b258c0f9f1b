/**
 * Ways to change the answers to requests, from which misbehaviours are made.
 *
 * @since 0.1.0
 */
import { concat, encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { fields, first, saying } from "./Changes.ts"
import { chunk, type ChunkFrame, type Frame, simpleReply, type SimpleReplyFrame, withPayload } from "./Frame.ts"
import type { MomentOf, Speech } from "./Model.ts"

type Answering = MomentOf<"Answer">

/**
 * Changes what is said in answer to one command only.
 *
 * @since 0.1.0
 * @category constructors
 */
export const to = (
  command: keyof typeof commandCode,
  change: (speech: Speech, moment: Answering) => Speech | undefined
) =>
(speech: Speech, moment: Answering): Speech | undefined =>
  moment.request.code === commandCode[command] ? change(speech, moment) : undefined

/**
 * A chunk for the request, final unless its flags say otherwise; `undefined` where replies have no chunks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chunkFor = (
  { replyStyle, request: { cookie, offset } }: Answering,
  type: number,
  payload?: Uint8Array,
  flags: number = ReplyFlags.DONE
): ChunkFrame | undefined =>
  replyStyle === "Simple"
    ? undefined
    : chunk(replyStyle, { cookie, offset, type, flags, ...payload !== undefined && { payload } })

/**
 * One chunk in place of the whole reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onlyChunk =
  (type: number, payload?: Uint8Array, flags?: number) => (_: Speech, moment: Answering): Speech | undefined => {
    const only = chunkFor(moment, type, payload, flags)
    return only && saying(only)
  }

/**
 * The payload of an error chunk.
 *
 * @since 0.1.0
 * @category encoding
 */
export const errorPayload = (
  value: number,
  text: string | Uint8Array = "",
  ...rest: ReadonlyArray<Uint8Array>
): Uint8Array => {
  const bytes = typeof text === "string" ? encodeText(text) : text
  return concat([fields([4, value], [2, bytes.byteLength]), bytes, ...rest])
}

/**
 * An error in place of the reply, simple where replies have no chunks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failing = (value: number) => (_: Speech, moment: MomentOf<"Answer" | "Payload">): Speech =>
  saying(
    chunkFor({ ...moment, _tag: "Answer" }, chunkType.ERROR, errorPayload(value)) ??
      simpleReply(moment.request.cookie, value)
  )

/**
 * Frames that are replies or chunks of them.
 *
 * @since 0.1.0
 * @category guards
 */
export const isReply = (frame: Frame): frame is SimpleReplyFrame | ChunkFrame =>
  frame._tag === "SimpleReply" || frame._tag === "Chunk"

/**
 * Frames that are chunks of a type.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOf = (...types: ReadonlyArray<number>) => (frame: Frame): frame is ChunkFrame =>
  frame._tag === "Chunk" && types.includes(frame.type)

/**
 * The same chunk, with more to come behind it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unfinished = (frame: ChunkFrame): ChunkFrame => ({ ...frame, flags: frame.flags & ~ReplyFlags.DONE })

/**
 * Data as it stands in a chunk.
 *
 * @since 0.1.0
 * @category models
 */
export interface Content {
  readonly offset: bigint
  readonly data: Uint8Array
}

/** Another misbehaviour may have taken the offset away. */
const hasContent = (frame: Frame): frame is ChunkFrame =>
  isOf(chunkType.OFFSET_DATA)(frame) && frame.payload.byteLength >= 8

/**
 * Other chunks of data in place of the first one, the last of them being what that was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onData = (change: (content: Content) => ReadonlyArray<Content>) => (speech: Speech): Speech | undefined =>
  first(speech, hasContent, (frame) => {
    const contents = change({ offset: viewOf(frame.payload).getBigUint64(0), data: frame.payload.subarray(8) })
    return contents.map(({ data, offset }, index) =>
      withPayload(index < contents.length - 1 ? unfinished(frame) : frame, concat([fields([8, offset]), data]))
    )
  })

/**
 * The two halves of a piece of data.
 *
 * @since 0.1.0
 * @category constructors
 */
export const halves = ({ data, offset }: Content): readonly [Content, Content] => {
  const middle = data.byteLength >> 1
  return [
    { offset, data: data.subarray(0, middle) },
    { offset: offset + BigInt(middle), data: data.subarray(middle) }
  ]
}
