/**
 * TLS as somebody on the wire sees it: which versions are offered, and that the end is said.
 */
import type { Psk } from "@effect-nbd/core/Tls"
import type { Connection } from "@effect-nbd/core/Transport"
import * as SocketConnection from "@effect-nbd/node/SocketConnection"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as path from "node:path"
import * as tls from "node:tls"
import { closed, folder, listen, pattern, record } from "./Peers.ts"

const psk = pattern(32)
const credentials: Psk = { _tag: "Psk", username: "alice", key: Redacted.make(psk) }
const recordType = { handshake: 22, alert: 21, data: 23 }

interface Tapped {
  readonly connection: Connection
  /** What the client has sent, chunk by chunk. */
  readonly sent: ReadonlyArray<Buffer>
  /** The client's socket, as it was accepted. */
  readonly near: Promise<net.Socket>
  readonly server: Promise<tls.TLSSocket>
}

/** A connection to Node's own TLS server, through somebody who reads along. */
const tapped: Effect.Effect<Tapped, never, Scope.Scope> = Effect.gen(function*() {
  const folderOf = yield* folder
  const [file, tap] = [path.join(folderOf, "server"), path.join(folderOf, "tap")]
  const listener = tls.createServer({ minVersion: "TLSv1.2", ciphers: "PSK", pskCallback: () => psk })
  const server = new Promise<tls.TLSSocket>((resolve) => listener.once("secureConnection", resolve))
  yield* listen((raw) => void listener.emit("connection", raw), { path: file })
  const sent: Array<Buffer> = []
  const { accepted } = yield* listen((near) => {
    const far = net.connect(file)
    near.on("data", (chunk: Buffer) => sent.push(chunk)).pipe(far).on("error", () => {}).pipe(near)
  }, { path: tap })
  const connection = yield* Effect.orDie(SocketConnection.open({ path: tap }, "server"))
  return { connection, sent, near: accepted, server }
})

const encrypted = (connection: Connection, maximumVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3") =>
  Effect.orDie(
    connection.prepareTls?.({ mode: "Require", credentials, maximumVersion }) ?? Effect.dieMessage("no TLS")
  ).pipe(Effect.flatten, Effect.orDie)

/** The versions of a ClientHello (RFC 8446, section 4.1.2): its extension 43, without which it is what its field says. */
const versionsOffered = (hello: Buffer): ReadonlyArray<number> => {
  // Behind the headers of record and message: version, random, session, cipher suites, compression methods.
  let at = 5 + 4
  const field = hello.readUInt16BE(at)
  at += 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const end = at + 2 + hello.readUInt16BE(at)
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) !== 43) continue
    return Array.from({ length: hello.readUInt8(at + 4) / 2 }, (_, index) => hello.readUInt16BE(at + 5 + index * 2))
  }
  return [field]
}

describe("TLS on the wire", () => {
  it.scopedLive("is offered in versions 1.3 and 1.2, and in none below (C-080, C-081, C-082)", () =>
    Effect.gen(function*() {
      const { connection, sent, server } = yield* tapped
      yield* encrypted(connection)
      const [hello = Buffer.alloc(0)] = sent
      expect(hello[0]).toBe(recordType.handshake)
      expect(versionsOffered(hello).toSorted((a, b) => a - b)).toStrictEqual([0x0303, 0x0304])
      expect((yield* Effect.promise(() => server)).getProtocol()).toBe("TLSv1.3")
    }))

  it.scopedLive("is 1.2 where no more is wanted (C-080)", () =>
    Effect.gen(function*() {
      const { connection, sent, server } = yield* tapped
      yield* encrypted(connection, "TLSv1.2")
      expect(versionsOffered(sent[0] ?? Buffer.alloc(0))).toStrictEqual([0x0303])
      expect((yield* Effect.promise(() => server)).getProtocol()).toBe("TLSv1.2")
    }))

  it.scopedLive("ends with its own goodbye when the connection is dropped, as after a breach (C-033)", () =>
    Effect.gen(function*() {
      const { connection, near, sent, server } = yield* tapped
      const secret = yield* encrypted(connection, "TLSv1.2")
      const peer = yield* Effect.promise(() => server)
      peer.write("nonsense")
      yield* record(secret).bytes(8)
      secret.close()
      yield* closed(yield* Effect.promise(() => near))
      expect(sent.at(-1)?.[0]).toBe(recordType.alert)
    }))
})
