/**
 * Connections under TLS: the seam's promises, both ends ours, and what goes wrong on the way there. Pre-shared keys do
 * for it: nothing here is about certificates.
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { TlsSettings } from "@effect-nbd/core/Tls"
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as OnreadTls from "@effect-nbd/node/OnreadTls"
import * as SocketConnection from "@effect-nbd/node/SocketConnection"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as net from "node:net"
import { Duplex, PassThrough } from "node:stream"
import { keepsThePromises, mebibyte } from "./ConnectionContract.ts"
import { closed, digest, handles, listen, pattern, record, Recorder, turns } from "./Peers.ts"
import { accept, asClient, asServer, client, plain, prepared, required, serving } from "./TlsPairs.ts"

/** Both ends ours, over streams that are no sockets. */
const crossed = (): readonly [Duplex, Duplex] => {
  const up = new PassThrough()
  const down = new PassThrough()
  return [Duplex.from({ readable: down, writable: up }), Duplex.from({ readable: up, writable: down })]
}

keepsThePromises("a client under TLS 1.3 over a Unix socket", asClient("unix"), { peerBuffers: true })
keepsThePromises("a client under TLS 1.2 over TCP", asClient("tcp", { ...required, maximumVersion: "TLSv1.2" }), {
  peerBuffers: true
})
keepsThePromises("a server under TLS", asServer, { peerBuffers: true })

describe("TLS with both ends ours", () => {
  const both = (
    [near, far]: readonly [Duplex, Duplex],
    settings = required
  ): Effect.Effect<readonly [Connection, Connection], unknown> => {
    const ours = DuplexConnection.fromStreams({ readable: near, writable: near, peer: "server" })
    const theirs = DuplexConnection.fromStreams({ readable: far, writable: far, peer: "client" })
    return Effect.all([prepared(ours, settings), accept(theirs)], { concurrency: 2 })
  }

  it.live("carries megabytes both ways at once, over streams that are no sockets", () =>
    Effect.gen(function*() {
      const connections = yield* both(crossed())
      const sent = [pattern(5 * mebibyte + 3), pattern(3 * mebibyte + 1)] as const
      const recorders = connections.map((connection) => record(connection, new Recorder(() => true, false)))
      for (const [index, connection] of connections.entries()) {
        const bytes = sent[index === 0 ? 0 : 1]
        connection.write([bytes.subarray(0, mebibyte), bytes.subarray(mebibyte)])
      }
      for (const [index, recorder] of recorders.entries()) {
        const bytes = sent[index === 0 ? 1 : 0]
        yield* recorder.bytes(bytes.byteLength)
        expect([recorder.received, recorder.hash.digest("hex")]).toStrictEqual([bytes.byteLength, digest(bytes)])
      }
      for (const connection of connections) connection.endWrites()
      for (const recorder of recorders) {
        expect(yield* recorder.ended).toStrictEqual({ _tag: "Finished", program: undefined })
        expect(recorder.breaches).toBe(0)
      }
      for (const connection of connections) connection.close()
    }))

  it.scopedLive("is one with the pipes of a program too", () =>
    Effect.gen(function*() {
      const [up, down] = [new PassThrough(), new PassThrough()]
      const ours = DuplexConnection.fromStreams({ readable: down, writable: up, peer: "server" })
      const theirs = DuplexConnection.fromStreams({ readable: up, writable: down, peer: "client" })
      const [near, far] = yield* Effect.all([prepared(ours), accept(theirs)], { concurrency: 2 })
      const [heard, answered] = [record(far), record(near)]
      near.write([pattern(100_000)])
      yield* heard.bytes(100_000)
      far.write([pattern(50_000)])
      far.endWrites()
      yield* answered.ended
      expect([heard.hash.digest("hex"), answered.hash.digest("hex")]).toStrictEqual([
        digest(pattern(100_000)),
        digest(pattern(50_000))
      ])
      near.close()
      far.close()
      yield* turns(20)
      expect([up.destroyed, down.destroyed]).toStrictEqual([true, true])
    }))

  it.scopedLive("is ended when the key is another, or nobody knows the user", () =>
    Effect.gen(function*() {
      for (const credentials of [{ ...client, key: Redacted.make(pattern(31)) }, { ...client, username: "carol" }]) {
        for (const maximumVersion of ["TLSv1.2", "TLSv1.3"] as const) {
          const { connection, raw } = yield* plain("unix")
          const theirs = DuplexConnection.fromStreams({ readable: raw, writable: raw, peer: "client" })
          const settings: TlsSettings = { mode: "Require", credentials, maximumVersion }
          const outcomes = yield* Effect.all(
            [Effect.flip(prepared(connection, settings)), Effect.flip(accept(theirs))],
            {
              concurrency: 2
            }
          )
          expect(outcomes).toMatchObject([
            { _tag: "NbdTlsVerificationError", check: "Key", peer: "server" },
            { _tag: "NbdTlsHandshakeError", by: "Server", peer: "client" }
          ])
          yield* closed(raw)
        }
      }
    }))
})

