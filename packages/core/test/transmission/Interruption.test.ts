/**
 * Commands whose fiber is interrupted: the connection goes on, and nothing is written to memory that was given back.
 */
import { Handle, type HandleConfig } from "@effect-nbd/core"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

const content = Uint8Array.from({ length: 4096 }, (_, at) => 1 + at % 255)
const untouched = new Uint8Array(4096)

const layer = FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576 }] })

/** A handle whose export has `content` at 0, and whose server answers nothing until it is released. */
const held = (config: HandleConfig.HandleConfig = {}) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    const nbd = yield* Handle.connect({ ...config, exportName: "disk" })
    yield* nbd.write(0n, content)
    yield* server.hold
    return { nbd, server, sent: (count: number) => server.awaitRequests(1 + count) }
  })

describe("a read that is interrupted", () => {
  it.scoped("is over at once, and its memory is left alone when the reply comes (C-127, H-080, H-156)", () =>
    Effect.gen(function*() {
      const { nbd, sent, server } = yield* held()
      const [gone, kept] = [new Uint8Array(4096), new Uint8Array(4096)]
      const reading = yield* Effect.fork(nbd.readInto(0n, gone))
      const neighbour = yield* Effect.fork(nbd.readInto(0n, kept))
      yield* sent(2)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(reading))).toBe(true)
      expect(yield* nbd.inFlight).toBe(2)
      yield* server.release
      yield* Fiber.join(neighbour)
      expect(kept).toStrictEqual(content)
      expect(gone).toStrictEqual(untouched)
      expect(yield* nbd.read(0n, 4096)).toStrictEqual(content)
      expect(yield* nbd.inFlight).toBe(0)
    }).pipe(Effect.provide(layer)))

  it.scoped("leaves its memory alone after a timeout, and after a race that it lost", () =>
    Effect.gen(function*() {
      const { nbd, sent, server } = yield* held()
      const [late, lost] = [new Uint8Array(4096), new Uint8Array(4096)]
      const timed = yield* Effect.fork(Effect.timeoutOption(nbd.readInto(0n, late), "5 seconds"))
      const raced = yield* Effect.fork(Effect.raceFirst(nbd.readInto(0n, lost), Effect.sleep("5 seconds")))
      yield* sent(2)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(timed)
      yield* Fiber.join(raced)
      yield* server.release
      yield* nbd.flush
      expect([late, lost]).toStrictEqual([untouched, untouched])
    }).pipe(Effect.provide(layer)))

  it.scoped("in a region that cannot be is read to its end", () =>
    Effect.gen(function*() {
      const { nbd, sent, server } = yield* held()
      const memory = new Uint8Array(4096)
      let outcome: Exit.Exit<void, unknown> | undefined
      const reading = nbd.readInto(0n, memory).pipe(
        Effect.onExit((exit) => Effect.sync(() => outcome = exit)),
        Effect.uninterruptible
      )
      const fiber = yield* Effect.fork(reading)
      yield* sent(1)
      yield* Fiber.interruptFork(fiber)
      yield* Effect.yieldNow()
      yield* server.release
      yield* Fiber.await(fiber)
      expect(outcome).toStrictEqual(Exit.void)
      expect(memory).toStrictEqual(content)
    }).pipe(Effect.provide(layer)))

  it.scoped("does not keep the same fiber from reading what it has to before it ends", () =>
    Effect.gen(function*() {
      const { nbd, sent, server } = yield* held()
      const [gone, cleaning, after] = [new Uint8Array(4096), new Uint8Array(4096), new Uint8Array(4096)]
      const program = Effect.uninterruptibleMask((restore) =>
        restore(Effect.onInterrupt(nbd.readInto(0n, gone), () => Effect.orDie(nbd.readInto(0n, cleaning)))).pipe(
          Effect.exit,
          Effect.zipRight(nbd.readInto(0n, after))
        )
      )
      const fiber = yield* Effect.fork(program)
      yield* sent(1)
      yield* Fiber.interruptFork(fiber)
      yield* sent(2)
      yield* server.release
      yield* Fiber.await(fiber)
      expect(gone).toStrictEqual(untouched)
      expect(cleaning).toStrictEqual(content)
      expect(after).toStrictEqual(content)
    }).pipe(Effect.provide(layer)))
})

describe("a command that is interrupted while it waits for its turn", () => {
  it.scoped("is never sent, and gives up its place at once", () =>
    Effect.gen(function*() {
      const { nbd, sent, server } = yield* held({ limits: { requests: 1 } })
      const first = yield* Effect.fork(nbd.flush)
      yield* sent(1)
      const waiting = yield* Effect.fork(nbd.write(8192n, content))
      const last = yield* Effect.fork(nbd.trim(0n, 4096))
      yield* Effect.yieldNow()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(waiting))).toBe(true)
      yield* server.release
      yield* Fiber.join(first)
      yield* Fiber.join(last)
      expect((yield* server.requests).map(({ command }) => command)).toStrictEqual(["WRITE", "FLUSH", "TRIM"])
    }).pipe(Effect.provide(layer)))
})
