/**
 * What servers send, field by field: greetings, option replies, the answer to NBD_OPT_EXPORT_NAME, simple replies, and
 * chunks with compact and with extended headers.
 *
 * Values come from core's decoders; what stands here is how many bytes each of them took.
 *
 * @since 0.1.0
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { decodeExportNameReply, replySize } from "@effect-nbd/core/wire/ExportName"
import { ClientFlags, HandshakeFlags, ReplyFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import {
  decodeGreetingStart,
  decodeNewstyleRest,
  decodeOldstyleRest,
  size as greetingSize
} from "@effect-nbd/core/wire/Greeting"
import { magic } from "@effect-nbd/core/wire/Magic"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { decodeRawReplyHeader, headerSize, isErrorType, replyType } from "@effect-nbd/core/wire/OptionReply"
import { type ChunkHeader, chunkType, isErrorChunk, size } from "@effect-nbd/core/wire/Reply"
import { decodeChunkHeader, decodeExtendedChunkHeader, decodeSimpleReply } from "@effect-nbd/core/wire/ReplyHeader"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { type Conversation, noBody, nothingToLearn, type Start } from "./Conversation.ts"
import { flagsIn, hexadecimal, nameIn, number, type Part, plain } from "./Field.ts"
import { chunkPayload, replyPayload } from "./Payloads.ts"

/**
 * The message that begins where these bytes do.
 *
 * @since 0.1.0
 * @category decoding
 */
export const serverMessage = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (conversation.greeting === undefined) return greeting(conversation, bytes)
  if (conversation.options[0] === optionCode.EXPORT_NAME) return exportNameReply(conversation, bytes)
  if (bytes.byteLength < 4) return "More"
  switch (viewOf(bytes).getUint32(0)) {
    case optionReplyStart:
      return optionReply(conversation, bytes)
    case magic.SIMPLE_REPLY:
      return simpleReply(conversation, bytes)
    case magic.STRUCTURED_REPLY:
      return chunk(conversation, bytes)
    case magic.EXTENDED_REPLY:
      return extendedChunk(bytes)
    default:
      return "Unknown"
  }
}

const optionReplyStart = Number(magic.OPTION_REPLY >> 32n)

const greeting = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < greetingSize.start) return "More"
  const style = decodeGreetingStart(bytes.subarray(0, greetingSize.start))
  if (isWireError(style)) return "Unknown"
  const isNew = style === "NewstyleGreeting"
  const restSize = isNew ? greetingSize.newstyleRest : greetingSize.oldstyleRest
  if (bytes.byteLength < greetingSize.start + restSize) return "More"
  const rest = bytes.subarray(greetingSize.start, greetingSize.start + restSize)
  return {
    kind: isNew ? "newstyle greeting" : "oldstyle greeting",
    head: [
      { name: "magic", size: 8, value: "NBDMAGIC" },
      { name: "magic", size: 8, value: isNew ? "IHAVEOPT" : "cliserv_magic" },
      ...(isNew ? newstyleRest(rest) : oldstyleRest(rest))
    ],
    length: 0,
    body: noBody,
    learn: () => {
      conversation.greeting = style
    }
  }
}

const newstyleRest = (rest: Uint8Array): ReadonlyArray<Part> => {
  const greeting = decodeNewstyleRest(rest)
  return isWireError(greeting)
    ? [plain("handshake flags", rest.byteLength)]
    : [hexadecimal("handshake flags", 2, greeting.flags, flagsIn(HandshakeFlags, greeting.flags))]
}

const oldstyleRest = (rest: Uint8Array): ReadonlyArray<Part> => {
  const greeting = decodeOldstyleRest(rest)
  return isWireError(greeting)
    ? [plain(`size and flags: not ${greeting.expected}, but ${greeting.received}`, rest.byteLength)]
    : [
      number("export size", 8, greeting.exportSize),
      hexadecimal("handshake flags", 2, 0),
      transmissionFlags(greeting.flags),
      plain("padding", rest.byteLength - 12)
    ]
}

