/**
 * A child process that is a server: how it starts, what it said, how it is brought to an end. What it is connected to,
 * its starter says.
 *
 * All times here are real, not those of Effect's clock: the child lives in real time, under a test clock too.
 *
 * @since 0.1.0
 * @internal
 */
import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import { ProgramExitedError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import type * as net from "node:net"
import type { Readable } from "node:stream"
import * as AtExit from "./AtExit.ts"

/**
 * What to run: argv as given, never a shell.
 *
 * @since 0.1.0
 * @category models
 */
export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Another program to run, and its arguments, which in turn runs this one, as `file`. Errors do not tell of it. */
  readonly through?: {
    readonly before: readonly [program: string, ...args: ReadonlyArray<string>]
    readonly file: string
  } | undefined
  /** The whole environment. */
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  /** `inherit`: its standard error is this process's, and is not kept. */
  readonly stderr: "keep" | "inherit"
  /** From SIGTERM to SIGKILL, in milliseconds. */
  readonly killGraceMillis: number
}

/**
 * What it is given, and what its starter does about it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Contact {
  readonly stdin: net.Socket | number | "ignore" | "inherit"
  readonly stdout: net.Socket | "ignore" | "inherit"
  /** A descriptor of this process that it has as its descriptor 3. */
  readonly third?: number | undefined
  /** Called at once after it was started, or was not: it has its own copies now. */
  readonly handedOver: () => void
  /** Lets it know that it is to end, if it can be told without a signal. */
  readonly farewell: () => void
  /** From the farewell until SIGTERM, in milliseconds. */
  readonly farewellMillis: number
  /** Called when it has ended. */
  readonly onExit: () => void
  /** Called before it is released. */
  readonly onRelease: () => void
}

/**
 * How long the end of its stdout may wait for its exit status, in milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const statusGraceMillis = 250

/**
 * How much of its standard error is kept, in bytes: the last ones.
 *
 * @since 0.1.0
 * @category constants
 */
export const stderrBytes = 4096

/** Node takes a longer time for 1 ms. */
const longestTimer = 0x7fff_ffff

/**
 * @since 0.1.0
 * @category models
 */
export interface ChildProgram {
  /** Settles once it is known whether it started: the error if not. */
  readonly started: Effect.Effect<Error | undefined>
  /** Whether it has ended. */
  readonly hasEnded: () => boolean
  /** Adds to an end of the connection how the program exited, where that is known in a short time. */
  readonly explain: (end: ConnectionEnd, report: (end: ConnectionEnd) => void) => void
  /** How it exited, where that is known in a short time. */
  readonly ended: Effect.Effect<ProgramExitedError | undefined>
  /** Bids it farewell, and ends it after a while. */
  readonly terminate: () => void
  /** The same, and waits until it is gone. */
  readonly release: Effect.Effect<void>
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * Spawns. A process that exits before it has released the program ends it too. Throws what Node throws at once, such as arguments that are too long; what it tells later is `started`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (program: Program, contact: Contact): ChildProgram => {
  const { args, command, cwd, env, gid, killGraceMillis, through, uid } = program
  const [first, ...before] = through === undefined ? [command] : [...through.before, through.file]
  const child = ChildProcess.spawn(first, [...before, ...args], {
    env,
    shell: false,
    windowsHide: true,
    stdio: stdioOf(contact, program.stderr),
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid })
  })
  const { stderr } = child
  const said = tailOf(stderr)

  let exit: Exit | undefined
  const started = new Promise<Error | undefined>((resolve) => {
    child.once("spawn", () => resolve(undefined))
    child.once("error", resolve)
  })
  contact.handedOver()
  child.on("error", () => {})

  // 'close' comes after the exit and after the end of stderr, which may outlive the child in its children.
  let closed = false
  const gone = new Promise<void>((resolve) =>
    child.once("close", () => {
      closed = true
      resolve()
    })
  )

  const status = (report: (error: ProgramExitedError | undefined) => void): void => {
    const settle = (): void => {
      clearTimeout(timer)
      child.off("close", settle)
      report(
        exit && new ProgramExitedError({ command, args, exitCode: exit.code, signal: exit.signal, stderr: said() })
      )
    }
    const timer = setTimeout(settle, statusGraceMillis)
    timer.unref()
    if (closed) settle()
    else child.once("close", settle)
  }

  let isTold = false
  const forget = child.pid === undefined
    ? () => {}
    : AtExit.endChild({
      pid: child.pid,
      kill: (signal) => child.kill(signal),
      isTold: () => isTold,
      mayBeKilled: Number.isFinite(killGraceMillis)
    })

  let ending: NodeJS.Timeout | undefined
  const terminate = (): void => {
    if (ending !== undefined || exit !== undefined || child.pid === undefined) return
    ending = setTimeout(() => {
      child.kill("SIGTERM")
      isTold = true
      if (Number.isFinite(killGraceMillis)) {
        ending = setTimeout(() => child.kill("SIGKILL"), Math.min(killGraceMillis, longestTimer))
      }
    }, contact.farewellMillis)
    contact.farewell()
  }

  child.once("exit", (code, signal) => {
    exit = { code, signal }
    forget()
    clearTimeout(ending)
    contact.onExit()
  })

  const release = Effect.promise(async () => {
    if (await started !== undefined) return
    contact.onRelease()
    terminate()
    if (exit === undefined) await new Promise<void>((resolve) => child.once("exit", () => resolve()))
    stderr?.destroy()
    await gone
  })
  return {
    started: Effect.promise(() => started),
    hasEnded: () => exit !== undefined,
    explain: (end, report) => status((error) => report(error === undefined ? end : withStatus(end, error))),
    ended: Effect.async((resume) => status((error) => resume(Effect.succeed(error)))),
    terminate,
    release
  }
}

const withStatus = (end: ConnectionEnd, error: ProgramExitedError): ConnectionEnd =>
  error.exitCode === 0 && end._tag === "Finished" ? { _tag: "Finished", program: error } : { _tag: "Broken", error }

const stdioOf = ({ stdin, stdout, third }: Contact, stderr: Program["stderr"]): ChildProcess.StdioOptions => {
  const standard = [stdin, stdout, stderr === "keep" ? "pipe" as const : "inherit" as const]
  return third === undefined ? standard : [...standard, third]
}

/** Drains the stream from now on, so that its writer never waits, and keeps the last bytes. */
const tailOf = (stream: Readable | null): () => string => {
  let kept = Buffer.alloc(0)
  let cut = false
  stream?.on("error", () => {})
  stream?.on("data", (chunk: Buffer) => {
    const all = Buffer.concat([kept, chunk.subarray(-stderrBytes)])
    cut = cut || chunk.byteLength > stderrBytes || all.byteLength > stderrBytes
    kept = all.subarray(-stderrBytes)
  })
  return () => {
    let from = 0
    // A character cut in two begins with continuation bytes.
    if (cut) { while (from < 3 && (kept[from] ?? 0) >> 6 === 0b10) from++ }
    return kept.toString("utf8", from)
  }
}
