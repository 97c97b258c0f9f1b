import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as SocketConnection from "@effect-nbd/node/SocketConnection"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as path from "node:path"
import { type Joined, keepsThePromises, mebibyte } from "./ConnectionContract.ts"
import { closed, folder, handles, listen, pattern, record, Recorder, turns } from "./Peers.ts"

const unixSocket: Effect.Effect<Joined, never, Scope.Scope> = Effect.gen(function*() {
  const file = path.join(yield* folder, "s")
  const listener = yield* listen(() => {}, { path: file, allowHalfOpen: true, pauseOnConnect: true })
  const connection = yield* Effect.orDie(SocketConnection.open({ path: file }, "unix test"))
  return { connection, peer: yield* Effect.promise(() => listener.accepted) }
})

const tcpSocket: Effect.Effect<Joined, never, Scope.Scope> = Effect.gen(function*() {
  const listener = yield* listen(() => {}, { allowHalfOpen: true, pauseOnConnect: true })
  const connection = yield* Effect.orDie(SocketConnection.open({ host: "127.0.0.1", port: listener.port }, "tcp test"))
  return { connection, peer: yield* Effect.promise(() => listener.accepted) }
})

const accepted: Effect.Effect<Joined, never, Scope.Scope> = Effect.gen(function*() {
  const file = path.join(yield* folder, "s")
  const listener = yield* listen(() => {}, { path: file, allowHalfOpen: true, pauseOnConnect: true })
  const peer = yield* Effect.acquireRelease(
    Effect.sync(() => net.connect({ path: file, allowHalfOpen: true }).pause().on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const socket = yield* Effect.promise(() => listener.accepted)
  return { peer, connection: DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "accepted" }) }
})

const pair: Effect.Effect<Joined, never, Scope.Scope> = Effect.gen(function*() {
  const file = path.join(yield* folder, "s")
  const listener = yield* listen(() => {}, { path: file, allowHalfOpen: true, pauseOnConnect: true })
  const socket = yield* Effect.acquireRelease(
    Effect.async<net.Socket>((resume) => {
      const socket = net.connect({ path: file, allowHalfOpen: true }, () => resume(Effect.succeed(socket))).pause()
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const peer = yield* Effect.promise(() => listener.accepted)
  return { peer, connection: DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "pair" }) }
})

keepsThePromises("SocketConnection over a Unix socket", unixSocket, { places: true })
keepsThePromises("SocketConnection over TCP", tcpSocket, { places: true })
keepsThePromises("DuplexConnection of an accepted socket", accepted)
keepsThePromises("DuplexConnection of a client socket", pair)

describe("SocketConnection", () => {
  it.scopedLive("has the system send small writes at once, over TCP (C-006)", () =>
    Effect.gen(function*() {
      const switches = vi.spyOn(net.Socket.prototype, "setNoDelay")
      yield* Effect.addFinalizer(() => Effect.sync(() => switches.mockRestore()))
      yield* tcpSocket
      expect(switches.mock.calls).toStrictEqual([[true]])
      yield* unixSocket
      expect(switches).toHaveBeenCalledTimes(1)
    }))

  it.scopedLive("reads a peer's last words although a write failed before them", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* unixSocket
      peer.end("no such export", () => peer.destroy())
      yield* closed(peer)
      connection.write([Buffer.from("a"), Buffer.from("b")])
      yield* turns(20)
      connection.write([Buffer.from("c")])
      const recorder = record(connection)
      expect((yield* recorder.ended)._tag).toBe("Finished")
      expect(recorder.text).toBe("no such export")
      connection.close()
    }))

  it.scopedLive("tells a reset from an end", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* tcpSocket
      const recorder = record(connection)
      peer.resetAndDestroy()
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdTransportLostError", peer: "tcp test", code: "ECONNRESET" }
      })
      connection.close()
    }))

  it.scopedLive("sends what was written when its scope closes, also with bytes unread", () =>
    Effect.gen(function*() {
      for (const unread of [0, mebibyte]) {
        const listener = yield* listen(() => {}, { allowHalfOpen: true })
        const chunks: Array<Buffer> = []
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* SocketConnection.open({ host: "127.0.0.1", port: listener.port }, "tcp test")
          const peer = yield* Effect.promise(() => listener.accepted)
          peer.on("data", (chunk) => chunks.push(chunk))
          const recorder = record(connection, new Recorder(() => false))
          if (unread > 0) {
            peer.write(pattern(unread))
            yield* recorder.bytes(1)
          }
          connection.write([pattern(4 * mebibyte), Buffer.from("disconnect")])
        }))
        const [peer] = listener.sockets
        if (peer === undefined) throw new Error("nothing was accepted")
        if (!peer.readableEnded) yield* Effect.promise(() => new Promise((resolve) => peer.once("end", resolve)))
        expect(Buffer.concat(chunks).subarray(-10).toString()).toBe("disconnect")
      }
    }))

  it.scopedLive("does not wait for ever for a peer that reads nothing", () =>
    Effect.gen(function*() {
      const started = performance.now()
      yield* Effect.scoped(Effect.gen(function*() {
        const { connection } = yield* unixSocket
        const recorder = record(connection)
        while (connection.write([pattern(mebibyte)])) yield* turns(1)
        return recorder
      }))
      expect(performance.now() - started).toBeLessThan(3_000)
    }))

  it.scopedLive("leaves no handle behind", () =>
    Effect.gen(function*() {
      const listener = yield* listen((socket) => socket.resume(), { allowHalfOpen: false })
      yield* turns(20)
      const before = handles("TCPSocketWrap")
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* SocketConnection.open({ host: "127.0.0.1", port: listener.port }, "tcp test")
          connection.write([pattern(1000)])
          if (round % 2 === 0) connection.close()
        }))
      }
      for (const socket of listener.sockets) yield* closed(socket)
      expect(handles("TCPSocketWrap")).toBe(before)
    }))
})
