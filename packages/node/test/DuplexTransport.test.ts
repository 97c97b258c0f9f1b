import { Transport } from "@effect-nbd/core/Transport"
import * as DuplexTransport from "@effect-nbd/node/DuplexTransport"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as net from "node:net"
import { Duplex } from "node:stream"
import { closed, listen, record, turns } from "./Peers.ts"
import { upgraded, upgrading } from "./Streams.ts"

const connected = (port: number): Effect.Effect<net.Socket> =>
  Effect.async((resume) => {
    const socket = net.connect({ host: "127.0.0.1", port }, () => resume(Effect.succeed(socket)))
  })

const target = "a stream"

describe("DuplexTransport", () => {
  it.scopedLive("acquires a stream for each opening, in its scope", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.pipe(socket))
      class Port extends Context.Tag("Port")<Port, number>() {}
      const log: Array<string> = []
      const acquire = Effect.acquireRelease(
        Effect.tap(Effect.flatMap(Port, connected), () => log.push("acquired")),
        (socket) => Effect.sync(() => log.push(socket.destroyed ? "released after the stream" : "released before"))
      )
      const transport = yield* Transport.pipe(
        Effect.provide(DuplexTransport.layer(acquire, { target })),
        Effect.provideService(Port, port)
      )
      expect([transport.target, log.length]).toStrictEqual([target, 0])
      for (const word of ["hello", "again"]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* transport.open
          expect(connection.peer).toBe(target)
          const recorder = record(connection)
          connection.write([Buffer.from(word)])
          yield* recorder.bytes(5)
          expect(recorder.text).toBe(word)
        }))
      }
      expect(log).toStrictEqual(["acquired", "released after the stream", "acquired", "released after the stream"])
    }))

  it.scopedLive("says why there is none", () =>
    Effect.gen(function*() {
      const cause = new Error("no way")
      const transport = DuplexTransport.make(Effect.fail(cause), { target })
      const error = yield* Effect.flip(transport.open)
      expect(error).toMatchObject({ _tag: "NbdStreamNotOpenedError", target, cause })
      expect(error.message).toBe("cannot open a stream: no way")
      const text = yield* Effect.flip(DuplexTransport.make(Effect.fail("nothing"), { target }).open)
      expect(text.message).toBe("cannot open a stream: nothing")
    }))

  it.scopedLive("opens a stream that is there already once", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.pipe(socket))
      const transport = DuplexTransport.fromDuplex(yield* connected(port), { target })
      yield* Effect.scoped(transport.open)
      expect(yield* Effect.flip(transport.open)).toMatchObject({
        _tag: "NbdStreamNotOpenedError",
        cause: { _tag: "NbdStreamTakenError" }
      })
    }))

  it.scopedLive("tells of a stream that has ended already", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.pipe(socket))
      const socket = yield* connected(port)
      socket.destroy()
      yield* closed(socket)
      const connection = yield* DuplexTransport.fromDuplex(socket, { target }).open
      expect(yield* record(connection).ended).toMatchObject({ _tag: "Broken" })
    }))

  it.scopedLive("keeps what came with the answer of an HTTP server, and takes its refusal for one", () =>
    Effect.gen(function*() {
      const port = yield* upgrading((stream) => stream.end("NBDMAGIC"))
      const connection = yield* DuplexTransport.make(upgraded(port), { target }).open
      const recorder = record(connection)
      yield* recorder.ended
      expect(recorder.text).toBe("NBDMAGIC")
      const refusing = yield* upgrading(() => {}, 403)
      expect(yield* Effect.flip(DuplexTransport.make(upgraded(refusing), { target }).open)).toMatchObject({
        _tag: "NbdStreamNotOpenedError",
        cause: { status: 403 }
      })
    }))
})

describe("closing the scope", () => {
  it.scopedLive("sends what was written, and destroys the stream", () =>
    Effect.gen(function*() {
      let received = ""
      const listener = yield* listen((socket) => socket.on("data", (bytes) => received += bytes.toString()))
      const socket = yield* connected(listener.port)
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* DuplexTransport.fromDuplex(socket, { target }).open
        connection.write([Buffer.from("good"), Buffer.from("bye")])
      }))
      expect(socket.closed).toBe(true)
      yield* closed(yield* Effect.promise(() => listener.accepted))
      expect(received).toBe("goodbye")
    }))

  it.scopedLive("waits only so long for a stream that does not take what was written, or does not close", () =>
    Effect.gen(function*() {
      const streams = [
        new Duplex({ read: () => {}, write: () => {} }),
        new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done(), emitClose: false }),
        new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done(), destroy: () => {} })
      ]
      for (const stream of streams) {
        const from = performance.now()
        yield* Effect.scoped(Effect.map(DuplexTransport.fromDuplex(stream, { target }).open, (connection) => {
          connection.write([Uint8Array.of(1)])
        }))
        expect(stream.destroyed).toBe(true)
        expect(performance.now() - from).toBeLessThan(3000)
      }
    }))

  it.scopedLive("releases a stream whose opening is interrupted", () =>
    Effect.gen(function*() {
      let held = 0
      const acquire = Effect.acquireRelease(
        Effect.sync(() => {
          held++
          return new Duplex({ read: () => {} })
        }),
        () => Effect.sync(() => held--)
      )
      for (let wait = 0; wait < 6; wait++) {
        const transport = DuplexTransport.make(Effect.zipLeft(acquire, Effect.yieldNow()), { target })
        const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(transport.open, Effect.never)))
        yield* wait < 4 ? Effect.repeatN(Effect.yieldNow(), wait) : turns(wait - 3)
        yield* Fiber.interrupt(fiber)
        expect(held).toBe(0)
      }
    }))
})
