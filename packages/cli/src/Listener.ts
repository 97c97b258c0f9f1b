/**
 * A listening socket that hands each client to a session of its own, until its scope is closed.
 *
 * It knows nothing of NBD but the URI under which it can be reached. How many clients there may be is for the session to
 * say, which can tell whom to leave.
 *
 * @since 0.1.0
 */
import * as NbdUri from "@effect-nbd/core/NbdUri"
import type { Connection } from "@effect-nbd/core/Transport"
import * as AtExit from "@effect-nbd/node/AtExit"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as net from "node:net"

/**
 * Where to listen. Port 0 leaves the choice to the system.
 *
 * @since 0.1.0
 * @category models
 */
export type Address =
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/**
 * Whether this program was started with a socket to listen on, by systemd or by a client that runs its own server.
 *
 * @since 0.1.0
 * @category guards
 */
export const isActivated = (environment: NodeJS.ProcessEnv): boolean =>
  environment["LISTEN_PID"] === String(process.pid) && environment["LISTEN_FDS"] === "1"

/** Of that socket, by convention of systemd. */
const activatedFd = 3

type Session = (connection: Connection) => Effect.Effect<void>

/**
 * The system does not let us listen there.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly address: string
  /** The system's name, for example `EADDRINUSE`. */
  readonly code: string
}> {
  override get message(): string {
    return `cannot listen on ${this.address} (${this.code})`
  }
}

/**
 * Listens until the scope is closed: then no more clients are let in, sessions are interrupted, every socket is gone,
 * and so is the file of a Unix socket. What is returned is where it listens, with the port that the system has chosen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen = (
  address: Address,
  session: Session
): Effect.Effect<Address, ListenError, Scope.Scope> => {
  const place = address._tag === "Tcp" ? { host: address.host, port: address.port } : { path: address.path }
  return Effect.map(letIn(place, inWords(address), session), (server) => {
    const bound = server.address()
    return address._tag === "Tcp" && bound !== null && typeof bound === "object"
      ? { ...address, port: bound.port }
      : address
  })
}

/**
 * The same on the socket that this program was started with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listenActivated = (session: Session): Effect.Effect<void, ListenError, Scope.Scope> =>
  Effect.asVoid(letIn({ fd: activatedFd }, `file descriptor ${activatedFd}`, session))

type Place = net.ListenOptions & { readonly fd?: number }

const letIn = (place: Place, words: string, session: Session) =>
  Effect.gen(function*() {
    // Released from the last to the first: closing, the sessions, and waiting until all is gone.
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        net.createServer({
          allowHalfOpen: true,
          pauseOnConnect: true,
          // A client whose machine is gone would count as one for ever.
          keepAlive: true,
          keepAliveInitialDelay: 60_000
        })
      ),
      gone
    )
    const fork = yield* FiberSet.makeRuntime()
    server.on("connection", (socket) => {
      socket.setNoDelay(true)
      const connection = DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: clientOf(socket) })
      fork(session(connection).pipe(Effect.ensuring(Effect.sync(() => connection.close()))))
    })
    yield* Effect.acquireRelease(open(server, place, words), () => Effect.sync(() => server.close()))
    const { path } = place
    if (path !== undefined) yield* Effect.acquireRelease(Effect.sync(() => AtExit.remove(path)), Effect.sync)
    return server
  })

/**
 * The URI of an export that is served there, with or without TLS.
 *
 * @since 0.1.0
 * @category encoding
 */
export const uriOf = (
  address: Address,
  exportName: string,
  isEncrypted = false
): Effect.Effect<string, NbdUri.UriUnwritableError> =>
  NbdUri.format({ ...NbdUri.of(address, exportName), tls: { ...NbdUri.noTls, required: isEncrypted } })

const open = (server: net.Server, place: Place, words: string): Effect.Effect<void, ListenError> =>
  Effect.async((resume) => {
    server.once(
      "error",
      (error: NodeJS.ErrnoException) =>
        resume(Effect.fail(new ListenError({ address: words, code: error.code ?? "EIO" })))
    )
    server.listen(place, () => resume(Effect.void))
  })

const gone = (server: net.Server): Effect.Effect<void> =>
  Effect.async((resume) => {
    // Closing again tells when the last socket is gone; one that never listened says so at once.
    server.close(() => resume(Effect.void))
  })

const inWords = (address: Address): string =>
  address._tag === "Tcp" ? `${address.host} port ${address.port}` : address.path

const clientOf = ({ remoteAddress, remotePort }: net.Socket): string =>
  remoteAddress === undefined ? "client" : `client ${remoteAddress}:${remotePort}`