const transmissionFlags = (flags: TransmissionFlags): Part =>
  hexadecimal("transmission flags", 2, flags, flagsIn(TransmissionFlags, flags))

const exportNameReply = (conversation: Conversation, bytes: Uint8Array): Start => {
  const noZeroes = ((conversation.clientFlags ?? 0) & ClientFlags.NO_ZEROES) !== 0
  const length = replySize(noZeroes)
  if (bytes.byteLength < length) return "More"
  const reply = decodeExportNameReply(bytes.subarray(0, length))
  if (isWireError(reply)) return "Unknown"
  return {
    kind: "export name reply",
    head: [
      number("export size", 8, reply.exportSize),
      transmissionFlags(reply.flags),
      ...(noZeroes ? [] : [plain("padding", length - replySize(true))])
    ],
    length: 0,
    body: noBody,
    learn: () => {
      conversation.options.shift()
    }
  }
}

/** Whatever option it says it answers: whether that is the right one is not asked here. */
const optionReply = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < headerSize) return "More"
  const header = decodeRawReplyHeader(bytes.subarray(0, headerSize), viewOf(bytes).getUint32(8))
  if (isWireError(header)) return "Unknown"
  const { length, option, type } = header
  return {
    kind: "option reply",
    head: [
      { name: "magic", size: 8, value: "option reply" },
      number("option", 4, option, nameIn(optionCode, option)),
      (isErrorType(type) ? hexadecimal : number)("type", 4, type, nameIn(replyType, type)),
      number("length", 4, length)
    ],
    length,
    body: (payload) => replyPayload(header, payload),
    learn: () => {
      if (type === replyType.ACK || isErrorType(type)) conversation.options.shift()
    }
  }
}

const simpleReply = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < size.simple) return "More"
  const reply = decodeSimpleReply(bytes.subarray(0, size.simple))
  if (isWireError(reply)) return "Unknown"
  const { cookie, error } = reply
  return {
    kind: "simple reply",
    head: [
      hexadecimal("magic", 4, magic.SIMPLE_REPLY),
      number("error", 4, error, error === 0 ? "success" : nameIn(errno, error)),
      number("cookie", 8, cookie)
    ],
    length: error === 0 ? conversation.owed(cookie) : 0,
    body: (data) => data.byteLength === 0 ? [] : [plain("data", data.byteLength)],
    learn: () => conversation.answered(cookie)
  }
}

const chunk = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < size.chunk) return "More"
  const header = decodeChunkHeader(bytes.subarray(0, size.chunk))
  if (isWireError(header)) return "Unknown"
  return {
    kind: "chunk",
    head: [...chunkStart(magic.STRUCTURED_REPLY, header), number("length", 4, header.length)],
    length: header.length,
    body: (payload) => chunkPayload(header.type, payload),
    learn: () => {
      if ((header.flags & ReplyFlags.DONE) !== 0) conversation.answered(header.cookie)
    }
  }
}

const extendedChunk = (bytes: Uint8Array): Start => {
  if (bytes.byteLength < size.extended) return "More"
  const header = decodeExtendedChunkHeader(bytes.subarray(0, size.extended))
  if (isWireError(header)) return "Unknown"
  return {
    kind: "extended chunk",
    head: [
      ...chunkStart(magic.EXTENDED_REPLY, header),
      number("offset", 8, header.offset),
      number("length", 8, header.length)
    ],
    length: header.length,
    body: (payload) => chunkPayload(header.type, payload),
    learn: nothingToLearn
  }
}

const chunkStart = (start: number, { cookie, flags, type }: ChunkHeader): ReadonlyArray<Part> => [
  hexadecimal("magic", 4, start),
  hexadecimal("reply flags", 2, flags, flagsIn(ReplyFlags, flags)),
  (isErrorChunk(type) ? hexadecimal : number)("type", 2, type, nameIn(chunkType, type)),
  number("cookie", 8, cookie)
]
