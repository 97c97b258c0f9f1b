/**
 * The extents of a range, out of answers of every shape that the protocol allows, against a map of every byte.
 */
import { Export, Extents, MetaContext } from "@effect-nbd/core"
import { ContextStatus, measure } from "@effect-nbd/core/transmission/ContextStatus"
import { decodeBlockStatus, encodeBlockStatus } from "@effect-nbd/core/wire/BlockStatus"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const exportOf = (size: bigint, minimum: number, contexts: ReadonlyArray<string>): Export.Export =>
  new Export.Export({
    name: "",
    size,
    flags: TransmissionFlags(1),
    replyStyle: "Structured",
    blockSize: Option.some({ minimum, preferred: 4096, maximum: 0xffff_ffff }),
    canonicalName: Option.none(),
    description: Option.none(),
    contexts: contexts.map((name, id) => ({ name, id }))
  })

interface Asked {
  readonly offset: bigint
  readonly length: bigint
}

/** A server that knows the flags of every byte in every context, and cuts its answers as `cuts` say. */
class MapServer {
  readonly asked: Array<Asked> = []
  private readonly target: Export.Export
  private readonly maps: ReadonlyArray<ReadonlyArray<number>>
  private readonly cuts: () => number

  constructor(target: Export.Export, maps: ReadonlyArray<ReadonlyArray<number>>, cuts: () => number) {
    this.target = target
    this.maps = maps
    this.cuts = cuts
  }

  readonly ask = (offset: bigint, length: bigint): Effect.Effect<ReadonlyArray<ContextStatus>> =>
    Effect.sync(() => {
      this.asked.push({ offset, length })
      return this.maps.map((map, context) => this.answer(map, context, Number(offset), Number(length)))
    })

  /** Runs of equal flags, some of them in two, some cut short, the last one perhaps beyond the request. */
  private answer(map: ReadonlyArray<number>, context: number, offset: number, length: number): ContextStatus {
    const descriptors: Array<{ readonly length: bigint; readonly flags: bigint }> = []
    const enough = offset + 1 + this.cuts() % length
    for (let at = offset; at < offset + length && (at < enough || descriptors.length === 0);) {
      let end = at + 1
      while (end < map.length && map[end] === map[at]) end++
      const cut = this.cuts()
      if (cut % 3 === 0) end = at + 1 + cut % (end - at)
      descriptors.push({ length: BigInt(end - at), flags: BigInt(map[at] ?? 0) })
      at = end
    }
    return statusOf(this.target, context, offset, length, descriptors)
  }
}

const statusOf = (
  target: Export.Export,
  context: number,
  offset: number,
  length: number,
  answer: ReadonlyArray<{ readonly length: bigint; readonly flags: bigint }>
): ContextStatus => {
  const descriptors = decodeBlockStatus(
    "compact",
    encodeBlockStatus("compact", { contextId: context, descriptors: answer })
  )
  if (isWireError(descriptors)) throw new Error(descriptors.received)
  const extent = measure(descriptors, BigInt(length), target.size - BigInt(offset))
  if (typeof extent === "string") throw new Error(extent)
  return new ContextStatus({
    context: target.contexts[context]?.name ?? "",
    offset: BigInt(offset),
    descriptors,
    extent
  })
}

const all = <E>(stream: Stream.Stream<Extents.MappedExtent, E>) =>
  Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

const names = [MetaContext.baseAllocation, MetaContext.qemuDirtyBitmap("b"), "x-other:thing"]

const scenes = FastCheck.integer({ min: 1, max: 150 }).chain((size) =>
  FastCheck.record({
    maps: FastCheck.array(FastCheck.array(FastCheck.nat({ max: 2 }), { minLength: size, maxLength: size }), {
      minLength: 1,
      maxLength: 3
    }),
    offset: FastCheck.integer({ min: 0, max: size + 5 }),
    length: FastCheck.option(FastCheck.integer({ min: 0, max: size + 5 }), { nil: undefined }),
    cuts: FastCheck.array(FastCheck.nat(), { minLength: 1, maxLength: 50 })
  })
)

const endless = (cuts: ReadonlyArray<number>): () => number => {
  let at = 0
  return () => cuts[at++ % cuts.length] ?? 0
}

