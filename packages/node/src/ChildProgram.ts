/**
 * A child process whose stdin and stdout are one end of a socket pair, as `nbd_connect_command` has it: how it starts,
 * what it said, how it is brought to an end.
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
import type { Readable } from "node:stream"
import type { SocketPair } from "./SocketPair.ts"

/**
 * What to run: argv as given, never a shell.
 *
 * @since 0.1.0
 * @category models
 */
export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
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
 * From the end of its stdin until it is sent SIGTERM, in milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const exitGraceMillis = 200

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
  /** Adds to an end of the connection how the program exited, where that is known in a short time. */
  readonly explain: (end: ConnectionEnd, report: (end: ConnectionEnd) => void) => void
  /** Ends its stdin, and after a while the program itself. */
  readonly terminate: () => void
  /** The same, and waits until it is gone. */
  readonly release: Effect.Effect<void>
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * Spawns. Throws what Node throws at once, such as arguments that are too long; what it tells later is `started`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (program: Program, { ours, theirs }: SocketPair): ChildProgram => {
  const { args, command, cwd, env, gid, killGraceMillis, uid } = program
  const child = ChildProcess.spawn(command, args, {
    env,
    shell: false,
    windowsHide: true,
    stdio: [theirs, theirs, program.stderr === "keep" ? "pipe" : "inherit"],
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
  // It has its own copy now, if it was started at all.
  theirs.destroy()
  child.on("error", () => {})

  // 'close' comes after the exit and after the end of stderr, which may outlive the child in its children.
  let closed = false
  const gone = new Promise<void>((resolve) =>
    child.once("close", () => {
      closed = true
      resolve()
    })
  )

  const withStatus = (end: ConnectionEnd): ConnectionEnd => {
    if (exit === undefined) return end
    const error = new ProgramExitedError({ command, args, exitCode: exit.code, signal: exit.signal, stderr: said() })
    return exit.code === 0 && end._tag === "Finished" ? { _tag: "Finished", program: error } : { _tag: "Broken", error }
  }
  const explain = (end: ConnectionEnd, report: (end: ConnectionEnd) => void): void => {
    const settle = (): void => {
      clearTimeout(timer)
      child.off("close", settle)
      report(withStatus(end))
    }
    const timer = setTimeout(settle, statusGraceMillis)
    timer.unref()
    if (closed) settle()
    else child.once("close", settle)
  }

  let ending: NodeJS.Timeout | undefined
  const terminate = (): void => {
    if (ending !== undefined || exit !== undefined || child.pid === undefined) return
    ours.connection.endWrites()
    ending = setTimeout(() => {
      child.kill("SIGTERM")
      if (Number.isFinite(killGraceMillis)) {
        ending = setTimeout(() => child.kill("SIGKILL"), Math.min(killGraceMillis, longestTimer))
      }
    }, exitGraceMillis)
  }

  child.once("exit", (code, signal) => {
    exit = { code, signal }
    clearTimeout(ending)
    ours.writesLost(Object.assign(new Error(`${command} ended`), { code: "EPIPE" }))
  })

  const release = Effect.promise(async () => {
    if (await started !== undefined) return
    ours.abandon()
    terminate()
    if (exit === undefined) await new Promise<void>((resolve) => child.once("exit", () => resolve()))
    stderr?.destroy()
    await gone
  })
  return { started: Effect.promise(() => started), explain, terminate, release }
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
