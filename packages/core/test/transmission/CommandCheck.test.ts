import * as Export from "@effect-nbd/core/Export"
import { checkRange } from "@effect-nbd/core/transmission/CommandCheck"
import { strict } from "@effect-nbd/core/transmission/Strictness"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

const exportOf = (size: bigint, facts: Partial<Export.ExportFacts> = {}) =>
  new Export.Export({
    name: "",
    size,
    flags: TransmissionFlags(1),
    replyStyle: "Structured",
    blockSize: Option.none(),
    canonicalName: Option.none(),
    description: Option.none(),
    contexts: [],
    ...facts
  })

const blocks = (minimum: number, maximum = 0xffff_ffff) => ({
  blockSize: Option.some({ minimum, preferred: Math.max(minimum, 4096), maximum })
})

const maxU64 = 0xffff_ffff_ffff_ffffn

describe("checkRange", () => {
  const tagOf = (size: bigint, offset: bigint, length: number | bigint, facts?: Partial<Export.ExportFacts>) =>
    checkRange(exportOf(size, facts), "read", offset, length, strict)?._tag

  it("admits every byte of an export up to 2^64 - 1 bytes, exactly (C-001, H-039, H-040)", () => {
    expect(tagOf(maxU64, maxU64 - 1n, 1)).toBeUndefined()
    expect(tagOf(maxU64, maxU64, 1)).toBe("NbdOutOfBoundsError")
    expect(tagOf(2n ** 53n + 1n, 2n ** 53n, 1)).toBeUndefined()
    expect(tagOf(2n ** 53n + 1n, 2n ** 53n + 1n, 1)).toBe("NbdOutOfBoundsError")
    expect(tagOf(2n ** 63n - 1n, 2n ** 63n - 2n, 1)).toBeUndefined()
  })

  it("does not let offset + length wrap round (C-093)", () => {
    expect(tagOf(1024n, maxU64, 2)).toBe("NbdOutOfBoundsError")
    expect(tagOf(1024n, maxU64 - 100n, 1024)).toBe("NbdOutOfBoundsError")
    expect(tagOf(1024n, 1024n, 1)).toBe("NbdOutOfBoundsError")
    expect(tagOf(1024n, 1023n, 2)).toBe("NbdOutOfBoundsError")
  })

  it.each([-1, 1.5, NaN, Infinity, -Infinity, 2 ** 60])("calls a length of %d no range of the export", (length) => {
    expect(tagOf(1024n, 0n, length)).toBe("NbdOutOfBoundsError")
  })

  it("calls a negative offset, or one beyond 64 bits, no range, even where bounds are the server's business", () => {
    const lax = { ...strict, bounds: false }
    for (const offset of [-1n, maxU64 + 1n]) {
      expect(checkRange(exportOf(1024n), "read", offset, 512, lax)?._tag).toBe("NbdOutOfBoundsError")
    }
    expect(checkRange(exportOf(1024n), "read", 4096n, 512, lax)).toBeUndefined()
  })

  it("refuses an empty range before it looks at bounds (C-134)", () => {
    expect(tagOf(1024n, 0n, 0)).toBe("NbdZeroLengthError")
    expect(tagOf(1024n, 9999n, 0)).toBe("NbdZeroLengthError")
    expect(checkRange(exportOf(1024n), "read", 0n, 0, { ...strict, zeroSize: false })).toBeUndefined()
  })

  it("refuses what is not aligned to the minimum block size (C-091), and the tail beyond the last block (C-101)", () => {
    expect(tagOf(4096n, 512n, 512, blocks(512))).toBeUndefined()
    expect(tagOf(4096n, 256n, 512, blocks(512))).toBe("NbdUnalignedError")
    expect(tagOf(4096n, 512n, 256, blocks(512))).toBe("NbdUnalignedError")
    expect(tagOf(4100n, 4096n, 4, blocks(512))).toBe("NbdUnalignedError")
    expect(tagOf(2n ** 63n, 2n ** 62n + 1n, 512, blocks(512))).toBe("NbdUnalignedError")
    expect(checkRange(exportOf(4096n, blocks(512)), "read", 1n, 1, { ...strict, align: false })).toBeUndefined()
  })

  it("admits what is longer than the server takes: it is sent in pieces", () => {
    const target = exportOf(2n ** 40n, blocks(512, 65_536))
    for (const command of ["read", "write"] as const) {
      expect(checkRange(target, command, 0n, 66_048, strict)).toBeUndefined()
      expect(checkRange(target, command, 0n, 67_109_376, strict)?._tag).toBe("NbdRequestTooLargeError")
    }
    for (const command of ["trim", "writeZeroes", "cache", "blockStatus"] as const) {
      expect(checkRange(exportOf(2n ** 60n), command, 0n, 2n ** 53n - 1n, strict)).toBeUndefined()
      expect(checkRange(exportOf(2n ** 60n), command, 0n, 2n ** 53n, strict)).toMatchObject({
        _tag: "NbdRequestTooLargeError",
        maximum: 2 ** 53 - 1
      })
    }
  })

  it("has no piece begin where 64 bits end, whatever the bounds", () => {
    const lax = { ...strict, bounds: false }
    const last = 2n ** 64n - 2n ** 26n
    expect(checkRange(exportOf(1024n), "trim", last, 2 ** 26, lax)?._tag).toBe("NbdOutOfBoundsError")
    expect(checkRange(exportOf(1024n), "trim", last - 1n, 2 ** 26, lax)).toBeUndefined()
    // One that needs no pieces is the server's to judge.
    expect(checkRange(exportOf(1024n), "trim", maxU64, 512, lax)).toBeUndefined()
    expect(checkRange(exportOf(1024n), "trim", last, 2 ** 26, { ...lax, payload: false })).toBeUndefined()
  })

  it("never sends a read or write over 64 MiB, nor any length that 32 bits cannot say (C-090, C-225)", () => {
    const lax = { ...strict, commands: false, bounds: false, zeroSize: false, align: false, payload: false }
    const target = exportOf(2n ** 40n)
    expect(checkRange(target, "read", 0n, 67_108_864, lax)).toBeUndefined()
    expect(checkRange(target, "read", 0n, 67_108_865, lax)?._tag).toBe("NbdRequestTooLargeError")
    expect(checkRange(target, "write", 0n, 67_108_865, lax)?._tag).toBe("NbdRequestTooLargeError")
    expect(checkRange(target, "trim", 0n, 0xffff_ffff, lax)).toBeUndefined()
    expect(checkRange(target, "trim", 0n, 0x1_0000_0000n, lax)?._tag).toBe("NbdRequestTooLargeError")
    const extended = exportOf(2n ** 40n, { ...blocks(1), replyStyle: "Extended" })
    for (const command of ["read", "write"] as const) {
      expect(checkRange(extended, command, 0n, 67_108_864, strict)).toBeUndefined()
      expect(checkRange(extended, command, 0n, 67_108_865, strict)?._tag).toBe("NbdRequestTooLargeError")
      expect(checkRange(extended, command, 0n, 2n ** 33n, lax)?._tag).toBe("NbdRequestTooLargeError")
    }
  })

  it("does not hold what has no payload to the longest one (C-096)", () => {
    const target = exportOf(2n ** 40n, blocks(512, 65_536))
    for (const command of ["trim", "writeZeroes", "cache", "blockStatus"] as const) {
      expect(checkRange(target, command, 0n, 2 ** 31, strict)).toBeUndefined()
    }
  })

  it("admits exactly the ranges that lie inside, as big integers see it", () => {
    const near = FastCheck.oneof(
      FastCheck.bigInt({ min: 0n, max: 4096n }),
      FastCheck.bigInt({ min: maxU64 - 4096n, max: maxU64 }),
      FastCheck.bigInt({ min: 0n, max: maxU64 })
    )
    FastCheck.assert(
      FastCheck.property(near, near, FastCheck.integer({ min: 1, max: 65_536 }), (size, offset, length) => {
        const isInside = offset + BigInt(length) <= size
        expect(tagOf(size, offset, length)).toBe(isInside ? undefined : "NbdOutOfBoundsError")
      }),
      { numRuns: 5000 }
    )
  })
})

