/**
 * A program as the server, which is given a listening socket in the manner of systemd's socket activation:
 * `nbdkit memory 1M`, `qemu-nbd -t -f qcow2 disk.qcow2`.
 *
 * Unlike a `CommandTransport`, all connections that are open at the same time are to one and the same server, which is
 * what copying over several connections needs, and what a program that locks its disk image insists on. The server is
 * started by the first `open` and ended when the last connection's scope has closed; after that the next `open` starts
 * another one.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { Attempt, OpenError, ProgramExitedError } from "@effect-nbd/core/TransportError"
import { ConnectionRefusedError, UnreachableError } from "@effect-nbd/core/TransportError"
import type { Command } from "@effect/platform/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ActivatedServer from "./ActivatedServer.ts"
import { oneProgram } from "./CommandDescription.ts"
import * as FullQueue from "./FullQueue.ts"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketConnection from "./SocketConnection.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * What the socket is called (LISTEN_FDNAMES), for a server that tells several apart: at most 32 ASCII letters and
   * digits, and none for the default. Default: `unknown`.
   */
  readonly name?: string | undefined
  /** From SIGTERM to SIGKILL when the last scope closes; never, if infinite. Default: 2 seconds. */
  readonly killGrace?: Duration.DurationInput | undefined
  /**
   * Called when the program has ended with an exit status that says that it failed: not 0, and not 143, which is to be ended
   * by SIGTERM. What it was sent may be lost then, though every request was answered. A program that ends by itself has 50 ms for that
   * before SIGTERM.
   */
  readonly onFailure?: ((error: ProgramExitedError) => void) | undefined
}

/** In milliseconds. */
const farewell = 50

/**
 * Runs the program while connections are open. Arguments, environment, working directory, user and group are taken from
 * the command. Its stdin and stdout are /dev/null, unless they are `"inherit"`. Of stderr the last 4096 bytes are kept
 * for `ProgramExitedError`, unless it is `"inherit"`. The program has to stay in the foreground: one that goes into the
 * background has exited.
 *
 * The socket is in blocking mode, as from systemd. What ends this process by a signal that it does not handle leaves the
 * program behind.
 *
 * `open` fails with `ProgramNotFoundError`, with `SocketFolderError` where there can be no socket for it, with
 * `ProgramExitedError` if the program has ended before it could be connected to, and with `ConnectTimeoutError` if its queue of
 * connections was full for 5 seconds. One that ends later ends its connections with that error; the next `open` starts another one.
 *
 * Throws a `TypeError` (as a layer: a defect) for a name that is none, and for a command that says something else than
 * what would be run: one piped into another, one with a shell, one whose stdin, stdout or stderr is redirected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (command: Command, options?: Options): Transport["Type"] => {
  const standard = oneProgram(command)
  const target = `activated ${standard.command}`
  const start = ActivatedServer.start(standard, nameOf(options?.name), {
    killGrace: options?.killGrace ?? "2 seconds",
    farewellMillis: options?.onFailure === undefined ? 0 : farewell,
    onFailure: options?.onFailure ?? (() => {})
  })
  const server = shared(start)
  return { target, open: inOwnScope(Effect.flatMap(server, (server) => connect(server, target))) }
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (command: Command, options?: Options): Layer.Layer<Transport> =>
  Layer.sync(Transport, () => make(command, options))

const nameOf = (name = ""): string => {
  if (!/^[A-Za-z0-9]{0,32}$/.test(name)) {
    throw new TypeError(`the name of an activated socket has at most 32 ASCII letters and digits: ${name}`)
  }
  return name === "" ? "unknown" : name
}

type Server = ActivatedServer.ActivatedServer

interface Running {
  readonly server: Server
  readonly scope: Scope.CloseableScope
  users: number
}

/**
 * The server that is running, or a new one; the last scope to close ends it. `RcRef` would not do: a server that has
 * ended by itself is to be replaced while it still has users.
 */
const shared = <E>(start: Effect.Effect<Server, E, Scope.Scope>): Effect.Effect<Server, E, Scope.Scope> => {
  // Also while one ends: it may hold what the next one needs, such as a lock on the disk image.
  const oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
  let current: Running | undefined

  const leave = (running: Running): Effect.Effect<void> =>
    oneAtATime(Effect.suspend(() => {
      running.users--
      if (running.users > 0) return Effect.void
      if (current === running) current = undefined
      return Scope.close(running.scope, Exit.void)
    }))

  return oneAtATime(Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const running = current === undefined || current.server.hasEnded() ? yield* started(restore(start)) : current
      current = running
      running.users++
      yield* Effect.addFinalizer(() => leave(running))
      return running.server
    })
  ))
}

const started = <E>(start: Effect.Effect<Server, E, Scope.Scope>): Effect.Effect<Running, E> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const server = yield* Effect.onError(
      Scope.extend(start, scope),
      (cause) => Scope.close(scope, Exit.failCause(cause))
    )
    return { server, scope, users: 0 }
  })

const connect = (server: Server, target: string): Effect.Effect<Connection, OpenError, Scope.Scope> =>
  SocketConnection.openAttached({ path: server.path }, { peer: target, explain: server.explain }).pipe(
    Effect.map(({ connection }) => connection),
    FullQueue.waitingFor(server.path, target),
    Effect.catchAll((failed) =>
      Effect.flatMap(
        server.ended,
        (exited) => Effect.fail(exited ?? ("_tag" in failed ? failed : failure(target, failed)))
      )
    )
  )

const failure = (target: string, attempt: Attempt): OpenError => {
  const facts = { target, network: "unix", attempts: [attempt] } as const
  return attempt.code === "ECONNREFUSED" ? new ConnectionRefusedError(facts) : new UnreachableError(facts)
}