describe("on the way into TLS", () => {
  /** What the server does with its plaintext socket, and what comes of the client's handshake. */
  const against = (serve: (raw: net.Socket) => void) =>
    Effect.gen(function*() {
      const { connection, raw } = yield* plain("unix")
      const upgrade = connection.prepareTls?.(required)
      if (upgrade === undefined) throw new Error("no TLS")
      const ready = yield* upgrade
      const recorder = record(connection)
      serve(raw.on("error", () => {}).on("end", () => raw.end()).resume())
      const error = yield* Effect.flip(ready)
      yield* turns(20)
      expect([recorder.received, recorder.ends.length]).toStrictEqual([0, 0])
      yield* closed(raw)
      return error
    })

  it.scopedLive.each(
    [
      [
        "H-067 talks on in plaintext",
        (raw: net.Socket) => raw.write("IHAVEOPT, and no TLS"),
        "ERR_SSL_WRONG_VERSION_NUMBER"
      ],
      ["talks HTTP", (raw: net.Socket) => raw.end("HTTP/1.1 400 Bad Request\r\n\r\n"), "ERR_SSL_WRONG_VERSION_NUMBER"],
      [
        "H-069 has only TLS 1.1",
        (raw: net.Socket) => raw.once("data", () => raw.write(Uint8Array.of(0x15, 3, 1, 0, 2, 2, 70))),
        "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"
      ]
    ] as const
  )("a server that %s is left", ([, serve, code]) =>
    Effect.gen(function*() {
      const error = yield* against(serve)
      expect(error).toMatchObject({
        _tag: "NbdTlsHandshakeError",
        code,
        by: code.includes("ALERT") ? "Server" : "Client",
        peer: "server"
      })
    }))

  it.scopedLive.each(
    [
      ["ends", (raw: net.Socket) => raw.end()],
      ["breaks", (raw: net.Socket) => raw.once("data", () => raw.destroy())]
    ] as const
  )("a connection that %s has failed", ([, serve]) =>
    Effect.gen(function*() {
      expect(yield* against(serve)).toMatchObject({ _tag: "NbdTlsVerificationError", check: "Key" })
    }))

  it.scopedLive("a connection that has ended before fails at once", () =>
    Effect.gen(function*() {
      const { connection, raw } = yield* plain("tcp")
      const recorder = record(connection)
      raw.end()
      yield* recorder.ended
      expect(yield* Effect.flip(prepared(connection))).toMatchObject({
        _tag: "NbdTransportLostError",
        code: "ERR_STREAM_PREMATURE_CLOSE"
      })
    }))

  it.scopedLive("H-063 plaintext that has come and was not taken is no TLS, from either side", () =>
    Effect.gen(function*() {
      const injected = yield* plain("unix")
      injected.raw.write("an option reply")
      yield* turns(20)
      expect(yield* Effect.flip(prepared(injected.connection))).toMatchObject({
        _tag: "NbdTlsHandshakeError",
        code: "ERR_SSL_WRONG_VERSION_NUMBER",
        by: "Client"
      })
      const { connection, raw } = yield* plain("unix")
      connection.write([Buffer.from("another option")])
      yield* turns(20)
      const waiting = DuplexConnection.fromStreams({ readable: raw, writable: raw, peer: "client" })
      expect(yield* Effect.flip(accept(waiting))).toMatchObject({
        _tag: "NbdTlsHandshakeError",
        code: "ERR_SSL_WRONG_VERSION_NUMBER",
        by: "Server"
      })
      yield* closed(raw)
    }))

  it.live("H-063 plaintext that waits to be told is not handed on to TLS", () =>
    Effect.gen(function*() {
      // What is written to a PassThrough comes out of it before `write` has returned, and is told later.
      const both = new PassThrough()
      const connection = DuplexConnection.fromStreams({ readable: both, writable: both, peer: "mirror" })
      const recorder = record(connection)
      yield* turns()
      connection.write([Buffer.from("an option reply")])
      expect(yield* Effect.flip(prepared(connection))).toMatchObject({
        _tag: "NbdTlsHandshakeError",
        code: "ERR_PLAINTEXT_BEFORE_TLS",
        by: "Client"
      })
      yield* turns()
      expect([recorder.received, recorder.ends.length, both.destroyed]).toStrictEqual([0, 0, true])
    }))

  it.scopedLive("H-070 an interruption leaves nothing of a handshake that stalls", () =>
    Effect.gen(function*() {
      const { connection, raw } = yield* plain("unix")
      raw.on("end", () => raw.end()).resume()
      const fiber = yield* Effect.fork(prepared(connection))
      yield* Effect.promise(() => new Promise((resolve) => raw.once("data", resolve)))
      yield* Fiber.interrupt(fiber)
      yield* closed(raw)
    }))

  it.scopedLive("the end of the scope leaves nothing of a handshake that stalls", () =>
    Effect.gen(function*() {
      const listener = yield* listen((raw) => raw.resume(), { allowHalfOpen: true })
      yield* turns(20)
      const before = handles("TCPSocketWrap", "TLSWrap")
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* SocketConnection.open({ host: "127.0.0.1", port: listener.port }, "server")
        yield* Effect.forkScoped(prepared(connection))
        const raw = yield* Effect.promise(() => listener.accepted)
        yield* Effect.promise(() => new Promise((resolve) => raw.once("data", resolve)))
      }))
      const [raw] = listener.sockets
      if (raw !== undefined) yield* closed(raw.end())
      expect(handles("TCPSocketWrap", "TLSWrap")).toBe(before)
    }))
})

