/**
 * The checks of servers over the fake server, which passes them however it is configured; what they find where a rule is
 * broken; and the report.
 */
import { Conformance } from "@effect-nbd/conformance"
import { Transport } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const disk = { name: "disk", size: 2_097_152 }
const target: Conformance.Target = { exportName: "disk", unknownExport: "nothing" }

/** Nobody looks at them in memory. */
const nobody = { _tag: "Psk", keyOf: () => undefined } as const

type Server = Layer.Layer<FakeServer.FakeServer | Transport.Transport>

/** A client of this server asks for TLS, or does not. */
const asking = (server: Server): Server =>
  Layer.map(server, (context) => {
    const transport = Context.get(context, Transport.Transport)
    return Context.add(context, Transport.Transport, { ...transport, tls: { mode: "Require" } })
  })

const reportOf = (server: Server, checks = Conformance.serverChecks(target)) =>
  Effect.provide(Conformance.run(target, { checks }), server)

const failures = ({ checks }: Conformance.Report) =>
  checks.flatMap(({ name, verdict }) => verdict._tag === "Failed" ? [`${name}: ${verdict.reason}`] : [])

const failedRules = ({ rules }: Conformance.Report) =>
  rules.filter(({ verdict }) => verdict._tag === "Failed").map(({ rule }) => rule)

const configs: ReadonlyArray<readonly [string, FakeServer.FakeServerConfig, "plaintext" | "TLS", number]> = [
  ["everything", { exports: [disk, { name: "other", size: 512 }] }, "plaintext", 16],
  ["structured replies in small chunks", { exports: [disk], extendedHeaders: false, chunkSize: 4096 }, "plaintext", 24],
  [
    "block sizes that are required",
    {
      exports: [{ ...disk, blockSize: { minimum: 512, preferred: 4096, maximum: 1_048_576 } }],
      requireBlockSize: true
    },
    "plaintext",
    14
  ],
  ["a read-only export", { exports: [{ ...disk, readOnly: true }] }, "plaintext", 24],
  ["TLS for all", { exports: [disk], tls: { mode: "Require", settings: { credentials: nobody } } }, "TLS", 14],
  [
    "TLS for the export",
    { exports: [{ ...disk, tlsOnly: true }], tls: { mode: "Allow", settings: { credentials: nobody } } },
    "TLS",
    12
  ]
]

describe("the fake server", () => {
  it.scopedLive.each(configs.map((row, index) => [...row, index] as const))("passes every check with %s", (
    [, config, how, skipped, index]
  ) =>
    Effect.gen(function*() {
      const server = FakeServer.layer(config)
      // 32 MiB take their time in memory: once is enough.
      const checks = Conformance.serverChecks(target).filter(({ rules }) => index === 0 || !rules.includes("S-057"))
      const report = yield* reportOf(how === "TLS" ? asking(server) : server, checks)
      expect(failures(report)).toEqual([])
      expect(report.skipped).toBe(skipped)
    }), 30_000)
})

/** What is less usual, and right. Each row says which SHOULD it disregards. */
const legal: ReadonlyArray<readonly [string, FakeServer.FakeServerConfig, ReadonlyArray<Conformance.RuleId>]> = [
  [
    "in blocks of 64 KiB, 1 MiB at a time",
    {
      exports: [{
        name: "disk",
        size: 1_048_576,
        blockSize: { minimum: 65_536, preferred: 65_536, maximum: 1_048_576 }
      }]
    },
    []
  ],
  [
    "a block of 64 KiB at a time, by simple replies where they may be",
    {
      exports: [{ ...disk, blockSize: { minimum: 65_536, preferred: 65_536, maximum: 65_536 } }],
      acknowledgements: "Simple",
      requireBlockSize: true
    },
    ["S-052", "S-070"]
  ],
  ["a block of 4 KiB at a time", {
    exports: [{ ...disk, blockSize: { minimum: 4096, preferred: 4096, maximum: 4096 } }]
  }, [
    "S-052"
  ]],
  [
    "of a size that is no multiple of anything, 4,000 bytes at a time",
    { exports: [{ name: "disk", size: 2_097_665, blockSize: { minimum: 1, preferred: 1024, maximum: 4000 } }] },
    ["S-052"]
  ],
  ["that cannot tell its blocks of 64 KiB", {
    exports: [{ ...disk, blockSize: { minimum: 65_536, preferred: 65_536, maximum: 1_048_576 } }],
    protocol: "newstyle"
  }, []],
  ["with extended headers and no structured replies", { exports: [disk], structuredReplies: false }, []],
  ["that lists nothing, and tells nothing before it is entered", {
    exports: [disk],
    refuse: { LIST: "ERR_POLICY", INFO: "ERR_POLICY", SET_META_CONTEXT: "ERR_POLICY" }
  }, []],
  ["that agrees to nothing", {
    exports: [disk],
    refuse: { STRUCTURED_REPLY: "ERR_POLICY", EXTENDED_HEADERS: "ERR_PLATFORM", LIST_META_CONTEXT: "ERR_TOO_BIG" }
  }, []],
  ["of one request at a time, in small pieces from behind", {
    exports: [disk],
    chunkSize: 512,
    chunkOrder: "Descending",
    endWithNone: true,
    maxDescriptors: 1,
    maxPending: 1,
    noZeroes: false
  }, []]
]

