/**
 * How a handle lives and ends: in every state a scope can close in, against every silence a server can fall into.
 */
import { Handle, Transport } from "@effect-nbd/core"
import { encodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { HandshakeFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeNewstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import { FakeServer, ScriptedServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

const server = FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576 }, { name: "other", size: 512 }] })
const connect = Handle.connect({ exportName: "disk" })

/** Lets every fiber and microtask run that can. */
const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow(), { discard: true })

const endings = Effect.flatMap(
  FakeServer.FakeServer,
  ({ awaitEnds }) => Effect.map(awaitEnds(1), ([end]) => end?.ending._tag)
)

describe("closing the scope", () => {
  it.effect("leaves nothing in the fiber that connects again and again", () =>
    Effect.gen(function*() {
      /** How many values the fiber keeps of all its refs, former ones with them. */
      const kept = Effect.map(
        Effect.getFiberRefs,
        ({ locals }) => [...locals.values()].reduce((sum, values) => sum + values.length, 0)
      )
      yield* Effect.scoped(connect)
      const once = yield* kept
      for (let round = 0; round < 10; round++) yield* Effect.scoped(connect)
      expect(yield* kept).toBe(once)
    }).pipe(Effect.provide(server)))

  it.scoped("of a handle that has not connected leaves it shut down", () =>
    Effect.gen(function*() {
      const handle = yield* Effect.scoped(Handle.make())
      expect(yield* handle.isClosed).toBe(true)
    }))

  it.scoped("while the transport opens interrupts that", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const opening = Layer.succeed(Transport.Transport, {
        target: "nowhere",
        open: Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      })
      const handle = yield* Effect.scoped(
        Effect.tap(Handle.make(), ({ startConnect }) => Effect.zipRight(Effect.provide(startConnect, opening), settle))
      )
      yield* Deferred.await(interrupted)
      expect(yield* handle.isClosed).toBe(true)
    }))

  it.scoped("while the server is silent gives the connection up", () =>
    Effect.gen(function*() {
      const left = yield* Deferred.make<boolean>()
      const silent = ScriptedServer.layer(({ take }) =>
        Effect.onExit(take(1), (exit) => Deferred.succeed(left, Exit.isFailure(exit)))
      )
      yield* Effect.gen(function*() {
        const handle = yield* Effect.scoped(
          Effect.gen(function*() {
            const handle = yield* Handle.make()
            yield* handle.startConnect
            yield* settle
            expect(yield* handle.isConnecting).toBe(true)
            return handle
          })
        )
        expect(yield* handle.isClosed).toBe(true)
        expect(yield* Deferred.await(left)).toBe(true)
      }).pipe(Effect.provide(silent))
    }))

  it.scoped("while negotiating says NBD_OPT_ABORT (C-029)", () =>
    Effect.gen(function*() {
      const negotiating = yield* Effect.scoped(Handle.negotiate())
      expect((yield* negotiating.state)._tag).toBe("ShutDown")
      expect(yield* endings).toBe("Aborted")
    }).pipe(Effect.provide(server)))

  it.scoped("while connected says NBD_CMD_DISC (C-203, C-215)", () =>
    Effect.gen(function*() {
      const connected = yield* Effect.scoped(connect)
      expect((yield* connected.state)._tag).toBe("ShutDown")
      expect(yield* endings).toBe("Disconnected")
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdShutDownError" })
    }).pipe(Effect.provide(server)))

  it.scoped("with commands in flight fails each of them, and those that wait for their turn", () =>
    Effect.gen(function*() {
      const { awaitRequests, hold } = yield* FakeServer.FakeServer
      yield* hold
      const scope = yield* Scope.make()
      const connected = yield* Scope.extend(Handle.connect({ exportName: "disk", limits: { requests: 2 } }), scope)
      const reads = yield* Effect.forEach(
        [0n, 512n, 1024n, 1536n],
        (offset) => Effect.fork(Effect.flip(connected.read(offset, 512)))
      )
      yield* awaitRequests(2)
      yield* Scope.close(scope, Exit.void)
      const failures = yield* Effect.forEach(reads, Fiber.join)
      expect(failures).toMatchObject([
        { _tag: "NbdCommandLostError", offset: 0n, reason: { _tag: "NbdHandleClosedError" } },
        { _tag: "NbdCommandLostError", offset: 512n },
        { _tag: "NbdShutDownError", operation: "read" },
        { _tag: "NbdShutDownError", operation: "read" }
      ])
    }).pipe(Effect.provide(server)))
})

