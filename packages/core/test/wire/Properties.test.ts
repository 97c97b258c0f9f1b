/**
 * What holds for all messages: what was encoded is decoded, and no bytes whatever make a decoder throw.
 */
import {
  decodeBlockStatus,
  decodeStatusFilter,
  encodeBlockStatus,
  encodeStatusFilter
} from "@effect-nbd/core/wire/BlockStatus"
import { concat, decodeDisplayText, decodeText, encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { decodeExportNameReply, encodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { ClientFlags, HandshakeFlags, ReplyFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import * as Greeting from "@effect-nbd/core/wire/Greeting"
import { decodeInfo, encodeInfo, type Info } from "@effect-nbd/core/wire/Info"
import {
  decodeMetaContextReply,
  decodeMetaContextRequest,
  encodeMetaContextRequest
} from "@effect-nbd/core/wire/MetaContext"
import * as NbdOption from "@effect-nbd/core/wire/NbdOption"
import * as OptionReply from "@effect-nbd/core/wire/OptionReply"
import * as Reply from "@effect-nbd/core/wire/Reply"
import * as RequestHeader from "@effect-nbd/core/wire/RequestHeader"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { u32, u64 } from "../fixtures/HandWritten.ts"

const u16s = FastCheck.integer({ min: 0, max: 0xffff })
const u32s = FastCheck.integer({ min: 0, max: 0xffff_ffff })
const u64s = FastCheck.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn })
/** At most 4096 bytes of UTF-8, of any characters there are. */
const strings = FastCheck.string({ unit: "binary", maxLength: 1024 })
const printables = FastCheck.string({ unit: "grapheme", maxLength: 256 }).filter((text) =>
  decodeDisplayText(encodeText(text)) === text
)
const transmissionFlags = u16s.map((flags) => TransmissionFlags(flags))
const anyBytes = FastCheck.oneof(
  FastCheck.uint8Array({ maxLength: 64 }),
  FastCheck.uint8Array({ minLength: 130, maxLength: 5000 })
)

const infos: FastCheck.Arbitrary<Info> = FastCheck.oneof(
  FastCheck.record({ _tag: FastCheck.constant("ExportInfo" as const), exportSize: u64s, flags: transmissionFlags }),
  FastCheck.record({ _tag: FastCheck.constant("NameInfo" as const), name: strings }),
  FastCheck.record({ _tag: FastCheck.constant("DescriptionInfo" as const), description: strings }),
  FastCheck.record({
    _tag: FastCheck.constant("BlockSizeInfo" as const),
    minimum: u32s,
    preferred: u32s,
    maximum: u32s
  }),
  FastCheck.record({
    _tag: FastCheck.constant("UnknownInfo" as const),
    type: FastCheck.integer({ min: 4, max: 0xffff }),
    payload: FastCheck.uint8Array({ maxLength: 64 })
  })
)

const optionReplies: FastCheck.Arbitrary<OptionReply.OptionReply> = FastCheck.oneof(
  FastCheck.constant({ _tag: "Ack" as const }),
  FastCheck.record({ _tag: FastCheck.constant("Server" as const), name: strings, description: strings }),
  FastCheck.record({ _tag: FastCheck.constant("InfoReply" as const), info: infos }),
  FastCheck.record({
    _tag: FastCheck.constant("MetaContextReply" as const),
    id: u32s,
    name: strings.filter((name) => name !== "")
  }),
  FastCheck.record({
    _tag: FastCheck.constant("ErrorReply" as const),
    type: FastCheck.integer({ min: 0x8000_0000, max: 0xffff_ffff }),
    message: printables
  })
)

describe("what was encoded is decoded", () => {
  it.prop("greetings and client flags", [u16s, u32s, u64s, transmissionFlags], ([few, many, exportSize, flags]) => {
    const newstyle = Greeting.encodeNewstyleGreeting(HandshakeFlags(few))
    expect(Greeting.decodeGreetingStart(newstyle.subarray(0, 16))).toBe("NewstyleGreeting")
    expect(Greeting.decodeNewstyleRest(newstyle.subarray(16))).toStrictEqual({ _tag: "NewstyleGreeting", flags: few })
    const oldstyle = Greeting.encodeOldstyleGreeting({ exportSize, flags })
    expect(Greeting.decodeGreetingStart(oldstyle.subarray(0, 16))).toBe("OldstyleGreeting")
    expect(Greeting.decodeOldstyleRest(oldstyle.subarray(16))).toStrictEqual({
      _tag: "OldstyleGreeting",
      exportSize,
      flags
    })
    expect(Greeting.decodeClientFlags(Greeting.encodeClientFlags(ClientFlags(many)))).toBe(many)
  })

  it.prop(
    "the answer to an export name",
    [u64s, transmissionFlags, FastCheck.boolean()],
    ([exportSize, flags, short]) => {
      const encoded = encodeExportNameReply({ exportSize, flags }, short)
      expect(decodeExportNameReply(encoded)).toStrictEqual({ exportSize, flags })
    }
  )

  it.prop(
    "options",
    [u32s, FastCheck.uint8Array({ maxLength: 64 }), strings, FastCheck.array(u16s, { maxLength: 32 })],
    ([option, data, exportName, types]) => {
      const encoded = NbdOption.encodeOption(option, data)
      expect(NbdOption.decodeOptionHeader(encoded.subarray(0, 16))).toStrictEqual({ option, length: data.byteLength })
      expect(encoded.subarray(16)).toStrictEqual(data)
      expect(NbdOption.decodeInfoRequest(NbdOption.encodeInfoRequest({ exportName, types }))).toStrictEqual({
        exportName,
        types
      })
    }
  )

  it.prop("information replies", [infos], ([info]) => {
    expect(decodeInfo(encodeInfo(info))).toStrictEqual(info)
  })

  it.prop("option replies", [u32s, optionReplies], ([option, reply]) => {
    const encoded = OptionReply.encodeOptionReply(option, reply)
    const header = OptionReply.decodeOptionReplyHeader(encoded.subarray(0, 20), option)
    expect(header).toMatchObject({ option, length: encoded.byteLength - 20 })
    if (header instanceof Object && "length" in header) {
      expect(OptionReply.decodeOptionReply(header, encoded.subarray(20))).toStrictEqual(reply)
    }
  })

  it.prop(
    "requests",
    [u16s, u16s, FastCheck.maxSafeNat(), u64s, u32s, FastCheck.nat({ max: 9 })],
    ([flags, command, cookie, offset, length, at]) => {
      const view = viewOf(new Uint8Array(at + 28))
      RequestHeader.encodeRequestHeader(view, at, flags, command, cookie, offset, length)
      expect(RequestHeader.decodeRequestHeader(view, at)).toStrictEqual({
        flags,
        command,
        cookie: BigInt(cookie),
        offset,
        length
      })
    }
  )

  it.prop("requests under extended headers", [
    u16s,
    u16s,
    FastCheck.maxSafeNat(),
    u64s,
    FastCheck.maxSafeNat(),
    FastCheck.nat({ max: 9 })
  ], ([flags, command, cookie, offset, length, at]) => {
    const view = viewOf(new Uint8Array(at + 32))
    RequestHeader.encodeExtendedRequestHeader(view, at, flags, command, cookie, offset, length)
    expect(RequestHeader.decodeExtendedRequestHeader(view, at)).toStrictEqual({
      flags,
      command,
      cookie: BigInt(cookie),
      offset,
      length: BigInt(length)
    })
  })

  it.prop(
    "queries for meta contexts",
    [strings, FastCheck.array(strings, { maxLength: 9 })],
    ([exportName, queries]) => {
      expect(decodeMetaContextRequest(encodeMetaContextRequest({ exportName, queries }))).toStrictEqual({
        exportName,
        queries
      })
    }
  )

  it.prop("block status in 32 and in 64 bits", [
    u32s,
    FastCheck.array(FastCheck.record({ length: u64s, flags: u64s }), { minLength: 1, maxLength: 9 })
  ], ([contextId, descriptors]) => {
    for (const width of ["compact", "extended"] as const) {
      const bits = width === "compact" ? 32 : 64
      const decoded = decodeBlockStatus(width, encodeBlockStatus(width, { contextId, descriptors }))
      if (isWireError(decoded)) throw new Error(decoded.received)
      expect([decoded.contextId, decoded.count]).toStrictEqual([contextId, descriptors.length])
      descriptors.forEach(({ flags, length }, index) => {
        expect(decoded.lengthAt(index)).toBe(BigInt.asUintN(bits, length))
        expect(decoded.flagsAt(index)).toBe(BigInt.asUintN(bits, flags))
      })
    }
  })

  it.prop("a filter of block status", [u64s, FastCheck.array(u32s, { maxLength: 9 })], ([length, contextIds]) => {
    expect(decodeStatusFilter(encodeStatusFilter({ length, contextIds }))).toStrictEqual({ length, contextIds })
  })

  it.prop("simple replies and the heads of chunks", [u32s, u64s, u16s, u16s], ([error, cookie, flags, type]) => {
    const simple = viewOf(Reply.encodeSimpleReply({ error, cookie }))
    expect([simple.getUint32(0), simple.getUint32(4), simple.getBigUint64(8)]).toStrictEqual([
      0x67446698,
      error,
      cookie
    ])
    const chunk = viewOf(Reply.encodeChunkHeader({ flags: ReplyFlags(flags), type, cookie, length: error }))
    expect([chunk.getUint32(0), chunk.getUint16(4), chunk.getUint16(6)]).toStrictEqual([0x668e33ef, flags, type])
    expect([chunk.getBigUint64(8), chunk.getUint32(16)]).toStrictEqual([cookie, error])
    expect(Reply.decodeCookie(simple, 0)).toBe(Number(cookie))
  })

  it.prop(
    "error chunks, and those of other types by their layout",
    [u32s, printables, u64s, FastCheck.uint8Array({ minLength: 1, maxLength: 64 })],
    ([error, message, offset, data]) => {
      const payload = (chunk: Reply.Chunk) => concat(Reply.encodeChunk(7n, ReplyFlags(1), chunk)).subarray(20)
      expect(
        Reply.decodeErrorPayload(Reply.chunkType.ERROR, payload({ _tag: "ErrorChunk", error, message }))
      ).toStrictEqual({ error, message, offset: undefined })
      expect(
        Reply.decodeErrorPayload(
          Reply.chunkType.ERROR_OFFSET,
          payload({ _tag: "ErrorOffsetChunk", error, message, offset })
        )
      ).toStrictEqual({ error, message, offset })
      expect(payload({ _tag: "OffsetData", offset, data })).toStrictEqual(concat([u64(offset), data]))
      expect(payload({ _tag: "OffsetHole", offset, length: error })).toStrictEqual(concat([u64(offset), u32(error)]))
    }
  )
})

describe("no bytes whatever make a decoder throw", () => {
  const decoders: ReadonlyArray<readonly [string, (bytes: Uint8Array) => unknown]> = [
    ["decodeMagic", Greeting.decodeMagic],
    ["decodeGreetingStart", Greeting.decodeGreetingStart],
    ["decodeNewstyleRest", Greeting.decodeNewstyleRest],
    ["decodeOldstyleRest", Greeting.decodeOldstyleRest],
    ["decodeClientFlags", Greeting.decodeClientFlags],
    ["decodeExportNameReply", decodeExportNameReply],
    ["decodeOptionHeader", NbdOption.decodeOptionHeader],
    ["decodeInfoRequest", NbdOption.decodeInfoRequest],
    ["decodeOptionReplyHeader", (bytes) => OptionReply.decodeOptionReplyHeader(bytes, 7)],
    ["decodeInfo", decodeInfo],
    ["decodeRequestHeader", (bytes) => RequestHeader.decodeRequestHeader(viewOf(bytes), 0)],
    ["decodeExtendedRequestHeader", (bytes) => RequestHeader.decodeExtendedRequestHeader(viewOf(bytes), 0)],
    ["decodeMetaContextRequest", decodeMetaContextRequest],
    ["decodeMetaContextReply", decodeMetaContextReply],
    ["decodeBlockStatus, compact", (bytes) => decodeBlockStatus("compact", bytes)],
    ["decodeBlockStatus, extended", (bytes) => decodeBlockStatus("extended", bytes)],
    ["decodeStatusFilter", decodeStatusFilter],
    ["decodeErrorPayload, ERROR", (bytes) => Reply.decodeErrorPayload(Reply.chunkType.ERROR, bytes)],
    ["decodeErrorPayload, ERROR_OFFSET", (bytes) => Reply.decodeErrorPayload(Reply.chunkType.ERROR_OFFSET, bytes)],
    ["decodeText", decodeText]
  ]

  it.prop("in any decoder", [anyBytes], ([bytes]) => {
    for (const [name, decode] of decoders) expect(() => decode(bytes), name).not.toThrow()
  }, { fastCheck: { numRuns: 300 } })

  it.prop("in a reply of any type", [u32s, FastCheck.nat({ max: 5 }), anyBytes], ([wide, narrow, bytes]) => {
    for (const type of [wide, narrow, 0x8000_0000 + narrow]) {
      const header = { option: 7, type, length: bytes.byteLength }
      expect(() => OptionReply.decodeOptionReply(header, bytes)).not.toThrow()
    }
  })

  it.prop("in an information reply of a known type", [FastCheck.nat({ max: 4 }), anyBytes], ([type, bytes]) => {
    expect(() => decodeInfo(Uint8Array.from([0, type, ...bytes]))).not.toThrow()
  })
})

/** Unicode's controls but for tab, its line and paragraph separators, and what changes the direction of writing. */
const controls = (code: number): boolean =>
  (code < 0x20 && code !== 9) || (code >= 0x7f && code <= 0x9f) || code === 0x061c || code === 0x200e ||
  code === 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)

