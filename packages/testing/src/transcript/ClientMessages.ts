/**
 * What clients send, field by field: client flags, options, and requests with compact and with extended headers.
 *
 * Values come from core's decoders; what stands here is how many bytes each of them took.
 *
 * @since 0.1.0
 */
import { decodeStatusFilter } from "@effect-nbd/core/wire/BlockStatus"
import { decodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { ClientFlags, CommandFlags } from "@effect-nbd/core/wire/Flags"
import { decodeClientFlags, size as greetingSize } from "@effect-nbd/core/wire/Greeting"
import { infoType } from "@effect-nbd/core/wire/Info"
import { magic } from "@effect-nbd/core/wire/Magic"
import { decodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import { decodeInfoRequest, decodeOptionHeader, headerSize, optionCode } from "@effect-nbd/core/wire/NbdOption"
import {
  commandCode,
  decodeExtendedRequestHeader,
  decodeRequestHeader,
  extendedHeaderSize,
  headerSize as requestHeaderSize
} from "@effect-nbd/core/wire/RequestHeader"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { type Conversation, noBody, nothingToLearn, type Start } from "./Conversation.ts"
import { faulty, flagsIn, hexadecimal, nameIn, number, type Part, plain, text } from "./Field.ts"

/**
 * The message that begins where these bytes do.
 *
 * @since 0.1.0
 * @category decoding
 */
export const clientMessage = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < 4) return "More"
  if (conversation.greeting === "NewstyleGreeting" && conversation.clientFlags === undefined) {
    return clientFlags(conversation, bytes)
  }
  switch (viewOf(bytes).getUint32(0)) {
    case optionStart:
      return option(conversation, bytes)
    case magic.REQUEST:
      return request(conversation, bytes)
    case magic.EXTENDED_REQUEST:
      return extendedRequest(bytes)
    default:
      return "Unknown"
  }
}

const optionStart = Number(magic.OPTION >> 32n)

const clientFlags = (conversation: Conversation, bytes: Uint8Array): Start => {
  const flags = decodeClientFlags(bytes.subarray(0, greetingSize.clientFlags))
  if (isWireError(flags)) return "Unknown"
  return {
    kind: "client flags",
    head: [hexadecimal("client flags", 4, flags, flagsIn(ClientFlags, flags))],
    length: 0,
    body: noBody,
    learn: () => {
      conversation.clientFlags = flags
    }
  }
}

const option = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < headerSize) return "More"
  const header = decodeOptionHeader(bytes.subarray(0, headerSize))
  if (isWireError(header)) return "Unknown"
  return {
    kind: "option",
    head: [
      { name: "magic", size: 8, value: "IHAVEOPT" },
      number("option", 4, header.option, nameIn(optionCode, header.option)),
      number("length", 4, header.length)
    ],
    length: header.length,
    body: (data) => optionData(header.option, data),
    learn: () => {
      // An oldstyle server does not haggle: whatever this is, it has no answer.
      if (conversation.greeting !== "OldstyleGreeting") conversation.options.push(header.option)
    }
  }
}

const optionData = (option: number, data: Uint8Array): ReadonlyArray<Part> => {
  switch (option) {
    case optionCode.EXPORT_NAME:
      return text("name", data.byteLength, decodeText(data))
    case optionCode.INFO:
    case optionCode.GO: {
      const asked = decodeInfoRequest(data)
      if (isWireError(asked)) return faulty("data", data.byteLength, asked)
      const nameLength = viewOf(data).getUint32(0)
      return [
        number("name length", 4, nameLength),
        ...text("name", nameLength, asked.exportName),
        number("count", 2, asked.types.length),
        ...asked.types.map((type) => number("information type", 2, type, nameIn(infoType, type)))
      ]
    }
    case optionCode.LIST_META_CONTEXT:
    case optionCode.SET_META_CONTEXT:
      return contextRequest(data)
    default:
      return data.byteLength === 0 ? [] : [plain("data", data.byteLength)]
  }
}

const contextRequest = (data: Uint8Array): ReadonlyArray<Part> => {
  const asked = decodeMetaContextRequest(data)
  if (isWireError(asked)) return faulty("data", data.byteLength, asked)
  const view = viewOf(data)
  const nameLength = view.getUint32(0)
  const parts = [number("name length", 4, nameLength), ...text("name", nameLength, asked.exportName)]
  parts.push(number("count", 4, asked.queries.length))
  let at = 8 + nameLength
  for (const query of asked.queries) {
    const length = view.getUint32(at)
    parts.push(number("query length", 4, length), ...text("query", length, query))
    at += 4 + length
  }
  return parts
}

const request = (conversation: Conversation, bytes: Uint8Array): Start => {
  if (bytes.byteLength < requestHeaderSize) return "More"
  const header = decodeRequestHeader(viewOf(bytes), 0)
  if (isWireError(header)) return "Unknown"
  return {
    kind: "request",
    head: [...requestStart(magic.REQUEST, header), number("length", 4, header.length)],
    length: header.command === commandCode.WRITE ? header.length : 0,
    body: (payload) => payload.byteLength === 0 ? [] : [plain("payload", payload.byteLength)],
    learn: () => conversation.asked(header.cookie, header.command === commandCode.READ ? header.length : 0)
  }
}

/** A WRITE has a payload whatever its flags say: qemu's client (10.0) leaves the flag out. */
const extendedRequest = (bytes: Uint8Array): Start => {
  if (bytes.byteLength < extendedHeaderSize) return "More"
  const header = decodeExtendedRequestHeader(viewOf(bytes), 0)
  if (isWireError(header)) return "Unknown"
  const hasPayload = header.command === commandCode.WRITE || (header.flags & CommandFlags.PAYLOAD_LEN) !== 0
  return {
    kind: "extended request",
    head: [...requestStart(magic.EXTENDED_REQUEST, header), number("length", 8, header.length)],
    length: hasPayload ? Number(header.length) : 0,
    body: (payload) => requestPayload(header.command, payload),
    learn: nothingToLearn
  }
}

interface Header {
  readonly flags: number
  readonly command: number
  readonly cookie: bigint
  readonly offset: bigint
}

const requestStart = (start: number, { command, cookie, flags, offset }: Header): ReadonlyArray<Part> => [
  hexadecimal("magic", 4, start),
  hexadecimal("command flags", 2, flags, flagsIn(CommandFlags, flags)),
  number("command", 2, command, nameIn(commandCode, command)),
  number("cookie", 8, cookie),
  number("offset", 8, offset)
]

const requestPayload = (command: number, payload: Uint8Array): ReadonlyArray<Part> => {
  if (payload.byteLength === 0) return []
  const filter = command === commandCode.BLOCK_STATUS ? decodeStatusFilter(payload) : undefined
  if (filter === undefined || isWireError(filter)) return [plain("payload", payload.byteLength)]
  return [number("effect length", 8, filter.length), ...filter.contextIds.map((id) => number("context id", 4, id))]
}
