/** Maps as text and as JSON, in the forms of nbdinfo. */
import * as ExtentMap from "#cli/ExtentMap"
import * as MapReport from "#cli/MapReport"
import * as Paint from "#cli/Paint"
import type { MappedExtent } from "@effect-nbd/core/Extents"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import { execFileSync } from "node:child_process"

/** Extents one after the other, of these lengths and with these flags in each context. */
const extents = (
  contexts: ReadonlyArray<string>,
  ...pieces: ReadonlyArray<readonly [length: bigint, ...flags: ReadonlyArray<bigint>]>
): Stream.Stream<MappedExtent> => {
  let offset = 0n
  return Stream.fromIterable(pieces.map(([length, ...flags]) => {
    const status = contexts.map((context, index) => ({ context, flags: flags[index] ?? 0n }))
    const extent = { offset, length, status }
    offset += length
    return extent
  }))
}

const joined = <E>(pieces: Stream.Stream<string, E>): Effect.Effect<string, E> =>
  Effect.map(Stream.runCollect(pieces), (pieces) => Chunk.toReadonlyArray(pieces).join(""))

const base = "base:allocation"
const bitmap = "qemu:dirty-bitmap:b"
const depth = "qemu:allocation-depth"

describe("names of contexts that would steer a terminal", () => {
  it.effect("are exact in JSON, and visible in text", () =>
    Effect.gen(function*() {
      const names = ["x:\u009b31m\u202e\u007f", "x:\u001b[2J"]
      const unseen = /[\p{Cc}\p{Cf}]/u
      const map = yield* joined(MapReport.toJson(extents(names, [512n, 1n, 2n])))
      expect(JSON.parse(map)).toMatchObject([{ status: names.map((context) => ({ context })) }])
      const totals = names.map((context) => ({ context, flags: 1n, size: 512n }))
      const all = MapReport.totalsToJson(totals, 512n)
      expect(JSON.parse(all)).toMatchObject(names.map((context) => ({ context })))
      const text = yield* joined(MapReport.toText(extents(names, [512n, 1n, 2n]), Paint.plain))
      expect(text).toContain("x:\\x9b31m\\u202e\\x7f: 1; x:\\x1b[2J: 2\n")
      for (const output of [map, all, text, MapReport.totalsToText(totals, 512n, Paint.plain)]) {
        expect(output.replaceAll("\n", "")).not.toMatch(unseen)
      }
    }))
})

describe("a map of one context", () => {
  it.effect("has a line for each extent", () =>
    Effect.gen(function*() {
      const text = yield* joined(
        MapReport.toText(extents([base], [65_536n, 0n], [1n << 40n, 3n], [512n, 1n], [1n, 2n], [1n, 4n]), Paint.plain)
      )
      expect(text).toBe([
        "         0       65536    0  data",
        "     65536  1099511627776    3  hole,zero",
        "1099511693312         512    1  hole",
        "1099511693824           1    2  zero",
        "1099511693825           1    4",
        ""
      ].join("\n"))
    }))

  it.effect("has an object for each extent, one a line", () =>
    Effect.gen(function*() {
      expect(yield* joined(MapReport.toJson(extents([bitmap], [4096n, 1n], [1n, 0n], [1n, 2n])))).toBe([
        "[",
        "{ \"offset\": 0, \"length\": 4096, \"type\": 1, \"description\": \"dirty\" },",
        "{ \"offset\": 4096, \"length\": 1, \"type\": 0, \"description\": \"clean\" },",
        "{ \"offset\": 4097, \"length\": 1, \"type\": 2 }",
        "]",
        ""
      ].join("\n"))
      expect(yield* joined(MapReport.toJson(extents([base])))).toBe("[]\n")
    }))

  it("says what flags mean", () => {
    expect([0n, 1n, 2n, 7n, 1n << 40n].map((flags) => ExtentMap.meaningOf(depth, flags))).toEqual([
      "absent",
      "local",
      "backing depth 2",
      "backing depth 7",
      "backing depth 1099511627776"
    ])
    expect(ExtentMap.meaningOf("com.example:x", 1n)).toBeUndefined()
  })
})

