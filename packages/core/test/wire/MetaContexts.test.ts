/**
 * Meta contexts, block status and extended headers on the wire, written by hand from the specification and its extension.
 */
import {
  decodeBlockStatus,
  decodeStatusFilter,
  encodeBlockStatus,
  isStatusLength,
  longestStatus,
  maxDescriptors
} from "@effect-nbd/core/wire/BlockStatus"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import {
  decodeMetaContextReply,
  decodeMetaContextRequest,
  encodeMetaContextRequest
} from "@effect-nbd/core/wire/MetaContext"
import { encodeExtendedChunk } from "@effect-nbd/core/wire/Reply"
import { decodeExtendedRequestHeader, encodeExtendedRequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { describe, expect, it } from "@effect/vitest"
import { concat, maxU32, maxU64, u16, u32, u64, u8, utf8, zeros } from "../fixtures/HandWritten.ts"
import { decodesInPlace, refusal, refusesEveryTruncation, refusesTrailingBytes } from "./Decoding.ts"

const text = (value: string): Uint8Array => concat(u32(utf8(value).byteLength), utf8(value))

describe("the data of NBD_OPT_SET_META_CONTEXT", () => {
  const message = concat(text("disk"), u32(2), text("base:allocation"), text("qemu:dirty-bitmap:\u00fc"))

  it("is the export, a count and so many queries, and nothing else", () => {
    const request = { exportName: "disk", queries: ["base:allocation", "qemu:dirty-bitmap:\u00fc"] }
    expect(encodeMetaContextRequest(request)).toStrictEqual(message)
    expect(decodeMetaContextRequest(message)).toStrictEqual(request)
    refusesEveryTruncation(decodeMetaContextRequest, message)
    refusesTrailingBytes(decodeMetaContextRequest, message)
    decodesInPlace(decodeMetaContextRequest, message)
    expect(decodeMetaContextRequest(concat(text(""), u32(0)))).toStrictEqual({ exportName: "", queries: [] })
  })

  it("has no length or count that its bytes cannot have, however large", () => {
    for (const length of [8, maxU32]) {
      expect(refusal(decodeMetaContextRequest(concat(u32(length), zeros(8)))).rule).toBeTruthy()
    }
    expect(refusal(decodeMetaContextRequest(concat(text(""), u32(maxU32), zeros(8))))).toMatchObject({
      expected: "at most 2 queries",
      received: "4294967295"
    })
    expect(decodeMetaContextRequest(concat(text("x".repeat(4096)), u32(0)))).toMatchObject({ queries: [] })
    expect(refusal(decodeMetaContextRequest(concat(text("x".repeat(4097)), u32(0)))).rule).toBe("C-003")
  })
})

describe("the payload of NBD_REP_META_CONTEXT", () => {
  it("is an id, 0 among them, and a name of 1 to 4096 bytes (C-115)", () => {
    expect(decodeMetaContextReply(concat(u32(0), utf8("base:allocation")))).toStrictEqual({
      id: 0,
      name: "base:allocation"
    })
    expect(decodeMetaContextReply(concat(u32(maxU32), utf8("x".repeat(4096))))).toMatchObject({ id: maxU32 })
    for (const length of [0, 3, 4, 4101]) {
      expect(refusal(decodeMetaContextReply(zeros(length))).received).toBe(`${length} bytes`)
    }
  })
})

describe("the payload of NBD_REPLY_TYPE_BLOCK_STATUS", () => {
  const compact = concat(u32(7), u32(4096, 3), u32(maxU32, 0))
  const extended = concat(u32(7, 2), u64(4096n), u64(3n), u64(maxU64), u64(0n))

  it("is an id and 8 bytes an extent (C-187)", () => {
    const decoded = decodeBlockStatus("compact", compact)
    expect(decoded).toMatchObject({ contextId: 7, count: 2 })
    expect("count" in decoded && [decoded.lengthAt(0), decoded.flagsAt(0), decoded.lengthAt(1)]).toStrictEqual([
      4096n,
      3n,
      0xffff_ffffn
    ])
    for (const length of [0, 4, 8, 11, 13, 19]) {
      expect(refusal(decodeBlockStatus("compact", zeros(length))).rule).toContain("C-187")
    }
  })

  it("is under extended headers an id, the count, and 16 bytes an extent (C-228, H-147)", () => {
    const decoded = decodeBlockStatus("extended", extended)
    expect(decoded).toMatchObject({ contextId: 7, count: 2 })
    expect("count" in decoded && [decoded.lengthAt(0), decoded.flagsAt(0), decoded.lengthAt(1)]).toStrictEqual([
      4096n,
      3n,
      maxU64
    ])
    const descriptors = [{ length: 4096n, flags: 3n }, { length: maxU64, flags: 0n }]
    expect(encodeBlockStatus("extended", { contextId: 7, descriptors })).toStrictEqual(extended)
    for (const length of [0, 8, 12, 23, 25]) {
      expect(refusal(decodeBlockStatus("extended", zeros(length))).rule).toContain("C-228")
    }
    for (const count of [0, 1, 3, maxU32]) {
      const wrong = extended.slice()
      wrong.set(u32(count), 4)
      expect(refusal(decodeBlockStatus("extended", wrong))).toMatchObject({ expected: "a count of 2 extents" })
    }
  })

  it("has at most 2^20 extents (C-197)", () => {
    expect([longestStatus("compact"), longestStatus("extended")]).toStrictEqual([8_388_612, 16_777_224])
    for (const width of ["compact", "extended"] as const) {
      expect(isStatusLength(width, longestStatus(width))).toBe(true)
      expect(isStatusLength(width, longestStatus(width) + (width === "compact" ? 8 : 16))).toBe(false)
      expect(isStatusLength(width, maxU32)).toBe(false)
    }
    expect(decodeBlockStatus("compact", zeros(longestStatus("compact")))).toMatchObject({ count: maxDescriptors })
  })
})

describe("extended headers", () => {
  const request = concat(u32(0x21e41c71), u16(0x20, 1), u64(0x0102030405060708n), u64(9n), u64(10n))

  it("of a request are 32 bytes", () => {
    const decode = (bytes: Uint8Array) => decodeExtendedRequestHeader(viewOf(bytes), 0)
    expect(decode(request)).toStrictEqual({
      flags: 0x20,
      command: 1,
      cookie: 0x0102030405060708n,
      offset: 9n,
      length: 10n
    })
    refusesEveryTruncation(decode, request)
    decodesInPlace(decode, request)
    const compact = request.slice()
    compact.set(u32(0x25609513))
    expect(refusal(decode(compact)).expected).toBe("request magic 0x21e41c71")
    const written = zeros(32)
    encodeExtendedRequestHeader(viewOf(written), 0, 0x20, 7, 1, maxU64, Number.MAX_SAFE_INTEGER)
    expect(written).toStrictEqual(concat(u32(0x21e41c71), u16(0x20, 7), u64(1n), u64(maxU64), u64(2n ** 53n - 1n)))
  })

  it("of a chunk are 32 bytes and repeat the request's offset (C-226)", () => {
    const chunk = encodeExtendedChunk(5n, ReplyFlags(1), 512n, {
      _tag: "BlockStatus",
      contextId: 1,
      descriptors: [{ length: 2n ** 40n, flags: 2n ** 63n }]
    })
    expect(concat(...chunk)).toStrictEqual(
      concat(u32(0x6e8a278c), u16(1, 6), u64(5n), u64(512n), u64(24n), u32(1, 1), u64(2n ** 40n), u64(2n ** 63n))
    )
    const data = encodeExtendedChunk(5n, ReplyFlags(0), 512n, { _tag: "OffsetData", offset: 513n, data: u8(1, 2) })
    expect(concat(...data)).toStrictEqual(
      concat(u32(0x6e8a278c), u16(0, 1), u64(5n), u64(512n), u64(10n), u64(513n), u8(1, 2))
    )
  })

  it("carry a filter of 8 bytes and 4 a context (C-224)", () => {
    expect(decodeStatusFilter(concat(u64(maxU64), u32(0, maxU32)))).toStrictEqual({
      length: maxU64,
      contextIds: [0, maxU32]
    })
    for (const length of [0, 4, 7, 9, 14]) {
      expect(refusal(decodeStatusFilter(zeros(length))).received).toBe(`${length} bytes`)
    }
  })
})