describe("the extents of a range", () => {
  it.effect.prop(
    "are in order, merged, clipped, without gaps, and true of every byte, however answers are cut (C-192, C-193, C-194)",
    [
      scenes
    ],
    ([{ cuts, length, maps, offset }]) =>
      Effect.gen(function*() {
        const size = maps[0]?.length ?? 0
        const target = exportOf(BigInt(size), 1, names.slice(0, maps.length))
        const server = new MapServer(target, maps, endless(cuts))
        const found = yield* all(
          Extents.stream(Effect.succeed(target), server.ask, {
            offset: BigInt(offset),
            length: length === undefined ? undefined : BigInt(length)
          })
        )
        const end = Math.min(size, length === undefined ? size : offset + length)
        let at = offset
        let before: string | undefined
        for (const extent of found) {
          expect(extent.offset).toBe(BigInt(at))
          expect(extent.length).toBeGreaterThan(0n)
          const flags = extent.status.map((status) => status.flags).join()
          expect(flags).not.toBe(before)
          before = flags
          for (let byte = at; byte < at + Number(extent.length); byte++) {
            if (maps.map((map) => map[byte]).join() !== flags) expect.fail(`byte ${byte} has other flags than ${flags}`)
          }
          at += Number(extent.length)
        }
        expect(at).toBe(Math.max(end, offset))
        for (const [index, asked] of server.asked.entries()) {
          expect(asked.offset).toBeGreaterThan(index === 0 ? -1n : server.asked[index - 1]?.offset ?? 0n)
          expect(asked.offset + asked.length).toBeLessThanOrEqual(BigInt(size))
        }
      }),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect.prop(
    "go forward where answers are not aligned, and say nothing false of what cannot be asked (C-195, H-142)",
    [
      scenes,
      FastCheck.constantFrom(2, 4, 16, 64)
    ],
    ([{ cuts, maps, offset }, minimum]) =>
      Effect.gen(function*() {
        const size = maps[0]?.length ?? 0
        const target = exportOf(BigInt(size), minimum, names.slice(0, maps.length))
        const server = new MapServer(target, maps, endless(cuts))
        const found = yield* all(
          Extents.stream(Effect.succeed(target), server.ask, { offset: BigInt(offset) })
        )
        let at = offset
        for (const extent of found) {
          expect(extent.offset).toBe(BigInt(at))
          const zero = Extents.isZero(extent)
          const clean = Extents.flagsOf(extent, names[1] ?? "") === 0n
          for (let byte = at; byte < at + Number(extent.length); byte++) {
            // `zero` may be lost, but is never made up; nothing that is dirty is called clean.
            if (zero && ((maps[0]?.[byte] ?? 0) & 2) === 0) expect.fail(`byte ${byte} is not zero`)
            if (clean && maps[1]?.[byte] !== 0) expect.fail(`byte ${byte} is dirty`)
          }
          at += Number(extent.length)
        }
        expect(at).toBe(Math.max(size, offset))
        for (const asked of server.asked) {
          expect([asked.offset % BigInt(minimum), asked.length % BigInt(minimum)]).toStrictEqual([0n, 0n])
        }
      }),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect("are asked for 4 GiB at a time at most, aligned, and merged across answers", () =>
    Effect.gen(function*() {
      const size = 10n * 2n ** 32n
      const target = exportOf(size, 512, [MetaContext.baseAllocation])
      const asked: Array<Asked> = []
      const found = yield* all(
        Extents.stream(Effect.succeed(target), (offset, length) =>
          Effect.sync(() => {
            asked.push({ offset, length })
            return [statusOf(target, 0, Number(offset), Number(length), [{ length, flags: 3n }])]
          }))
      )
      expect(found).toStrictEqual([{
        offset: 0n,
        length: size,
        status: [{ context: MetaContext.baseAllocation, flags: 3n }]
      }])
      expect(asked).toHaveLength(11)
      expect(asked[0]).toStrictEqual({ offset: 0n, length: 2n ** 32n - 65_536n })
    }))

  it.effect("of a million pieces come in batches, each asked for only when it is wanted", () =>
    Effect.gen(function*() {
      const size = 2n ** 30n
      const target = exportOf(size, 1, [MetaContext.baseAllocation])
      let asked = 0
      const stream = Extents.stream(Effect.succeed(target), (offset, length) =>
        Effect.sync(() => {
          asked += 1
          const descriptors = Array.from(
            { length: Math.min(100_000, Number(length) / 1024) },
            (_, index) => ({ length: 1024n, flags: BigInt(index % 2) })
          )
          return [statusOf(target, 0, Number(offset), Number(length), descriptors)]
        }))
      expect(Chunk.size(yield* Stream.runCollect(Stream.take(stream, 5000)))).toBe(5000)
      expect(asked).toBe(1)
      expect(yield* Stream.runCount(stream)).toBe(1_048_576)
    }))

  it.effect("of an empty range are none, and nothing is asked", () =>
    Effect.gen(function*() {
      const target = exportOf(1024n, 1, names)
      const never = () => Effect.dieMessage("asked")
      for (const options of [{ length: 0n }, { offset: 1024n }, { offset: 5000n, length: 10n }]) {
        expect(yield* all(Extents.stream(Effect.succeed(target), never, options))).toStrictEqual([])
      }
    }))

  it.effect("without any context are one, of which nothing is known", () =>
    Effect.gen(function*() {
      const target = exportOf(1024n, 1, [])
      expect(yield* all(Extents.stream(Effect.succeed(target), () => Effect.succeed([])))).toStrictEqual([
        { offset: 0n, length: 1024n, status: [] }
      ])
    }))
})

describe("what flags mean", () => {
  it("is told by their context, and bits without a meaning are ignored, in base: those above 32 too (C-119, C-120, C-229, H-144, H-148)", () => {
    expect(MetaContext.decode("base:allocation", 1n)).toStrictEqual({ _tag: "BaseAllocation", hole: true, zero: false })
    expect(MetaContext.decode("base:allocation", 0xffff_fffen)).toStrictEqual({
      _tag: "BaseAllocation",
      hole: false,
      zero: true
    })
    expect(MetaContext.decode("base:allocation", 2n ** 63n + 2n ** 32n + 3n)).toStrictEqual({
      _tag: "BaseAllocation",
      hole: true,
      zero: true
    })
    expect(MetaContext.decode(MetaContext.qemuDirtyBitmap("a:b"), 3n)).toStrictEqual({
      _tag: "DirtyBitmap",
      bitmap: "a:b",
      dirty: true
    })
    expect(MetaContext.decode("qemu:allocation-depth", 4n)).toStrictEqual({ _tag: "AllocationDepth", depth: 4n })
    expect(MetaContext.decode("x-a:b", 2n ** 63n)).toStrictEqual({
      _tag: "Unknown",
      context: "x-a:b",
      flags: 2n ** 63n
    })
  })
})