describe("text", () => {
  it.prop("survives encoding and decoding when it is Unicode (C-005)", [strings], ([text]) => {
    expect(decodeText(encodeText(text))).toBe(text)
  })

  it.prop("for display never has a character in it that controls anything (H-019)", [
    FastCheck.oneof(FastCheck.uint8Array({ maxLength: 300 }), FastCheck.string({ unit: "binary" }).map(encodeText))
  ], ([bytes]) => {
    const text = decodeDisplayText(bytes)
    const steering = Array.from(text).filter((char) => controls(char.codePointAt(0) ?? 0))
    expect(steering).toStrictEqual([])
    // What was made safe is safe: showing it again changes nothing.
    expect(decodeDisplayText(encodeText(text))).toBe(text)
  }, { fastCheck: { numRuns: 2000 } })

  it("for display has each control character in it escaped, tab alone excepted (H-019)", () => {
    for (let code = 0; code < 0xa0; code++) {
      const isControl = code < 0x20 || code >= 0x7f
      const escaped = `\\x${code.toString(16).padStart(2, "0")}`
      const shown = decodeDisplayText(encodeText(String.fromCharCode(code)))
      expect(shown).toBe(isControl && code !== 9 ? escaped : String.fromCharCode(code))
    }
  })

  it("for display has what changes the direction of writing or breaks lines escaped as \\uNNNN (H-019)", () => {
    for (const code of [0x061c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069]) {
      const escaped = `\\u${code.toString(16).padStart(4, "0")}`
      expect(decodeDisplayText(encodeText(String.fromCharCode(code)))).toBe(escaped)
    }
  })
})
