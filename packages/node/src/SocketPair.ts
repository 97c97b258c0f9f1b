/**
 * Two connected sockets: one of ours on the fast path, and one to give to a child as its stdin and stdout.
 *
 * Node has no socketpair, and the pipes it makes for a child are one for each direction: a program in inetd's manner,
 * which answers on its stdin (nbd-server does), would talk to no client. So a Unix socket is listened on for a moment, in
 * a folder that only this user can enter, and connected to.
 *
 * @since 0.1.0
 * @internal
 */
import type { SocketFolderError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as net from "node:net"
import * as path from "node:path"
import { notMade, privateFolder } from "./PrivateFolder.ts"
import * as SocketConnection from "./SocketConnection.ts"
import type * as StreamConnection from "./StreamConnection.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface SocketPair {
  readonly ours: StreamConnection.Attached
  /** Not read from by this process. Destroy it once the child has it, or its end will never be seen. */
  readonly theirs: net.Socket
}

/**
 * Both ends live in the scope. Fails with where they could not be made, and what the system said, for example of too many
 * open files.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: SocketConnection.Settings
): Effect.Effect<SocketPair, SocketFolderError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* privateFolder
      const address = { path: path.join(folder, "socket") }
      const both = Effect.gen(function*() {
        const accepted = yield* listen(address.path)
        const connected = Effect.mapError(
          SocketConnection.openAttached(address, options),
          ({ code }) => Object.assign(new Error("the socket pair was not connected"), { code })
        )
        const [theirs, ours] = yield* Effect.all([accepted, connected], {
          concurrency: "unbounded"
        })
        return { ours, theirs }
      })
      return yield* Effect.mapError(Effect.provideService(both, Scope.Scope, scope), notMade(folder))
    })))

/** How long, in milliseconds of real time, the system may take to hand over a connection that was made at once. */
const acceptMillis = 5000

/** Listens, and gives the Effect that waits for the one connection. What came in is destroyed with the scope. */
const listen = (address: string): Effect.Effect<Effect.Effect<net.Socket, Error>, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: net.Server; readonly sockets: Array<net.Socket> }, Error>((resume) => {
      const sockets: Array<net.Socket> = []
      const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
        socket.on("error", () => {})
        sockets.push(socket)
        server.close()
      })
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(address, () => resume(Effect.succeed({ server, sockets })))
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  ).pipe(Effect.map(({ server, sockets }) =>
    Effect.async<net.Socket, Error>((resume) => {
      const settle = (result: Effect.Effect<net.Socket, Error>) => {
        clearTimeout(timer)
        server.off("connection", look)
        resume(result)
      }
      // With no file descriptor left the system accepts nothing, and Node says nothing.
      const timer = setTimeout(
        () => settle(Effect.fail(Object.assign(new Error("the socket pair was not accepted"), { code: "EMFILE" }))),
        acceptMillis
      )
      const look = (): void => {
        const [socket] = sockets
        if (socket !== undefined) settle(Effect.succeed(socket))
      }
      server.on("connection", look)
      look()
      return Effect.sync(() => {
        clearTimeout(timer)
        server.off("connection", look)
      })
    })
  ))