describe("closing the scope with replies under way", () => {
  const closing = (closeTimeout: "1 second" | 0 = "1 second") =>
    Effect.gen(function*() {
      const fake = yield* FakeServer.FakeServer
      const scope = yield* Scope.make()
      const limits = { requests: 2 }
      const connected = yield* Scope.extend(Handle.connect({ exportName: "disk", closeTimeout, limits }), scope)
      const close = Effect.fork(Scope.close(scope, Exit.void))
      return { fake, connected, close }
    })
  const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow(), { discard: true })

  it.scoped("waits for them, says goodbye behind them, and sends nothing of what waits for its turn (C-198)", () =>
    Effect.gen(function*() {
      const { close, connected, fake } = yield* closing()
      yield* fake.hold
      const reads = yield* Effect.forEach(
        [0n, 512n, 1024n],
        (offset) => Effect.fork(Effect.either(connected.read(offset, 512)))
      )
      yield* fake.awaitRequests(2)
      const closed = yield* close
      yield* settle
      expect(closed.unsafePoll()).toBe(null)
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdShutDownError" })
      expect(yield* fake.ends).toStrictEqual([])
      yield* fake.release
      yield* Fiber.join(closed)
      expect(yield* Effect.forEach(reads, Fiber.join)).toMatchObject([
        { _tag: "Right" },
        { _tag: "Right" },
        { _tag: "Left", left: { _tag: "NbdShutDownError", operation: "read" } }
      ])
      expect((yield* fake.awaitEnds(1))[0]?.ending._tag).toBe("Disconnected")
      expect((yield* fake.requests).map(({ command }) => command)).toStrictEqual(["READ", "READ", "DISC"])
      expect(yield* fake.violations).toStrictEqual([])
    }).pipe(Effect.provide(server)))

  it.scoped("also where nobody waits for them any more, and no longer than it was told (C-206)", () =>
    Effect.gen(function*() {
      const { close, connected, fake } = yield* closing()
      yield* fake.hold
      const read = yield* Effect.fork(connected.read(0n, 512))
      yield* fake.awaitRequests(1)
      yield* Fiber.interrupt(read)
      const closed = yield* close
      yield* TestClock.adjust("999 millis")
      yield* settle
      expect(closed.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closed)
      expect((yield* fake.awaitEnds(1))[0]?.ending._tag).toBe("Disconnected")
    }).pipe(Effect.provide(server)))

  it.scoped("is over when the connection is", () =>
    Effect.gen(function*() {
      const { close, connected, fake } = yield* closing()
      yield* fake.hold
      const read = yield* Effect.fork(Effect.flip(connected.read(0n, 512)))
      yield* fake.awaitRequests(1)
      const closed = yield* close
      yield* settle
      yield* fake.killAll
      yield* Fiber.join(closed)
      expect(yield* Fiber.join(read)).toMatchObject({ _tag: "NbdCommandLostError" })
      expect((yield* connected.state)._tag).toBe("Dead")
    }).pipe(Effect.provide(server)))

  it.scoped("takes no time where there are none, where the connection is dead, and where it was told so", () =>
    Effect.gen(function*() {
      const idle = yield* closing()
      yield* idle.connected.read(0n, 512)
      yield* Fiber.join(yield* idle.close)
      const dead = yield* closing()
      yield* dead.fake.hold
      const lost = yield* Effect.fork(Effect.flip(dead.connected.read(0n, 512)))
      yield* dead.fake.awaitRequests(3)
      yield* dead.fake.killAll
      yield* Fiber.join(lost)
      yield* Fiber.join(yield* dead.close)
      const hasty = yield* closing(0)
      const read = yield* Effect.fork(Effect.flip(hasty.connected.read(0n, 512)))
      yield* hasty.fake.awaitRequests(4)
      yield* Fiber.join(yield* hasty.close)
      expect(yield* Fiber.join(read)).toMatchObject({ reason: { _tag: "NbdHandleClosedError" } })
    }).pipe(Effect.provide(server)))
})

