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
import * as fs from "node:fs"
import * as path from "node:path"
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
 * Where the program is, as execvp finds it, in the program's own PATH. Throws what the system says of the last place it could
 * be in.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = ({ command, cwd, env }: Program): string => {
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

/**
 * What stopped a program from being started, as the error of a transport. The system has one code for several things: what is
 * to blame is looked for.
 *
 * @since 0.1.0
 * @category errors
 */
export const notFound = (program: Program, thrown: unknown): ProgramNotFoundError => {
  const { args, command, cwd } = program
  const cause = thrown instanceof UnknownException ? thrown.error : thrown
  const directory = cwd === undefined ? undefined : faultOfDirectory(cwd)
  if (directory !== undefined) {
    return new ProgramNotFoundError({ command, args, code: directory, missingDirectory: cwd, cause })
  }
  const code = codeOf(cause)
  return new ProgramNotFoundError({ command, args, code, file: code === "ENOENT" ? found(program) : undefined, cause })
}

const faultOfDirectory = (cwd: string): string | undefined => {
  try {
    if (!fs.statSync(cwd).isDirectory()) return "ENOTDIR"
    fs.accessSync(cwd, fs.constants.X_OK)
    return undefined
  } catch (error) {
    return codeOf(error)
  }
}

const found = (program: Program): string | undefined => {
  try {
    return find(program)
  } catch {
    return undefined
  }
}
