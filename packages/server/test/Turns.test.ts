/** Turns: when the event loop has its own, and which session goes first. */
import { Place, Turns } from "#server/session/Turns"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** A pace whose time passes when it is told to, and turns of the event loop that happen when they are told to. */
const pretended = () => {
  let goOn: ReadonlyArray<() => void> = []
  const pace = {
    time: 0,
    turns: 0,
    now: () => pace.time,
    afterTurn: (next: () => void) => {
      goOn = [...goOn, next]
    },
    turn: Effect.suspend(() => {
      const all = goOn
      goOn = []
      pace.turns++
      for (const next of all) next()
      return Effect.repeatN(Effect.yieldNow(), 50)
    })
  }
  return pace
}

/** A session with requests that take some milliseconds each: the time at which each was done is noted. */
const session = (pace: ReturnType<typeof pretended>, place: Place, count: number, milliseconds: number) =>
  Effect.gen(function*() {
    const done: Array<number> = []
    while (done.length < count) {
      const later = place.turn
      if (later !== undefined) yield* later
      pace.time += milliseconds
      done.push(pace.time)
    }
    return done
  })

it.effect("after 4 ms of work the event loop turns, however many requests that were", () =>
  Effect.gen(function*() {
    const pace = pretended()
    const place = new Place(new Turns(pace))
    const fiber = yield* Effect.fork(session(pace, place, 1000, 0.1))
    yield* Effect.repeatN(Effect.yieldNow(), 50)
    expect(pace.time).toBeCloseTo(4, 0)
    for (let count = 0; count < 30; count++) yield* pace.turn
    yield* Fiber.join(fiber)
    expect(pace.time).toBeCloseTo(100, 5)
    // One that takes longer is followed by a turn at once.
    const long = yield* Effect.fork(session(pace, place, 3, 50))
    yield* pace.turn
    expect(pace.time).toBeCloseTo(150, 5)
    yield* pace.turn
    yield* pace.turn
    expect(yield* Fiber.join(long)).toHaveLength(3)
  }))

it.effect("one request of a session waits for no more than a turn of those that have many", () =>
  Effect.gen(function*() {
    const pace = pretended()
    const turns = new Turns(pace)
    for (let count = 0; count < 10; count++) yield* Effect.fork(session(pace, new Place(turns), 10_000, 0.1))
    for (let count = 0; count < 20; count++) yield* pace.turn
    for (let count = 0; count < 20; count++) {
      const before = pace.time
      const good = yield* Effect.fork(session(pace, new Place(turns), 1, 0.1))
      yield* Effect.yieldNow()
      yield* pace.turn
      const [at = Infinity] = yield* Fiber.join(good)
      expect(at - before).toBeLessThanOrEqual(4.5)
      yield* pace.turn
    }
  }))

it.effect("sessions have the same time each, whatever their requests take, and one that was idle has saved up little", () =>
  Effect.gen(function*() {
    const pace = pretended()
    const turns = new Turns(pace)
    const places = [new Place(turns), new Place(turns), new Place(turns)] as const
    const [light, heavy, idle] = places
    yield* Effect.fork(session(pace, light, 1_000_000, 0.1))
    yield* Effect.fork(session(pace, heavy, 1_000_000, 2))
    for (let count = 0; count < 200; count++) yield* pace.turn
    expect(light.work / heavy.work).toBeGreaterThan(0.9)
    expect(light.work / heavy.work).toBeLessThan(1.1)
    const before = light.work
    yield* Effect.fork(session(pace, idle, 1_000_000, 0.1))
    for (let count = 0; count < 10; count++) yield* pace.turn
    // It begins near the others, and does not keep them until it has had as much as they.
    expect(light.work).toBeGreaterThan(before + 5)
    expect(idle.work).toBeGreaterThan(before - 5)
  }))

it.effect("who has worked for long while nobody waited is not behind one that comes", () =>
  Effect.gen(function*() {
    const pace = pretended()
    const turns = new Turns(pace)
    const [old, young] = [new Place(turns), new Place(turns)]
    // Never so much at a time that it would have to wait.
    for (let count = 0; count < 250; count++) yield* Effect.zipRight(session(pace, old, 3, 1), pace.turn)
    const before = old.work
    expect(before).toBe(750)
    yield* Effect.fork(session(pace, old, 1_000_000, 0.1))
    yield* Effect.fork(session(pace, young, 1_000_000, 0.1))
    for (let count = 0; count < 10; count++) yield* pace.turn
    expect(old.work - before).toBeGreaterThan(10)
    expect(young.work - before).toBeGreaterThan(10)
  }))

it.effect("who is interrupted while it waits leaves its place to others", () =>
  Effect.gen(function*() {
    const pace = pretended()
    const turns = new Turns(pace)
    const gone = yield* Effect.fork(session(pace, new Place(turns), 1000, 1))
    const kept = yield* Effect.fork(session(pace, new Place(turns), 20, 1))
    yield* pace.turn
    yield* Fiber.interrupt(gone)
    for (let count = 0; count < 12; count++) yield* pace.turn
    expect(yield* Fiber.join(kept)).toHaveLength(20)
  }))
