/** Zeroes found in what was read. */
import * as ZeroRuns from "#cli/ZeroRuns"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { randomBytes } from "node:crypto"

const block = 512

describe("ZeroRuns.find", () => {
  it("knows nothing of bytes that are no zeroes, and of no bytes", () => {
    expect(ZeroRuns.find(Buffer.from(randomBytes(100_000).map((byte) => byte | 1)), block)).toBeUndefined()
    expect(ZeroRuns.find(Buffer.alloc(0), block)).toBeUndefined()
    expect(ZeroRuns.find(Buffer.alloc(511, 1), block)).toBeUndefined()
  })

  it("takes zeroes of any length together", () => {
    expect(ZeroRuns.find(Buffer.alloc(300_001), block)).toEqual([{ start: 0, end: 300_001, zero: true }])
  })

  it("is not taken in by blocks that only begin and end with zeroes", () => {
    const bytes = Buffer.alloc(block * 300)
    bytes[block * 200 + 100] = 1
    expect(ZeroRuns.find(bytes, block)).toEqual([
      { start: 0, end: block * 200, zero: true },
      { start: block * 200, end: block * 201, zero: false },
      { start: block * 201, end: block * 300, zero: true }
    ])
  })

  it.prop("tells what is there, in runs that alternate", {
    blocks: FastCheck.array(FastCheck.boolean(), { minLength: 1, maxLength: 40 }),
    last: FastCheck.integer({ min: 1, max: block })
  }, ({ blocks, last }) => {
    const bytes = Buffer.concat(blocks.map((zero) => Buffer.alloc(block, zero ? 0 : 7)))
      .subarray(0, (blocks.length - 1) * block + last)
    const runs = ZeroRuns.find(bytes, block) ?? [{ start: 0, end: bytes.byteLength, zero: false }]
    let at = 0
    let before: boolean | undefined
    for (const { end, start, zero } of runs) {
      expect(start).toBe(at)
      expect(zero).not.toBe(before)
      expect(bytes.subarray(start, end).every((byte) => (byte === 0) === zero)).toBe(true)
      at = end
      before = zero
    }
    expect(at).toBe(bytes.byteLength)
  })
})
