/** The copy engine on ends in memory. */
import * as Copy from "#cli/Copy"
import { describe, effect, expect } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { randomBytes } from "node:crypto"

const anySize: Copy.BlockSize = { minimum: 1, preferred: 1, maximum: 1_048_576 }

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

interface Ends {
  readonly source: Copy.Source
  readonly sink: Copy.Sink
  readonly calls: Array<string>
  readonly buffers: Set<ArrayBufferLike>
  readonly written: Uint8Array
  mostInFlight: number
}

const ends = (
  content: Uint8Array,
  blocks: { from?: Partial<Copy.BlockSize>; to?: Partial<Copy.BlockSize> } = {}
): Ends => {
  let inFlight = 0
  const both: Ends = {
    calls: [],
    buffers: new Set(),
    written: new Uint8Array(content.byteLength),
    mostInFlight: 0,
    source: {
      name: "source",
      size: BigInt(content.byteLength),
      blockSize: { ...anySize, ...blocks.from },
      readInto: (offset, destination) =>
        Effect.suspend(() => {
          both.mostInFlight = Math.max(both.mostInFlight, ++inFlight)
          both.buffers.add(destination.buffer)
          both.calls.push(`read ${offset} ${destination.byteLength}`)
          destination.set(content.subarray(Number(offset), Number(offset) + destination.byteLength))
          return Effect.yieldNow()
        })
    },
    sink: {
      name: "sink",
      capacity: undefined,
      blockSize: { ...anySize, ...blocks.to },
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
      flush: Effect.sync(() => void both.calls.push("flush"))
    }
  }
  return both
}

const planned = (
  size: number,
  from: Partial<Copy.BlockSize>,
  to: Partial<Copy.BlockSize>,
  wanted?: number
) => {
  const { sink, source } = ends(new Uint8Array(size), { from, to })
  return Copy.planRequestSize(source, sink, wanted)
}

describe("planRequestSize", () => {
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
      const small = yield* Effect.flip(Copy.planRequestSize(source, { ...sink, capacity: 9n }))
      expect(small).toMatchObject({ _tag: "DestinationTooSmallError", sourceSize: 10n, destinationSize: 9n })
    }))
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
      expect([both.calls[0], both.calls.at(-1)]).toEqual(["prepare 100001", "flush"])
      expect(both.calls).toContain("read 100000 1")
    }))

  effect("takes no more buffers than there are pieces, and none for an empty source", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(1500))
      yield* Copy.copy(both.source, both.sink, { requestSize: 1000 })
      expect(both.buffers.size).toBe(2)
      const empty = ends(new Uint8Array(0))
      yield* Copy.copy(empty.source, empty.sink)
      expect(empty.calls).toEqual(["prepare 0"])
    }))

  effect("ends with the first failure, and starts nothing after it", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(100_000))
      const source: Copy.Source = {
        ...both.source,
        readInto: (offset, destination) =>
          offset >= 7000n
            ? Effect.fail(new Broken({ message: "out of order" }))
            : both.source.readInto(offset, destination)
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
      })
  )

  effect("can be interrupted", () =>
    Effect.gen(function*() {
      const both = ends(new Uint8Array(10_000))
      const reading = yield* Deferred.make<void>()
      const source: Copy.Source = {
        ...both.source,
        readInto: () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never)
      }
      const copying = yield* Effect.fork(Copy.copy(source, both.sink, { requestSize: 1000 }))
      yield* Deferred.await(reading)
      yield* Fiber.interrupt(copying)
      expect(both.calls).toEqual(["prepare 10000"])
    }))
})
