/**
 * Option requests at their limits: what the fake server reads, and what the client must never send.
 */
import {
  decodeInfoRequest,
  decodeOptionHeader,
  encodeInfoRequest,
  encodeOption,
  optionCode,
  optionName
} from "@effect-nbd/core/wire/NbdOption"
import { describe, expect, it } from "@effect/vitest"
import { areSame, concat, infoRequest, maxU32, option, u16, u32, u64, utf8, zeros } from "../fixtures/HandWritten.ts"
import { decodesInPlace, refusal, refusesEveryTruncation, refusesTrailingBytes } from "./Decoding.ts"

describe("an option header", () => {
  it("is 16 bytes, no more and no fewer", () => {
    refusesEveryTruncation(decodeOptionHeader, option(3))
    refusesTrailingBytes(decodeOptionHeader, option(3))
    decodesInPlace(decodeOptionHeader, option(3))
  })

  it("keeps option codes nobody knows, and lengths with the top bit set, unsigned (C-001)", () => {
    for (const value of [0, 4, 0x7fff_ffff, 0x8000_0000, maxU32]) {
      expect(decodeOptionHeader(concat(utf8("IHAVEOPT"), u32(value, maxU32 - value)))).toStrictEqual({
        option: value,
        length: maxU32 - value
      })
    }
  })

  it("is refused without its magic", () => {
    expect(refusal(decodeOptionHeader(concat(u64(0n), u32(3, 0))))).toStrictEqual({
      expected: "option magic 0x49484156454f5054",
      received: "0x0000000000000000",
      rule: "Newstyle negotiation"
    })
  })

  it("carries the length of exactly the data behind it (C-022)", () => {
    for (const count of [0, 1, 4096, 65_536]) {
      expect(areSame(encodeOption(optionCode.LIST, zeros(count)), option(3, zeros(count)))).toBe(true)
    }
  })

  it("counts the bytes of a name, not its characters (C-005, C-062)", () => {
    const name = utf8("диск🖴")
    expect(encodeOption(optionCode.EXPORT_NAME, name)).toStrictEqual(option(1, name))
    expect(decodeOptionHeader(option(1, name).subarray(0, 16))).toStrictEqual({ option: 1, length: 12 })
  })
})

describe("the data of NBD_OPT_INFO and NBD_OPT_GO", () => {
  it("is decoded whole, with an empty name or none asked for as well (C-062)", () => {
    expect(decodeInfoRequest(infoRequest("", 1, 2, 3))).toStrictEqual({ exportName: "", types: [1, 2, 3] })
    expect(decodeInfoRequest(infoRequest("disk"))).toStrictEqual({ exportName: "disk", types: [] })
    decodesInPlace(decodeInfoRequest, infoRequest("disk", 3))
  })

  it("is refused at every truncation (C-047)", () => {
    refusesEveryTruncation(decodeInfoRequest, infoRequest("disk", 0, 1, 2, 3))
    refusesEveryTruncation(decodeInfoRequest, infoRequest(""))
  })

  it("is refused with one byte or one type too many (C-047)", () => {
    refusesTrailingBytes(decodeInfoRequest, infoRequest("disk", 3))
    expect(refusal(decodeInfoRequest(concat(infoRequest("disk", 3), u16(3)))).rule).toBe("NBD_OPT_GO, C-047")
    expect(refusal(decodeInfoRequest(concat(u32(0), u16(0xffff)))).rule).toBe("NBD_OPT_GO, C-047")
  })

  it("has a name of at most the data's length less 6 (C-047)", () => {
    // 4 bytes of name and no type: the count reads 0.
    const data = concat(u32(4), utf8("disk"), u16(0))
    expect(decodeInfoRequest(data)).toStrictEqual({ exportName: "disk", types: [] })
    const longer = concat(u32(5), utf8("disk"), u16(0))
    expect(refusal(decodeInfoRequest(longer))).toStrictEqual({
      expected: "a name of at most 4 bytes",
      received: "5",
      rule: "NBD_OPT_GO, C-047"
    })
  })

  it.each([0x7fff_ffff, 0x8000_0000, maxU32 - 5, maxU32])(
    "has no name of %i bytes, which would wrap (T-14)",
    (length) => {
      expect(refusal(decodeInfoRequest(concat(u32(length), u16(0)))).received).toBe(String(length))
    }
  )

  it("has a name of 4096 bytes but not of 4097 (C-003)", () => {
    expect(decodeInfoRequest(infoRequest("x".repeat(4096), 3))).toStrictEqual({
      exportName: "x".repeat(4096),
      types: [3]
    })
    expect(refusal(decodeInfoRequest(infoRequest("x".repeat(4097), 3))).rule).toBe("C-003")
  })

  it("keeps information types nobody knows, unsigned", () => {
    expect(decodeInfoRequest(infoRequest("", 0xffff, 0x8000))).toMatchObject({ types: [0xffff, 0x8000] })
  })

  it("is encoded so that the count fills the rest exactly (C-047)", () => {
    expect(encodeInfoRequest({ exportName: "é", types: [1, 0xffff] })).toStrictEqual(infoRequest("é", 1, 0xffff))
  })
})

describe("the name of an option", () => {
  it("is the specification's, or its number", () => {
    expect(Object.values(optionCode).map(optionName)).toStrictEqual([
      "NBD_OPT_EXPORT_NAME",
      "NBD_OPT_ABORT",
      "NBD_OPT_LIST",
      "NBD_OPT_STARTTLS",
      "NBD_OPT_INFO",
      "NBD_OPT_GO",
      "NBD_OPT_STRUCTURED_REPLY",
      "NBD_OPT_LIST_META_CONTEXT",
      "NBD_OPT_SET_META_CONTEXT",
      "NBD_OPT_EXTENDED_HEADERS"
    ])
    expect(optionName(4)).toBe("option 0x00000004")
    expect(optionName(maxU32)).toBe("option 0xffffffff")
  })
})
