/** Compiled code that is kept in the user's cache folder: it is used where nobody else can have written it, and only for its source. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { wrap } from "node:module"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Script } from "node:vm"
import { bin, run } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

const cache = fileURLToPath(new URL("../bin/cache.js", import.meta.url))

/** What a program prints that is run with the cache, or without it where there is no folder for that. */
const caller = "const [cache, file] = process.argv.slice(1); const { folder, run } = require(cache); " +
  "const found = folder(); if (found === undefined) console.log('none'); else run(file, found)"

/** A folder of its own for the cache, and a program that says a word. */
const place = Effect.map(folder, (directory) => {
  const home = join(directory, "cache")
  const file = join(directory, "program.cjs")
  const ours = join(home, "effect-nbd")
  const says = (word: string) => `module.exports = 1; console.log(${JSON.stringify(word)})`
  writeFileSync(file, says("yes"))
  const ran = (...variables: ReadonlyArray<string>) =>
    Effect.map(
      run("env", `XDG_CACHE_HOME=${home}`, ...variables, process.execPath, "-e", caller, cache, file),
      ({ code, stderr, stdout }) => {
        expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" })
        return stdout.trim()
      }
    )
  const kept = () => readdirSync(ours).map((name) => join(ours, name))
  /** Puts the code of another program of the same length where the kept code is. */
  const forge = (word: string) => {
    const [only = ""] = kept()
    const code = new Script(wrap(says(word)), { filename: file }).createCachedData()
    writeFileSync(only, Buffer.concat([createHash("sha256").update(code).digest(), code]))
    return only
  }
  return { directory, home, file, ours, says, ran, kept, forge }
})

describe("compiled code", () => {
  it.scopedLive("is kept by the first run, for its user alone, and is what the next run runs", () =>
    Effect.gen(function*() {
      const { forge, home, kept, ours, ran } = yield* place
      expect(yield* ran()).toBe("yes")
      expect(kept()).toHaveLength(1)
      const [only = ""] = kept()
      expect([home, ours, only].map((path) => statSync(path).mode & 0o777)).toStrictEqual([0o700, 0o700, 0o600])
      expect(readFileSync(only).byteLength).toBeGreaterThan(32)
      forge("no!")
      const before = readFileSync(only)
      expect(yield* ran()).toBe("no!")
      expect(readFileSync(only)).toStrictEqual(before)
    }))

  it.scopedLive("belongs to one source, and not to another of the same length", () =>
    Effect.gen(function*() {
      const { file, kept, ran, says } = yield* place
      yield* ran()
      writeFileSync(file, says("may"))
      expect(yield* ran()).toBe("may")
      expect(kept()).toHaveLength(2)
    }))

  it.scopedLive("is not run where others could have written it", () =>
    Effect.gen(function*() {
      const { directory, forge, home, ours, ran } = yield* place
      yield* ran()
      const only = forge("no!")
      for (const mode of [0o660, 0o606]) {
        chmodSync(only, mode)
        expect(yield* ran()).toBe("yes")
        // It was replaced by a file of the user's own.
        expect(statSync(only).mode & 0o777).toBe(0o600)
        forge("no!")
      }
      for (const [path, modes] of [[ours, [0o770, 0o707, 0o755]], [home, [0o770, 0o707]]] as const) {
        for (const mode of modes) {
          chmodSync(path, mode)
          expect(yield* ran()).toBe("none")
        }
        chmodSync(path, 0o700)
      }
      expect(yield* ran()).toBe("no!")
      renameSync(ours, join(directory, "elsewhere"))
      symlinkSync(join(directory, "elsewhere"), ours)
      expect(yield* ran()).toBe("none")
    }))

  it.scopedLive.skipIf(process.getuid?.() !== 0)(
    "is not run where the folder or the file is another's",
    () =>
      Effect.gen(function*() {
        const { directory, forge, home, ours, ran } = yield* place
        yield* ran()
        chownSync(forge("no!"), 1, 1)
        expect(yield* ran()).toBe("yes")
        forge("no!")
        for (const path of [ours, home]) {
          chownSync(path, 1, 1)
          expect(yield* ran()).toBe("none")
          chownSync(path, 0, 0)
        }
        expect(yield* ran()).toBe("no!")
        // Nothing is made in what is another's.
        const another = join(directory, "another")
        mkdirSync(another)
        chownSync(another, 1, 1)
        expect(yield* ran(`XDG_CACHE_HOME=${another}`)).toBe("none")
        expect(yield* ran(`XDG_CACHE_HOME=${another}/cache`)).toBe("none")
        expect(readdirSync(another)).toStrictEqual([])
      })
  )

  it.scopedLive("that is damaged is not run, and is replaced", () =>
    Effect.gen(function*() {
      const { kept, ran } = yield* place
      yield* ran()
      const [only = ""] = kept()
      const whole = readFileSync(only)
      for (const damaged of [Buffer.alloc(0), Buffer.alloc(whole.byteLength), whole.subarray(0, -1)]) {
        writeFileSync(only, damaged)
        expect(yield* ran()).toBe("yes")
        expect(readFileSync(only).byteLength).toBeGreaterThan(32)
        expect(readFileSync(only)).not.toStrictEqual(damaged)
      }
    }))

  it.scopedLive("is kept once by several first runs, and of eight sources at most", () =>
    Effect.gen(function*() {
      const { file, kept, ran, says } = yield* place
      yield* Effect.all([ran(), ran(), ran()], { concurrency: "unbounded" })
      expect(kept()).toHaveLength(1)
      writeFileSync(`${kept()[0]}.1`, "a draft of a process that was killed")
      for (const word of ["a", "b", "c", "d", "e", "f", "g", "h", "i"]) {
        writeFileSync(file, says(word))
        yield* ran()
      }
      expect(kept()).toHaveLength(8)
      expect(kept().filter((name) => !name.endsWith(".code"))).toStrictEqual([])
    }))

  it.scopedLive("is not kept where that is not wanted, or cannot be, and nothing is said", () =>
    Effect.gen(function*() {
      const { directory, home, ran } = yield* place
      expect(yield* ran("NODE_DISABLE_COMPILE_CACHE=1")).toBe("none")
      expect(yield* ran("XDG_CACHE_HOME=/dev/null")).toBe("none")
      expect(yield* ran("XDG_CACHE_HOME=/proc/nowhere")).toBe("none")
      expect(readdirSync(directory)).toStrictEqual(["program.cjs"])
      // A relative path is none, by the specification of these folders.
      mkdirSync(join(directory, ".cache"), { mode: 0o700 })
      yield* ran("XDG_CACHE_HOME=cache", `HOME=${directory}`)
      expect(readdirSync(directory).toSorted()).toStrictEqual([".cache", "program.cjs"])
      expect(home).not.toBe("")
    }))
})

describe("the program", () => {
  it.scopedLive("keeps its compiled code there, starts from it, and starts without it", () =>
    Effect.gen(function*() {
      const home = yield* folder
      chmodSync(home, 0o700)
      const version = (...variables: ReadonlyArray<string>) =>
        run("env", `XDG_CACHE_HOME=${home}`, ...variables, process.execPath, bin, "--version")
      const without = yield* version("NODE_DISABLE_COMPILE_CACHE=1")
      expect(readdirSync(home)).toStrictEqual([])
      expect(without).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n/) })
      expect(yield* version()).toStrictEqual(without)
      const names = readdirSync(join(home, "effect-nbd"))
      expect(names).toHaveLength(1)
      expect(yield* version()).toStrictEqual(without)
      expect(readdirSync(join(home, "effect-nbd"))).toStrictEqual(names)
    }))
})
