/**
 * Two connected sockets: one of ours on the fast path, and one to give to a child as its stdin and stdout.
 *
 * Node has no socketpair, and the pipes it makes for a child are one for each direction: a program in inetd's manner,
 * which answers on its stdin (nbd-server does), would talk to nobody. So a Unix socket is listened on for a moment, in
 * a folder that only this user can enter, and connected to.
 *
 * @since 0.1.0
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
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
 * Both ends live in the scope. Fails with what the system said, for example of too many open files.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Omit<StreamConnection.Options, "readable" | "writable">
): Effect.Effect<SocketPair, unknown, Scope.Scope> =>
  Effect.acquireUseRelease(
    Effect.try(() => fs.mkdtempSync(path.join(os.tmpdir(), "nbd-"))),
    (folder) =>
      Effect.gen(function*() {
        const address = { path: path.join(folder, "socket") }
        const listening = yield* listen(address.path)
        const [theirs, ours] = yield* Effect.all([
          Effect.acquireRelease(listening.accepted, (socket) => Effect.sync(() => socket.destroy())),
          SocketConnection.openAttached(address, options)
        ], { concurrency: "unbounded" })
        return { ours, theirs }
      }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

const listen = (address: string): Effect.Effect<{ readonly accepted: Effect.Effect<net.Socket> }, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<net.Server, Error>((resume) => {
      const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true })
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(address, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => ({
    accepted: Effect.async((resume) => {
      const accept = (socket: net.Socket): void => {
        server.close()
        socket.on("error", () => {})
        resume(Effect.succeed(socket))
      }
      server.once("connection", accept)
      return Effect.sync(() => server.off("connection", accept))
    })
  })))