describe("a TLS socket", () => {
  it.scopedLive("reads into a buffer in this Node.js", () =>
    Effect.gen(function*() {
      const { peer } = yield* asClient("unix")
      expect(OnreadTls.readInto(peer, new Uint8Array(1), () => true)).toBe(true)
      // It is told of one buffer and no other.
      expect(OnreadTls.readInto(peer, new Uint8Array(1), () => true)).toBe(false)
    }))
})

const recordType = { alert: 21, data: 23 }

describe("under TLS", () => {
  it.scopedLive("sends what was written and ends in order when its scope closes", () =>
    Effect.gen(function*() {
      const listener = yield* listen(() => {}, { allowHalfOpen: true, pauseOnConnect: true })
      const heard: Array<number | string> = []
      const peer = yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* SocketConnection.open({ host: "127.0.0.1", port: listener.port }, "server")
        const served = serving(yield* Effect.promise(() => listener.accepted))
        const encrypted = yield* prepared(connection)
        const peer = yield* Effect.promise(() => served)
        let bytes = 0
        peer.on("data", ({ byteLength }) => bytes += byteLength).on("end", () => heard.push(bytes))
        peer.on("error", ({ message }) => heard.push(message)).resume()
        const recorder = record(encrypted)
        peer.write("welcome")
        yield* recorder.bytes(7)
        encrypted.write([pattern(300_000)])
        return peer
      }))
      if (!peer.readableEnded) yield* Effect.promise(() => new Promise((resolve) => peer.once("end", resolve)))
      peer.end()
      expect(heard).toStrictEqual([300_000])
    }))

  it.scopedLive("says that it ends, and not only the stream under it (C-204)", () =>
    Effect.gen(function*() {
      const [up, down] = [new PassThrough(), new PassThrough()]
      let last: Buffer = Buffer.alloc(0)
      up.on("data", (chunk: Buffer) => last = chunk)
      const ours = DuplexConnection.fromStreams({ readable: down, writable: up, peer: "server" })
      const theirs = DuplexConnection.fromStreams({ readable: up, writable: down, peer: "client" })
      const settings: TlsSettings = { ...required, maximumVersion: "TLSv1.2" }
      const [near, far] = yield* Effect.all([prepared(ours, settings), accept(theirs)], { concurrency: 2 })
      const recorder = record(far)
      near.write([pattern(10)])
      yield* recorder.bytes(10)
      expect(last[0]).toBe(recordType.data)
      near.endWrites()
      yield* recorder.ended
      expect(last[0]).toBe(recordType.alert)
      near.close()
      far.close()
    }))

  it.scopedLive("H-072 an end without a word of TLS is an end, for the protocol to judge", () =>
    Effect.gen(function*() {
      const { connection, raw } = yield* plain("unix")
      const served = serving(raw)
      const encrypted = yield* prepared(connection)
      const peer = yield* Effect.promise(() => served)
      const recorder = record(encrypted)
      peer.write("half a rep", () => raw.end())
      expect(yield* recorder.ended).toStrictEqual({ _tag: "Finished", program: undefined })
      expect(recorder.text).toBe("half a rep")
      encrypted.close()
    }))

  it.scopedLive("H-073 that ends while replies are owed loses them once, and is over", () =>
    Effect.gen(function*() {
      const size = 65_536
      const [up, down] = crossed()
      const ours = DuplexConnection.fromStreams({ readable: up, writable: up, peer: "server" })
      const theirs = DuplexConnection.fromStreams({ readable: down, writable: down, peer: "client" })
      const [near, far] = yield* Effect.all([prepared(ours), accept(theirs)], { concurrency: 2 })
      // The end comes inside the second reply.
      const cut = Misbehaviour.at(Misbehaviour.replyCut({ after: 4000, by: "End" }), { nth: 2 })
      const server = yield* FakeServer.make({
        exports: [{ name: "", size, content: pattern(size) }],
        misbehaviours: [cut]
      })
      yield* Effect.forkScoped(server.serve(far))
      const transport = { target: "streams", open: Effect.succeed(near) }
      const connected = yield* Effect.provideService(Handle.connect(), Transport, transport)
      expect(digest(yield* connected.read(0n, 8192))).toBe(digest(pattern(size).subarray(0, 8192)))
      const outcomes = yield* Effect.forEach(
        [0n, 8192n, 16_384n],
        (offset) => Effect.flip(connected.read(offset, 8192)),
        { concurrency: "unbounded" }
      )
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ _tag: "NbdCommandLostError", reason: { _tag: "NbdServerDisconnectedError" } })
      }
      expect((yield* connected.state)._tag).toBe("Dead")
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdHandleDeadError" })
    }))

  it.scopedLive("a record that somebody has changed breaks the connection", () =>
    Effect.gen(function*() {
      const { connection, raw } = yield* plain("unix")
      const served = serving(raw)
      const encrypted = yield* prepared(connection)
      const peer = yield* Effect.promise(() => served)
      const recorder = record(encrypted)
      peer.write("good")
      yield* recorder.bytes(4)
      raw.write(Buffer.concat([Buffer.of(0x17, 3, 3, 0, 40), pattern(40)]))
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdTransportLostError", code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" }
      })
      encrypted.close()
    }))

  it.scopedLive("an end before the server's first word is its refusal, and its alert says why", () =>
    Effect.gen(function*() {
      const ended = yield* asClient("unix")
      const recorder = record(ended.connection)
      ended.peer.end()
      expect(yield* recorder.ended).toMatchObject({
        _tag: "Broken",
        error: { _tag: "NbdTlsHandshakeError", by: "Server", code: "ERR_STREAM_PREMATURE_CLOSE" }
      })
    }))

  it.scopedLive("leaves no handle behind", () =>
    Effect.gen(function*() {
      const before = handles("PipeWrap", "TLSWrap")
      for (let round = 0; round < 10; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { connection, peer } = yield* asClient("unix")
          connection.write([pattern(1000)])
          if (round % 2 === 0) connection.close()
          else peer.resume()
        }))
      }
      yield* turns(20)
      expect(handles("PipeWrap", "TLSWrap")).toBe(before)
    }))
})
