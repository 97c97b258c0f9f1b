/**
 * Connections with TLS between them, and Node's own TLS on the other end. Pre-shared keys do for it.
 */
import type { Psk, ServerPsk, TlsSettings } from "@effect-nbd/core/Tls"
import type { Connection, TlsUpgrade } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as SocketConnection from "@effect-nbd/node/SocketConnection"
import * as TlsContext from "@effect-nbd/node/TlsContext"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as path from "node:path"
import * as tls from "node:tls"
import { folder, listen, pattern } from "./Peers.ts"

export interface Encrypted {
  readonly connection: Connection
  readonly peer: tls.TLSSocket
}

export const secret = pattern(32)
export const client: Psk = { _tag: "Psk", username: "alice", key: Redacted.make(secret) }
export const server: ServerPsk = {
  _tag: "Psk",
  keyOf: (username) => username === "alice" ? Redacted.make(secret) : undefined
}
export const required: TlsSettings = { mode: "Require", credentials: client }
export const options = { ciphers: TlsContext.pskCiphers, minVersion: "TLSv1.2" } as const

export const prepared = (connection: Connection, settings = required): TlsUpgrade =>
  Effect.orDie(connection.prepareTls?.(settings) ?? Effect.dieMessage("no TLS")).pipe(Effect.flatten)
export const accept = (connection: Connection) =>
  connection.acceptTls?.({ credentials: server }) ?? Effect.dieMessage("no TLS")

/** A client's connection and the socket that was accepted, before TLS. */
export const plain = (network: "unix" | "tcp") =>
  Effect.gen(function*() {
    const file = path.join(yield* folder, "s")
    const listener = yield* listen(() => {}, {
      ...(network === "unix" ? { path: file } : {}),
      allowHalfOpen: true,
      pauseOnConnect: true
    })
    const address = network === "unix" ? { path: file } : { host: "127.0.0.1", port: listener.port }
    const connection = yield* Effect.orDie(SocketConnection.open(address, "server"))
    const raw = yield* Effect.promise(() => listener.accepted)
    return { connection, raw }
  })

/** What Node's own server has of an accepted socket, once hands are shaken. */
export const serving = (raw: net.Socket): Promise<tls.TLSSocket> =>
  new Promise((resolve) => {
    const listener = tls.createServer({ ...options, pskCallback: () => secret })
    listener.once("secureConnection", resolve)
    listener.emit("connection", raw)
  })

/** Node's own server on the other end. */
export const asClient = (
  network: "unix" | "tcp",
  settings: TlsSettings = required
): Effect.Effect<Encrypted, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { connection, raw } = yield* plain(network)
    const served = serving(raw)
    const encrypted = yield* Effect.orDie(prepared(connection, settings))
    const peer = yield* Effect.promise(() => served)
    return { connection: encrypted, peer: peer.pause().on("error", () => {}) }
  })

/** Node's own client on the other end. */
export const asServer: Effect.Effect<Encrypted, never, Scope.Scope> = Effect.gen(function*() {
  const file = path.join(yield* folder, "s")
  const listener = yield* listen(() => {}, { path: file, allowHalfOpen: true, pauseOnConnect: true })
  const raw = yield* Effect.acquireRelease(
    Effect.sync(() => net.connect({ path: file, allowHalfOpen: true }).on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const socket = yield* Effect.promise(() => listener.accepted)
  const connection = DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "client" })
  const peer = tls.connect({
    ...options,
    socket: raw,
    pskCallback: () => ({ identity: "alice", psk: secret }),
    checkServerIdentity: () => undefined
  }).pause().on("error", () => {})
  return { peer, connection: yield* Effect.orDie(accept(connection)) }
})