describe("Export", () => {
  it.each([
    [{ minimum: 0, preferred: 4096, maximum: 65_536 }],
    [{ minimum: 3, preferred: 4096, maximum: 65_536 }],
    [{ minimum: 131_072, preferred: 131_072, maximum: 0xffff_ffff }],
    [{ minimum: 512, preferred: 256, maximum: 65_536 }],
    [{ minimum: 1, preferred: 256, maximum: 65_536 }],
    [{ minimum: 512, preferred: 4097, maximum: 65_536 }],
    [{ minimum: 512, preferred: 4096, maximum: 2048 }],
    [{ minimum: 512, preferred: 4096, maximum: 65_537 }],
    [{ minimum: 512, preferred: 4096, maximum: 0 }]
  ])("ignores the invalid block size advert %j as a whole (C-100, H-043)", (advert) => {
    expect(Export.checkBlockSize(advert)).toStrictEqual(Option.none())
  })

  it.each([
    [{ minimum: 1, preferred: 512, maximum: 512 }],
    [{ minimum: 1, preferred: 4096, maximum: 0xffff_ffff }],
    [{ minimum: 65_536, preferred: 65_536, maximum: 65_536 }],
    [{ minimum: 512, preferred: 0x8000_0000, maximum: 0xffff_ffff }]
  ])("takes the valid block size advert %j", (advert) => {
    expect(Export.checkBlockSize(advert)).toStrictEqual(Option.some(advert))
  })

  it("does not claim a capability that its companion flag or reply style rules out (H-038)", () => {
    const flags = TransmissionFlags(
      TransmissionFlags.HAS_FLAGS | TransmissionFlags.SEND_DF | TransmissionFlags.SEND_FAST_ZERO
    )
    expect(exportOf(1n, { flags, replyStyle: "Simple" }).canDf).toBe(false)
    expect(exportOf(1n, { flags, replyStyle: "Structured" }).canDf).toBe(true)
    expect(exportOf(1n, { flags }).canFastZero).toBe(false)
  })
})
