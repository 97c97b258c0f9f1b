/**
 * A program that runs as a server on a socket that it is given.
 *
 * Without native code: Node listens on a Unix socket in a private folder, the program inherits the listening
 * descriptor, and Node closes its own. Two things have to be put right on the way, by a fixed line of shell that then
 * becomes the program. The program and its arguments are positional parameters of that line, and no part of what the shell
 * reads.
 *
 * - LISTEN_PID has to be the program's own id, which is not known before it is there.
 * - Node's sockets do not block, and a server that waits in `accept` would be told EAGAIN. Of what a child gets, libuv puts
 *   the three standard streams, and only those, into blocking mode. So the socket is handed over as standard input, which
 *   the shell makes descriptor 3.
 *
 * @since 0.1.0
 * @internal
 */
import type { ProgramExitedError, ProgramNotFoundError, SocketFolderError } from "@effect-nbd/core/TransportError"
import type { StandardCommand } from "@effect/platform/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import { constants } from "node:os"
import * as path from "node:path"
import * as ChildProgram from "./ChildProgram.ts"
import { find, notFound, programOf } from "./CommandDescription.ts"
import { inOwnScope } from "./OwnScope.ts"
import { notMade, privateFolder } from "./PrivateFolder.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ActivatedServer extends Pick<ChildProgram.ChildProgram, "hasEnded" | "explain" | "ended"> {
  /** Of the socket that it listens on. */
  readonly path: string
}

/**
 * How it ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ending {
  /** From SIGTERM to SIGKILL. */
  readonly killGrace: Duration.DurationInput
  /** For how long it may end by itself before SIGTERM, in milliseconds. */
  readonly farewellMillis: number
  /** Called where it has said by its exit status that it failed, once it is gone. */
  readonly onFailure: (error: ProgramExitedError) => void
}

/**
 * Runs until the scope closes: then it is sent SIGTERM and, after the grace, SIGKILL, and the socket is gone.
 * Throws a `TypeError` for a command whose stdin or stdout is redirected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  command: StandardCommand,
  name: string,
  { farewellMillis, killGrace, onFailure }: Ending
): Effect.Effect<ActivatedServer, ProgramNotFoundError | SocketFolderError, Scope.Scope> => {
  const stdin = ignoredUnlessInherited(command, "stdin")
  const stdout = ignoredUnlessInherited(command, "stdout")
  return Effect.suspend(() => {
    const program = programOf(command, killGrace)
    const cannotStart = (cause: unknown) => notFound(program, cause)
    const run = Effect.gen(function*() {
      const wrapped = yield* Effect.mapError(Effect.try(() => activated(program, name, stdin)), cannotStart)
      const folder = yield* privateFolder
      const listener = yield* Effect.mapError(listen(path.join(folder, "socket")), notMade(folder))
      const child = yield* Effect.acquireRelease(
        Effect.try(() =>
          ChildProgram.start(wrapped, {
            stdin: listener.descriptor,
            stdout,
            third: stdin === "inherit" ? ownStdin : undefined,
            handedOver: () => listener.server.close(),
            farewell: () => {},
            farewellMillis,
            onExit: () => {},
            onRelease: () => {}
          })
        ).pipe(Effect.mapError(cannotStart)),
        ({ ended, release }) =>
          Effect.zipRight(
            release,
            Effect.map(ended, (error) => {
              if (error !== undefined && isFailure(error)) onFailure(error)
            })
          )
      )
      const error = yield* child.started
      return error === undefined
        ? { path: listener.path, hasEnded: child.hasEnded, explain: child.explain, ended: child.ended }
        : yield* Effect.fail(cannotStart(error))
    })
    return inOwnScope(run)
  })
}

/** Ended by our signals it has not failed, and some programs say by a status of 128 and the signal that they were. */
const isFailure = ({ exitCode }: ProgramExitedError): boolean =>
  exitCode !== null && exitCode !== 0 && exitCode !== 128 + constants.signals.SIGTERM

const ignoredUnlessInherited = (command: StandardCommand, stream: "stdin" | "stdout"): "ignore" | "inherit" => {
  const wanted = command[stream]
  if (typeof wanted !== "string") {
    throw new TypeError(`${stream} of ${command.command} is not used: leave it "pipe", or "inherit"`)
  }
  return wanted === "inherit" ? "inherit" : "ignore"
}

const ownStdin = 0

/** Redirections of a shell itself, above standard error, are not handed on by all shells: these are the program's. */
const line = (stdin: "ignore" | "inherit"): string =>
  `LISTEN_PID=$$; export LISTEN_PID; exec "$@" ${stdin === "ignore" ? "3<&0 </dev/null" : "4<&0 0<&3 3<&4 4<&-"}`

/** Under its full path, which the shell cannot take for one of its own options. */
const activated = (
  program: ChildProgram.Program,
  name: string,
  stdin: "ignore" | "inherit"
): ChildProgram.Program => {
  const file = find(program)
  return {
    ...program,
    through: { before: ["/bin/sh", "-c", line(stdin), "sh"], file },
    env: { ...withoutActivation(program.env), LISTEN_FDS: "1", LISTEN_FDNAMES: name }
  }
}

/** Sockets that this process may have been given itself are not the child's. */
const withoutActivation = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) =>
      !["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"].includes(name)
    )
  )

interface Listener {
  readonly server: net.Server
  readonly descriptor: number
  readonly path: string
}

/** The server that is closed unlinks the path that it was given, so the socket is moved away from there. */
const listen = (file: string): Effect.Effect<Listener, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Listener, unknown>((resume) => {
      // No client connects before the program has the socket and this process has closed it.
      const server = net.createServer((socket) => socket.destroy())
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(`${file}0`, () => resume(moved(server, file)))
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

const moved = (server: net.Server, file: string): Effect.Effect<Listener, unknown> =>
  Effect.try(() => {
    fs.renameSync(`${file}0`, file)
    return { server, descriptor: descriptorOf(server), path: file }
  }).pipe(Effect.tapError(() => Effect.sync(() => server.close())))

/** Node has no other name for it, and cannot give a listening socket itself to a child. */
const descriptorOf = (server: net.Server): number => {
  const handle = "_handle" in server ? server._handle : undefined
  if (
    typeof handle === "object" && handle !== null && "fd" in handle && typeof handle.fd === "number" && handle.fd > 2
  ) {
    return handle.fd
  }
  throw Object.assign(new Error("this Node.js does not tell the descriptor of a socket"), { code: "ENOTSUP" })
}
