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
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import * as Greeting from "@effect-nbd/core/wire/Greeting"
import { decodeInfo, encodeInfo } from "@effect-nbd/core/wire/Info"
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
import { Arbitraries } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { u32, u64 } from "../fixtures/HandWritten.ts"

describe("what was encoded is decoded", () => {
  it.prop("greetings and client flags", [
    Arbitraries.newstyleGreeting,
    Arbitraries.oldstyleGreeting,
    Arbitraries.clientFlags
  ], ([newstyle, oldstyle, flags]) => {
    const short = Greeting.encodeNewstyleGreeting(newstyle.flags)
    expect(Greeting.decodeGreetingStart(short.subarray(0, 16))).toBe("NewstyleGreeting")
    expect(Greeting.decodeNewstyleRest(short.subarray(16))).toStrictEqual({ ...newstyle })
    const long = Greeting.encodeOldstyleGreeting(oldstyle)
    expect(Greeting.decodeGreetingStart(long.subarray(0, 16))).toBe("OldstyleGreeting")
    expect(Greeting.decodeOldstyleRest(long.subarray(16))).toStrictEqual({ ...oldstyle })
    expect(Greeting.decodeClientFlags(Greeting.encodeClientFlags(flags))).toBe(flags)
  })

  it.prop("the answer to an export name", [Arbitraries.exportNameReply, FastCheck.boolean()], ([reply, short]) => {
    expect(decodeExportNameReply(encodeExportNameReply(reply, short))).toStrictEqual({ ...reply })
  })

  it.prop("options", [Arbitraries.option, Arbitraries.infoRequest], ([{ data, option }, request]) => {
    const encoded = NbdOption.encodeOption(option, data)
    expect(NbdOption.decodeOptionHeader(encoded.subarray(0, 16))).toStrictEqual({ option, length: data.byteLength })
    expect(encoded.subarray(16)).toStrictEqual(data)
    expect(NbdOption.decodeInfoRequest(NbdOption.encodeInfoRequest(request))).toStrictEqual({ ...request })
  })

  it.prop("information replies", [Arbitraries.info], ([info]) => {
    expect(decodeInfo(encodeInfo(info))).toStrictEqual({ ...info })
  })

  it.prop("option replies", [Arbitraries.u32, Arbitraries.optionReply], ([option, reply]) => {
    const encoded = OptionReply.encodeOptionReply(option, reply)
    const header = OptionReply.decodeOptionReplyHeader(encoded.subarray(0, 20), option)
    expect(header).toMatchObject({ option, length: encoded.byteLength - 20 })
    if (header instanceof Object && "length" in header) {
      expect(OptionReply.decodeOptionReply(header, encoded.subarray(20))).toEqual(reply)
    }
  })

  it.prop("requests, compact and extended", [
    Arbitraries.requestHeader,
    Arbitraries.extendedRequestHeader,
    FastCheck.nat({ max: 9 })
  ], ([compact, extended, at]) => {
    const view = viewOf(new Uint8Array(at + 32))
    RequestHeader.encodeRequestHeader(
      view,
      at,
      compact.flags,
      compact.command,
      Number(compact.cookie),
      compact.offset,
      compact.length
    )
    expect(RequestHeader.decodeRequestHeader(view, at)).toStrictEqual({ ...compact })
    RequestHeader.encodeExtendedRequestHeader(
      view,
      at,
      extended.flags,
      extended.command,
      Number(extended.cookie),
      extended.offset,
      Number(extended.length)
    )
    expect(RequestHeader.decodeExtendedRequestHeader(view, at)).toStrictEqual({ ...extended })
  })

  it.prop("queries for meta contexts", [Arbitraries.metaContextRequest], ([request]) => {
    expect(decodeMetaContextRequest(encodeMetaContextRequest(request))).toStrictEqual({ ...request })
  })

  it.prop("block status in 32 and in 64 bits", [
    Arbitraries.blockStatus("compact"),
    Arbitraries.blockStatus("extended")
  ], ([compact, extended]) => {
    for (const [width, status] of [["compact", compact], ["extended", extended]] as const) {
      const decoded = decodeBlockStatus(width, encodeBlockStatus(width, status))
      if (isWireError(decoded)) throw new Error(decoded.received)
      expect([decoded.contextId, decoded.count]).toStrictEqual([status.contextId, status.descriptors.length])
      status.descriptors.forEach(({ flags, length }, index) => {
        expect([decoded.lengthAt(index), decoded.flagsAt(index)]).toStrictEqual([length, flags])
      })
    }
  })

  it.prop(
    "the low half of a status that is too wide, in 32 bits",
    [Arbitraries.blockStatus("extended")],
    ([status]) => {
      const decoded = decodeBlockStatus("compact", encodeBlockStatus("compact", status))
      if (isWireError(decoded)) throw new Error(decoded.received)
      status.descriptors.forEach(({ flags, length }, index) => {
        expect(decoded.lengthAt(index)).toBe(BigInt.asUintN(32, length))
        expect(decoded.flagsAt(index)).toBe(BigInt.asUintN(32, flags))
      })
    }
  )

  it.prop("a filter of block status", [Arbitraries.statusFilter], ([filter]) => {
    expect(decodeStatusFilter(encodeStatusFilter(filter))).toStrictEqual({ ...filter })
  })

  it.prop("simple replies and the heads of chunks", [
    Arbitraries.simpleReply,
    Arbitraries.chunkHeader,
    Arbitraries.extendedChunkHeader
  ], ([reply, header, extended]) => {
    const simple = viewOf(Reply.encodeSimpleReply(reply))
    expect([simple.getUint32(0), simple.getUint32(4), simple.getBigUint64(8)]).toStrictEqual([
      0x67446698,
      reply.error,
      reply.cookie
    ])
    expect(Reply.decodeCookie(simple, 0)).toBe(Number(reply.cookie))
    const chunk = viewOf(Reply.encodeChunkHeader(header))
    expect([chunk.getUint32(0), chunk.getUint16(4), chunk.getUint16(6)]).toStrictEqual([
      0x668e33ef,
      header.flags,
      header.type
    ])
    expect([chunk.getBigUint64(8), chunk.getUint32(16)]).toStrictEqual([header.cookie, header.length])
    const wide = viewOf(Reply.encodeExtendedChunkHeader(extended))
    expect([wide.getUint32(0), wide.getUint16(4), wide.getUint16(6)]).toStrictEqual([
      0x6e8a278c,
      extended.flags,
      extended.type
    ])
    expect([wide.getBigUint64(8), wide.getBigUint64(16), wide.getBigUint64(24)]).toStrictEqual([
      extended.cookie,
      extended.offset,
      BigInt(extended.length)
    ])
  })

  it.prop("chunks by their layout, the same in both styles but for the head", [
    Arbitraries.chunk("compact"),
    Arbitraries.u64
  ], ([chunk, offset]) => {
    const payload = concat(Reply.encodeChunk(7n, ReplyFlags(1), chunk)).subarray(20)
    const extended = concat(Reply.encodeExtendedChunk(7n, ReplyFlags(1), offset, chunk)).subarray(32)
    if (chunk._tag !== "BlockStatus") expect(extended).toStrictEqual(payload)
    if (chunk._tag === "None") expect(payload).toStrictEqual(new Uint8Array(0))
    else if (chunk._tag === "OffsetData") expect(payload).toStrictEqual(concat([u64(chunk.offset), chunk.data]))
    else if (chunk._tag === "OffsetHole") expect(payload).toStrictEqual(concat([u64(chunk.offset), u32(chunk.length)]))
    else if (chunk._tag === "BlockStatus") {
      expect(payload).toStrictEqual(encodeBlockStatus("compact", chunk))
      expect(extended).toStrictEqual(encodeBlockStatus("extended", chunk))
    } else {
      const isOffset = chunk._tag === "ErrorOffsetChunk"
      const type = isOffset ? Reply.chunkType.ERROR_OFFSET : Reply.chunkType.ERROR
      expect(Reply.decodeErrorPayload(type, payload)).toStrictEqual({
        error: chunk.error,
        message: chunk.message,
        offset: isOffset ? chunk.offset : undefined
      })
    }
  })
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

  it.prop("in any decoder", [Arbitraries.anyBytes], ([bytes]) => {
    for (const [name, decode] of decoders) expect(() => decode(bytes), name).not.toThrow()
  }, { fastCheck: { numRuns: 300 } })

  it.prop(
    "in a reply of any type",
    [Arbitraries.u32, FastCheck.nat({ max: 5 }), Arbitraries.anyBytes],
    ([wide, narrow, bytes]) => {
      for (const type of [wide, narrow, 0x8000_0000 + narrow]) {
        const header = { option: 7, type, length: bytes.byteLength }
        expect(() => OptionReply.decodeOptionReply(header, bytes)).not.toThrow()
      }
    }
  )

  it.prop(
    "in an information reply of a known type",
    [FastCheck.nat({ max: 4 }), Arbitraries.anyBytes],
    ([type, bytes]) => {
      expect(() => decodeInfo(Uint8Array.from([0, type, ...bytes]))).not.toThrow()
    }
  )
})

/** Unicode's controls but for tab, its line and paragraph separators, and what changes the direction of writing. */
const controls = (code: number): boolean =>
  (code < 0x20 && code !== 9) || (code >= 0x7f && code <= 0x9f) || code === 0x061c || code === 0x200e ||
  code === 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)

describe("text", () => {
  it.prop("survives encoding and decoding when it is Unicode (C-005)", [Arbitraries.text()], ([text]) => {
    expect(decodeText(encodeText(text))).toBe(text)
  })

  it.prop("for display never has a character in it that controls anything (H-019)", [
    FastCheck.oneof(FastCheck.uint8Array({ maxLength: 300 }), Arbitraries.text(40).map(encodeText))
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