describe("a map of several contexts", () => {
  it.effect("names them", () =>
    Effect.gen(function*() {
      const map = extents([base, depth, "x:y"], [4096n, 3n, 0n, 9n])
      expect(yield* joined(MapReport.toText(map, Paint.plain))).toBe(
        "         0        4096  base:allocation: 3 hole,zero; qemu:allocation-depth: 0 absent; x:y: 9\n"
      )
      expect(JSON.parse(yield* joined(MapReport.toJson(map)))).toEqual([{
        offset: 0,
        length: 4096,
        status: [
          { context: base, type: 3, description: "hole,zero" },
          { context: depth, type: 0, description: "absent" },
          { context: "x:y", type: 9 }
        ]
      }])
    }))
})

describe("totals", () => {
  it.effect("add up by type, and are shares of the range", () =>
    Effect.gen(function*() {
      const map = extents([base], [3n, 3n], [1n, 0n], [12n, 3n])
      const totals = yield* ExtentMap.totals(map, [base])
      expect(MapReport.totalsToText(totals, 16n, Paint.plain)).toBe(
        "         1   6.2%   0 data\n        15  93.8%   3 hole,zero\n"
      )
      expect(JSON.parse(MapReport.totalsToJson(totals, 16n))).toEqual([
        { size: 1, percent: 6.25, type: 0, description: "data" },
        { size: 15, percent: 93.75, type: 3, description: "hole,zero" }
      ])
      expect(MapReport.totalsToJson([], 0n)).toBe("[]\n")
    }))

  it.effect("of several contexts are told apart", () =>
    Effect.gen(function*() {
      const totals = yield* ExtentMap.totals(extents([base, bitmap], [8n, 3n, 1n], [8n, 0n, 1n]), [base, bitmap])
      expect(MapReport.totalsToText(totals, 16n, Paint.plain)).toBe([
        "base:allocation:",
        "         8  50.0%   0 data",
        "         8  50.0%   3 hole,zero",
        "qemu:dirty-bitmap:b:",
        "        16 100.0%   1 dirty",
        ""
      ].join("\n"))
      expect(JSON.parse(MapReport.totalsToJson(totals, 16n))).toMatchObject([
        { context: base, type: 0 },
        { context: base, type: 3 },
        { context: bitmap, size: 16, percent: 100, type: 1, description: "dirty" }
      ])
    }))

  it.effect("of more types than anybody could read are refused", () =>
    Effect.gen(function*() {
      const map = (types: number) =>
        Stream.map(Stream.range(1, types), (type): MappedExtent => ({
          offset: BigInt(type),
          length: 1n,
          status: [{ context: "x:y", flags: BigInt(type) }]
        }))
      expect(yield* ExtentMap.totals(map(65_536), ["x:y"])).toHaveLength(65_536)
      expect(yield* Effect.flip(ExtentMap.totals(map(65_537), ["x:y"]))).toMatchObject({
        _tag: "TooManyTypesError",
        message: "there are more than 65536 types of extents in x:y"
      })
    }))

  it("round as printf does", () => {
    const random = FastCheck.sample(
      FastCheck.tuple(FastCheck.nat(1 << 20), FastCheck.integer({ min: 1, max: 1 << 20 })),
      300
    )
    const halves = Array.from({ length: 160 }, (_, part) => [part, 160] as const)
    const fine = Array.from({ length: 1024 }, (_, part) => [part * 7, 8192] as const)
    const shares = [...random.map(([part, rest]) => [part, Math.max(part, rest)] as const), ...halves, ...fine]
    const printed = execFileSync("awk", ["{ printf \"%5.1f%% %g\\n\", 100.0 * $1 / $2, 100.0 * $1 / $2 }"], {
      input: shares.map((pair) => pair.join(" ")).join("\n"),
      encoding: "utf8"
    })
    const expected = printed.trimEnd().split("\n").map((line) => [line.slice(0, 6), Number(line.slice(7))])
    expect(shares.map(([part, whole]) => {
      const totals = [{ context: "x:y", flags: 0n, size: BigInt(part) }]
      const text = MapReport.totalsToText(totals, BigInt(whole), Paint.plain)
      const [{ percent }] = JSON.parse(MapReport.totalsToJson(totals, BigInt(whole)))
      return [text.slice(11, 17), percent]
    })).toEqual(expected)
  })
})
