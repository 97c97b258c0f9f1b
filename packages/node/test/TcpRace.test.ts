import type { Attempt } from "@effect-nbd/core/TransportError"
import * as TcpRace from "@effect-nbd/node/TcpRace"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

/** Attempts that say when they began, and which of their scopes are still open. */
const course = () => {
  const begun: Array<readonly [name: string, at: number]> = []
  const open = new Set<string>()
  const attempt = (
    name: string,
    after: Duration.DurationInput,
    end: Effect.Effect<string, Attempt> = Effect.succeed(name)
  ) =>
    Effect.gen(function*() {
      begun.push([name, yield* Clock.currentTimeMillis])
      yield* Effect.acquireRelease(
        Effect.sync(() => open.add(name)),
        () => Effect.sync(() => open.delete(name))
      )
      return yield* Effect.delay(end, after)
    })
  const failure = (code: string) => Effect.fail({ address: code, code })
  return { begun, open, attempt, failure }
}

const race = (attempts: ReadonlyArray<Effect.Effect<string, Attempt, Scope.Scope>>, failed: Array<string> = []) =>
  TcpRace.first(attempts, { failed: ({ code }, index) => void (failed[index] = code), none: () => failed })

/** The outcome once enough time has passed. */
const outcome = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })

describe("a race of addresses", () => {
  it.scoped("begins the next after 250 ms, or when the last one begun has failed", () =>
    Effect.gen(function*() {
      const { attempt, begun, failure, open } = course()
      const won = yield* outcome(race([
        attempt("silent", "1 hour"),
        attempt("refuses", "100 millis", failure("ECONNREFUSED")),
        attempt("answers", "200 millis"),
        attempt("late", 0)
      ]))
      expect(won).toBe("answers")
      expect(begun).toStrictEqual([["silent", 0], ["refuses", 250], ["answers", 350]])
      expect([...open]).toStrictEqual(["answers"])
    }))

  it.scoped("is won by the first address, though it is slow, where it is the first to answer", () =>
    Effect.gen(function*() {
      const { attempt, begun, open } = course()
      expect(yield* outcome(race([attempt("slow", "400 millis"), attempt("silent", "1 hour")]))).toBe("slow")
      expect(begun).toStrictEqual([["slow", 0], ["silent", 250]])
      expect([...open]).toStrictEqual(["slow"])
    }))

  it.scoped("keeps one of two that answer at the same moment", () =>
    Effect.gen(function*() {
      const { attempt, open } = course()
      const won = yield* outcome(race([attempt("one", "500 millis"), attempt("two", "250 millis")]))
      expect([...open]).toStrictEqual([won])
    }))

  it.scoped("collects every failure, in the order of the addresses", () =>
    Effect.gen(function*() {
      const { attempt, failure, open } = course()
      const failed = yield* outcome(Effect.flip(race([
        attempt("one", "2 seconds", failure("ETIMEDOUT")),
        attempt("two", 0, failure("ECONNREFUSED")),
        attempt("three", "1 second", failure("EHOSTUNREACH"))
      ])))
      expect(failed).toStrictEqual(["ETIMEDOUT", "ECONNREFUSED", "EHOSTUNREACH"])
      expect(open.size).toBe(0)
    }))

  it.scoped("leaves nothing open when it is interrupted, and closes the winner with its scope", () =>
    Effect.gen(function*() {
      const { attempt, open } = course()
      const fiber = yield* Effect.fork(race([attempt("one", "1 hour"), attempt("two", "1 hour")]))
      yield* TestClock.adjust("1 second")
      expect(open.size).toBe(2)
      const exit = yield* Fiber.interrupt(fiber)
      expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
      expect(open.size).toBe(0)
      const scope = yield* Scope.make()
      yield* Scope.extend(race([attempt("one", 0)]), scope)
      expect(open.size).toBe(1)
      yield* Scope.close(scope, Exit.void)
      expect(open.size).toBe(0)
    }))

  it("has both kinds of addresses in turn", () => {
    const [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
    const [x, y] = ["192.0.2.1", "192.0.2.2"]
    expect(TcpRace.interleaved([a, b, c, x, y])).toStrictEqual([a, x, b, y, c])
    expect(TcpRace.interleaved([x, a, b])).toStrictEqual([x, a, b])
    expect(TcpRace.interleaved([x, y])).toStrictEqual([x, y])
    expect(TcpRace.interleaved([])).toStrictEqual([])
  })
})
