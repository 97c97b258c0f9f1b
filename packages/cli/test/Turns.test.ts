/** Loops that could go on for long without waiting. */
import * as Copy from "#cli/Copy"
import type { Sink, Source } from "#cli/CopyEnds"
import * as Turns from "@effect-nbd/node/file/Turns"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Keeps the processor for some time. */
const busy = (millis: number): Effect.Effect<void> =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

/** How often the event loop turns meanwhile. */
const turnsDuring = <E>(effect: Effect.Effect<void, E>): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    let turns = 0
    let isOver = false
    const count = (): void => {
      turns++
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    return Effect.map(Effect.ensuring(effect, Effect.sync(() => void (isOver = true))), () => turns)
  })

const size = (1n << 63n) - 1n
const blockSize = { minimum: 1, preferred: 4096, maximum: 1_048_576 }

const hole = (length: bigint): Source => ({
  name: "hole",
  size: length,
  geometry: { ...blockSize, canExtents: true },
  extents: () => Stream.make({ offset: 0n, length, allocated: false, zero: true }),
  readBorrowed: () => Effect.dieMessage("nothing is to be read")
})

const sinkOf = (zero: Sink["writeZeroes"] | undefined, longestZero?: number): Sink => ({
  name: "sink",
  size: undefined,
  geometry: { ...blockSize, canZero: zero !== undefined },
  forgets: zero === undefined,
  write: () => Effect.dieMessage("nothing is to be written"),
  writeZeroes: zero ?? (() => Effect.dieMessage("no zeroes are to be made")),
  longestZero,
  flush: Effect.void
})

describe("everything else has its turn", () => {
  it.live("while zeroes are written", () =>
    Effect.gen(function*() {
      const zero = WrittenZeroes.by(() => busy(2))
      expect(yield* turnsDuring(zero(0n, 64n * 1_048_576n))).toBeGreaterThan(3)
    }))

  it.live("while pieces are copied that are done at once", () =>
    Effect.gen(function*() {
      const sink = sinkOf(() => busy(2))
      expect(yield* turnsDuring(Copy.copy(hole(64n << 30n), sink))).toBeGreaterThan(3)
    }))

  it.live("for all that wait in one turn", () =>
    Effect.gen(function*() {
      yield* busy(20)
      const order: Array<string> = []
      const step = (name: string) => Turns.fair(() => Effect.sync(() => void order.push(name)))
      const loop = (name: string) => Effect.repeatN(Effect.zipRight(step(name), Effect.yieldNow()), 2)
      yield* Effect.all([loop("a"), loop("b")], { concurrency: "unbounded" })
      expect(order.join("")).toBe("ababab")
    }))

  it.live("and a hole of 8 EiB takes a moment where nothing is made of it", () =>
    Effect.gen(function*() {
      let copied = 0n
      const onCopied = (bytes: number): void => {
        copied += BigInt(bytes)
      }
      yield* Copy.copy(hole(size), sinkOf(undefined), { onCopied })
      expect(copied).toBe(size)
      let made = 0n
      const zero = (_: bigint, length: bigint) =>
        Effect.sync(() => {
          made += length
        })
      yield* Copy.copy(hole(size), sinkOf(zero, 2 ** 50))
      expect(made).toBe(size)
      yield* Copy.copy(hole(size), sinkOf(zero), { destinationIsZero: true })
      expect(made).toBe(size)
    }))
})
