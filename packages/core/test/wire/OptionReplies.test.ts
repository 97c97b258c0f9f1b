/**
 * Option replies and information replies at their limits.
 */
import { decodeInfo, type Info } from "@effect-nbd/core/wire/Info"
import {
  decodeOptionReply,
  decodeOptionReplyHeader,
  encodeOptionReply,
  type OptionReply,
  replyTypeName
} from "@effect-nbd/core/wire/OptionReply"
import type { WireError } from "@effect-nbd/core/wire/WireError"
import { describe, expect, it } from "@effect/vitest"
import {
  blockSizeInfo,
  concat,
  exportInfo,
  maxU32,
  maxU64,
  nameInfo,
  opt,
  optionReply,
  rep,
  server,
  u16,
  u32,
  u8,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { decodesInPlace, refusal, refusesEveryTruncation, refusesTrailingBytes } from "./Decoding.ts"

const header = (bytes: Uint8Array) => decodeOptionReplyHeader(bytes, opt.GO)
const announcing = (type: number, length: number) => header(optionReply(opt.GO, type, zeros(0), { length }))
const reply = (type: number, payload: Uint8Array): OptionReply | WireError =>
  decodeOptionReply({ option: opt.GO, type, length: payload.byteLength }, payload)
const text = (count: number): Uint8Array => zeros(count).fill(0x61)

describe("an option reply header", () => {
  it("is 20 bytes, no more and no fewer", () => {
    refusesEveryTruncation(header, optionReply(opt.GO, rep.ACK))
    refusesTrailingBytes(header, optionReply(opt.GO, rep.ACK))
    decodesInPlace(header, optionReply(opt.GO, rep.ACK))
  })

  it("must have the option reply magic (C-023, H-015)", () => {
    expect(refusal(header(optionReply(opt.GO, rep.ACK, zeros(0), { magic: 0n }))).rule).toBe("Fixed newstyle, C-023")
    expect(refusal(header(optionReply(opt.GO, rep.ACK, zeros(0), { magic: 0x0003_e889_0455_65a8n }))).received).toBe(
      "0x0003e889045565a8"
    )
  })

  it("must echo the option in flight, all 32 bits of it (C-023, H-016)", () => {
    expect(refusal(header(optionReply(opt.INFO, rep.ACK)))).toStrictEqual({
      expected: "a reply to NBD_OPT_GO",
      received: "one to NBD_OPT_INFO",
      rule: "Fixed newstyle, C-023"
    })
    expect(refusal(header(optionReply(0x8000_0007, rep.ACK))).received).toBe("one to option 0x80000007")
  })

  it("may announce nothing behind an acknowledgement (H-022)", () => {
    expect(announcing(rep.ACK, 0)).toStrictEqual({ option: opt.GO, type: rep.ACK, length: 0 })
    expect(refusal(announcing(rep.ACK, 1))).toStrictEqual({
      expected: "at most 0 bytes in NBD_REP_ACK",
      received: "1 bytes",
      rule: "Fixed newstyle, C-024"
    })
  })

  it.each([rep.ERR_UNSUP, rep.ERR_UNKNOWN, 0x8000_0000, 0x8000_4242, maxU32])(
    "may announce an error text of 4096 bytes but not of 4097, for type %i (C-025, H-018, H-020)",
    (type) => {
      expect(announcing(type, 4096)).toStrictEqual({ option: opt.GO, type, length: 4096 })
      expect(refusal(announcing(type, 4097)).received).toBe("4097 bytes")
    }
  )

  it.each([0, 5, 0x7fff_ffff])(
    "is refused by itself for type %i, whatever length it announces (H-021)",
    (type) => {
      for (const length of [0, 1, maxU32]) {
        expect(refusal(announcing(type, length)).rule).toBe("Option reply types, H-021")
      }
    }
  )

  it.each([rep.SERVER, rep.INFO])(
    "may announce 65,536 bytes but not one more, for type %i",
    (type) => {
      expect(announcing(type, 65_536)).toStrictEqual({ option: opt.GO, type, length: 65_536 })
      expect(refusal(announcing(type, 65_537)).received).toBe("65537 bytes")
    }
  )

  it.each([rep.ACK, rep.SERVER, rep.INFO, rep.ERR_UNSUP, maxU32])(
    "never announces 2^32 - 1 bytes, for type %i, and is refused by itself (H-017)",
    (type) => {
      expect(refusal(announcing(type, maxU32)).received).toBe("4294967295 bytes")
      expect(refusal(announcing(type, 0x8000_0000)).received).toBe("2147483648 bytes")
    }
  )
})

describe("an option reply", () => {
  it("of a type that is neither known nor an error is refused (A-12, H-021)", () => {
    for (const type of [0, 5, 0x7fff_ffff]) {
      expect(refusal(reply(type, zeros(0))).rule).toBe("Option reply types, H-021")
    }
  })

  it("with bit 31 set is an error whatever its code, and keeps it unsigned (C-025, H-020)", () => {
    for (const type of [0x8000_0000, 0x8000_0001, 0x8000_000b, 0xc000_0001, maxU32]) {
      expect(reply(type, utf8("no"))).toStrictEqual({ _tag: "ErrorReply", type, message: "no" })
    }
  })

  it("with a text that is not UTF-8, or would steer a terminal, is made safe (H-019)", () => {
    expect(reply(rep.ERR_POLICY, concat(u8(0xff, 0x00, 0x1b), utf8("[2J\r\n\u202e\u0085ok")))).toStrictEqual({
      _tag: "ErrorReply",
      type: rep.ERR_POLICY,
      message: "\ufffd\\x00\\x1b[2J\\x0d\\x0a\\u202e\\x85ok"
    })
  })

  it("is cut at 4096 bytes of text when it is encoded, so that it can be decoded", () => {
    const encoded = encodeOptionReply(opt.GO, { _tag: "ErrorReply", type: rep.ERR_POLICY, message: "x".repeat(5000) })
    expect(encoded.byteLength).toBe(20 + 4096)
    expect(header(encoded.subarray(0, 20))).toMatchObject({ length: 4096 })
  })
})

describe("NBD_REP_SERVER", () => {
  const decode = (payload: Uint8Array) => reply(rep.SERVER, payload)

  it("has a name, and a description that may be empty (C-039)", () => {
    expect(decode(server("disk", "mine"))).toStrictEqual({ _tag: "Server", name: "disk", description: "mine" })
    expect(decode(server("disk"))).toStrictEqual({ _tag: "Server", name: "disk", description: "" })
    expect(decode(server(""))).toStrictEqual({ _tag: "Server", name: "", description: "" })
    decodesInPlace(decode, server("disk", "mine"))
  })

  it("is refused when it ends inside its name (C-039, H-025, H-026)", () => {
    refusesEveryTruncation(decode, server("disk"))
  })

  it("has a name of at most the payload's length less 4 (C-039, H-026)", () => {
    expect(refusal(decode(concat(u32(5), utf8("disk"))))).toStrictEqual({
      expected: "a name of at most 4 bytes",
      received: "5 bytes",
      rule: "NBD_REP_SERVER, C-039"
    })
  })

  it.each([0x7fff_ffff, 0x8000_0000, maxU32 - 3, maxU32])(
    "has no name of %i bytes, which would wrap (H-026)",
    (length) => {
      expect(refusal(decode(concat(u32(length), utf8("disk")))).received).toBe(`${length} bytes`)
    }
  )

  it("has strings of 4096 bytes but not of 4097 (C-003, H-027)", () => {
    const long = "x".repeat(4096)
    expect(decode(server(long, long))).toStrictEqual({ _tag: "Server", name: long, description: long })
    expect(refusal(decode(server(`${long}x`))).rule).toBe("C-003")
    expect(refusal(decode(server("", `${long}x`))).rule).toBe("C-003")
    expect(refusal(decode(concat(u32(4096), text(65_532)))).received).toBe("4096 and 61436 bytes")
  })

  it("keeps a name as it came: slashes, dots and control characters are its own business (H-028)", () => {
    const name = "../..\0/\u001b[31m"
    expect(decode(server(name))).toStrictEqual({ _tag: "Server", name, description: "" })
  })

  it("keeps a byte order mark, which is part of a name (C-005)", () => {
    expect(decode(server("\ufeffdisk"))).toMatchObject({ name: "\ufeffdisk" })
  })
})

describe("NBD_REP_INFO", () => {
  const decode: (payload: Uint8Array) => Info | WireError = decodeInfo

  it("needs the 2 bytes of its type (H-030, C-054)", () => {
    for (const payload of [zeros(0), zeros(1)]) {
      expect(refusal(reply(rep.INFO, payload))).toMatchObject({ rule: "NBD_REP_INFO, C-054" })
    }
  })

  it("with NBD_INFO_EXPORT has exactly 12 bytes (C-054, H-031)", () => {
    for (let length = 2; length <= 64; length++) {
      const payload = concat(exportInfo(512n, 1), zeros(64)).subarray(0, length)
      if (length === 12) expect(decode(payload)).toStrictEqual({ _tag: "ExportInfo", exportSize: 512n, flags: 1 })
      else expect(refusal(decode(payload)).received).toBe(`${length} bytes`)
    }
    decodesInPlace(decode, exportInfo(512n, 1))
  })

  it.each([0n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, maxU64])(
    "keeps a size of %s exact (H-039, H-040)",
    (size) => {
      expect(decode(exportInfo(size, 0xffff))).toStrictEqual({ _tag: "ExportInfo", exportSize: size, flags: 0xffff })
    }
  )

  it("with NBD_INFO_BLOCK_SIZE has exactly 14 bytes (C-054, H-031)", () => {
    for (let length = 2; length <= 64; length++) {
      const payload = concat(blockSizeInfo(1, 512, maxU32), zeros(64)).subarray(0, length)
      const expected = { _tag: "BlockSizeInfo", minimum: 1, preferred: 512, maximum: maxU32 }
      if (length === 14) expect(decode(payload)).toStrictEqual(expected)
      else expect(refusal(decode(payload)).received).toBe(`${length} bytes`)
    }
  })

  it("keeps block sizes with the top bit set, unsigned: what they are worth is for others to say (C-100)", () => {
    expect(decode(blockSizeInfo(0x8000_0000, maxU32, 0))).toStrictEqual({
      _tag: "BlockSizeInfo",
      minimum: 0x8000_0000,
      preferred: maxU32,
      maximum: 0
    })
  })

  it("with a name or description has at most 4096 bytes of it (C-054, H-032)", () => {
    expect(decode(nameInfo(""))).toStrictEqual({ _tag: "NameInfo", name: "" })
    expect(decode(concat(u16(1), text(4096)))).toStrictEqual({ _tag: "NameInfo", name: "a".repeat(4096) })
    expect(refusal(decode(concat(u16(1), text(4097)))).received).toBe("4097 bytes")
    expect(decode(concat(u16(2), text(4096)))).toStrictEqual({ _tag: "DescriptionInfo", description: "a".repeat(4096) })
    expect(refusal(decode(concat(u16(2), text(4097)))).received).toBe("4097 bytes")
  })

  it.each([4, 0x7fff, 0x8000, 0xffff])("of type %i is kept apart whatever its length (C-049, H-033)", (type) => {
    for (const length of [0, 1, 10, 65_534]) {
      const info = decode(concat(u16(type), zeros(length)))
      expect(info).toMatchObject({ _tag: "UnknownInfo", type })
      expect("payload" in info && info.payload.byteLength).toBe(length)
    }
  })
})

describe("the name of a reply type", () => {
  it("is the specification's, or its number, unsigned", () => {
    expect(replyTypeName(rep.ERR_BLOCK_SIZE_REQD)).toBe("NBD_REP_ERR_BLOCK_SIZE_REQD")
    expect(replyTypeName(0x8000_0042)).toBe("reply type 0x80000042")
    expect(replyTypeName(0)).toBe("reply type 0x00000000")
  })
})
