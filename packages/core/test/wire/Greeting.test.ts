/**
 * The greeting, the client flags, and the answer to NBD_OPT_EXPORT_NAME, at their limits.
 */
import { decodeExportNameReply, encodeExportNameReply, replySize } from "@effect-nbd/core/wire/ExportName"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import {
  decodeClientFlags,
  decodeGreetingStart,
  decodeMagic,
  decodeNewstyleRest,
  decodeOldstyleRest,
  encodeOldstyleGreeting,
  mayBeMagic,
  mayBeSecondMagic
} from "@effect-nbd/core/wire/Greeting"
import { describe, expect, it } from "@effect/vitest"
import {
  concat,
  maxU64,
  newstyleGreeting,
  oldstyleGreeting,
  u16,
  u32,
  u64,
  u8,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { decodesInPlace, refusal, refusesEveryTruncation, refusesTrailingBytes } from "./Decoding.ts"

describe("the two magic numbers", () => {
  it("tell newstyle from oldstyle (C-010)", () => {
    expect(decodeGreetingStart(newstyleGreeting(3).subarray(0, 16))).toBe("NewstyleGreeting")
    expect(decodeGreetingStart(oldstyleGreeting({ size: 1n, flags: 1 }).subarray(0, 16))).toBe("OldstyleGreeting")
  })

  it("are needed whole, wherever they lie", () => {
    refusesEveryTruncation(decodeGreetingStart, newstyleGreeting(0).subarray(0, 16))
    refusesEveryTruncation(decodeMagic, utf8("NBDMAGIC"))
    decodesInPlace(decodeGreetingStart, newstyleGreeting(0).subarray(0, 16))
  })

  it("may have more behind them, which the next step reads", () => {
    expect(decodeGreetingStart(newstyleGreeting(3))).toBe("NewstyleGreeting")
    expect(decodeMagic(newstyleGreeting(3))).toBe("NBDMAGIC")
  })

  it("are wrong if any bit of the first is (C-009, H-001)", () => {
    for (let bit = 0; bit < 64; bit++) {
      const greeting = newstyleGreeting(3)
      greeting[bit >> 3] = (greeting[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(refusal(decodeGreetingStart(greeting.subarray(0, 16))).rule).toBe("Greeting, C-009")
    }
  })

  it("are told from anything else by the first wrong byte (C-009)", () => {
    const whole = newstyleGreeting(3)
    for (let length = 0; length <= 18; length++) expect(mayBeMagic(whole.subarray(0, length))).toBe(true)
    for (let bit = 0; bit < 64; bit++) {
      const wrong = whole.slice()
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      for (let length = 1; length <= 18; length++) {
        expect(mayBeMagic(wrong.subarray(0, length))).toBe(length <= bit >> 3)
      }
    }
  })

  it("are told from anything else by the first wrong byte of the second (C-010)", () => {
    for (const whole of [newstyleGreeting(3), oldstyleGreeting({ size: 1n, flags: 1 })]) {
      for (let length = 0; length <= 18; length++) expect(mayBeSecondMagic(whole.subarray(0, length))).toBe(true)
      for (let bit = 64; bit < 128; bit++) {
        const wrong = whole.slice(0, 18)
        wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        for (let length = 9; length <= 18; length++) {
          expect(mayBeSecondMagic(wrong.subarray(0, length))).toBe(length <= bit >> 3)
        }
      }
    }
  })

  it("are wrong if any bit of the second is (C-010, H-002)", () => {
    for (const whole of [newstyleGreeting(3), oldstyleGreeting({ size: 1n, flags: 1 })]) {
      for (let bit = 64; bit < 128; bit++) {
        const greeting = whole.slice(0, 16)
        greeting[bit >> 3] = (greeting[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(refusal(decodeGreetingStart(greeting)).rule).toBe("Greeting, C-010")
      }
    }
  })

  it("are shown in hexadecimal with all their digits when they are wrong", () => {
    expect(refusal(decodeMagic(u64(1n))).received).toBe("0x0000000000000001")
    expect(refusal(decodeMagic(u64(maxU64))).received).toBe("0xffffffffffffffff")
  })
})

describe("the rest of a newstyle greeting", () => {
  it("is 2 bytes, no more and no fewer", () => {
    refusesEveryTruncation(decodeNewstyleRest, u16(3))
    refusesTrailingBytes(decodeNewstyleRest, u16(3))
    decodesInPlace(decodeNewstyleRest, u16(3))
  })

  it("keeps flags nobody knows, the top bit among them (C-014, H-008)", () => {
    expect(decodeNewstyleRest(u16(0xffff))).toStrictEqual({ _tag: "NewstyleGreeting", flags: 0xffff })
    expect(decodeNewstyleRest(u16(0x8000))).toStrictEqual({ _tag: "NewstyleGreeting", flags: 0x8000 })
  })
})

describe("the rest of an oldstyle greeting", () => {
  const rest = (size: bigint, flags: number, upper = 0, padding = zeros(124)): Uint8Array =>
    oldstyleGreeting({ size, flags, upper, padding }).subarray(16)

  it("is 136 bytes, no more and no fewer (C-011)", () => {
    refusesEveryTruncation(decodeOldstyleRest, rest(1n, 1))
    refusesTrailingBytes(decodeOldstyleRest, rest(1n, 1))
    decodesInPlace(decodeOldstyleRest, rest(1n, 1))
  })

  it.each([0n, 1n, 2n ** 53n + 1n, 2n ** 63n, maxU64])("keeps a size of %s exact (C-001, H-039, H-040)", (size) => {
    expect(decodeOldstyleRest(rest(size, 1))).toStrictEqual({ _tag: "OldstyleGreeting", exportSize: size, flags: 1 })
  })

  it("takes transmission flags from the lower half, unsigned (C-001)", () => {
    expect(decodeOldstyleRest(rest(1n, 0xffff))).toMatchObject({ flags: 0xffff })
  })

  it("is refused when any bit of the upper half of its flags is set (C-013, H-013)", () => {
    for (let bit = 0; bit < 16; bit++) {
      expect(refusal(decodeOldstyleRest(rest(1n, 1, 1 << bit)))).toMatchObject({
        received: `0x${(1 << bit).toString(16).padStart(4, "0")}`,
        rule: "Oldstyle negotiation, C-013"
      })
    }
  })

  it("may have padding that is not zero (H-014)", () => {
    expect(decodeOldstyleRest(rest(1n, 1, 0, zeros(124).fill(0xff)))).toMatchObject({ exportSize: 1n, flags: 1 })
  })

  it("is encoded with an upper half of zero and padding of zeroes", () => {
    expect(encodeOldstyleGreeting({ exportSize: 5n, flags: TransmissionFlags(0xffff) })).toStrictEqual(
      oldstyleGreeting({ size: 5n, flags: 0xffff })
    )
  })
})

describe("client flags", () => {
  it("are 32 bits wide, no more and no fewer (C-018)", () => {
    refusesEveryTruncation(decodeClientFlags, u32(3))
    refusesTrailingBytes(decodeClientFlags, u32(3))
    decodesInPlace(decodeClientFlags, u32(3))
  })

  it("stay unsigned with the top bit set (C-001)", () => {
    expect(decodeClientFlags(u32(0x8000_0000))).toBe(0x8000_0000)
    expect(decodeClientFlags(u32(0xffff_ffff))).toBe(0xffff_ffff)
  })
})

describe("the answer to NBD_OPT_EXPORT_NAME", () => {
  it("has 10 bytes with NO_ZEROES agreed and 134 without (C-063)", () => {
    const reply = { exportSize: 7n, flags: TransmissionFlags(1) }
    expect(replySize(true)).toBe(10)
    expect(replySize(false)).toBe(134)
    expect(encodeExportNameReply(reply, true).byteLength).toBe(10)
    expect(encodeExportNameReply(reply, false)).toStrictEqual(concat(u64(7n), u16(1), zeros(124)))
  })

  it("needs at least 10 bytes", () => {
    refusesEveryTruncation(decodeExportNameReply, concat(u64(7n), u16(1)))
    decodesInPlace(decodeExportNameReply, concat(u64(7n), u16(1)))
  })

  it.each([0n, 2n ** 53n + 1n, 2n ** 63n, maxU64])("keeps a size of %s exact (C-001, H-039, H-040)", (size) => {
    expect(decodeExportNameReply(concat(u64(size), u16(0xffff)))).toStrictEqual({ exportSize: size, flags: 0xffff })
  })

  it("may have padding that is not zero (H-014)", () => {
    expect(decodeExportNameReply(concat(u64(7n), u8(0x80, 0x01), zeros(124).fill(0xaa)))).toStrictEqual({
      exportSize: 7n,
      flags: 0x8001
    })
  })
})
