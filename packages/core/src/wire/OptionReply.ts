/**
 * Option replies: what the server answers while haggling.
 *
 * @since 0.1.0
 */
import { concat, decodeDisplayText, decodeText, encodeText, maxStringBytes, viewOf } from "./Bytes.ts"
import { decodeInfo, encodeInfo, type Info } from "./Info.ts"
import { magic } from "./Magic.ts"
import { decodeMetaContextReply, encodeMetaContextReply } from "./MetaContext.ts"
import { optionName } from "./NbdOption.ts"
import { hex, isWireError, WireError } from "./WireError.ts"

/**
 * Reply types. Bit 31 set always means: an error, and the final reply (C-025).
 *
 * @since 0.1.0
 * @category constants
 */
export const replyType = {
  ACK: 0x0000_0001,
  SERVER: 0x0000_0002,
  INFO: 0x0000_0003,
  META_CONTEXT: 0x0000_0004,
  ERR_UNSUP: 0x8000_0001,
  ERR_POLICY: 0x8000_0002,
  ERR_INVALID: 0x8000_0003,
  ERR_PLATFORM: 0x8000_0004,
  ERR_TLS_REQD: 0x8000_0005,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_SHUTDOWN: 0x8000_0007,
  ERR_BLOCK_SIZE_REQD: 0x8000_0008,
  ERR_TOO_BIG: 0x8000_0009,
  ERR_EXT_HEADER_REQD: 0x8000_000a
} as const

/**
 * @since 0.1.0
 * @category models
 */
export type ReplyTypeName = keyof typeof replyType

/**
 * The specification's name for a reply type, or its number where it has none.
 *
 * @since 0.1.0
 * @category formatting
 */
