/**
 * Requests and replies of the transmission phase at their limits.
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { errno, errnoName } from "@effect-nbd/core/wire/Errno"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType, decodeCookie, decodeErrorPayload, encodeChunk, isErrorChunk } from "@effect-nbd/core/wire/Reply"
import { decodeRequestHeader, encodeRequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { describe, expect, it } from "@effect/vitest"
import { concat, maxU32, maxU64, u16, u32, u64, u8, utf8, zeros } from "../fixtures/HandWritten.ts"
import { decodesInPlace, refusal, refusesEveryTruncation } from "./Decoding.ts"

const request = (flags: number, command: number, cookie: bigint, offset: bigint, length: number): Uint8Array =>
  concat(u32(0x25609513), u16(flags, command), u64(cookie), u64(offset), u32(length))

describe("a request header", () => {
  const decode = (bytes: Uint8Array) => decodeRequestHeader(viewOf(bytes), 0)

  it("needs 28 bytes, and is found at any place", () => {
    refusesEveryTruncation(decode, request(1, 1, 2n, 3n, 4))
    decodesInPlace(decode, request(1, 1, 2n, 3n, 4))
    const bytes = concat(zeros(5), request(1, 1, 2n, 3n, 4), zeros(3))
    expect(decodeRequestHeader(viewOf(bytes), 5)).toStrictEqual({
      flags: 1,
      command: 1,
      cookie: 2n,
      offset: 3n,
      length: 4
    })
    expect(refusal(decodeRequestHeader(viewOf(bytes), 9)).received).toBe("27 bytes")
    expect(refusal(decodeRequestHeader(viewOf(bytes), 37)).received).toBe("-1 bytes")
  })

  it("keeps every field unsigned and exact with all bits set (C-001)", () => {
    expect(decode(request(0xffff, 0xffff, maxU64, maxU64, maxU32))).toStrictEqual({
      flags: 0xffff,
      command: 0xffff,
      cookie: maxU64,
      offset: maxU64,
      length: maxU32
    })
  })

  it.each([0x12560953, 0x96744668, 0x25609514, 0x67446698, 0x21e41c71, 0])(
    "is refused with the magic %i, the historic and the extended ones among them",
    (magic) => {
      const bytes = request(0, 0, 0n, 0n, 0)
      bytes.set(u32(magic))
      expect(refusal(decode(bytes)).expected).toBe("request magic 0x25609513")
    }
  )

  it.each([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, 2 ** 53 - 1])("is encoded with the cookie %i exact", (cookie) => {
    const bytes = zeros(28)
    encodeRequestHeader(viewOf(bytes), 0, 0, 0, cookie, maxU64, maxU32)
    expect(bytes).toStrictEqual(request(0, 0, BigInt(cookie), maxU64, maxU32))
    expect(decodeCookie(viewOf(bytes), 0)).toBe(cookie)
  })

  it("is encoded between the bytes around it without touching them", () => {
    const bytes = zeros(40).fill(0xaa)
    encodeRequestHeader(viewOf(bytes), 7, 0, 3, 1, 0n, 0)
    expect(bytes).toStrictEqual(
      concat(zeros(7).fill(0xaa), request(0, 3, 1n, 0n, 0), zeros(5).fill(0xaa))
    )
  })
})

describe("the cookie of a reply", () => {
  it.each([2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, maxU64])("of %s never equals one of ours", (cookie) => {
    expect(decodeCookie(viewOf(concat(zeros(8), u64(cookie))), 0)).toBeGreaterThan(Number.MAX_SAFE_INTEGER)
  })
})

describe("the payload of NBD_REPLY_TYPE_ERROR", () => {
  const decode = (payload: Uint8Array) => decodeErrorPayload(chunkType.ERROR, payload)
  const error = (value: number, message: Uint8Array, length = message.byteLength): Uint8Array =>
    concat(u32(value), u16(length), message)

  it("is an error value and a text (C-180)", () => {
    expect(decode(error(5, utf8("bad")))).toStrictEqual({ error: 5, message: "bad", offset: undefined })
    expect(decode(error(5, zeros(0)))).toStrictEqual({ error: 5, message: "", offset: undefined })
    decodesInPlace(decode, error(5, utf8("bad")))
  })

  it("is refused at every truncation, of its head and of its text (H-120, H-121)", () => {
    refusesEveryTruncation(decode, error(5, utf8("bad")))
  })

  it("has a text of at most its length less 6 (H-121)", () => {
    expect(refusal(decode(error(5, utf8("bad"), 4)))).toStrictEqual({
      expected: "a message of at most 3 bytes",
      received: "4 bytes",
      rule: "Structured reply types, C-180"
    })
    expect(refusal(decode(error(5, zeros(0), 0xffff))).received).toBe("65535 bytes")
  })

  it("may have bytes behind its text, which are skipped (H-124)", () => {
    expect(decode(concat(error(5, utf8("bad")), u8(1, 2, 3)))).toMatchObject({ error: 5, message: "bad" })
  })

  it("has its text cut at 4096 bytes when it is longer (H-123)", () => {
    for (const length of [4095, 4096, 4097, 0xffff]) {
      expect(decode(error(5, zeros(length).fill(0x61)))).toMatchObject({ message: "a".repeat(Math.min(length, 4096)) })
    }
  })

  it("keeps an error value of 0 and one with the top bit set: what they mean is for others to say (H-125, H-126)", () => {
    expect(decode(error(0, zeros(0)))).toMatchObject({ error: 0 })
    expect(decode(error(maxU32, zeros(0)))).toMatchObject({ error: maxU32 })
  })

  it("has its text made safe to print (H-132)", () => {
    expect(decode(error(5, u8(0xff, 0x07, 0x41)))).toMatchObject({ message: "\ufffd\\x07A" })
  })
})

describe("the payload of NBD_REPLY_TYPE_ERROR_OFFSET", () => {
  const decode = (payload: Uint8Array) => decodeErrorPayload(chunkType.ERROR_OFFSET, payload)
  const error = (message: Uint8Array, offset: bigint, length = message.byteLength): Uint8Array =>
    concat(u32(5), u16(length), message, u64(offset))

  it("has its offset behind the text, exact (C-180)", () => {
    for (const offset of [0n, 2n ** 53n + 1n, maxU64]) {
      expect(decode(error(utf8("bad"), offset))).toStrictEqual({ error: 5, message: "bad", offset })
    }
    expect(decode(error(zeros(0), 7n))).toMatchObject({ message: "", offset: 7n })
  })

  it("is refused at every truncation (H-122)", () => {
    refusesEveryTruncation(decode, error(utf8("bad"), 1n))
    refusesEveryTruncation(decode, error(zeros(0), 1n))
  })

  it("has a text of at most its length less 14, which leaves the offset its room (H-121)", () => {
    expect(refusal(decode(error(utf8("bad"), 1n, 4))).expected).toBe("a message of at most 3 bytes")
  })

  it("finds its offset behind a text that is longer than it may be (H-123)", () => {
    expect(decode(error(zeros(5000).fill(0x61), 9n))).toStrictEqual({
      error: 5,
      message: "a".repeat(4096),
      offset: 9n
    })
  })
})

describe("an error chunk", () => {
  it("is any type with bit 15 set, and no other (C-170)", () => {
    for (const type of [0x8000, 0x8001, 0x8002, 0x8003, 0xffff]) expect(isErrorChunk(type)).toBe(true)
    for (const type of [0, 1, 2, 5, 0x7fff]) expect(isErrorChunk(type)).toBe(false)
  })

  it("is encoded with a text of at most 4096 bytes", () => {
    const [whole = zeros(0)] = encodeChunk(1n, ReplyFlags(1), {
      _tag: "ErrorChunk",
      error: 5,
      message: "x".repeat(5000)
    })
    expect(whole.byteLength).toBe(20 + 6 + 4096)
    expect(decodeErrorPayload(chunkType.ERROR, whole.subarray(20))).toMatchObject({ message: "x".repeat(4096) })
  })
})

describe("a data chunk", () => {
  it("passes its data on by reference", () => {
    const data = u8(1, 2, 3)
    expect(encodeChunk(1n, ReplyFlags(1), { _tag: "OffsetData", offset: 0n, data })[1]).toBe(data)
  })
})

describe("an error value", () => {
  it("has the specification's number and name (C-161)", () => {
    expect(errno).toStrictEqual({
      EPERM: 1,
      EIO: 5,
      ENOMEM: 12,
      EINVAL: 22,
      ENOSPC: 28,
      EOVERFLOW: 75,
      ENOTSUP: 95,
      ESHUTDOWN: 108
    })
    for (const [name, value] of Object.entries(errno)) expect(errnoName(value)).toBe(name)
  })

  it.each([0, 2, 109, 9999, maxU32])("of %i counts as EINVAL (C-161, H-081, H-126)", (value) => {
    expect(errnoName(value)).toBe("EINVAL")
  })
})