describe("a silent server", () => {
  it.scoped("does not keep the handshake for ever, whenever it falls silent (C-206, H-005)", () =>
    Effect.gen(function*() {
      const greeting = encodeNewstyleGreeting(HandshakeFlags(3))
      for (const cutAfter of [0, 1, 17, 18]) {
        const silent = ScriptedServer.layer(
          ScriptedServer.play([ScriptedServer.sends(greeting)], { cutAfter, finale: "Silence" })
        )
        const handle = yield* Handle.make({ handshakeTimeout: "3 seconds" })
        const failure = yield* Effect.fork(Effect.flip(Effect.provide(handle.connect, silent)))
        yield* settle
        yield* TestClock.adjust("2999 millis")
        expect((yield* handle.state)._tag).toBe("Connecting")
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(failure)
        expect(error).toMatchObject({ _tag: "NbdHandshakeTimeoutError", received: cutAfter })
        expect(error.message.includes("an NBD server speaks first")).toBe(cutAfter === 0)
        expect(yield* handle.state).toMatchObject({ _tag: "Dead", reason: { _tag: "NbdHandshakeTimeoutError" } })
      }
    }))

  it.scoped("does not keep it either by one byte now and then (H-006)", () =>
    Effect.gen(function*() {
      const greeting = encodeNewstyleGreeting(HandshakeFlags(3))
      const dripping = ScriptedServer.layer(({ send }) =>
        Effect.forEach(greeting, (byte) => Effect.zipRight(Effect.sleep("1 second"), send(Uint8Array.of(byte))), {
          discard: true
        })
      )
      const failure = yield* Effect.fork(
        Effect.flip(Effect.provide(Handle.connect({ handshakeTimeout: "10 seconds" }), dripping))
      )
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(failure)).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
    }))

  it.scoped("that keeps the connection open after goodbye is left a second later (C-201, H-097)", () =>
    Effect.gen(function*() {
      const connected = yield* Handle.connect()
      const ending = yield* Effect.fork(connected.shutdown)
      yield* settle
      expect((yield* connected.state)._tag).toBe("ShutDown")
      expect(yield* Fiber.poll(ending)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      expect((yield* connected.state)._tag).toBe("ShutDown")
    }).pipe(Effect.provide(ScriptedServer.layer(ScriptedServer.play([
      ScriptedServer.sends(encodeNewstyleGreeting(HandshakeFlags(0))),
      ScriptedServer.takes(4 + 16),
      ScriptedServer.sends(encodeExportNameReply({ exportSize: 512n, flags: TransmissionFlags(1) }, false)),
      ScriptedServer.takes(28)
    ], { finale: "Silence" })))))

  it.scoped("does not answer an option for ever: the handle dies of it", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ requestStructuredReplies: false, handshakeTimeout: "5 seconds" })
      const listing = yield* Effect.fork(Effect.flip(negotiating.list))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(listing)).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
      expect(yield* Effect.flip(negotiating.list)).toMatchObject({ _tag: "NbdHandleDeadError" })
    }).pipe(Effect.provide(ScriptedServer.layer(
      ScriptedServer.play([ScriptedServer.sends(encodeNewstyleGreeting(HandshakeFlags(3)))], { finale: "Silence" })
    ))))
})

describe("a handle that this side shuts down", () => {
  const refusal = { _tag: "NbdShutDownError", by: "Client" }

  it.scoped("by shutdown says so, even if the server closes first afterwards", () =>
    Effect.gen(function*() {
      const { disconnectAll } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* connected.shutdown
      yield* disconnectAll
      expect(yield* Effect.flip(connected.flush)).toMatchObject(refusal)
    }).pipe(Effect.provide(server)))

  it.scoped("by abort says so", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      yield* negotiating.abort
      expect(yield* Effect.flip(negotiating.list)).toMatchObject(refusal)
    }).pipe(Effect.provide(server)))

  it.effect("by the end of its scope says so, connected or not", () =>
    Effect.gen(function*() {
      const [connected, created] = yield* Effect.scoped(Effect.all([connect, Handle.make()]))
      expect(yield* Effect.flip(connected.flush)).toMatchObject(refusal)
      expect(yield* Effect.flip(created.flush)).toMatchObject(refusal)
    }).pipe(Effect.provide(server)))
})

