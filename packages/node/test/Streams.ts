/**
 * NBD over streams of a program's own: each layer serves streams and opens connections to them.
 */
import { DuplexConnection, DuplexTransport, SocketTransport } from "@effect-nbd/node"
import * as SocketDuplex from "@effect-nbd/node/SocketDuplex"
import { FakeServer } from "@effect-nbd/testing"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Socket from "@effect/platform/Socket"
import type * as SocketServer from "@effect/platform/SocketServer"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import * as net from "node:net"
import { type Duplex, pipeline } from "node:stream"
import { closed, listen } from "./Peers.ts"

/** What is done with the stream of a client. */
export type Serve = (duplex: Duplex) => Effect.Effect<unknown>

/** A fake server, for all of the scope. */
export const fakeDisk: Effect.Effect<Serve, never, Scope.Scope> = Effect.map(
  FakeServer.make({ exports: [{ name: "disk", size: 2_097_152 }, { name: "other", size: 512 }] }),
  (fake) => (duplex) => {
    const connection = DuplexConnection.fromStreams({ readable: duplex, writable: duplex, peer: "client" })
    return Effect.ensuring(fake.serve(connection), Effect.sync(() => connection.close()))
  }
)

/** The server of a Unix socket. */
export const bridge = (path: string): Serve => (duplex) =>
  Effect.async<void>((resume) => {
    const socket = net.connect({ path, allowHalfOpen: true })
    pipeline(duplex, socket, duplex, () => resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

const portOf = ({ address }: SocketServer.SocketServer["Type"]): number =>
  address._tag === "TcpAddress" ? address.port : 0

const serveSockets = (
  server: SocketServer.SocketServer["Type"],
  client: (socket: Socket.Socket) => Effect.Effect<unknown, Socket.SocketError>
) => Effect.as(Effect.forkScoped(server.run(client)), portOf(server))

export const overWebSocket = <E>(serving: Effect.Effect<Serve, E, Scope.Scope>) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const serve = yield* serving
    const port = yield* serveSockets(
      yield* Effect.orDie(NodeSocketServer.makeWebSocket({ host: "127.0.0.1", port: 0 })),
      (socket) => Effect.scoped(Effect.flatMap(SocketDuplex.open(socket, 67_108_864), serve))
    )
    const target = `ws://127.0.0.1:${port}`
    return Layer.provide(
      SocketTransport.layer(Socket.makeWebSocket(target), { target }),
      NodeSocket.layerWebSocketConstructor
    )
  }))

export const overNodeSocket = <E>(serving: Effect.Effect<Serve, E, Scope.Scope>) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const serve = yield* serving
    const run = yield* FiberSet.makeRuntime()
    const { port } = yield* listen((socket) => run(serve(socket)), { allowHalfOpen: true })
    return SocketTransport.layer(NodeSocket.makeNet({ host: "127.0.0.1", port }), {
      target: "a socket of the platform"
    })
  }))

export class NotUpgraded extends Data.TaggedError("NotUpgraded")<{ readonly status: number | undefined }> {}

/** The stream that an HTTP server has switched to, with what came of it right behind the answer. */
export const upgraded = (port: number): Effect.Effect<Duplex, NotUpgraded> =>
  Effect.async((resume) => {
    const request = http.request({ host: "127.0.0.1", port, headers: { Connection: "Upgrade", Upgrade: "nbd" } })
    request.on("error", () => resume(new NotUpgraded({ status: undefined })))
    request.on("response", ({ statusCode }) => resume(new NotUpgraded({ status: statusCode })))
    request.on("upgrade", (_response, socket, head) => {
      if (head.byteLength > 0) socket.unshift(head)
      resume(Effect.succeed(socket))
    })
    request.end()
    return Effect.sync(() => request.destroy())
  })

/** An HTTP server on a free port; `status` in place of 101 refuses. */
export const upgrading = (onStream: (duplex: Duplex) => void, status?: number) =>
  Effect.gen(function*() {
    const server = http.createServer()
    server.on("upgrade", (_request, socket) => {
      if (status === undefined) {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: nbd\r\n\r\n")
        onStream(socket)
      } else socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`)
    })
    // Its sockets are those of a plain listener, which ends them with the scope.
    const { port, sockets } = yield* listen((socket) => server.emit("connection", socket), { allowHalfOpen: true })
    yield* Effect.addFinalizer(() =>
      Effect.forEach(sockets, (socket) => {
        socket.destroy()
        return closed(socket)
      })
    )
    return port
  })

export const overUpgrade = <E>(serving: Effect.Effect<Serve, E, Scope.Scope>) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const serve = yield* serving
    const run = yield* FiberSet.makeRuntime()
    const port = yield* upgrading((duplex) => run(serve(duplex)))
    return DuplexTransport.layer(upgraded(port), { target: `upgrade 127.0.0.1:${port}` })
  }))
