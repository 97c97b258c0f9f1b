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
import * as FileCalls from "@effect-nbd/node/file/FileCalls"
import * as UnixPath from "@effect-nbd/node/UnixPath"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { rm } from "node:fs/promises"
import * as net from "node:net"
import { dirname, join } from "node:path"
import { UsageError } from "./Failure.ts"

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
  /** More than that, where it is known. */
  readonly reason?: string
}> {
  override get message(): string {
    const reason = this.reason === undefined ? "" : `: ${this.reason}`
    return `cannot listen on ${this.address}${reason} (${this.code})`
  }
}

/**
 * The address, unless the system would listen somewhere else: it cuts paths that are too long, and those with a zero byte.
 *
 * @since 0.1.0
 * @category guards
 */
export const checked = (address: Address): Effect.Effect<Address, UsageError> => {
  if (address._tag === "Tcp") {
    return address.host === "" ? new UsageError({ reason: "--host is empty" }) : Effect.succeed(address)
  }
  const bytes = Buffer.byteLength(address.path)
  if (bytes === 0) return new UsageError({ reason: "--unix: the path is empty" })
  if (address.path.includes("\0")) return new UsageError({ reason: "--unix: there is a zero byte in the path" })
  return bytes > UnixPath.maxBytes
    ? new UsageError({
      reason:
        `--unix: the path of a socket may have ${UnixPath.maxBytes} bytes, and this one has ${bytes}: ${address.path}`
    })
    : Effect.succeed(address)
}

/**
 * Listens until the scope is closed: then no more clients are let in, sessions are interrupted, every socket is gone,
 * and so is the file of a Unix socket. What is returned is where it listens, with the port that the system has chosen.
 *
 * A Unix socket that nobody listens on, as a server leaves it that was killed, is replaced. Anything else that is there
 * already stays, and is an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const listen = (
  address: Address,
  session: Session
): Effect.Effect<Address, ListenError, Scope.Scope> => {
  if (address._tag === "Unix") return Effect.as(listenUnix(address.path, session), address)
  const place = { host: address.host, port: address.port }
  return Effect.map(letIn(place, inWords(address), session), (server) => {
    const bound = server.address()
    return bound !== null && typeof bound === "object" ? { ...address, port: bound.port } : address
  })
}

const listenUnix = (path: string, session: Session): Effect.Effect<void, ListenError, Scope.Scope> => {
  const listening = Effect.asVoid(letIn({ path }, path, session))
  return Effect.catchIf(
    listening,
    ({ code }) => code === "EADDRINUSE",
    () => Effect.zipRight(removeLeftOver(path), listening)
  ).pipe(Effect.catchIf(
    ({ code }) => code === "EACCES" || code === "ENOTDIR",
    (error) => Effect.zipRight(lookAtFolder(dirname(path), path), error)
  ))
}

/** Where a folder is missing Node says EACCES, as Windows does: then it is the folder that is wrong. */
const lookAtFolder = (folder: string, path: string): Effect.Effect<void, ListenError> =>
  fileCall<fs.Stats>(path, (done) => fs.stat(folder, done)).pipe(
    Effect.mapError(({ code, reason = "it cannot be looked at" }) =>
      new ListenError({ address: path, code, reason: `the folder ${folder}: ${reason}` })
    ),
    Effect.flatMap((stats) =>
      stats.isDirectory()
        ? Effect.void
        : new ListenError({ address: path, code: "ENOTDIR", reason: `the folder ${folder}: not a directory` })
    )
  )

/**
 * Removes a socket that nobody listens on.
 *
 * Another server may be about to do the same. So the socket is first moved into a folder of our own, and asked once more
 * there: of several servers one moves it, and a socket on which somebody has begun to listen meanwhile is put back.
 */
const removeLeftOver = (path: string): Effect.Effect<void, ListenError> =>
  Effect.gen(function*() {
    const stats = yield* fileCall<fs.Stats>(path, (done) => fs.lstat(path, done))
    if (!stats.isSocket()) {
      return yield* new ListenError({
        address: path,
        code: "EADDRINUSE",
        reason: "a file is there, and it is no socket"
      })
    }
    yield* leftOver(path, path)
    yield* Effect.acquireUseRelease(
      fileCall<string>(path, (done) => fs.mkdtemp(`${path}.`, done)),
      (folder) => removeBy(folder, path),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    )
  }).pipe(
    // Somebody else has removed it.
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void)
  )

const removeBy = (folder: string, path: string): Effect.Effect<void, ListenError> => {
  const moved = join(folder, "s")
  const putBack = Effect.ignore(fileCall<void>(path, (done) => fs.link(moved, path, done)))
  return Effect.zipRight(
    fileCall<void>(path, (done) => fs.rename(path, moved, done)),
    // One whose path has become too long cannot be asked; it was a moment ago.
    Buffer.byteLength(moved) > UnixPath.maxBytes ? Effect.void : Effect.tapError(leftOver(moved, path), () => putBack)
  )
}

/** Fails unless nobody listens there. */
const leftOver = (asked: string, path: string): Effect.Effect<void, ListenError> =>
  Effect.flatMap(codeOfConnecting(asked), (code) =>
    code === "ECONNREFUSED"
      ? Effect.void
      : new ListenError({
        address: path,
        code: "EADDRINUSE",
        reason: code === undefined || code === "EAGAIN"
          ? "another server listens there"
          : `there is a socket, which cannot be asked whether somebody listens (${code})`
      }))

/** `undefined` where somebody listens. */
const codeOfConnecting = (path: string): Effect.Effect<string | undefined> =>
  Effect.async((resume) => {
    const socket = net.connect({ path })
    const answered = (code: string | undefined) => {
      socket.destroy()
      resume(Effect.succeed(code))
    }
    socket.once("connect", () => answered(undefined))
    socket.once("error", (error: NodeJS.ErrnoException) => answered(error.code ?? "EIO"))
    return Effect.sync(() => socket.destroy())
  })

const fileCall = <A>(
  path: string,
  start: (done: (error: NodeJS.ErrnoException | null, value: A) => void) => void
): Effect.Effect<A, ListenError> =>
  Effect.mapError(
    FileCalls.call<A>("open", path, start),
    ({ code, reason }) => new ListenError({ address: path, code, reason })
  )

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

const inWords = ({ host, port }: Extract<Address, { readonly _tag: "Tcp" }>): string => `${host} port ${port}`

const clientOf = ({ remoteAddress, remotePort }: net.Socket): string =>
  remoteAddress === undefined ? "client" : `client ${remoteAddress}:${remotePort}`
