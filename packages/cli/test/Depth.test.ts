/** How many requests of a copy are in flight, on servers that exist as numbers only. */
import * as Copy from "#cli/Copy"
import { lending, type Sink, type Source } from "#cli/CopyEnds"
import { Depth } from "#cli/Depth"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const mebibyte = 1_048_576

/** How long requests take, one by one, when so many are asked at once. */
type Server = (requests: number) => ReadonlyArray<number>

const each = (requests: number, millis: (index: number) => number) =>
  Array.from({ length: requests }, (_, index) => millis(index))

/** A server at a distance, which takes all that comes; its answers are not all as quick. */
const far = (millis: number): Server => (requests) => each(requests, (index) => millis + index % 5)

/** One that is there and does one thing at a time: the first of all is served at once, those of later rounds queue. */
const disk = (millis: number): Server => {
  let isFirst = true
  return (requests) => {
    const wasFirst = isFirst
    isFirst = false
    return each(requests, (index) => wasFirst ? (index + 1) * millis : requests * millis)
  }
}

/** Far away, and with no more than so many at a time. */
const limited = (millis: number, most: number): Server => (requests) =>
  each(requests, () => millis * Math.max(1, requests / most))

/** How many there are after each of so many rounds. */
const course = (rounds: number, server: Server, bounds = { least: 8, most: 64 }): ReadonlyArray<number> => {
  const depth = new Depth(bounds)
  return each(rounds, () => {
    for (const millis of server(depth.requests)) depth.finished(millis)
    return depth.requests
  })
}

describe("Depth", () => {
  it("grows with the distance, up to the most", () => {
    expect(course(7, far(50))).toEqual([8, 16, 16, 32, 32, 64, 64])
    expect(course(200, far(50)).at(-1)).toBe(64)
    expect(course(200, far(50), { least: 8, most: 40 }).at(-1)).toBe(32)
    expect(course(200, far(50), { least: 8, most: 8 }).at(-1)).toBe(8)
    expect(course(200, far(50), { least: 4, most: 2 }).at(-1)).toBe(4)
  })

  it("stays where requests wait for each other, however slow it is", () => {
    expect(Math.max(...course(300, disk(4)))).toBe(8)
    expect(Math.max(...course(300, disk(100)))).toBe(8)
  })

  it("stops where more would have to wait, and goes back where they wait for long", () => {
    expect(course(300, limited(50, 32)).at(-1)).toBe(64)
    expect(course(300, limited(50, 16)).at(-1)).toBe(32)
    // It answers so many as soon as one, and twice as many after a long time.
    const sudden = course(300, (requests) => each(requests, () => requests <= 16 ? 50 : 500))
    expect(Math.max(...sudden)).toBe(32)
    expect(sudden.filter((requests) => requests > 16).length).toBeLessThan(70)
  })

  it("looks again from time to time", () => {
    let rounds = 0
    expect(course(60, (requests) => each(requests, () => rounds++ < 100 ? 500 : 50)).at(-1)).toBe(64)
  })

  it("does not even try where answers come at once", () => {
    expect(Math.max(...course(1000, far(5)))).toBe(8)
  })
})

/** Copies from a source that answers whatever it was asked 50 ms later, which are over at once. */
const taking = (isRemote: boolean, options: Copy.Options = {}) =>
  Effect.gen(function*() {
    let now = 0
    let rounds = 0
    let most = 0
    const asked: Array<() => void> = []
    const blockSize = { minimum: 1, preferred: 1, maximum: mebibyte }
    const source: Source = {
      name: "far",
      size: BigInt(64 * mebibyte),
      geometry: { ...blockSize, canExtents: false },
      isRemote,
      extents: () => Stream.empty,
      readBorrowed: lending((_, { byteLength }) =>
        Effect.async((resume) => void asked.push(() => resume(Effect.succeed(byteLength))))
      )
    }
    const sink: Sink = {
      name: "near",
      size: undefined,
      geometry: { ...blockSize, canZero: false },
      forgets: true,
      write: () => Effect.void,
      writeZeroes: () => Effect.void,
      flush: Effect.void
    }
    const clock = { ...Clock.make(), unsafeCurrentTimeMillis: () => now }
    const copy = Copy.copy(source, sink, { requestSize: 65_536, ...options })
    const copying = yield* Effect.fork(Effect.withClock(copy, clock))
    while (Option.isNone(yield* Fiber.poll(copying))) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      if (asked.length === 0) continue
      now += 50
      rounds++
      most = Math.max(most, asked.length)
      for (const answer of asked.splice(0)) answer()
    }
    yield* Fiber.join(copying)
    return { rounds, most }
  })

describe("a copy", () => {
  it.live("from far away has more and more in flight, within its memory", () =>
    Effect.gen(function*() {
      const { most, rounds } = yield* taking(true)
      expect(most).toBeGreaterThanOrEqual(128)
      // 1024 requests: with 8 at a time 128 rounds.
      expect(rounds).toBeLessThan(30)
      expect((yield* taking(true, { queueSize: 1_048_576 })).most).toBe(16)
    }))

  it.live("keeps to what it was told, and to what suits ends that are here", () =>
    Effect.gen(function*() {
      expect((yield* taking(true, { requests: 3 })).most).toBe(3)
      const { most, rounds } = yield* taking(false)
      expect(most).toBe(8)
      // A worker that has let everything else have its turn may miss a round.
      expect(rounds).toBeGreaterThanOrEqual(128)
      expect(rounds).toBeLessThan(150)
    }))
})