describe("a server that leaves", () => {
  it.scoped("between two options kills the handle at once", () =>
    Effect.gen(function*() {
      const { killAll } = yield* FakeServer.FakeServer
      const negotiating = yield* Handle.negotiate()
      yield* killAll
      expect(yield* negotiating.awaitState("Dead", "ShutDown")).toMatchObject({ _tag: "Dead" })
    }).pipe(Effect.provide(server)))

  it.scoped("while nothing is in flight shuts the handle down", () =>
    Effect.gen(function*() {
      const { disconnectAll } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* disconnectAll
      expect(yield* connected.awaitState("Dead", "ShutDown")).toMatchObject({ _tag: "ShutDown", by: "Server" })
      expect(yield* Effect.flip(connected.flush)).toMatchObject({ _tag: "NbdShutDownError", by: "Server" })
    }).pipe(Effect.provide(server)))

  it.scoped("with ESHUTDOWN is left in order: that command fails, and no other is sent (C-162)", () =>
    Effect.gen(function*() {
      const { onRequest } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* onRequest(() => Steering.fail("ESHUTDOWN", { message: "going down" }))
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({
        _tag: "NbdCommandError",
        errno: "ESHUTDOWN",
        serverMessage: "going down"
      })
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdShutDownError", by: "Server" })
      expect(yield* endings).toBe("Disconnected")
    }).pipe(Effect.provide(server)))

  it.scoped("with NBD_REP_ERR_SHUTDOWN is left in order (C-037, H-051)", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      expect(yield* Effect.flip(negotiating.list)).toMatchObject({
        _tag: "NbdOptionRefusedError",
        option: "NBD_OPT_LIST",
        reply: "NBD_REP_ERR_SHUTDOWN"
      })
      expect(yield* negotiating.state).toMatchObject({ _tag: "ShutDown", by: "Server" })
      expect(yield* Effect.flip(negotiating.list)).toMatchObject({ _tag: "NbdShutDownError", by: "Server" })
      expect(yield* endings).toBe("Aborted")
    }).pipe(Effect.provide(FakeServer.layer({ exports: [], refuse: { LIST: "ERR_SHUTDOWN" } }))))
})

describe("interruption", () => {
  it.scoped("of a connect in the middle of the handshake gives the connection up", () =>
    Effect.gen(function*() {
      const silent = ScriptedServer.layer(() => Effect.never)
      const handle = yield* Handle.make()
      const connecting = yield* Effect.fork(Effect.provide(handle.connect, silent))
      yield* settle
      yield* Fiber.interrupt(connecting)
      expect(yield* handle.state).toMatchObject({ _tag: "Dead", reason: { _tag: "NbdConnectInterruptedError" } })
    }))

  it.scoped("of a connect before anything was opened lets the handle connect again", () =>
    Effect.gen(function*() {
      const opening = Layer.succeed(Transport.Transport, { target: "nowhere", open: Effect.never })
      const handle = yield* Handle.make({ exportName: "disk" })
      const connecting = yield* Effect.fork(Effect.provide(handle.connect, opening))
      yield* settle
      yield* Fiber.interrupt(connecting)
      expect(yield* handle.isCreated).toBe(true)
      yield* handle.connect
      expect(yield* handle.isReady).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scoped("of an option that was sent does not confuse the next one", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ requestExtendedHeaders: false })
      const asking = yield* Effect.fork(negotiating.info("other"))
      yield* Effect.flatMap(FakeServer.FakeServer, ({ awaitOptions }) => awaitOptions(2))
      yield* Fiber.interrupt(asking)
      expect((yield* negotiating.info("disk")).size).toBe(1_048_576n)
      expect((yield* negotiating.go("disk")).export.size).toBe(1_048_576n)
    }).pipe(Effect.provide(server)))

  it.scoped("of a go that succeeds all the same leaves the handle connected", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ optMode: true, requestExtendedHeaders: false })
      yield* handle.connect
      const going = yield* Effect.fork(handle.go("disk"))
      yield* Effect.flatMap(FakeServer.FakeServer, ({ awaitOptions }) => awaitOptions(2))
      yield* Fiber.interrupt(going)
      expect((yield* handle.awaitState("Connected", "Dead"))._tag).toBe("Connected")
      expect(yield* handle.read(0n, 4)).toStrictEqual(new Uint8Array(4))
    }).pipe(Effect.provide(server)))

  it.scoped("of a read that the server has not answered leaves its cookie in flight until it does (C-127, C-206)", () =>
    Effect.gen(function*() {
      const { awaitRequests, hold, release } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* hold
      const read = yield* Effect.fork(connected.read(0n, 512))
      yield* awaitRequests(1)
      yield* Fiber.interrupt(read)
      expect(yield* connected.inFlight).toBe(1)
      yield* release
      yield* connected.write(0n, Uint8Array.of(7))
      expect(yield* connected.inFlight).toBe(0)
      expect(yield* connected.read(0n, 1)).toStrictEqual(Uint8Array.of(7))
    }).pipe(Effect.provide(server)))
})

