/**
 * A program that runs as a server on a socket that it is given.
 *
 * Without native code: Node listens on a Unix socket in a private folder, the program inherits the listening
 * descriptor, and Node closes its own. LISTEN_PID has to be the program's own id, which nobody knows before it is
 * there, so a fixed line of shell sets it and becomes the program. The program and its arguments are positional
 * parameters of that line, and no part of what the shell reads.
 *
 * @since 0.1.0
 * @internal
 */
import type { ProgramNotFoundError } from "@effect-nbd/core/TransportError"
import type { StandardCommand } from "@effect/platform/Command"
import type { UnknownException } from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import * as ChildProgram from "./ChildProgram.ts"
import { notFound, programOf } from "./CommandDescription.ts"
import { inOwnScope } from "./OwnScope.ts"
import { privateFolder } from "./PrivateFolder.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ActivatedServer extends Pick<ChildProgram.ChildProgram, "hasEnded" | "explain" | "ended"> {
  /** Of the socket that it listens on. */
  readonly path: string
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
  killGrace: Duration.DurationInput
): Effect.Effect<ActivatedServer, ProgramNotFoundError, Scope.Scope> => {
  const stdin = ignoredUnlessInherited(command, "stdin")
  const stdout = ignoredUnlessInherited(command, "stdout")
  return Effect.suspend(() => {
    const program = programOf(command, killGrace)
    const run = Effect.gen(function*() {
      const wrapped = yield* Effect.try(() => activated(program, name))
      const listener = yield* listen(path.join(yield* privateFolder, "socket"))
      const child = yield* Effect.acquireRelease(
        Effect.try(() =>
          ChildProgram.start(wrapped, {
            stdin,
            stdout,
            third: descriptorOf(listener.server),
            handedOver: () => listener.server.close(),
            farewell: () => {},
            farewellMillis: 0,
            onExit: () => {},
            onRelease: () => {}
          })
        ),
        ({ release }) => release
      )
      const error = yield* child.started
      return error === undefined
        ? { path: listener.path, hasEnded: child.hasEnded, explain: child.explain, ended: child.ended }
        : yield* Effect.fail(error)
    })
    return inOwnScope(Effect.mapError(run, (cause) => notFound(program, cause)))
  })
}

const ignoredUnlessInherited = (command: StandardCommand, stream: "stdin" | "stdout"): "ignore" | "inherit" => {
  const wanted = command[stream]
  if (typeof wanted !== "string") {
    throw new TypeError(`${stream} of ${command.command} is not used: leave it "pipe", or "inherit"`)
  }
  return wanted === "inherit" ? "inherit" : "ignore"
}

const shell = ["/bin/sh", "-c", "LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"", "sh"] as const

/** Under its full path, which the shell cannot take for one of its own options. */
const activated = (program: ChildProgram.Program, name: string): ChildProgram.Program => {
  const file = find(program)
  return {
    ...program,
    through: { before: shell, file },
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

/** As execvp finds it, in the program's own PATH. Throws what the system says of the last place it could be in. */
const find = ({ command, cwd, env }: ChildProgram.Program): string => {
  const from = path.resolve(cwd ?? "")
  if (command.includes("/")) return executable(path.resolve(from, command))
  let denied: unknown
  for (const folder of (env["PATH"] ?? "/bin:/usr/bin").split(":")) {
    try {
      return executable(path.resolve(from, folder, command))
    } catch (error) {
      if (!isMissing(error)) denied ??= error
    }
  }
  throw denied ?? Object.assign(new Error(`${command} is not in PATH`), { code: "ENOENT" })
}

const executable = (file: string): string => {
  fs.accessSync(file, fs.constants.X_OK)
  if (!fs.statSync(file).isFile()) throw Object.assign(new Error(`${file} is not a file`), { code: "EACCES" })
  return file
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")

interface Listener {
  readonly server: net.Server
  readonly path: string
}

/** The server that is closed unlinks the path that it was given, so the socket is moved away from there. */
const listen = (file: string): Effect.Effect<Listener, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Listener, unknown>((resume) => {
      // Nobody connects before the program has the socket and this process has closed it.
      const server = net.createServer((socket) => socket.destroy())
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(`${file}0`, () => resume(Effect.as(moved(server, file), { server, path: file })))
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

const moved = (server: net.Server, file: string): Effect.Effect<void, UnknownException> =>
  Effect.tapError(Effect.try(() => fs.renameSync(`${file}0`, file)), () => Effect.sync(() => server.close()))

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
