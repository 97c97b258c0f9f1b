/**
 * A program as the server: NBD over its stdin and stdout, which are one socket, as `nbd_connect_command` has it. A
 * program that reads from stdin and writes to stdout (`nbdkit -s`) is served by that as well as one in inetd's manner,
 * which does both on its stdin (`nbd-server -d 0 FILE`).
 *
 * The `Command` of `@effect/platform` only describes what to run.
 *
 * @since 0.1.0
 */
import { Transport } from "@effect-nbd/core/Transport"
import type { Command, StandardCommand } from "@effect/platform/Command"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as CommandConnection from "./CommandConnection.ts"
import { oneProgram, programOf } from "./CommandDescription.ts"

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
 * instead. A program that cannot be started fails `open` with `ProgramNotFoundError`, and with `SocketFolderError` where there
 * can be no socket for it.
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
  return {
    target: `command ${standard.command}`,
    open: CommandConnection.open("Server", () => programOf(standard, options?.killGrace ?? "2 seconds"))
  }
}

/**
 * As `make`, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (command: Command, options?: Options): Layer.Layer<Transport> =>
  Layer.sync(Transport, () => make(command, options))

const runnable = (command: Command): StandardCommand => {
  const standard = oneProgram(command)
  if (standard.stdin !== "pipe" || standard.stdout !== "pipe") {
    throw new TypeError(`stdin and stdout of ${standard.command} carry NBD: leave them "pipe"`)
  }
  return standard
}
