/**
 * A program as the server: NBD over its stdin and stdout, which are one socket, as `nbd_connect_command` has it. A
 * program that reads from stdin and writes to stdout (`nbdkit -s`) is served by that as well as one in inetd's manner,
 * which does both on its stdin (`nbd-server -d 0 FILE`).
 *
 * The `Command` of `@effect/platform` only describes what to run.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { Transport } from "@effect-nbd/core/Transport"
import type { ProgramNotFoundError } from "@effect-nbd/core/TransportError"
import type { Command, StandardCommand } from "@effect/platform/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ChildProgram from "./ChildProgram.ts"
import { notFound, oneProgram, programOf } from "./CommandDescription.ts"
import { inOwnScope } from "./OwnScope.ts"
import * as SocketPair from "./SocketPair.ts"

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
  return { target: `command ${standard.command}`, open: open(standard, options?.killGrace ?? "2 seconds") }
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (command: Command, options?: Options): Layer.Layer<Transport> =>
  Layer.sync(Transport, () => make(command, options))

const open = (
  command: StandardCommand,
  killGrace: Duration.DurationInput
): Effect.Effect<Connection, ProgramNotFoundError, Scope.Scope> =>
  Effect.suspend(() => {
    const program = programOf(command, killGrace)
    return inOwnScope(Effect.mapError(run(program), (cause) => notFound(program, cause)))
  })

/** From the end of its stdin until it is sent SIGTERM, in milliseconds. */
const exitGraceMillis = 200

/** One run of the program. */
const run = (program: ChildProgram.Program): Effect.Effect<Connection, unknown, Scope.Scope> => {
  // The connection is there before the program, and asks it for the reason when it ends.
  let started: ChildProgram.ChildProgram | undefined
  const pair = SocketPair.make({
    peer: `command ${program.command}`,
    onClose: () => started?.terminate(),
    explain: (end, report) => started === undefined ? report(end) : started.explain(end, report)
  })
  const start = ({ ours, theirs }: SocketPair.SocketPair) =>
    Effect.try(() => {
      started = ChildProgram.start(program, {
        stdin: theirs,
        stdout: theirs,
        handedOver: () => theirs.destroy(),
        farewell: ours.connection.endWrites,
        farewellMillis: exitGraceMillis,
        onExit: () => ours.writesLost(Object.assign(new Error(`${program.command} ended`), { code: "EPIPE" })),
        onRelease: ours.abandon
      })
      return started
    })
  return Effect.gen(function*() {
    const both = yield* pair
    const child = yield* Effect.acquireRelease(start(both), ({ release }) => release)
    const error = yield* child.started
    return error === undefined ? both.ours.connection : yield* Effect.fail(error)
  })
}

const runnable = (command: Command): StandardCommand => {
  const standard = oneProgram(command)
  if (standard.stdin !== "pipe" || standard.stdout !== "pipe") {
    throw new TypeError(`stdin and stdout of ${standard.command} carry NBD: leave them "pipe"`)
  }
  return standard
}
