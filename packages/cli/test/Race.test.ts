/** Races that wait for their loser, also when they are interrupted. */
import * as Race from "#cli/Race"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

/** Runs for ever, and takes a second to clean up. */
const slow = (events: Array<string>, name: string) =>
  Effect.never.pipe(
    Effect.onInterrupt(() =>
      Effect.zipRight(Effect.sleep("1 second"), Effect.sync(() => events.push(`${name} is clean`)))
    )
  )

describe("a race", () => {
  it.effect("has the outcome of the first, after the other has cleaned up", () =>
    Effect.gen(function*() {
      for (const outcome of [Exit.succeed(1), Exit.fail("no"), Exit.die("fault")]) {
        const events: Array<string> = []
        const race = Race.first(Effect.zipRight(Effect.sleep("1 second"), outcome), slow(events, "the other"))
        const fiber = yield* Effect.fork(Effect.exit(race))
        yield* TestClock.adjust("1 second")
        expect(fiber.unsafePoll()).toBeNull()
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(fiber)).toEqual(outcome)
        expect(events).toEqual(["the other is clean"])
      }
    }))

  it.effect("that is interrupted waits for both", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const race = Race.first(slow(events, "one"), slow(events, "the other"))
      const fiber = yield* Effect.fork(Effect.ensuring(race, Effect.sync(() => events.push("over"))))
      yield* Effect.yieldNow()
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      yield* Fiber.await(fiber)
      expect(events.at(-1)).toBe("over")
      expect(events).toHaveLength(3)
    }))
})
