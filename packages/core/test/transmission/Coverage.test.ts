import { Coverage } from "@effect-nbd/core/transmission/Coverage"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"

describe("Coverage", () => {
  it("is complete after one range over everything", () => {
    const coverage = new Coverage()
    expect(coverage.add(0, 10)).toBe(true)
    expect(coverage.isComplete(10)).toBe(true)
    expect(coverage.isComplete(11)).toBe(false)
  })

  it("is complete for no bytes at all", () => {
    expect(new Coverage().isComplete(0)).toBe(true)
  })

  it("does not take a duplicate with a gap of the same length for a whole (C-176, H-104)", () => {
    const coverage = new Coverage()
    expect(coverage.add(0, 5)).toBe(true)
    expect(coverage.add(0, 5)).toBe(false)
    expect(coverage.isComplete(10)).toBe(false)
    expect(coverage.firstGap(10)).toBe(5)
  })

  it.each([[0, 1], [4, 2], [5, 1], [9, 1], [3, 20], [0, 5]])(
    "refuses what overlaps 4..10: %i, %i bytes",
    (start, length) => {
      const coverage = new Coverage()
      coverage.add(4, 6)
      const overlaps = start < 10 && start + length > 4
      expect(coverage.add(start, length)).toBe(!overlaps)
    }
  )

  it("merges ranges that touch, in whatever order they come", () => {
    const coverage = new Coverage()
    for (const start of [8, 0, 4, 2, 6]) coverage.add(start, 2)
    expect(coverage.fragments).toBe(1)
    expect(coverage.isComplete(10)).toBe(true)
  })

  it("stays near linear for thousands of single bytes, forwards, backwards and every other (H-110)", () => {
    const count = 60_000
    const orders = [
      (index: number) => index,
      (index: number) => count - 1 - index,
      (index: number) => (index * 2) % count + (index * 2 >= count ? 1 : 0)
    ]
    for (const order of orders) {
      const coverage = new Coverage()
      for (let index = 0; index < count; index++) coverage.add(order(index), 1)
      expect(coverage.isComplete(count)).toBe(true)
    }
  })

  it("agrees with a plain array of booleans", () => {
    const range = FastCheck.tuple(FastCheck.nat(63), FastCheck.integer({ min: 1, max: 12 }))
    FastCheck.assert(
      FastCheck.property(FastCheck.array(range, { maxLength: 40 }), (ranges) => {
        const coverage = new Coverage()
        const model = Array.from({ length: 80 }, () => false)
        for (const [start, length] of ranges) {
          const isFree = model.slice(start, start + length).every((covered) => !covered)
          expect(coverage.add(start, length)).toBe(isFree)
          if (isFree) model.fill(true, start, start + length)
        }
        const gap = model.indexOf(false)
        expect(coverage.firstGap(80)).toBe(gap === -1 ? 80 : gap)
        for (const length of [0, 1, 7, 64, 80]) {
          expect(coverage.isComplete(length)).toBe(model.slice(0, length).every((covered) => covered))
        }
      }),
      { numRuns: 2000 }
    )
  })
})
