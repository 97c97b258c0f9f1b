/** The copy engine on ends in memory. */
import * as Copy from "#cli/Copy"
import { type BlockSize, lending, type Sink, type Source } from "#cli/CopyEnds"
import * as CopyPlan from "#cli/CopyPlan"
import type { Fault } from "#cli/Failure"
import { BlockDevice, Memory } from "@effect-nbd/block"
import type { Extent } from "@effect-nbd/block/Extent"
import { describe, effect, expect } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { randomBytes } from "node:crypto"

const anySize: BlockSize = { minimum: 1, preferred: 1, maximum: 1_048_576 }

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

interface Ends {
  readonly source: Source
  readonly fill: (offset: bigint, destination: Uint8Array) => Effect.Effect<number>
  readonly sink: Sink
  readonly calls: Array<string>
  readonly buffers: Set<ArrayBufferLike>
  readonly written: Uint8Array
  mostInFlight: number
}

const ends = (
  content: Uint8Array,
  blocks: { from?: Partial<BlockSize>; to?: Partial<BlockSize> } = {}
): Ends => {
  let inFlight = 0
  const both: Ends = {
    calls: [],
    buffers: new Set(),
    written: new Uint8Array(content.byteLength).fill(0xaa),
    mostInFlight: 0,
    source: {
      name: "source",
      size: BigInt(content.byteLength),
      geometry: { ...anySize, ...blocks.from, canExtents: false },
      extents: () => Stream.empty,
      readBorrowed: lending((offset, destination) => both.fill(offset, destination))
    },
    fill: (offset, destination) =>
      Effect.suspend(() => {
        both.mostInFlight = Math.max(both.mostInFlight, ++inFlight)
        both.buffers.add(destination.buffer)
        both.calls.push(`read ${offset} ${destination.byteLength}`)
        destination.set(content.subarray(Number(offset), Number(offset) + destination.byteLength))
        return Effect.as(Effect.yieldNow(), destination.byteLength)
      }),
    sink: {
      name: "sink",
      size: undefined,
      geometry: { ...anySize, ...blocks.to, canZero: true },
      prepare: (size) => Effect.sync(() => void both.calls.push(`prepare ${size}`)),
      write: (offset, bytes) =>
        Effect.zipRight(
          Effect.yieldNow(),
          Effect.sync(() => {
            inFlight--
            both.calls.push(`write ${offset} ${bytes.byteLength}`)
            both.written.set(bytes, Number(offset))
          })
        ),
      writeZeroes: (offset, length) =>
        Effect.sync(() => {
          both.calls.push(`zero ${offset} ${length}`)
          both.written.fill(0, Number(offset), Number(offset + length))
        }),
      finish: (size) => Effect.sync(() => void both.calls.push(`finish ${size}`)),
      flush: Effect.sync(() => void both.calls.push("flush"))
    }
  }
  return both
}

/** The source, and what it knows of its content. */
const telling = (source: Source, extents: Stream.Stream<Extent, Fault>): Source => ({
  ...source,
  geometry: { ...source.geometry, canExtents: true },
  extents: () => extents
})

const planned = (
  size: number,
  from: Partial<BlockSize>,
  to: Partial<BlockSize>,
  wanted = 262_144
) => {
  const { sink, source } = ends(new Uint8Array(size), { from, to })
  return Effect.map(CopyPlan.make(source, sink, wanted), ({ requestSize }) => requestSize)
}

describe("CopyPlan", () => {
  effect(
    "is what is wanted, rounded to what both ends prefer and no longer than they take",
    () =>
      Effect.gen(function*() {
        expect(yield* planned(0, {}, {})).toBe(262_144)
        expect(yield* planned(0, {}, {}, 5000)).toBe(5000)
        expect(yield* planned(0, { preferred: 4096 }, {}, 5000)).toBe(4096)
        expect(yield* planned(0, { preferred: 4096 }, { preferred: 65_536 }, 5000)).toBe(65_536)
        expect(yield* planned(0, { maximum: 100_000 }, { preferred: 4096 })).toBe(98_304)
        // One prefers more than the other takes.
        expect(yield* planned(0, { maximum: 4096, minimum: 512 }, { preferred: 65_536 })).toBe(4096)
      })
  )

  effect("refuses what does not fit", () =>
    Effect.gen(function*() {
      const tail = yield* Effect.flip(planned(1000, {}, { minimum: 512 }))
      expect(tail).toMatchObject({ _tag: "SizeUnalignedError", limitedBy: "sink", minimumBlockSize: 512 })
      const own = yield* Effect.flip(planned(1000, { minimum: 4096 }, { minimum: 512 }))
      expect(own).toMatchObject({ _tag: "SizeUnalignedError", limitedBy: "source", minimumBlockSize: 4096 })
      const apart = yield* Effect.flip(planned(65_536, { minimum: 65_536 }, { maximum: 4096 }))
      expect(apart).toMatchObject({ _tag: "BlockSizesApartError", minimum: 65_536, maximum: 4096 })
      const { sink, source } = ends(new Uint8Array(10))
      const small = yield* Effect.flip(CopyPlan.make(source, { ...sink, size: 9n }, 4096))
      expect(small).toMatchObject({ _tag: "DestinationTooSmallError", sourceSize: 10n, destinationSize: 9n })
    }))
})

