/**
 * Goldens written by hand from the specification, for messages that none of the captured servers sends, and messages
 * that only a server reads. The section is in each name.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { encodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { CommandFlags, HandshakeFlags, ReplyFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeNewstyleGreeting, encodeOldstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import { decodeInfo, encodeInfo } from "@effect-nbd/core/wire/Info"
import { encodeInfoRequest, encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import {
  decodeOptionReply,
  decodeOptionReplyHeader,
  encodeOptionReply,
  replyType
} from "@effect-nbd/core/wire/OptionReply"
import { type Chunk, chunkType, decodeErrorPayload, encodeChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { commandCode, decodeRequestHeader, encodeRequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { describe, expect, it } from "@effect/vitest"

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16))

const more = ReplyFlags(0)
const done = ReplyFlags(ReplyFlags.DONE)
const encoded = (cookie: bigint, flags: ReplyFlags, chunk: Chunk): Uint8Array =>
  concat(encodeChunk(cookie, flags, chunk))

describe("chunks (section Structured reply types)", () => {
  it("NBD_REPLY_TYPE_NONE with DONE", () => {
    expect(encoded(0xfedc_ba98_7654_3210n, done, { _tag: "None" })).toStrictEqual(
      bytes("66 8e 33 ef 00 01 00 00 fe dc ba 98 76 54 32 10 00 00 00 00")
    )
  })

  it("NBD_REPLY_TYPE_OFFSET_DATA without DONE, of one byte at an offset above 2^63", () => {
    expect(encoded(1n, more, { _tag: "OffsetData", offset: 2n ** 63n + 1n, data: bytes("ff") })).toStrictEqual(
      bytes("66 8e 33 ef 00 00 00 01 00 00 00 00 00 00 00 01 00 00 00 09 80 00 00 00 00 00 00 01 ff")
    )
  })

  it("NBD_REPLY_TYPE_OFFSET_HOLE of 2^32 - 1 bytes", () => {
    expect(encoded(1n, more, { _tag: "OffsetHole", offset: 512n, length: 0xffff_ffff })).toStrictEqual(
      bytes("66 8e 33 ef 00 00 00 02 00 00 00 00 00 00 00 01 00 00 00 0c 00 00 00 00 00 00 02 00 ff ff ff ff")
    )
  })

  it("NBD_REPLY_TYPE_ERROR without text", () => {
    expect(encoded(1n, done, { _tag: "ErrorChunk", error: 108, message: "" })).toStrictEqual(
      bytes("66 8e 33 ef 00 01 80 01 00 00 00 00 00 00 00 01 00 00 00 06 00 00 00 6c 00 00")
    )
  })

  it("NBD_REPLY_TYPE_ERROR_OFFSET with text, the offset behind it", () => {
    const payload = bytes("00 00 00 05 00 02 62 61 00 00 00 00 00 00 10 00")
    expect(
      encoded(1n, done, { _tag: "ErrorOffsetChunk", error: 5, message: "ba", offset: 4096n })
    ).toStrictEqual(concat([bytes("66 8e 33 ef 00 01 80 02 00 00 00 00 00 00 00 01 00 00 00 10"), payload]))
    expect(decodeErrorPayload(chunkType.ERROR_OFFSET, payload)).toStrictEqual({
      error: 5,
      message: "ba",
      offset: 4096n
    })
  })

  it("an error type of the future: the three leading fields of all errors, then something else (C-170)", () => {
    expect(decodeErrorPayload(0x8003, bytes("00 00 00 16 00 01 78 de ad be ef"))).toStrictEqual({
      error: 22,
      message: "x",
      offset: undefined
    })
  })
})

describe("replies (section Simple reply message)", () => {
  it("with NBD_ESHUTDOWN and a cookie of 2^64 - 1", () => {
    expect(encodeSimpleReply({ error: 108, cookie: 0xffff_ffff_ffff_ffffn })).toStrictEqual(
      bytes("67 44 66 98 00 00 00 6c ff ff ff ff ff ff ff ff")
    )
  })
})

describe("requests (section Request message)", () => {
  it("with every flag of today, the largest cookie we count to, and the largest offset and length", () => {
    const view = viewOf(new Uint8Array(28))
    encodeRequestHeader(view, 0, 0x003f, commandCode.BLOCK_STATUS, 2 ** 53 - 1, 2n ** 64n - 1n, 0xffff_ffff)
    expect(new Uint8Array(view.buffer)).toStrictEqual(
      bytes("25 60 95 13 00 3f 00 07 00 1f ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff")
    )
    expect(decodeRequestHeader(view, 0)).toStrictEqual({
      flags: CommandFlags(0x3f),
      command: 7,
      cookie: 2n ** 53n - 1n,
      offset: 2n ** 64n - 1n,
      length: 0xffff_ffff
    })
  })
})

describe("greetings (sections Oldstyle negotiation and Newstyle negotiation)", () => {
  it("oldstyle, 152 bytes, with a size of 2^64 - 1", () => {
    const greeting = encodeOldstyleGreeting({ exportSize: 2n ** 64n - 1n, flags: TransmissionFlags(0x8003) })
    expect(greeting).toStrictEqual(concat([
      bytes("4e 42 44 4d 41 47 49 43 00 00 42 02 81 86 12 53 ff ff ff ff ff ff ff ff 00 00 80 03"),
      new Uint8Array(124)
    ]))
    expect(greeting.byteLength).toBe(152)
  })

  it("newstyle with every bit of the handshake flags", () => {
    expect(encodeNewstyleGreeting(HandshakeFlags(0xffff))).toStrictEqual(
      bytes("4e 42 44 4d 41 47 49 43 49 48 41 56 45 4f 50 54 ff ff")
    )
  })
})

describe("options (sections Option types and Option reply types)", () => {
  it("NBD_OPT_GO for the default export, asking for nothing more", () => {
    expect(encodeOption(optionCode.GO, encodeInfoRequest({ exportName: "", types: [] }))).toStrictEqual(
      bytes("49 48 41 56 45 4f 50 54 00 00 00 07 00 00 00 06 00 00 00 00 00 00")
    )
  })

  it("NBD_OPT_EXPORT_NAME's answer with padding: 134 bytes", () => {
    const reply = { exportSize: 2n ** 63n, flags: TransmissionFlags(0xffff) }
    expect(encodeExportNameReply(reply, false)).toStrictEqual(
      concat([bytes("80 00 00 00 00 00 00 00 ff ff"), new Uint8Array(124)])
    )
  })

  it.each([
    ["NBD_REP_ERR_POLICY", replyType.ERR_POLICY, "80 00 00 02"],
    ["NBD_REP_ERR_INVALID", replyType.ERR_INVALID, "80 00 00 03"],
    ["NBD_REP_ERR_PLATFORM", replyType.ERR_PLATFORM, "80 00 00 04"],
    ["NBD_REP_ERR_SHUTDOWN", replyType.ERR_SHUTDOWN, "80 00 00 07"],
    ["NBD_REP_ERR_BLOCK_SIZE_REQD", replyType.ERR_BLOCK_SIZE_REQD, "80 00 00 08"],
    ["NBD_REP_ERR_TOO_BIG", replyType.ERR_TOO_BIG, "80 00 00 09"],
    ["NBD_REP_ERR_EXT_HEADER_REQD", replyType.ERR_EXT_HEADER_REQD, "80 00 00 0a"]
  ])("%s, with a text and without", (_, type, hex) => {
    const bare = bytes(`00 03 e8 89 04 55 65 a9 00 00 00 07 ${hex} 00 00 00 00`)
    const worded = bytes(`00 03 e8 89 04 55 65 a9 00 00 00 07 ${hex} 00 00 00 02 6e 6f`)
    for (const [message, reply] of [[bare, ""], [worded, "no"]] as const) {
      expect(encodeOptionReply(optionCode.GO, { _tag: "ErrorReply", type, message: reply })).toStrictEqual(message)
      const header = decodeOptionReplyHeader(message.subarray(0, 20), optionCode.GO)
      expect(header).toStrictEqual({ option: 7, type, length: reply.length })
      expect(decodeOptionReply({ option: 7, type, length: reply.length }, message.subarray(20))).toStrictEqual({
        _tag: "ErrorReply",
        type,
        message: reply
      })
    }
  })

  it("NBD_REP_INFO of a type of the future keeps its payload (C-049)", () => {
    const future = { _tag: "UnknownInfo", type: 0xfffe, payload: bytes("01 02 03") } as const
    expect(encodeInfo(future)).toStrictEqual(bytes("ff fe 01 02 03"))
    expect(decodeInfo(bytes("ff fe 01 02 03"))).toStrictEqual(future)
  })

  it("NBD_INFO_BLOCK_SIZE with a maximum of 2^32 - 1, which means no fixed limit", () => {
    const sizes = { _tag: "BlockSizeInfo", minimum: 65_536, preferred: 0x8000_0000, maximum: 0xffff_ffff } as const
    expect(encodeInfo(sizes)).toStrictEqual(bytes("00 03 00 01 00 00 80 00 00 00 ff ff ff ff"))
    expect(decodeInfo(bytes("00 03 00 01 00 00 80 00 00 00 ff ff ff ff"))).toStrictEqual(sizes)
  })
})