describe("a server", () => {
  it.scopedLive.each(legal)("%s is not condemned", ([, config, disregarded]) =>
    Effect.gen(function*() {
      const target = yield* Conformance.targetOf("disk")
      const checks = [...Conformance.serverChecks(target), ...Conformance.checks(target)]
        .filter(({ rules }) => !rules.includes("S-057"))
      const report = yield* Conformance.run(target, { checks })
      expect(failures(report).length, failures(report).join("\n")).toBe(disregarded.length)
      expect(failedRules(report)).toEqual(disregarded)
    }).pipe(Effect.provide(FakeServer.layer(config))), 30_000)
})

describe("a server of one client at a time", () => {
  it.scopedLive("keeps every rule, but for those about several that cannot be looked at", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [disk] })
      const { refuseConnections } = server
      const busy = Effect.acquireRelease(refuseConnections(true), () => refuseConnections(false))
      const transport = { target: "one client at a time", open: Effect.zipLeft(server.open, busy) }
      const checks = Conformance.serverChecks(target).filter(({ rules }) => !rules.includes("S-057"))
      const running = Conformance.run(target, { checks })
      const report = yield* Effect.provideService(running, Transport.Transport, transport)
      expect(failures(report)).toEqual([])
      expect(report.rules.find(({ rule }) => rule === "S-014")?.verdict).toMatchObject({
        reason: "the server takes one client at a time"
      })
    }), 30_000)
})

describe("a server that breaks a rule", () => {
  it.scopedLive("is found out, check by check and rule by rule", () =>
    Effect.gen(function*() {
      const broken = FakeServer.layer({
        exports: [{
          ...disk,
          allocation: false,
          blockSize: { minimum: 3, preferred: 4, maximum: 1 },
          contexts: [{ name: "base:allocation", status: (_, length) => Effect.succeed([{ length, flags: 0x10n }]) }]
        }]
      })
      expect(failedRules(yield* reportOf(broken))).toEqual(expect.arrayContaining(["S-051", "S-052", "S-066"]))
    }), 30_000)

  it.scopedLive("fails what depends on a command that it refuses, and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      yield* server.onRequest(({ command }) => command === "WRITE_ZEROES" ? Steering.fail("ENOTSUP") : Steering.proceed)
      const report = yield* Conformance.run(target, { checks: Conformance.serverChecks(target) })
      expect(failedRules(report)).toEqual(["S-010", "S-055", "S-084", "S-086", "S-087"])
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))), 30_000)

  it.scopedLive("that does not answer fails each check within its time", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      yield* server.hold
      const checks = Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-036"))
      const { checks: [result] } = yield* Conformance.run(target, { checks, timeout: "600 millis" })
      expect(result?.verdict).toMatchObject({
        _tag: "Failed",
        reason: expect.stringMatching(/^the check: expected "an end within 600ms", saw "no answer for \d+ ms, where/),
        error: { _tag: "NbdConformanceError", expected: "an end within 600ms" }
      })
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))))
})

describe("a check that is not over in time", () => {
  const about = (rule: Conformance.RuleId) =>
    Conformance.serverChecks(target).filter(({ rules }) => rules.includes(rule))

  it.scopedLive("is unclear where the server is slow", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      yield* server.onRequest(() => Steering.delay("40 millis"))
      const slow = about("S-094").filter(({ name }) => name.startsWith("a hundred"))
      const report = yield* Conformance.run(target, { checks: slow, timeout: "1 second" })
      expect(report).toMatchObject({ passed: 0, failed: 0, unclear: 1, skipped: 0 })
      expect(report.rules).toMatchObject([{ rule: "S-094", verdict: { _tag: "Unclear" } }])
      expect(Conformance.format(report)).toMatch(
        /^unclear a hundred [^\n]* \(S-094\)\n {8}not over within 1s: [^]*\nunclear S-094 [^]*\n0 passed, 0 failed, 1 unclear, 0 skipped\n$/
      )
      expect(Conformance.toJson(report)).toMatchObject({ unclear: 1, checks: [{ verdict: "unclear" }] })
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk], maxPending: 1 }))))

  it.scopedLive("has failed where the server owes an answer to one kind of request alone", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      yield* server.onRequest(({ command }) => command === "TRIM" ? Steering.hang : Steering.proceed)
      const report = yield* Conformance.run(target, { checks: about("S-010"), timeout: "600 millis" })
      expect(report).toMatchObject({ failed: 1, unclear: 0, rules: [{ rule: "S-010", verdict: { _tag: "Failed" } }] })
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))))
})

