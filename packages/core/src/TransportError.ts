/**
 * Why a transport could not be opened, or was lost. One tag per thing a caller would do differently.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { TaggedError } from "./errors/TaggedError.ts"
import { atOption } from "./ProtocolError.ts"

/**
 * One address that was tried, and the system's name for why it did not answer (`ECONNREFUSED`, `ETIMEDOUT`, …).
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  readonly address: string
  readonly code: string
}

const attemptsInWords = (attempts: ReadonlyArray<Attempt>): string =>
  attempts.map(({ address, code }) => `${address} ${code}`).join(", ")

/**
 * The host name does not resolve. Nothing was opened, so the handle is `Created` again.
 *
 * @since 0.1.0
 * @category errors
 */
export class HostNotFoundError extends TaggedError("NbdHostNotFoundError")<{
  readonly host: string
  /** The resolver's code, for example `ENOTFOUND` or `EAI_AGAIN`. */
  readonly code: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `no such host: ${this.host} (${this.code})`
  }
}

/**
 * The port is neither a number from 1 to 65535 nor a service name this system knows. The handle is `Created` again.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServiceNotFoundError extends TaggedError("NbdServiceNotFoundError")<{
  readonly service: string
}> {
  override get message(): string {
    return `no such TCP port or service: ${this.service}`
  }
}

/**
 * Every address refused the connection: nothing listens there. After TCP the handle is `Created` again, after a Unix
 * socket it is `Dead`, as in libnbd.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionRefusedError extends TaggedError("NbdConnectionRefusedError")<{
  readonly target: string
  readonly network: "tcp" | "unix"
  readonly attempts: ReadonlyArray<Attempt>
}> {
  override get message(): string {
    return `connection refused: ${this.target} (${attemptsInWords(this.attempts)})`
  }
}

/**
 * The target could not be reached for another reason than a refusal: no route, no permission, no such socket.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnreachableError extends TaggedError("NbdUnreachableError")<{
  readonly target: string
  readonly network: "tcp" | "unix"
  readonly attempts: ReadonlyArray<Attempt>
}> {
  override get message(): string {
    return `cannot reach ${this.target} (${attemptsInWords(this.attempts)})`
  }
}

/**
 * No address answered in time, or the queue of a Unix socket was full all the time (`EAGAIN`): its server is busy, or does not
 * accept. The handle is `Created` again.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectTimeoutError extends TaggedError("NbdConnectTimeoutError")<{
  readonly target: string
  readonly network: "tcp" | "unix"
  readonly timeout: Duration.Duration
  /** Those that had failed by then. */
  readonly attempts?: ReadonlyArray<Attempt> | undefined
}> {
  override get message(): string {
    const { attempts = [], network, target } = this
    const time = Duration.format(this.timeout)
    if (network === "unix" && attempts.some(({ code }) => code === "EAGAIN")) {
      return `${target} is busy: its queue of connections was full for ${time} (EAGAIN)`
    }
    return `${target} did not answer within ${time}${attempts.length === 0 ? "" : ` (${attemptsInWords(attempts)})`}`
  }
}

/**
 * A transport that runs a program hands it a socket, which is made in a folder of its own, and that could not be had: the
 * folder for temporary files (`TMPDIR`) is missing or may not be written to, or the system has no more to give. No program
 * was started.
 *
 * @since 0.1.0
 * @category errors
 */
export class SocketFolderError extends TaggedError("NbdSocketFolderError")<{
  /** Where it was to be: the folder for temporary files, or the one that had been made in it. */
  readonly folder: string
  /** The system's code, for example `ENOENT` or `EMFILE`. */
  readonly code: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `cannot make a socket for a program in ${this.folder} (${this.code})`
  }
}

/**
 * The program of a command transport could not be started.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProgramNotFoundError extends TaggedError("NbdProgramNotFoundError")<{
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** `ENOENT` (no such program, interpreter or working directory), `EACCES` (not executable), … */
  readonly code: string
  /** The working directory it should have had, where that is what does not exist or cannot be entered. */
  readonly missingDirectory?: string | undefined
  /** Where the program is, when that is known and it is not the program that is missing. */
  readonly file?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    return `cannot start ${this.command}${this.#why()}`
  }

  #why(): string {
    const { code, file, missingDirectory } = this
    if (missingDirectory !== undefined) {
      const what = code === "ENOENT" ? "does not exist" : `cannot be entered (${code})`
      return `: its working directory ${missingDirectory} ${what}`
    }
    if (code === "ENOENT") {
      return file === undefined
        ? `: no such program (${code})`
        : `: ${file} is there, but the interpreter that it names is not (${code})`
    }
    return code === "EACCES" ? `: it may not be executed (${code})` : ` (${code})`
  }
}

/**
 * The program of a command transport ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProgramExitedError extends TaggedError("NbdProgramExitedError")<{
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** The exit status, or `null` when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  /** The last of what it wrote to its standard error, at most 4096 bytes. */
  readonly stderr: string
}> {
  override get message(): string {
    const how = this.signal === null ? `exit code ${this.exitCode}` : `signal ${this.signal}`
    const said = this.stderr.trim()
    return `${this.command} ended with ${how}${said === "" ? "" : `: ${said}`}`
  }
}

/**
 * A stream or socket that the program itself provides could not be had. `cause` is what it failed with.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamNotOpenedError extends TaggedError("NbdStreamNotOpenedError")<{
  readonly target: string
  readonly cause: unknown
}> {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot open ${this.target}: ${why}`
  }
}

/**
 * The stream has its one connection already, or has had it: the cause of a `StreamNotOpenedError`.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamTakenError extends TaggedError("NbdStreamTakenError")<{ readonly target: string }> {
  override get message(): string {
    return `${this.target} is for one connection at a time`
  }
}

/**
 * An option of an SSH transport holds what may not get into a command line.
 *
 * @since 0.1.0
 * @category errors
 */
export class SshArgumentError extends TaggedError("NbdSshArgumentError")<{
  readonly option: "host" | "user" | "port" | "target"
  readonly value: string
  readonly reason: string
}> {
  override get message(): string {
    return `cannot use ${JSON.stringify(this.value)} as the ${this.option} of an SSH transport: ${this.reason}`
  }
}

/**
 * An open connection broke.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransportLostError extends TaggedError("NbdTransportLostError")<{
  readonly peer: string
  /**
   * The system's code, for example `ECONNRESET` or `EPIPE`; `ERR_STREAM_PREMATURE_CLOSE` for a stream that was closed
   * without an end or an error.
   */
  readonly code: string
  readonly cause?: unknown
  /** While haggling: the option that waited for its answer, by its name in the specification. */
  readonly option?: string | undefined
  /** What a handle can be told so that the option is not asked, where there is something. */
  readonly remedy?: string | undefined
}> {
  override get message(): string {
    return `connection to ${this.peer} lost (${this.code})${atOption(this)}`
  }
}

/**
 * Every way in which a transport fails to open.
 *
 * @since 0.1.0
 * @category errors
 */
export type OpenError =
  | HostNotFoundError
  | ServiceNotFoundError
  | ConnectionRefusedError
  | UnreachableError
  | ConnectTimeoutError
  | SocketFolderError
  | ProgramNotFoundError
  | ProgramExitedError
  | StreamNotOpenedError
