/** How many requests of a copy are in flight, on servers that exist as numbers only. */
import * as Copy from "#cli/Copy"
import { lending, type Sink, type Source } from "#cli/CopyEnds"
import { Depth } from "#cli/Depth"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

const mebibyte = 1_048_576

/** What a server needs for `requests` at once, in milliseconds from the first to the last answer. */
type Server = (requests: number) => number

/** A server at a distance, which takes all that comes. */
const far = (millis: number): Server => () => millis

/** One that is there, with a disk that does one thing at a time. */
const disk = (millis: number): Server => (requests) => requests * millis

/** Far away, and with no more than so many at a time. */
const limited = (millis: number, most: number): Server => (requests) => millis * Math.max(1, requests / most)

/** How many there are in the end, and how many there ever were, after so many rounds. */
const after = (rounds: number, server: Server, bounds = { least: 8, most: 64 }) => {
  const depth = new Depth(bounds)
  let now = 0
  let most = 0
  const settled: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const requests = depth.requests
    now += server(requests)
    for (let done = 0; done < requests; done++) depth.finished(mebibyte, now)
    most = Math.max(most, depth.requests)
    settled.push(depth.requests)
  }
  return { end: settled.at(-1), most, settled }
}

describe("Depth", () => {
  it("grows with the distance, up to the most", () => {
    expect(after(12, far(50)).end).toBe(64)
    expect(after(200, far(50)).settled.slice(12).every((requests) => requests === 64)).toBe(true)
    expect(after(200, far(50), { least: 8, most: 40 }).end).toBe(32)
    expect(after(200, far(50), { least: 8, most: 8 }).most).toBe(8)
    expect(after(200, far(50), { least: 4, most: 2 }).most).toBe(4)
  })

  it("stays where more do not help, and looks again from time to time", () => {
    const { end, most, settled } = after(30, disk(4))
    expect({ end, most }).toEqual({ end: 8, most: 16 })
    expect(settled.filter((requests) => requests > 8).length).toBeLessThan(4)
    const many = after(300, disk(4)).settled.filter((requests) => requests > 8).length
    expect(many).toBeGreaterThan(4)
    expect(many).toBeLessThan(30)
    const two = after(31, limited(50, 16))
    expect({ end: two.end, most: two.most }).toEqual({ end: 16, most: 32 })
  })

  it("does not even try where a round is over at once", () => {
    expect(after(1000, far(5)).most).toBe(8)
    expect(after(1000, disk(1)).most).toBe(8)
  })

  it("follows a server that becomes slow to answer", () => {
    let rounds = 0
    expect(after(60, () => rounds++ < 30 ? 5 : 50).end).toBe(64)
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
      blockSize,
      isRemote,
      extents: undefined,
      read: lending((_, { byteLength }) =>
        Effect.async((resume) => void asked.push(() => resume(Effect.succeed(byteLength))))
      )
    }
    const sink: Sink = {
      name: "near",
      capacity: undefined,
      blockSize,
      prepare: () => Effect.void,
      write: () => Effect.void,
      zero: undefined,
      finish: () => Effect.void,
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
      expect(yield* taking(false)).toEqual({ most: 8, rounds: 128 })
    }))
})
