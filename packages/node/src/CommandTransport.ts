/**
 * A program as the server: NBD over its stdin and stdout, which are one socket, as `nbd_connect_command` has it. A
 * program that reads from stdin and writes to stdout (`nbdkit -s`) is served by that as well as one in inetd's manner,
 * which does both on its stdin (`nbd-server -d 0 FILE`).
 *
 * The `Command` of `@effect/platform` only describes what to run; its executor is not used, since it has no
 * backpressure towards stdin and cannot end a program that ignores SIGTERM.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { OpenError } from "@effect-nbd/core/TransportError"
import { ProgramNotFoundError } from "@effect-nbd/core/TransportError"
import type { Command, StandardCommand } from "@effect/platform/Command"
import { UnknownException } from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import * as ChildProgram from "./ChildProgram.ts"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketPair from "./SocketPair.ts"
import { codeOf } from "./StreamConnection.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * From SIGTERM to SIGKILL when the scope closes; never, if infinite. Default: 2 seconds. The program has had 200 ms to end by itself at
   * the end of its stdin by then.
   */
  readonly killGrace?: Duration.DurationInput | undefined
}

/**
 * Runs the program once for each `open`; closing the scope ends it and waits until it is gone.
 *
 * Arguments, environment, working directory, user and group are taken from the command. stdin and stdout carry NBD.
 * Of stderr the last 4096 bytes are kept for `ProgramExitedError`; with `Command.stderr("inherit")` it is shown
 * instead. A program that cannot be started fails `open` with `ProgramNotFoundError`.
 *
 * Throws a `TypeError` (as a layer: a defect) for a command that says something else than what would be run: one piped
 * into another, one with a shell (`Command.make("sh", "-c", …)` says the same openly), one whose stdin, stdout or
 * stderr is redirected.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (command: Command, options?: Options): Transport["Type"] => {
  const standard = runnable(command)
  const killGraceMillis = Duration.toMillis(options?.killGrace ?? "2 seconds")
  return { target: `command ${standard.command}`, open: open(standard, killGraceMillis) }
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (command: Command, options?: Options): Layer.Layer<Transport> =>
  Layer.sync(Transport, () => make(command, options))

const open = (command: StandardCommand, killGraceMillis: number): Effect.Effect<Connection, OpenError, Scope.Scope> => {
  const notFound = (cause: unknown) => {
    const code = codeOf(cause)
    const cwd = Option.getOrUndefined(command.cwd)
    // The system has one error for both.
    const missingDirectory = code === "ENOENT" && cwd !== undefined && !existsSync(cwd) ? cwd : undefined
    return new ProgramNotFoundError({ command: command.command, args: command.args, code, missingDirectory, cause })
  }
  return Effect.suspend(() => run(command, killGraceMillis)).pipe(
    Effect.mapError((cause) => notFound(cause instanceof UnknownException ? cause.error : cause)),
    inOwnScope
  )
}

/** One run of the program. */
const run = (command: StandardCommand, killGraceMillis: number): Effect.Effect<Connection, unknown, Scope.Scope> => {
  // The connection is there before the program, and asks it for the reason when it ends.
  let started: ChildProgram.ChildProgram | undefined
  const pair = SocketPair.make({
    peer: `command ${command.command}`,
    onClose: () => started?.terminate(),
    explain: (end, report) => started === undefined ? report(end) : started.explain(end, report)
  })
  const start = (pair: SocketPair.SocketPair) =>
    Effect.try(() => {
      started = ChildProgram.start({
        command: command.command,
        args: command.args,
        env: { ...(command.extendEnv ? process.env : {}), ...Object.fromEntries(command.env) },
        cwd: Option.getOrUndefined(command.cwd),
        uid: Option.getOrUndefined(command.uid),
        gid: Option.getOrUndefined(command.gid),
        stderr: command.stderr === "inherit" ? "inherit" : "keep",
        killGraceMillis
      }, pair)
      return started
    })
  return Effect.gen(function*() {
    const both = yield* pair
    const program = yield* Effect.acquireRelease(start(both), ({ release }) => release)
    const error = yield* program.started
    return error === undefined ? both.ours.connection : yield* Effect.fail(error)
  })
}

const runnable = (command: Command): StandardCommand => {
  if (command._tag === "PipedCommand") throw new TypeError("CommandTransport runs one program, not a pipe of commands")
  const { command: name, shell, stderr, stdin, stdout } = command
  if (shell !== false) {
    throw new TypeError(`CommandTransport never uses a shell; to run ${name} in one, say Command.make("sh", "-c", …)`)
  }
  if (stdin !== "pipe" || stdout !== "pipe") {
    throw new TypeError(`stdin and stdout of ${name} carry NBD: leave them "pipe"`)
  }
  if (typeof stderr !== "string") {
    throw new TypeError(`stderr of ${name} is kept for errors: "pipe" or "inherit", no Sink`)
  }
  return command
}