describe("lending", () => {
  effect(
    "lends what was given back last, if it is long enough, and never what somebody may still look at",
    () =>
      Effect.gen(function*() {
        const seen: Array<ArrayBufferLike> = []
        const read = lending((_, destination) => Effect.succeed(destination.byteLength))
        const noted = (length: number, use: Effect.Effect<unknown, Broken> = Effect.void) =>
          Effect.exit(read(0n, length, (bytes) => {
            expect(bytes.byteLength).toBe(length)
            seen.push(bytes.buffer)
            return use
          }))
        yield* noted(1000)
        yield* noted(500)
        expect(new Set(seen).size).toBe(1)
        yield* noted(1000, noted(1000))
        expect(new Set(seen).size).toBe(2)
        yield* noted(1000, Effect.fail(new Broken({ message: "no" })))
        yield* noted(1000, Effect.interrupt)
        yield* noted(1000)
        expect(seen.at(-3)).not.toBe(seen.at(-2))
        expect(seen.indexOf(seen.at(-1) ?? new ArrayBuffer(0))).toBe(seen.length - 1)
        yield* noted(2000)
        expect(seen.at(-1)?.byteLength).toBe(2000)
      })
  )
})

describe("copy", () => {
  effect("copies everything with as many buffers as requests, and tells how far it is", () =>
    Effect.gen(function*() {
      const content = randomBytes(100_001)
      const both = ends(content)
      let copied = 0
      const onCopied = (bytes: number) => {
        copied += bytes
      }
      yield* Copy.copy(both.source, both.sink, { requests: 5, requestSize: 1000, flush: true, onCopied })
      expect(Buffer.from(both.written).equals(content)).toBe(true)
      expect(copied).toBe(content.byteLength)
      expect(both.mostInFlight).toBe(5)
      expect(both.buffers.size).toBe(5)
      expect([both.calls[0], ...both.calls.slice(-2)]).toEqual(["prepare 100001", "finish 100001", "flush"])
      expect(both.calls).toContain("read 100000 1")
    }))

  effect("takes no more buffers than there are pieces, and none for an empty source", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(1500))
      yield* Copy.copy(both.source, both.sink, { requestSize: 1000 })
      expect(both.buffers.size).toBe(2)
      const empty = ends(new Uint8Array(0))
      yield* Copy.copy(empty.source, empty.sink)
      expect(empty.calls).toEqual(["prepare 0", "finish 0"])
    }))

  effect("ends with the first failure, and starts nothing after it", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(100_000))
      const source: Source = {
        ...both.source,
        readBorrowed: lending((offset, destination) =>
          offset >= 7000n
            ? Effect.fail(new Broken({ message: "out of order" }))
            : both.fill(offset, destination)
        )
      }
      const error = yield* Effect.flip(Copy.copy(source, both.sink, { requests: 4, requestSize: 1000, flush: true }))
      expect(error).toMatchObject({ _tag: "CopyError", operation: "read", of: "source", offset: 7000n })
      expect(error.message).toBe("read at offset 7000 of source failed: out of order")
      expect(both.calls).not.toContain("flush")
      expect(both.calls.filter((call) => call.startsWith("read"))).toHaveLength(7)
    }))

  effect(
    "writes nothing when the destination cannot be prepared, and says so when it cannot be flushed",
    () =>
      Effect.gen(function*() {
        const both = ends(new Uint8Array(10))
        const broken = Effect.fail(new Broken({ message: "no room" }))
        const unprepared = yield* Effect.flip(Copy.copy(both.source, { ...both.sink, prepare: () => broken }))
        expect(unprepared.message).toBe("prepare of sink failed: no room")
        expect(both.calls).toEqual([])
        const unflushed = yield* Effect.flip(Copy.copy(both.source, { ...both.sink, flush: broken }, { flush: true }))
        expect(unflushed.message).toBe("flush of sink failed: no room")
        const unfinished = yield* Effect.flip(Copy.copy(both.source, { ...both.sink, finish: () => broken }))
        expect(unfinished.message).toBe("finish of sink failed: no room")
      })
  )

  effect(
    "does not read what is known to be zeroes, and does not write what turns out to be",
    () =>
      Effect.gen(function*() {
        const content = randomBytes(1_000_000).map((byte) => byte | 1)
        content.fill(0, 0, 200_000).fill(0, 300_000, 400_000).fill(0, 500_000, 504_096).fill(0, 700_000, 704_000)
        const both = ends(content)
        const known: ReadonlyArray<Extent> = [
          { offset: 0n, length: 200_000n, allocated: false, zero: true },
          { offset: 200_000n, length: 100_000n, allocated: true, zero: false },
          { offset: 300_000n, length: 100_000n, allocated: false, zero: true }
        ]
        const source = telling(both.source, Stream.fromIterable(known))
        yield* Copy.copy(source, both.sink, { requestSize: 500_000 })
        expect(Buffer.from(both.written).equals(content)).toBe(true)
        const of = (name: string) => both.calls.filter((call) => call.startsWith(name))
        expect(of("read")).toEqual(["read 200000 100000", "read 400000 100000", "read 500000 500000"])
        // The last run is shorter than two blocks, and has none whole.
        expect(of("zero").toSorted()).toEqual(["zero 0 200000", "zero 300000 100000", "zero 500000 4096"])
        const all = ends(content)
        yield* Copy.copy(all.source, all.sink, { requestSize: 500_000, extents: false, sparse: 0 })
        expect(Buffer.from(all.written).equals(content)).toBe(true)
        expect(all.calls).toEqual([
          "prepare 1000000",
          "read 0 500000",
          "read 500000 500000",
          "write 0 500000",
          "write 500000 500000",
          "finish 1000000"
        ])
      })
  )

  effect("asks what the source knows while it reads, and not for all of it at once", () =>
    Effect.gen(function*() {
      const both = ends(randomBytes(100_000))
      const askedAgain = yield* Deferred.make<void>()
      let answers = 0
      const extents = Stream.repeatEffectChunk(Effect.suspend(() => {
        const offset = BigInt(answers++ * 1000)
        return Effect.as(
          answers > 1 ? Deferred.succeed(askedAgain, undefined) : Effect.void,
          Chunk.of({ offset, length: 1000n, allocated: true, zero: false })
        )
      })).pipe(Stream.take(100))
      const mostAhead: Array<number> = []
      const source: Source = {
        ...telling(both.source, extents),
        readBorrowed: lending((offset, destination) =>
          Effect.zipRight(
            Deferred.await(askedAgain),
            Effect.suspend(() => {
              mostAhead.push(answers - Number(offset) / 1000)
              return both.fill(offset, destination)
            })
          )
        )
      }
      // With one request in flight nobody else would ask.
      yield* Copy.copy(source, both.sink, { requests: 1, requestSize: 1000 })
      expect(answers).toBe(100)
      expect(Math.max(...mostAhead)).toBeLessThan(20)
    }))

  effect(
    "copies any block device to any other, whether that makes zeroes or has to write them",
    () =>
      Effect.gen(function*() {
        const size = 1_000_448n
        const source = yield* Memory.make({ size, minimum: 512 })
        yield* source.write(200_192n, randomBytes(50_176))
        yield* source.write(700_416n, new Uint8Array(51_200))
        const content = yield* source.read(0n, Number(size))
        const old = (_: bigint, length: number) => new Uint8Array(length).fill(7)
        const zeroing = yield* Memory.make({ size: 2n * size, minimum: 4096, content: old })
        const bytes = new Uint8Array(Number(size)).fill(7)
        const writing = yield* BlockDevice.fromFunctions({
          size,
          minimum: 512,
          maximum: 65_536,
          readInto: (offset, destination) =>
            Effect.sync(() => destination.set(bytes.subarray(Number(offset), Number(offset) + destination.byteLength))),
          write: (offset, written) => Effect.sync(() => bytes.set(written, Number(offset)))
        })
        yield* Copy.copy(source, writing)
        expect(Buffer.from(bytes).equals(content)).toBe(true)
        const aligned = yield* Memory.make({ size: 1_003_520n, content: old })
        yield* Copy.copy(aligned, zeroing, { flush: true })
        const copied = yield* zeroing.read(0n, 1_007_616)
        expect(copied.every((byte) => byte === 7)).toBe(true)
        yield* Copy.copy(yield* Memory.make({ size: 1_003_520n }), zeroing)
        const zeroes = yield* zeroing.read(0n, 1_007_616)
        expect([zeroes.lastIndexOf(0), zeroes.indexOf(7)]).toEqual([1_003_519, 1_003_520])
        const error = yield* Effect.flip(Copy.copy(zeroing, writing))
        expect(error).toMatchObject({ _tag: "DestinationTooSmallError", destinationSize: size })
      })
  )

  effect("leaves zeroes alone where the destination has them", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(200_000))
      const extents = Stream.make({ offset: 0n, length: 100_000n, allocated: false, zero: true })
      yield* Copy.copy(telling(both.source, extents), both.sink, { destinationIsZero: true })
      expect(both.calls).toEqual(["prepare 200000", "read 100000 100000", "finish 200000"])
      const nowhere = ends(new Uint8Array(200_000))
      yield* Copy.copy(telling(nowhere.source, extents), {
        ...nowhere.sink,
        forgets: true
      })
      expect(nowhere.calls).toEqual(["prepare 200000", "read 100000 100000", "write 100000 100000", "finish 200000"])
    }))

  effect("says where it could not look for data, or make zeroes", () =>
    Effect.gen(function*() {
      const { sink, source } = ends(new Uint8Array(100_000))
      const broken = new Broken({ message: "no such thing" })
      const blind = yield* Effect.flip(Copy.copy(telling(source, Stream.fail(broken)), sink))
      expect(blind.message).toBe("look for data of source failed: no such thing")
      const dirty = yield* Effect.flip(Copy.copy(source, { ...sink, writeZeroes: () => Effect.fail(broken) }))
      expect(dirty.message).toBe("zero at offset 0 of sink failed: no such thing")
    }))

  effect("takes as many buffers as fit in the queue, and one at least", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(100_000))
      yield* Copy.copy(both.source, both.sink, { requestSize: 1000, queueSize: 3999 })
      expect(both.buffers.size).toBe(3)
      const one = ends(new Uint8Array(100_000))
      yield* Copy.copy(one.source, one.sink, { requestSize: 1000, queueSize: 10 })
      expect(one.buffers.size).toBe(1)
    }))

  const unknown = (content: Uint8Array, blocks?: Parameters<typeof ends>[1]) => {
    const both = ends(content, blocks)
    const source: Source = {
      ...both.source,
      size: undefined,
      readBorrowed: lending((offset, destination) => {
        const left = Math.max(0, content.byteLength - Number(offset))
        const bytes = destination.subarray(0, left)
        return bytes.byteLength === 0 ? Effect.succeed(0) : both.fill(offset, bytes)
      })
    }
    return { ...both, source }
  }

  effect("copies a source of unknown size up to its end", () =>
    Effect.gen(function*() {
      for (const size of [0, 1, 10_000, 10_001]) {
        const content = randomBytes(size).map((byte) => byte | 1)
        const { calls, sink, source, written } = unknown(content)
        let told = 0
        const onCopied = (bytes: number): void => {
          told += bytes
        }
        yield* Copy.copy(source, sink, { requestSize: 1000, requests: 3, onCopied })
        expect(told).toBe(size)
        expect(Buffer.from(written).equals(content)).toBe(true)
        expect([calls[0], calls.at(-1)]).toEqual(["prepare undefined", `finish ${size}`])
      }
    }))

  effect("does not take a short answer of a source of known size for its end", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(10_000))
      const source: Source = {
        ...both.source,
        readBorrowed: lending((_, destination) => Effect.succeed(destination.byteLength - 1))
      }
      const error = yield* Effect.flip(Copy.copy(source, both.sink, { requestSize: 1000, requests: 1 }))
      expect(error.message).toBe("read at offset 0 of source failed: source ended at 999, before its size")
    }))

  effect("says that a source of unknown size does not fit when it shows", () =>
    Effect.gen(function*() {
      const { sink, source } = unknown(new Uint8Array(10_000))
      const small = yield* Effect.flip(Copy.copy(source, { ...sink, size: 9999n }, { requestSize: 1000 }))
      expect(small).toMatchObject({ _tag: "DestinationTooSmallError", destinationSize: 9999n })
      expect(small.message).toBe("source has more bytes and does not fit in sink, which has 9999")
      const odd = unknown(new Uint8Array(10_001), { to: { minimum: 512, preferred: 512 } })
      const tail = yield* Effect.flip(Copy.copy(odd.source, odd.sink, { requestSize: 1024 }))
      expect(tail).toMatchObject({ _tag: "SizeUnalignedError", sourceSize: 10_001n })
      expect(odd.calls).not.toContain("finish 10001")
    }))

  effect("can be interrupted", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(10_000))
      const reading = yield* Deferred.make<void>()
      const source: Source = {
        ...both.source,
        readBorrowed: () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never)
      }
      const copying = yield* Effect.fork(Copy.copy(source, both.sink, { requestSize: 1000 }))
      yield* Deferred.await(reading)
      yield* Fiber.interrupt(copying)
      expect(both.calls).toEqual(["prepare 10000"])
    }))
})