describe("two fibers", () => {
  it.scoped("that go at once: the second is told that the first was faster", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      const outcomes = yield* Effect.all([
        Effect.either(negotiating.go("disk")),
        Effect.either(negotiating.go("other"))
      ], {
        concurrency: "unbounded"
      })
      expect(outcomes.map(({ _tag }) => _tag)).toStrictEqual(["Right", "Left"])
      expect(outcomes[1]).toMatchObject({ left: { _tag: "NbdAlreadyConnectedError", operation: "go" } })
    }).pipe(Effect.provide(server)))

  it.scoped("that connect at once: the second is refused, and the server sees one connection", () =>
    Effect.gen(function*() {
      const { sessions } = yield* FakeServer.FakeServer
      const handle = yield* Handle.make({ exportName: "disk" })
      const outcomes = yield* Effect.all([Effect.either(handle.connect), Effect.either(handle.connect)], {
        concurrency: 2
      })
      expect(outcomes.map(({ _tag }) => _tag)).toStrictEqual(["Right", "Left"])
      expect(outcomes[1]).toMatchObject({ left: { _tag: "NbdStillConnectingError", operation: "connect" } })
      expect(yield* sessions).toBe(1)
    }).pipe(Effect.provide(server)))
})

describe("the export to enter", () => {
  /** The same server, by a target that names an export, as a URI does. */
  const named = Layer.effect(
    Transport.Transport,
    Effect.map(FakeServer.FakeServer, (server) => ({ ...FakeServer.transport(server), exportName: "other" }))
  )

  it.scoped("is the transport's when the config names none", () =>
    Effect.gen(function*() {
      expect((yield* Handle.connect()).export.name).toBe("other")
      const negotiating = yield* Handle.negotiate()
      expect((yield* negotiating.info()).name).toBe("other")
      expect((yield* negotiating.go()).export.size).toBe(512n)
    }).pipe(Effect.provide(named), Effect.provide(server)))

  it.scoped("is the config's when it names one, be it the empty one", () =>
    Effect.gen(function*() {
      expect((yield* Handle.connect({ exportName: "disk" })).export.name).toBe("disk")
      expect((yield* Handle.connect({ exportName: "" })).export.size).toBe(1_048_576n)
      const negotiating = yield* Handle.negotiate({ exportName: "disk" })
      expect((yield* negotiating.go()).export.name).toBe("disk")
    }).pipe(Effect.provide(named), Effect.provide(server)))
})

describe("as a service", () => {
  it.effect("a connected handle lives as long as its layer", () =>
    Effect.gen(function*() {
      const size = yield* Effect.map(Handle.Connected, (connected) => connected.export.size).pipe(
        Effect.provide(Handle.layer({ exportName: "disk" }))
      )
      expect(size).toBe(1_048_576n)
      expect(yield* endings).toBe("Disconnected")
    }).pipe(Effect.provide(server)))
})
