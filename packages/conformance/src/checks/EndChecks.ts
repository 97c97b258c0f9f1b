/**
 * The ways a connection ends from this side, and connecting again.
 *
 * @since 0.1.0
 */
import type { Connected } from "@effect-nbd/core/Handle"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import {
  type Check,
  connect,
  expectEqual,
  expectKept,
  expectTag,
  lengthNear,
  limitsOf,
  pattern,
  type Target
} from "./Check.ts"

const blockOf = (connected: Connected): number => lengthNear(limitsOf(connected), 65_536)

/**
 * @since 0.1.0
 * @category constructors
 */
export const endChecks = (target: Target): ReadonlyArray<Check> => [
  {
    name: "shutdown waits for what is under way, and refuses everything after it",
    rules: ["C-198", "C-200"],
    run: Effect.gen(function*() {
      const connected = yield* connect(target)
      const block = blockOf(connected)
      const bytes = pattern(0n, block, 21)
      yield* connected.write(0n, bytes)
      const reads = yield* Effect.forEach(Array.from({ length: 16 }), () => Effect.fork(connected.read(0n, block)))
      yield* Effect.yieldNow()
      yield* connected.shutdown
      yield* Effect.forEach(
        reads,
        (read) => Effect.flatMap(Fiber.join(read), (read) => expectKept("read under way", read, bytes))
      )
      yield* expectEqual("state", (yield* connected.state)._tag, "ShutDown")
      yield* expectTag("read", connected.read(0n, block), "NbdShutDownError")
      yield* expectTag("flush", connected.flush, "NbdShutDownError")
      yield* expectTag("shutdown", connected.shutdown, "NbdShutDownError")
    })
  },
  {
    name: "closing the scope with commands in flight gives each its own failure",
    rules: [],
    run: Effect.gen(function*() {
      const reads = yield* Effect.scoped(
        Effect.gen(function*() {
          const connected = yield* connect(target)
          const block = blockOf(connected)
          yield* connected.read(0n, block)
          return yield* Effect.forEach(
            Array.from({ length: 16 }),
            () => Effect.forkDaemon(Effect.either(connected.read(0n, block)))
          )
        })
      )
      for (const read of reads) {
        const outcome = yield* Fiber.join(read)
        if (outcome._tag === "Right") continue
        const { _tag } = outcome.left
        yield* expectEqual(_tag, _tag === "NbdCommandLostError" || _tag === "NbdShutDownError", true)
      }
    })
  },
  {
    name: "the target can be connected to again and again",
    rules: [],
    run: Effect.gen(function*() {
      for (let round = 0; round < 5; round++) {
        const bytes = yield* Effect.scoped(
          Effect.flatMap(connect(target), (connected) => {
            const bytes = pattern(0n, blockOf(connected), 30 + round)
            return Effect.as(Effect.zipRight(connected.write(0n, bytes), connected.shutdown), bytes)
          })
        )
        if (target.keepsContent === false) continue
        const read = yield* Effect.scoped(
          Effect.flatMap(connect(target), (connected) => connected.read(0n, bytes.byteLength))
        )
        yield* expectKept(`round ${round}`, read, bytes)
      }
    })
  }
]
