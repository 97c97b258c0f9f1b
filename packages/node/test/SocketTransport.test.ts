import { Transport } from "@effect-nbd/core/Transport"
import * as SocketTransport from "@effect-nbd/node/SocketTransport"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Socket from "@effect/platform/Socket"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as net from "node:net"
import { digest, freePort, handles, listen, pattern, record, Recorder, turns } from "./Peers.ts"

const mebibyte = 1_048_576
const target = "a socket"

/** A listener, and the transport to it by a socket of the platform. */
const listening = (onSocket: (socket: net.Socket) => void, options?: Partial<SocketTransport.Options>) =>
  Effect.map(listen(onSocket, { allowHalfOpen: true }), (listener) => ({
    ...listener,
    transport: SocketTransport.make(NodeSocket.makeNet({ host: "127.0.0.1", port: listener.port }), {
      target,
      ...options
    })
  }))

/** A WebSocket server of which each client is `client`, and the transport to it. */
const webSocket = (client: (socket: Socket.Socket) => Effect.Effect<unknown, Socket.SocketError>) =>
  Effect.gen(function*() {
    const server = yield* NodeSocketServer.makeWebSocket({ host: "127.0.0.1", port: 0 })
    yield* Effect.forkScoped(server.run((socket) => Effect.ignore(client(socket))))
    const url = `ws://127.0.0.1:${server.address._tag === "TcpAddress" ? server.address.port : 0}`
    return yield* Effect.provide(
      Transport,
      Layer.provide(
        SocketTransport.layer(Socket.makeWebSocket(url), { target }),
        NodeSocket.layerWebSocketConstructor
      )
    )
  })

