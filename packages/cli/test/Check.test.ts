/** `effect-nbd check`: our own server has nothing to fear, and others are told what they do otherwise. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { pki } from "./support/pki.ts"
import { cli, itWith } from "./support/programs.ts"
import { folder, nbdkit } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const check = (...args: ReadonlyArray<string>) => cli("check", "--destructive", ...args)

describe("serve", () => {
  it.scopedLive("keeps every rule that can be looked at, over TCP", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=2M", "--export=other", "--export=disk")
      const { code, stderr, stdout } = yield* check(uri.replace("other", "disk"))
      expect(stdout).toMatch(/\n1\d\d passed, 0 failed, 15 skipped\n$/)
      expect(stdout).toMatch(/^passed {2}S-016 {2}MUST {11}unknown options are ERR_UNSUP/m)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    }))

  itWith("certtool", "psktool")(
    "keeps every rule that can be looked at, under TLS by a Unix socket",
    () =>
      Effect.gen(function*() {
        const { certificates } = yield* pki
        const path = join(yield* folder, "socket")
        const { uri } = yield* serving(`--unix=${path}`, "--size=2M", `--tls-certificates=${certificates}`)
        const { code, stderr, stdout } = yield* check("--json", `${uri}&tls-certificates=${certificates}`)
        const report: unknown = JSON.parse(stdout)
        const rule = (number: string, verdict: string) => expect.objectContaining({ rule: number, verdict })
        expect(report).toMatchObject({
          failed: 0,
          rules: expect.arrayContaining(["S-044", "S-045", "S-048", "S-049"].map((one) => rule(one, "passed")))
        })
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      })
  )
})

describe("other servers", () => {
  itWith("nbdkit")("are told what they do otherwise, and the exit code is 2", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* check("--timeout=5s", yield* nbdkit("memory", "2M"))
      expect(stdout).toMatch(
        /^FAILED {2}each type of information comes once, [^\n]* \(S-034\)\n {8}types of information: /m
      )
      expect(stdout).toMatch(/^FAILED {2}S-034 {2}SHOULD /m)
      // Its threads may leave without the replies that are under way at NBD_CMD_DISC, which is one more.
      expect(stdout).toMatch(/\n\d+ passed, [23] failed, \d+ skipped\n$/)
      expect({ code, stderr }).toEqual({ code: 2, stderr: "" })
    }))
})

describe("nothing is done", () => {
  it.scopedLive("without --destructive", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=2M")
      const { code, stderr, stdout } = yield* cli("check", uri)
      expect(stderr).toMatch(/^effect-nbd: check writes to the export: say --destructive [^\n]+\n$/)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    }))

  it.scopedLive("where the export cannot be entered", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--export=disk")
      const { code, stderr, stdout } = yield* check(uri.replace("disk", "nothing"))
      expect(stderr).toMatch(/^effect-nbd: [^\n]*nothing[^\n]*\n$/)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    }))
})