describe("a report", () => {
  const check = (name: string, rules: Conformance.Check["rules"], run: Conformance.Check["run"]) => ({
    name,
    rules,
    run
  })
  const error = new Conformance.ConformanceError({ what: "size", expected: 1n, actual: "none" })
  const checks: ReadonlyArray<Conformance.Check> = [
    check("one", ["S-016", "S-015"], Effect.void),
    check("two", ["S-016"], Effect.fail(error)),
    check("three", ["S-027"], Effect.succeed(new Conformance.Skipped({ reason: "no TLS" }))),
    check("four", ["S-015"], Effect.succeed(new Conformance.Skipped({ reason: "no list" }))),
    check("five", [], Effect.die(new Error("a defect")))
  ]
  const report = reportOf(FakeServer.layer({ exports: [disk] }), checks)

  it.effect("tells of each check, and of each rule the worst that is known", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const whole = yield* Conformance.run(target, {
        checks,
        onResult: ({ name }) => Effect.sync(() => void seen.push(name))
      }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] })))
      expect(seen).toEqual(["one", "two", "three", "four", "five"])
      expect(whole).toMatchObject({ passed: 1, failed: 2, skipped: 2 })
      expect(whole.rules.map(({ rule, verdict }) => [rule, verdict._tag])).toEqual([
        ["S-015", "Passed"],
        ["S-016", "Failed"],
        ["S-027", "Skipped"]
      ])
      expect(whole.checks[1]?.verdict).toEqual({
        _tag: "Failed",
        error,
        reason: "size: expected 1, saw \"none\"",
        rules: ["S-016"]
      })
    }))

  it.effect("is a text", () =>
    Effect.gen(function*() {
      expect(Conformance.format(yield* report)).toBe([
        "FAILED  two (S-016)",
        "        size: expected 1, saw \"none\"",
        "FAILED  five",
        "        a defect",
        "",
        "skipped three (S-027): no TLS",
        "skipped four (S-015): no list",
        "",
        "passed  S-015  IMPL           each option but EXPORT_NAME has a reply that repeats its code",
        "FAILED  S-016  MUST           unknown options are ERR_UNSUP, and skipped by their length",
        "skipped S-027  MUST NOT       nothing agreed on before STARTTLS is kept",
        "",
        "1 passed, 2 failed, 2 skipped",
        ""
      ].join("\n"))
    }))

  it.effect("is data for JSON", () =>
    Effect.gen(function*() {
      expect(JSON.parse(JSON.stringify(Conformance.toJson(yield* report)))).toMatchObject({
        passed: 1,
        failed: 2,
        skipped: 2,
        checks: [
          { name: "one", rules: ["S-016", "S-015"], verdict: "passed" },
          { name: "two", verdict: "failed", reason: "size: expected 1, saw \"none\"" },
          { verdict: "skipped", reason: "no TLS" },
          {},
          {}
        ],
        rules: [{ rule: "S-015" }, { rule: "S-016", level: "MUST", verdict: "failed" }, { rule: "S-027" }]
      })
    }))

  it.effect("is not made of a run that is interrupted", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        reportOf(FakeServer.layer({ exports: [disk] }), [check("", [], Effect.interrupt)])
      )
      expect(exit._tag).toBe("Failure")
    }))
})

describe("a read-only export", () => {
  it.scopedLive("is not condemned for what our own client refuses", () =>
    Effect.gen(function*() {
      const readOnly = { ...target, readOnly: true }
      const checks = Conformance.checks(readOnly)
      const report = yield* Conformance.run(readOnly, { checks })
      expect(failures(report)).toEqual([])
      const skipped = report.checks.filter(({ verdict }) =>
        verdict._tag === "Skipped" && verdict.reason === "the export is read-only"
      )
      expect([report.passed, skipped.length]).toEqual([18, 20])
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ ...disk, readOnly: true }] }))), 30_000)
})

describe("a target", () => {
  it.scopedLive.each<readonly [FakeServer.FakeServerConfig, object]>([
    [{ exports: [disk] }, { protocol: "newstyle-fixed", lists: true, unknownExport: expect.any(String) }],
    [{ exports: [disk], refuse: { LIST: "ERR_POLICY" } }, { protocol: "newstyle-fixed", lists: false }],
    [{ exports: [disk], protocol: "newstyle" }, { protocol: "newstyle", lists: false }],
    [{ exports: [{ ...disk, readOnly: true }] }, { readOnly: true, lists: true }]
  ])("is found out of a server (%#)", ([config, expected]) =>
    Effect.gen(function*() {
      const found = yield* Effect.provide(Conformance.targetOf("disk"), FakeServer.layer(config))
      expect(found).toMatchObject({ exportName: "disk", ...expected })
    }))
})

describe("tests of any runner", () => {
  it("are made of checks, with the rules in their titles", async () => {
    const tests = new Map<string, () => Promise<void>>()
    const made = Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-025"))
    const failing = { name: "fails", rules: [], run: Effect.fail("at once") }
    Conformance.register(
      (title, test) => tests.set(title, test),
      [...made, failing],
      FakeServer.layer({ exports: [disk] })
    )
    expect([...tests.keys()]).toEqual(["LIST with data is ERR_INVALID, and haggling goes on (S-025)", "fails"])
    await tests.get("LIST with data is ERR_INVALID, and haggling goes on (S-025)")?.()
    await expect(tests.get("fails")?.()).rejects.toThrow("at once")
  })
})
