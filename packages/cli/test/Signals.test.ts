/**
 * How a signal ends the program, and what it has started.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { bin, itWith, start } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

const built = (module: string) => JSON.stringify(pathToFileURL(join(bin, "..", "..", "dist", module)).href)

const effect =
  pathToFileURL(join(dirname(createRequire(import.meta.url).resolve("effect/package.json")), "dist/esm/Effect.js")).href

/** A program of a few lines, run as the whole one is; exit code 7 says that it closed in order. */
const running = (program: string, closing = "undefined") =>
  Effect.gen(function*() {
    const script = join(yield* folder, "script.mjs")
    writeFileSync(
      script,
      `import * as Signals from ${built("Signals.js")}
       import * as Effect from ${JSON.stringify(effect)}
       const told = (text) => Effect.sync(() => console.log(text))
       Signals.runMain(${program}, (exit, signal) => signal === undefined ? 7 : Signals.exitCodeOf(signal) + 100, ${closing})`
    )
    const started = yield* start(process.execPath, script)
    yield* started.firstLine
    return started
  })

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("20 seconds")
  )

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const signals = [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGTERM", 143],
  ["SIGALRM", 142],
  ["SIGUSR2", 140]
] as const

describe("a signal", () => {
  for (const [signal, code] of signals) {
    it.scopedLive(`${signal} has it close in order, and is in its exit code`, () =>
      Effect.gen(function*() {
        const program = yield* running(
          `told("here").pipe(Effect.zipRight(Effect.never), Effect.ensuring(told("closed")))`
        )
        yield* program.kill(signal)
        expect(yield* program.ended).toMatchObject({ code: code + 100, signal: null, stdout: "here\nclosed\n" })
      }))
  }

  it.scopedLive("that comes twice at once counts once", () =>
    Effect.gen(function*() {
      const program = yield* running(
        `told("here").pipe(Effect.zipRight(Effect.never), Effect.ensuring(Effect.delay(told("closed"), "500 millis")))`
      )
      yield* program.kill("SIGTERM")
      yield* program.kill("SIGTERM")
      expect(yield* program.ended).toMatchObject({ code: 243, stdout: "here\nclosed\n" })
    }))

  it.scopedLive("ends it at once when it is the second", () =>
    Effect.gen(function*() {
      const program = yield* running(
        `told("here").pipe(Effect.zipRight(Effect.never), Effect.ensuring(told("closing")), Effect.ensuring(Effect.never))`
      )
      yield* program.kill("SIGHUP")
      yield* until(() => program.stdout().includes("closing"))
      // One that comes at the same time would be the same.
      yield* Effect.repeat(program.kill("SIGINT"), { schedule: Schedule.spaced("50 millis"), times: 10 }).pipe(
        Effect.race(program.ended)
      )
      expect(yield* program.ended).toMatchObject({ code: 130, stdout: "here\nclosing\n" })
    }))

  it.scopedLive("does not wait for ever", () =>
    Effect.gen(function*() {
      const program = yield* running(
        `told("here").pipe(Effect.zipRight(Effect.never), Effect.ensuring(Effect.never))`,
        "100"
      )
      yield* program.kill("SIGTERM")
      expect(yield* program.ended).toMatchObject({ code: 143, stdout: "here\n" })
    }))
})

describe("a copy with a program of its own", () => {
  for (const [signal, code] of signals) {
    itWith("nbdkit")(`leaves nothing behind after ${signal}`, () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const [temporary, pidFile] = [join(directory, "tmp"), join(directory, "pid")]
        mkdirSync(temporary)
        const server = ["nbdkit", "-P", pidFile, "--filter=delay", "memory", "64M", "rdelay=60"]
        const copy = yield* start(
          "env",
          `TMPDIR=${temporary}`,
          process.execPath,
          bin,
          "copy",
          "--no-extents",
          "[",
          ...server,
          "]",
          "null:"
        )
        yield* until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n"))
        const pid = Number(readFileSync(pidFile, "utf8"))
        expect(isAlive(pid)).toBe(true)
        yield* copy.kill(signal)
        expect((yield* copy.ended).code).toBe(code)
        yield* until(() => !isAlive(pid))
        expect(readdirSync(temporary)).toStrictEqual([])
      }))
  }
})
