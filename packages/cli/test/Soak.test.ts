/** The soak (`npm run soak`), a short one: client processes that write, read and verify at once, on one server. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { run } from "./support/programs.ts"

const program = fileURLToPath(new URL("../../../scripts/soak.mjs", import.meta.url))

const soak = (...args: ReadonlyArray<string>) => run(process.execPath, program, "--seconds=2", ...args)

describe("many client processes on one server", () => {
  it.scopedLive("find what they have written, and its memory stays what it was", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* soak("--clients=4", "--growth=128")
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(JSON.parse(stdout)).toMatchObject({ clients: 4, errors: 0, mismatches: 0 })
    }))

  it.scopedLive("memory that grows more than it may is a failure", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* soak("--clients=1", "--growth=-1000", "--tcp")
      expect(stderr).toMatch(/the server's memory grew by -?\d+ MiB/)
      expect(code).toBe(1)
    }))
})
