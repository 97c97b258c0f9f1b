/** How a source is cut, for all kinds of extents. */
import { type Cuts, type Piece, Pieces } from "#cli/Pieces"
import type { Extent } from "@effect-nbd/block/Extent"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"

const cuts: Cuts = { grain: 1, requestSize: 100, zeroSize: 1000, worthwhile: 10 }

const extentsOf = (runs: ReadonlyArray<readonly [length: number, zero: boolean]>): ReadonlyArray<Extent> => {
  let offset = 0n
  return runs.map(([length, zero]) => {
    const extent = { offset, length: BigInt(length), allocated: !zero, zero }
    offset += extent.length
    return extent
  })
}

const sizeOf = (extents: ReadonlyArray<Extent>): bigint => extents.reduce((sum, { length }) => sum + length, 0n)

/** All pieces, with the extents given so many at a time. */
const cut = (
  extents: ReadonlyArray<Extent>,
  cuts: Cuts,
  options: { readonly size?: bigint; readonly atATime?: number } = {}
): ReadonlyArray<Piece> => {
  const { atATime = 1, size = sizeOf(extents) } = options
  const pieces = new Pieces(size, cuts)
  const taken: Array<Piece> = []
  let given = 0
  while (!pieces.isOver) {
    const piece = pieces.next()
    if (piece !== undefined) taken.push(piece)
    else if (given === extents.length) pieces.close()
    else {
      expect(pieces.isStarved).toBe(true)
      pieces.add(extents.slice(given, given + atATime))
      given = Math.min(given + atATime, extents.length)
    }
  }
  expect(pieces.next()).toBeUndefined()
  return taken
}

const shown = (pieces: ReadonlyArray<Piece>): string =>
  pieces.map(({ length, offset, zero }) => `${zero ? "zero" : "data"} ${offset} ${length}`).join(", ")

describe("Pieces", () => {
  it("cuts what is not known to be zeroes at multiples of the request size", () => {
    expect(shown(cut([], cuts, { size: 250n }))).toBe("data 0 100, data 100 100, data 200 50")
    expect(shown(cut([], cuts, { size: 0n }))).toBe("")
    const extents = extentsOf([[30, false], [50, true], [60, false], [70, true]])
    expect(shown(cut(extents, cuts))).toBe("data 0 30, zero 30 50, data 80 20, data 100 40, zero 140 70")
  })

  it("reads zeroes that are few, those at the end too", () => {
    const extents = extentsOf([[5, true], [30, false], [9, true], [30, false], [9, true]])
    expect(shown(cut(extents, cuts))).toBe("data 0 83")
  })

  it("leaves only whole blocks out", () => {
    const extents = extentsOf([[30, false], [50, true], [40, false]])
    expect(shown(cut(extents, { ...cuts, grain: 16, requestSize: 64, worthwhile: 16 })))
      .toBe("data 0 32, zero 32 48, data 80 40")
    expect(shown(cut(extentsOf([[20, true], [12, false]]), { ...cuts, grain: 16, requestSize: 64, worthwhile: 16 })))
      .toBe("zero 0 16, data 16 16")
  })

  it("cuts long zeroes", () => {
    const tebibyte = 1n << 40n
    const zeroes = cut([{ offset: 0n, length: tebibyte, allocated: false, zero: true }], { ...cuts, zeroSize: 2 ** 30 })
    expect(zeroes).toHaveLength(1024)
    expect(zeroes.at(-1)).toEqual({ offset: tebibyte - (1n << 30n), length: 2 ** 30, zero: true })
  })

  it("goes on until it is stopped where no size is known", () => {
    const pieces = new Pieces(undefined, cuts)
    pieces.close()
    expect(shown([pieces.next(), pieces.next()].flatMap((piece) => piece ?? []))).toBe("data 0 100, data 100 100")
    pieces.stop()
    expect([pieces.next(), pieces.isOver]).toEqual([undefined, true])
  })

  const runs = FastCheck.array(FastCheck.tuple(FastCheck.integer({ min: 1, max: 400 }), FastCheck.boolean()))

  it.prop("covers everything once, reads what may be data, and leaves out all zeroes that are worth it", {
    extents: runs.map(extentsOf),
    grain: FastCheck.constantFrom(1, 8, 64),
    atATime: FastCheck.integer({ min: 1, max: 5 }),
    worthwhile: FastCheck.constantFrom(1, 64, 128),
    unknown: FastCheck.boolean()
  }, ({ atATime, extents, grain, unknown, worthwhile }) => {
    const size = sizeOf(extents)
    const least = Math.max(worthwhile, grain)
    const known = unknown ? extents.slice(0, extents.length / 2) : extents
    const pieces = cut(known, { grain, requestSize: 128, zeroSize: 256, worthwhile: least }, { atATime, size })
    let at = 0n
    for (const { length, offset, zero } of pieces) {
      expect(offset).toBe(at)
      at += BigInt(length)
      expect(length).toBeGreaterThan(0)
      expect(at % BigInt(grain) === 0n || at === size).toBe(true)
      const inside = known.filter((extent) => extent.offset < at && extent.offset + extent.length > offset)
      if (zero) {
        expect(length).toBeLessThanOrEqual(256)
        expect(inside.every((extent) => extent.zero)).toBe(true)
      } else {
        expect(offset / 128n).toBe((at - 1n) / 128n)
        // What follows another piece of zeroes may be its rest.
        const long = known.filter((extent) => extent.zero && extent.length >= BigInt(least + 2 * grain + 256))
        expect(long.some((extent) => extent.offset < offset && extent.offset + extent.length > at + 256n)).toBe(false)
      }
    }
    expect(at).toBe(size)
  })
})
