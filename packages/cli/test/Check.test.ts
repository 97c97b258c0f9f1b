/** `effect-nbd check`: our own server has nothing to fear, and others are told what they do otherwise. */
import * as CheckTally from "#cli/CheckTally"
import * as Listener from "#cli/Listener"
import * as Conformance from "@effect-nbd/conformance/Conformance"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import * as Steering from "@effect-nbd/testing/Steering"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { join } from "node:path"
import { pki } from "./support/pki.ts"
import { cli, itWith, startCli } from "./support/programs.ts"
import { folder, nbdkit } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

const check = (...args: ReadonlyArray<string>) => cli("check", "--destructive", ...args)

describe("serve", () => {
  it.scopedLive("keeps every rule that can be looked at, over TCP", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=2M", "--export=other", "--export=disk")
      const { code, stderr, stdout } = yield* check(uri.replace("other", "disk"))
      expect(stdout).toMatch(/\n1\d\d passed, 0 failed, 16 skipped\n$/)
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
        /^FAILED {2}errors to other structured requests are chunks too \(S-070\)\n {8}style of the error /m
      )
      expect(stdout).toMatch(/^FAILED {2}S-070 {2}SHOULD /m)
      // Its threads may leave without the replies that are under way at NBD_CMD_DISC, which is one more.
      expect(stdout).toMatch(/\n\d+ passed, [12] failed, \d+ skipped\n$/)
      expect({ code, stderr }).toEqual({ code: 2, stderr: "" })
    }))
})

describe("a report and no error", () => {
  it.scopedLive("is made of a server that breaks a rule in its very first answer", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({
        exports: [{ name: "", size: 2_097_152 }],
        misbehaviours: [Misbehaviour.missingExportInfo]
      })
      const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
      const { code, stderr, stdout } = yield* check("--timeout=5s", yield* Listener.uriOf(address, ""))
      expect(stdout.match(/^FAILED {2}S-\d+/gm)).toEqual(["FAILED  S-031"])
      expect(stdout).toMatch(/^passed {2}S-016 {2}MUST /m)
      expect(stdout).not.toMatch(/^STOPPED/m)
      expect({ code, stderr }).toEqual({ code: 2, stderr: "" })
    }), 120_000)

  it.scopedLive("ends where the server answers no more", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [{ name: "", size: 2_097_152 }] })
      let hangs = false
      yield* server.onRequest(({ command, offset }) => {
        hangs ||= command === "READ" && offset >= 2_097_152n
        return hangs ? Steering.hang : Steering.proceed
      })
      const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
      const { code, stdout } = yield* check("--timeout=3s", "--json", yield* Listener.uriOf(address, ""))
      expect(JSON.parse(stdout)).toMatchObject({
        stopped: {
          after: "a read past the end is EINVAL, also where offset and length overflow",
          left: expect.any(Number)
        }
      })
      expect([2, 3]).toContain(code)
    }), 120_000)
})

describe("interrupted", () => {
  it.scopedLive("it reports what it had looked at", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [{ name: "", size: 2_097_152 }] })
      const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
      const checking = yield* startCli("check", "--destructive", yield* Listener.uriOf(address, ""))
      yield* server.awaitEnds(12)
      yield* server.hold
      yield* server.awaitRequests(1)
      yield* checking.kill("SIGINT")
      const { code, stderr, stdout } = yield* checking.ended
      const [, passed, skipped] = /\n(\d+) passed, 0 failed, (\d+) skipped\n$/.exec(stdout) ?? []
      const [, made, all] = /^effect-nbd: interrupted: (\d+) of (\d+) checks were made\n$/.exec(stderr) ?? []
      expect(Number(passed)).toBeGreaterThan(1)
      expect(Number(made)).toBe(Number(passed) + Number(skipped))
      expect(Number(all)).toBeGreaterThan(Number(made))
      expect(code).toBe(130)
    }))

  it.effect("and on a terminal, one line tells how far it has come", () =>
    Effect.gen(function*() {
      const drawn: Array<string> = []
      const canvas = { write: (text: string) => void drawn.push(text), columns: () => 30 }
      const check = (name: string, run: Conformance.Check["run"]): Conformance.Check => ({
        name,
        rules: ["S-001"],
        run
      })
      const checks = [
        check("good", Effect.void),
        check("bad", new Conformance.ConformanceError({ what: "a", expected: "b", actual: "c" })),
        check("with a long name that does not fit", Effect.never)
      ]
      const reported = yield* Deferred.make<Conformance.Report>()
      const unfinished = (report: Conformance.Report) => Effect.asVoid(Deferred.succeed(reported, report))
      const running = yield* Effect.fork(
        CheckTally.withTally(
          { canvas, total: 3, unfinished },
          (onResult) => Conformance.run({ exportName: "" }, { checks, onResult, timeout: "5 seconds" })
        )
      )
      yield* TestClock.adjust("1 second")
      expect(drawn).toEqual(["\r\u001b[K1 of 3, 0 failed: good", "\r\u001b[K2 of 3, 1 failed: bad"])
      yield* Fiber.interrupt(running)
      expect(drawn.at(-1)).toBe("\r\u001b[K")
      expect(yield* Deferred.await(reported)).toMatchObject({ passed: 1, failed: 1, skipped: 0 })
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ name: "", size: 512 }] }))))
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
