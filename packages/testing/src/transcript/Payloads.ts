/**
 * The payloads of option replies and of chunks, field by field.
 *
 * @since 0.1.0
 */
import { decodeBlockStatus, type Descriptors, type StatusWidth } from "@effect-nbd/core/wire/BlockStatus"
import { decodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import { decodeOptionReply, type OptionReplyHeader } from "@effect-nbd/core/wire/OptionReply"
import { chunkType, decodeErrorPayload, isErrorChunk, payloadHead } from "@effect-nbd/core/wire/Reply"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { faulty, flagsIn, hexadecimal, nameIn, number, type Part, plain, text } from "./Field.ts"

/**
 * @since 0.1.0
 * @category decoding
 */
export const replyPayload = (header: OptionReplyHeader, payload: Uint8Array): ReadonlyArray<Part> => {
  const reply = decodeOptionReply(header, payload)
  if (isWireError(reply)) return faulty("payload", payload.byteLength, reply)
  switch (reply._tag) {
    case "Ack":
      return payload.byteLength === 0 ? [] : [plain("payload", payload.byteLength)]
    case "ErrorReply":
      return text("text", payload.byteLength, decodeText(payload))
    case "Server": {
      const nameLength = viewOf(payload).getUint32(0)
      return [
        number("name length", 4, nameLength),
        ...text("name", nameLength, reply.name),
        ...text("description", payload.byteLength - 4 - nameLength, reply.description)
      ]
    }
    case "MetaContextReply":
      return [number("context id", 4, reply.id), ...text("context", payload.byteLength - 4, reply.name)]
    case "InfoReply":
      return infoParts(reply.info, payload.byteLength - 2)
  }
}

const infoParts = (info: Info, length: number): ReadonlyArray<Part> => {
  const type = (value: number): Part => number("information type", 2, value, nameIn(infoType, value))
  switch (info._tag) {
    case "ExportInfo":
      return [
        type(infoType.EXPORT),
        number("export size", 8, info.exportSize),
        hexadecimal("transmission flags", 2, info.flags, flagsIn(TransmissionFlags, info.flags))
      ]
    case "NameInfo":
      return [type(infoType.NAME), ...text("name", length, info.name)]
    case "DescriptionInfo":
      return [type(infoType.DESCRIPTION), ...text("description", length, info.description)]
    case "BlockSizeInfo":
      return [
        type(infoType.BLOCK_SIZE),
        number("minimum", 4, info.minimum),
        number("preferred", 4, info.preferred),
        number("maximum", 4, info.maximum)
      ]
    case "UnknownInfo":
      return length === 0 ? [type(info.type)] : [type(info.type), plain("payload", length)]
  }
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const chunkPayload = (type: number, payload: Uint8Array): ReadonlyArray<Part> => {
  const { byteLength } = payload
  if (byteLength === 0) return []
  if (isErrorChunk(type)) return errorPayload(type, payload)
  switch (type) {
    case chunkType.OFFSET_DATA:
      if (byteLength < payloadHead.OFFSET_DATA) break
      return [
        number("offset", 8, viewOf(payload).getBigUint64(0)),
        ...byteLength === payloadHead.OFFSET_DATA ? [] : [plain("data", byteLength - payloadHead.OFFSET_DATA)]
      ]
    case chunkType.OFFSET_HOLE:
      if (byteLength !== payloadHead.OFFSET_HOLE) break
      return [
        number("offset", 8, viewOf(payload).getBigUint64(0)),
        number("hole size", 4, viewOf(payload).getUint32(8))
      ]
    case chunkType.BLOCK_STATUS:
      return statusPayload("compact", payload)
    case chunkType.BLOCK_STATUS_EXT:
      return statusPayload("extended", payload)
  }
  return [plain("payload", byteLength)]
}

const errorPayload = (type: number, payload: Uint8Array): ReadonlyArray<Part> => {
  const decoded = decodeErrorPayload(type, payload)
  if (isWireError(decoded)) return faulty("payload", payload.byteLength, decoded)
  const { error, offset } = decoded
  const textLength = viewOf(payload).getUint16(4)
  const used = payloadHead.ERROR + textLength + (offset === undefined ? 0 : 8)
  return [
    number("error", 4, error, nameIn(errno, error)),
    number("message length", 2, textLength),
    ...text("text", textLength, decodeText(payload.subarray(6, 6 + textLength))),
    ...offset === undefined ? [] : [number("offset", 8, offset)],
    ...used === payload.byteLength ? [] : [plain("rest", payload.byteLength - used)]
  ]
}

/** Extents that are put down one by one. A chunk may have a million of them. */
const maxExtents = 1024

const statusPayload = (width: StatusWidth, payload: Uint8Array): ReadonlyArray<Part> => {
  const descriptors = decodeBlockStatus(width, payload)
  if (isWireError(descriptors)) return faulty("payload", payload.byteLength, descriptors)
  const { contextId, count } = descriptors
  const id = number("context id", 4, contextId)
  const head = width === "compact" ? [id] : [id, number("count", 4, count)]
  return [...head, ...extents(width, descriptors)]
}

const extents = (width: StatusWidth, descriptors: Descriptors): ReadonlyArray<Part> => {
  const size = width === "compact" ? 4 : 8
  const shown = Math.min(descriptors.count, maxExtents)
  const parts = Array.from({ length: shown }, (_, index): ReadonlyArray<Part> => [
    number("extent length", size, descriptors.lengthAt(index)),
    number("extent flags", size, descriptors.flagsAt(index))
  ]).flat()
  const rest = descriptors.count - shown
  if (rest > 0) parts.push({ name: "more extents", size: 2 * size * rest, value: `${rest}` })
  return parts
}
