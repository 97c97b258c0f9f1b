/**
 * Programs that tests run: this one as it is installed, and those of others. Each is started by its argv and ended by
 * its own process id when the scope of the test closes.
 */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"

// nbd-client lies in /usr/sbin, which the PATH of most users leaves out.
const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"]

/** Whether a program is to be found. */
export const isInstalled = (program: string): boolean => folders.some((folder) => existsSync(join(folder, program)))

const environment = {
  ...process.env,
  PATH: folders.join(delimiter),
  // What the program keeps in the cache folder of a user is not left in that of whoever runs the tests.
  XDG_CACHE_HOME: fileURLToPath(new URL("../../build/cache", import.meta.url))
}

/** `it.scopedLive`, skipped, and shown as such, where one of the programs is not installed. */
export const itWith = (...programs: ReadonlyArray<string>): typeof it.scopedLive.skip => {
  const missing = programs.filter((program) => !isInstalled(program))
  return (name, test, timeout) =>
    missing.length === 0
      ? it.scopedLive(name, test, timeout)
      : it.scopedLive.skip(`${name} (not installed: ${missing.join(", ")})`, test, timeout)
}

/** The built program. */
export const bin = fileURLToPath(new URL("../../bin/effect-nbd.js", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly pid: number
  /** Everything it has printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** Is done once its standard error has this in it. */
  readonly complained: (text: string) => Effect.Effect<void>
  /** The first line of its standard output, as soon as there is one. It fails when the program ends before that. */
  readonly firstLine: Effect.Effect<string>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
}

const killed = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

/** Starts a program. */
export const start = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] })),
    killed
  ).pipe(Effect.map((child) => {
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    const ended = new Promise<Ended>((resolve) =>
      child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
    )
    const firstLine = new Promise<string>((resolve, reject) => {
      child.once("error", reject)
      child.stdout.on("data", () => {
        const end = stdout.indexOf("\n")
        if (end !== -1) resolve(stdout.slice(0, end))
      })
      child.once("close", () => reject(new Error(`${command} ended without printing a line: ${stderr}`)))
    })
    firstLine.catch(() => {})
    return {
      pid: child.pid ?? -1,
      stdout: () => stdout,
      stderr: () => stderr,
      complained: (text) =>
        Effect.async((resume) => {
          const look = (): void => {
            if (stderr.includes(text)) resume(Effect.void)
          }
          child.stderr.on("data", look)
          look()
          return Effect.sync(() => child.stderr.off("data", look))
        }),
      firstLine: Effect.promise(() => firstLine),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      ended: Effect.promise(() => ended)
    }
  }))

/** Runs a program to its end. */
export const run = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(command, ...args), ({ ended }) => ended))

/** Runs a program to its end, which has to be a good one; answers with its standard output. */
export const succeed = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.flatMap(run(command, ...args), ({ code, stderr, stdout }) =>
    code === 0
      ? Effect.succeed(stdout)
      : Effect.dieMessage(`${command} ${args.join(" ")} ended with ${code}: ${stderr}`))

/** Starts a program for what it prints, which may be long. */
export const printed = (
  command: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Readable, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { env: environment, stdio: ["ignore", "pipe", "inherit"] })),
    killed
  ).pipe(Effect.map(({ stdout }) => stdout))

/** Runs `effect-nbd` to its end. */
export const cli = (...args: ReadonlyArray<string>): Effect.Effect<Ended> => run(process.execPath, bin, ...args)

/** Starts `effect-nbd`. */
export const startCli = (...args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  start(process.execPath, bin, ...args)
