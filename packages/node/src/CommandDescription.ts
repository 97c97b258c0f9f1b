/**
 * The `Command` of `@effect/platform` as what it is here: a description of a program to run.
 *
 * Its executor is not used, since it has no backpressure towards stdin, cannot end a program that ignores SIGTERM, and
 * cannot give one more than its three standard streams.
 *
 * @since 0.1.0
 * @internal
 */
import { ProgramNotFoundError } from "@effect-nbd/core/TransportError"
import type { Command, StandardCommand } from "@effect/platform/Command"
import { UnknownException } from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { existsSync } from "node:fs"
import type { Program } from "./ChildProgram.ts"
import { codeOf } from "./StreamConnection.ts"

/**
 * The one program that the command describes. Throws a `TypeError` for a command that says something else than what
 * would be run: one piped into another, one with a shell, one whose standard error goes to a `Sink`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const oneProgram = (command: Command): StandardCommand => {
  if (command._tag === "PipedCommand") throw new TypeError("a transport runs one program, not a pipe of commands")
  const { command: name, shell, stderr } = command
  if (shell !== false) {
    throw new TypeError(`a transport never uses a shell; to run ${name} in one, say Command.make("sh", "-c", …)`)
  }
  if (typeof stderr !== "string") {
    throw new TypeError(`stderr of ${name} is kept for errors: "pipe" or "inherit", no Sink`)
  }
  return command
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const programOf = (command: StandardCommand, killGrace: Duration.DurationInput): Program => ({
  command: command.command,
  args: command.args,
  env: { ...(command.extendEnv ? process.env : {}), ...Object.fromEntries(command.env) },
  cwd: Option.getOrUndefined(command.cwd),
  uid: Option.getOrUndefined(command.uid),
  gid: Option.getOrUndefined(command.gid),
  stderr: command.stderr === "inherit" ? "inherit" : "keep",
  killGraceMillis: Duration.toMillis(killGrace)
})

/**
 * What stopped a program from being started, as the error of a transport.
 *
 * @since 0.1.0
 * @category errors
 */
export const notFound = ({ args, command, cwd }: Program, thrown: unknown): ProgramNotFoundError => {
  const cause = thrown instanceof UnknownException ? thrown.error : thrown
  const code = codeOf(cause)
  // The system has one error for both.
  const missingDirectory = code === "ENOENT" && cwd !== undefined && !existsSync(cwd) ? cwd : undefined
  return new ProgramNotFoundError({ command, args, code, missingDirectory, cause })
}
