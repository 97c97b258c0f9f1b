/**
 * Two things in one turn: ends that come with answers, scopes that close under a fiber that waits, options that are
 * overtaken.
 */
import { Handle, Transport } from "@effect-nbd/core"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { concat, exportInfo, newstyleGreeting, opt, optionReply, rep, u32 } from "./fixtures/HandWritten.ts"
import { ManualConnection } from "./fixtures/ManualConnection.ts"
import { transmission } from "./transmission/ByHand.ts"

const settle = Effect.forEach(Array.from({ length: 80 }), () => Effect.yieldNow(), { discard: true })

const over = (connection: ManualConnection) =>
  Layer.succeed(Transport.Transport, {
    target: "by hand",
    open: Effect.acquireRelease(Effect.succeed(connection), () => Effect.sync(() => connection.close()))
  })

const accepted = concat(optionReply(opt.GO, rep.INFO, exportInfo(512n, 1)), optionReply(opt.GO, rep.ACK))

const config = { requestStructuredReplies: false }

/** A handle that negotiates, over a connection by hand. */
const negotiating = Effect.gen(function*() {
  const connection = new ManualConnection()
  const handle = yield* Handle.make({ ...config, optMode: true })
  const connecting = yield* Effect.fork(Effect.provide(handle.connect, over(connection)))
  yield* settle
  connection.arrive(newstyleGreeting(3))
  yield* Fiber.join(connecting)
  connection.takeWritten()
  return { connection, handle }
})

/** A connect that another scope holds, over a connection by hand. */
const connecting = Effect.gen(function*() {
  const connection = new ManualConnection()
  const scope = yield* Scope.make()
  const handle = yield* Scope.extend(Handle.make(config), scope)
  const fiber = yield* Effect.fork(Effect.provide(handle.connect, over(connection)))
  yield* settle
  return { connection, fiber, handle, scope }
})

describe("the answer to GO", () => {
  it.scoped("that comes with the end of the stream enters, and ends in order", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating
      const going = yield* Effect.fork(handle.go("x"))
      yield* settle
      connection.arrive(accepted)
      connection.end()
      expect(Exit.isSuccess(yield* Fiber.await(going))).toBe(true)
      expect((yield* handle.state)._tag).toBe("ShutDown")
    }))

  it.scoped("that comes as the handle's scope closes is no defect", () =>
    Effect.gen(function*() {
      const { connection, fiber, handle, scope } = yield* connecting
      connection.arrive(newstyleGreeting(3))
      yield* settle
      yield* Effect.suspend(() => {
        connection.arrive(accepted)
        return Scope.close(scope, Exit.void)
      })
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
      expect((yield* handle.state)._tag).toBe("ShutDown")
    }))
})

describe("closing the scope", () => {
  it.scoped("ends a connect that a fiber outside of it waits for", () =>
    Effect.gen(function*() {
      const { fiber, scope } = yield* connecting
      yield* Scope.close(scope, Exit.void)
      yield* settle
      expect(Option.isSome(yield* Fiber.poll(fiber))).toBe(true)
    }))

  it.scoped("ends a connect that was begun in an uninterruptible region", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const handle = yield* Scope.extend(Handle.make(), scope)
      yield* Effect.uninterruptible(Effect.provide(handle.startConnect, over(new ManualConnection())))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      expect(yield* handle.isClosed).toBe(true)
    }))

  it.scoped("sends no abort while an option waits for its answer (C-020)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { connection, handle } = yield* Scope.extend(negotiating, scope)
      yield* Effect.fork(handle.list)
      yield* settle
      expect(connection.takeWritten().byteLength).toBe(16)
      yield* Scope.close(scope, Exit.void)
      expect(connection.takeWritten().byteLength).toBe(0)
    }))

  it.scoped("ends the stream of changes", () =>
    Effect.gen(function*() {
      const { fiber, handle, scope } = yield* connecting
      const states = yield* Effect.fork(Stream.runCollect(handle.changes))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      expect([...(yield* Fiber.join(states))].map(({ _tag }) => _tag)).toStrictEqual(["Connecting", "ShutDown"])
      yield* Fiber.interrupt(fiber)
    }))
})

describe("an interruption", () => {
  it.scoped("before the fiber that connects has run at all leaves the handle as it was", () =>
    Effect.gen(function*() {
      for (let yields = 0; yields < 6; yields++) {
        const handle = yield* Handle.make(config)
        const fiber = yield* Effect.fork(Effect.provide(handle.connect, over(new ManualConnection())))
        for (let count = 0; count < yields; count++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        expect((yield* handle.state)._tag).not.toBe("Connecting")
      }
    }))

  it.scoped("tells the greeting from haggling", () =>
    Effect.gen(function*() {
      const { connection, fiber, handle } = yield* connecting
      connection.arrive(newstyleGreeting(3).subarray(0, 17))
      yield* Fiber.interrupt(fiber)
      expect(yield* handle.state).toMatchObject({ _tag: "Dead", reason: { phase: "greeting" } })
    }))
})

describe("shutdown", () => {
  it.scoped("that waits for a go shuts down what that has connected", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating
      yield* Effect.fork(handle.go("x"))
      yield* settle
      const ending = yield* Effect.fork(handle.shutdown)
      yield* settle
      connection.arrive(accepted)
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(ending)
      expect((yield* handle.state)._tag).toBe("ShutDown")
    }))

  it.scoped("drops the connection of a server that keeps its half open (H-097)", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating
      const going = yield* Effect.fork(handle.go("x"))
      yield* settle
      connection.arrive(accepted)
      yield* Fiber.join(going)
      const ending = yield* Effect.fork(handle.shutdown)
      yield* settle
      expect(connection.closed).toBe(false)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      expect(connection.closed).toBe(true)
    }))
})

describe("a refusal", () => {
  it.scoped("is told although the server does not answer the abort that follows before the handshake's time is up", () =>
    Effect.gen(function*() {
      const connection = new ManualConnection()
      const failing = yield* Effect.fork(
        Effect.flip(Effect.provide(Handle.connect({ ...config, handshakeTimeout: "800 millis" }), over(connection)))
      )
      yield* settle
      connection.arrive(newstyleGreeting(3))
      yield* settle
      connection.arrive(optionReply(opt.GO, rep.ERR_UNKNOWN))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(failing)).toMatchObject({ _tag: "NbdExportUnknownError" })
    }))
})

describe("the engine", () => {
  it("forgets an abandoned command that waits for its turn, wherever in the queue it stands", () => {
    const { engine, submit } = transmission({ limits: { requests: 1 } })
    submit({ name: "read", length: 1 })
    submit({ name: "read", length: 1 })
    for (let count = 0; count < 5000; count++) {
      engine.abandon(submit({ name: "write", length: 4, payload: new Uint8Array(4) }))
    }
    expect(engine.requestsQueued).toBe(1)
  })

  it("fails the read alone whose memory was transferred meanwhile", () => {
    const { connection, ends, outcomes, submit } = transmission({ replyStyle: "Simple" })
    const destination = new Uint8Array(16)
    submit({ name: "read", length: 16, destination })
    const neighbour = submit({ name: "read", length: 16 })
    structuredClone(destination, { transfer: [destination.buffer] })
    for (const cookie of [1, 2]) {
      connection.arrive(concat(u32(0x67446698, 0, 0, cookie), new Uint8Array(16).fill(cookie)))
    }
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError" }, "ok"])
    expect(neighbour.destination).toStrictEqual(new Uint8Array(16).fill(2))
    expect(ends).toHaveLength(0)
  })
})