describe("SocketTransport", () => {
  it.scopedLive("carries bytes both ways, in order", () =>
    Effect.gen(function*() {
      const sent = pattern(3 * mebibyte)
      const { transport } = yield* listening((socket) => socket.pipe(socket))
      const connection = yield* transport.open
      expect([transport.target, connection.peer]).toStrictEqual([target, target])
      const recorder = record(connection)
      for (let at = 0; at < sent.byteLength; at += 65_536) {
        if (!recorder.call(() => connection.write([sent.subarray(at, at + 10), sent.subarray(at + 10, at + 65_536)]))) {
          const { drains } = recorder
          yield* recorder.until(() => recorder.drains > drains)
        }
      }
      yield* recorder.bytes(sent.byteLength)
      expect([recorder.hash.digest("hex"), recorder.breaches]).toStrictEqual([digest(sent), 0])
      connection.endWrites()
      expect(yield* recorder.ended).toStrictEqual({ _tag: "Finished", program: undefined })
    }))

  it.scopedLive("holds what comes while the receiver says no, up to a bound", () =>
    Effect.gen(function*() {
      const flood = (socket: net.Socket): void => {
        const more = (): void => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
        }
        socket.on("drain", more)
        more()
      }
      const { transport } = yield* listening(flood, { maxUnread: mebibyte })
      const connection = yield* transport.open
      let more = false
      const recorder = record(connection, new Recorder(() => more, false))
      yield* recorder.bytes(1)
      // Its end waits behind what was kept.
      while (!(yield* Effect.map(turns(5), () => handles("TCPSocketWrap") <= 1))) yield* Effect.void
      more = true
      recorder.call(connection.resume)
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdTransportLostError", code: "ENOBUFS" }
      })
      expect(recorder.received).toBeGreaterThan(mebibyte)
      expect(recorder.received).toBeLessThan(2 * mebibyte)
    }))

  it.scopedLive("says why it cannot be opened", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const acquire = NodeSocket.makeNet({ host: "127.0.0.1", port })
      const error = yield* Effect.flip(SocketTransport.make(acquire, { target }).open)
      expect(error).toMatchObject({ _tag: "NbdStreamNotOpenedError", target, cause: { reason: "Open" } })
      const web = SocketTransport.layer(Socket.makeWebSocket(`ws://127.0.0.1:${port}`), { target })
      const { open } = yield* Effect.provide(Transport, Layer.provide(web, NodeSocket.layerWebSocketConstructor))
      expect(yield* Effect.flip(open)).toMatchObject({ _tag: "NbdStreamNotOpenedError", cause: { reason: "Open" } })
      expect(yield* Effect.flip(SocketTransport.make(Effect.fail("none"), { target }).open)).toMatchObject({
        cause: "none"
      })
    }))

  it.scopedLive("tells ends apart", () =>
    Effect.gen(function*() {
      const end = (transport: Transport["Type"]) =>
        Effect.scoped(Effect.flatMap(transport.open, (connection) => record(connection).ended))
      const { transport } = yield* listening((socket) => socket.once("data", () => socket.resetAndDestroy()))
      const connection = yield* transport.open
      connection.write([Uint8Array.of(1)])
      expect(yield* record(connection).ended).toMatchObject({ _tag: "Broken", error: { code: "ECONNRESET" } })
      const finished = yield* listening((socket) => socket.end("bye"))
      expect(yield* end(finished.transport)).toStrictEqual({ _tag: "Finished", program: undefined })
      const closing = (code: number) =>
        webSocket((socket) =>
          Effect.scoped(Effect.flatMap(socket.writer, (write) =>
            Effect.zipRight(Effect.fork(write(new Socket.CloseEvent(code))), socket.run(() => {}))))
        )
      expect(yield* end(yield* closing(1000))).toStrictEqual({ _tag: "Finished", program: undefined })
      expect(yield* end(yield* closing(1011))).toMatchObject({ _tag: "Broken", error: { code: "CLOSE_1011" } })
    }))

  it.scopedLive("drops what is written after the end", () =>
    Effect.gen(function*() {
      const { transport } = yield* listening((socket) => socket.end())
      const connection = yield* transport.open
      const recorder = record(connection)
      yield* recorder.ended
      for (let i = 0; i < 4; i++) {
        connection.write([pattern(65_536)])
        yield* turns(2)
      }
      expect([recorder.ends.length, recorder.breaches]).toStrictEqual([1, 0])
    }))

  it.scopedLive("gives the socket of the context to one connection at a time", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.pipe(socket))
      const { open } = yield* Effect.provide(
        Transport,
        Layer.provide(SocketTransport.layerSocket({ target }), NodeSocket.layerNet({ host: "127.0.0.1", port }))
      )
      for (const word of ["hello", "again"]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* open
          expect(yield* Effect.flip(open)).toMatchObject({ cause: { _tag: "NbdStreamTakenError" } })
          const recorder = record(connection)
          connection.write([Buffer.from(word)])
          yield* recorder.bytes(5)
          expect(recorder.text).toBe(word)
        }))
      }
    }))
})

describe("closing the scope", () => {
  it.scopedLive("sends what was written, and leaves no socket", () =>
    Effect.gen(function*() {
      const received = new Recorder()
      const { transport } = yield* listening((socket) => {
        socket.on("data", (bytes) => received.onBytes(bytes))
        socket.on("end", () => received.onEnd({ _tag: "Finished", program: undefined }))
      })
      yield* turns()
      const before = handles("TCPSocketWrap")
      yield* Effect.scoped(Effect.map(transport.open, (connection) => {
        connection.write([Buffer.from("good"), Buffer.from("bye")])
      }))
      yield* received.ended
      expect(received.text).toBe("goodbye")
      yield* turns()
      // That of the listener is still half open.
      expect(handles("TCPSocketWrap") - before).toBeLessThanOrEqual(1)
    }))

  it.scopedLive("leaves nothing behind when opening is interrupted", () =>
    Effect.gen(function*() {
      const { transport } = yield* listening((socket) => {
        socket.on("end", () => socket.destroy())
        socket.resume()
      })
      yield* turns(20)
      const before = handles("TCPSocketWrap")
      for (let wait = 0; wait < 8; wait++) {
        const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(transport.open, Effect.never)))
        yield* wait < 4 ? Effect.repeatN(Effect.yieldNow(), wait) : turns(wait - 3)
        yield* Fiber.interrupt(fiber)
      }
      yield* turns(20)
      expect(handles("TCPSocketWrap")).toBe(before)
    }))
})