export const replyTypeName = (type: number): string => {
  for (const [name, value] of Object.entries(replyType)) {
    if (value === type) return `NBD_REP_${name}`
  }
  return `reply type ${hex(type, 4)}`
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OptionReplyHeader {
  readonly option: number
  readonly type: number
  /** Bytes of payload that follow, at most `maxPayload`. */
  readonly length: number
}

/**
 * @since 0.1.0
 * @category models
 */
export type OptionReply =
  | { readonly _tag: "Ack" }
  | { readonly _tag: "Server"; readonly name: string; readonly description: string }
  | { readonly _tag: "InfoReply"; readonly info: Info }
  | { readonly _tag: "MetaContextReply"; readonly id: number; readonly name: string }
  | {
    readonly _tag: "ErrorReply"
    readonly type: number
    /** The server's text, safe to print; empty where it gave none. */
    readonly message: string
  }

/**
 * Length of an option reply header in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const headerSize = 20

/**
 * Longest option reply payload that is read at all. The longest that a known reply can need is 8,196 bytes; the rest
 * is room for information types of the future.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxPayload = 65_536

/**
 * An option reply, header and payload.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeOptionReplyBytes = (option: number, type: number, payload: Uint8Array): Uint8Array => {
  const header = new Uint8Array(headerSize)
  const view = viewOf(header)
  view.setBigUint64(0, magic.OPTION_REPLY)
  view.setUint32(8, option)
  view.setUint32(12, type)
  view.setUint32(16, payload.byteLength)
  return concat([header, payload])
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeOptionReply = (option: number, reply: OptionReply): Uint8Array => {
  switch (reply._tag) {
    case "Ack":
      return encodeOptionReplyBytes(option, replyType.ACK, new Uint8Array(0))
    case "Server": {
      const name = encodeText(reply.name)
      const length = new Uint8Array(4)
      viewOf(length).setUint32(0, name.byteLength)
      return encodeOptionReplyBytes(option, replyType.SERVER, concat([length, name, encodeText(reply.description)]))
    }
    case "InfoReply":
      return encodeOptionReplyBytes(option, replyType.INFO, encodeInfo(reply.info))
    case "MetaContextReply":
      return encodeOptionReplyBytes(option, replyType.META_CONTEXT, encodeMetaContextReply(reply))
    case "ErrorReply":
      return encodeOptionReplyBytes(option, reply.type, encodeText(reply.message).subarray(0, maxStringBytes))
  }
}

/**
 * Checks, from the header alone, everything that can be checked before the payload is read: the magic, that the reply
 * belongs to the option in flight, that its type is known or an error, and that its length is one this type may have
 * (C-023, H-015 to H-018, H-021, H-022).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeOptionReplyHeader = (bytes: Uint8Array, option: number): OptionReplyHeader | WireError => {
  const header = decodeFrame(bytes, option)
  if (isWireError(header)) return header
  return isErrorType(header.type) || readable.has(header.type)
    ? checkLength(header, longestPayload(header.type))
    : new WireError("a reply type this option may have", replyTypeName(header.type), "Option reply types, H-021")
}

/**
 * The same for a reply of any type, up to the longest payload there is.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeRawReplyHeader = (bytes: Uint8Array, option: number): OptionReplyHeader | WireError => {
  const header = decodeFrame(bytes, option)
  return isWireError(header) ? header : checkLength(header, maxPayload)
}

const decodeFrame = (bytes: Uint8Array, option: number): OptionReplyHeader | WireError => {
  if (bytes.byteLength !== headerSize) {
    return new WireError("20 bytes of option reply header", `${bytes.byteLength} bytes`, "Fixed newstyle, C-023")
  }
  const view = viewOf(bytes)
  const start = view.getBigUint64(0)
  if (start !== magic.OPTION_REPLY) {
    return new WireError(`option reply magic ${hex(magic.OPTION_REPLY, 8)}`, hex(start, 8), "Fixed newstyle, C-023")
  }
  const header = { option: view.getUint32(8), type: view.getUint32(12), length: view.getUint32(16) }
  if (header.option !== option) {
    return new WireError(
      `a reply to ${optionName(option)}`,
      `one to ${optionName(header.option)}`,
      "Fixed newstyle, C-023"
    )
  }
  return header
}

const checkLength = (header: OptionReplyHeader, longest: number): OptionReplyHeader | WireError =>
  header.length <= longest
    ? header
    : new WireError(
      `at most ${longest} bytes in ${replyTypeName(header.type)}`,
      `${header.length} bytes`,
      "Fixed newstyle, C-024"
    )

/** A type that is neither known nor an error cannot be skipped: it is not known whether it was the final reply. */
const readable: ReadonlySet<number> = new Set([
  replyType.ACK,
  replyType.SERVER,
  replyType.INFO,
  replyType.META_CONTEXT
])

const longestPayload = (type: number): number => {
  if (type === replyType.ACK) return 0
  if (isErrorType(type)) return maxStringBytes
  if (type === replyType.META_CONTEXT) return 4 + maxStringBytes
  return maxPayload
}

/**
 * Bit 31: an error, and the final reply, whether or not its code is known (C-025).
 *
 * @since 0.1.0
 * @category guards
 */
export const isErrorType = (type: number): boolean => type >= 0x8000_0000

/**
 * The payload of a reply whose header was decoded. A type that the header's decoder would not have let through is an
 * error here too.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeOptionReply = (header: OptionReplyHeader, payload: Uint8Array): OptionReply | WireError => {
  if (isErrorType(header.type)) {
    return { _tag: "ErrorReply", type: header.type, message: decodeDisplayText(payload) }
  }
  switch (header.type) {
    case replyType.ACK:
      return { _tag: "Ack" }
    case replyType.SERVER:
      return decodeServer(payload)
    case replyType.INFO: {
      const info = decodeInfo(payload)
      return isWireError(info) ? info : { _tag: "InfoReply", info }
    }
    case replyType.META_CONTEXT: {
      const context = decodeMetaContextReply(payload)
      return isWireError(context) ? context : { _tag: "MetaContextReply", ...context }
    }
    default:
      return new WireError("a reply type this option may have", replyTypeName(header.type), "Option reply types, H-021")
  }
}

const decodeServer = (payload: Uint8Array): OptionReply | WireError => {
  const rule = "NBD_REP_SERVER, C-039"
  if (payload.byteLength < 4) return new WireError("at least 4 bytes", `${payload.byteLength} bytes`, rule)
  const nameLength = viewOf(payload).getUint32(0)
  // By subtraction: the length field is the server's, and adding to it could pass for a small number (H-026).
  if (nameLength > payload.byteLength - 4) {
    return new WireError(`a name of at most ${payload.byteLength - 4} bytes`, `${nameLength} bytes`, rule)
  }
  const descriptionLength = payload.byteLength - 4 - nameLength
  if (nameLength > maxStringBytes || descriptionLength > maxStringBytes) {
    return new WireError("strings of at most 4096 bytes", `${nameLength} and ${descriptionLength} bytes`, "C-003")
  }
  return {
    _tag: "Server",
    name: decodeText(payload.subarray(4, 4 + nameLength)),
    description: decodeText(payload.subarray(4 + nameLength))
  }
}
