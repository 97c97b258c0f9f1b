/**
 * Servers that are not to blame: what a check says of one that is small, old, full, in a hurry to leave, or gone.
 */
import * as BlockDevice from "@effect-nbd/block/BlockDevice"
import { Conformance } from "@effect-nbd/conformance"
import { Transport } from "@effect-nbd/core"
import type { Connection } from "@effect-nbd/core/Transport"
import { concat, encodeText } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { FakeServer, Misbehaviour, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { verdictOf } from "./judges/Breaker.ts"
import { takesTooLongForUnknown } from "./judges/ExtendedBreakers.ts"
import * as Says from "./judges/Says.ts"

const disk = { name: "disk", size: 1_048_576 }
const target: Conformance.Target = { exportName: "disk", unknownExport: "nothing" }

const failures = ({ checks }: Conformance.Report) =>
  checks.flatMap(({ name, verdict }) =>
    verdict._tag === "Failed" || verdict._tag === "Unclear" ? [`${name}: ${verdict.reason}`] : []
  )

/** 32 MiB take their time in memory. */
const isQuick = ({ rules }: Conformance.Check): boolean => !rules.includes("S-057")

const everything = (target: Conformance.Target) =>
  [...Conformance.serverChecks(target), ...Conformance.checks(target)].filter(isQuick)

const found = Effect.flatMap(
  Conformance.targetOf("disk"),
  (target) => Conformance.run(target, { checks: everything(target) })
)

const made = { name: "made", rule: "S-094", sentence: "", reaction: "Tolerated" } as const

/** It refuses what no client may send, and leaves. */
const leaves = Misbehaviour.make({
  ...made,
  moment: "Answer",
  change: ({ frames }, { request: { command, flags, length, offset } }) => {
    const isBeyond = BigInt(length) + offset > BigInt(disk.size)
    const isBreach = command === "UNKNOWN" || (flags & 0x8000) !== 0 || isBeyond || offset === 1n && length !== 1
    return isBreach ? { frames, afterwards: "End" } : undefined
  }
})

const fair: ReadonlyArray<readonly [string, FakeServer.FakeServerConfig, atLeast: number]> = [
  ...[0, 511, 4096, 1_048_575].map((size) =>
    [`with an export of ${size} bytes`, { exports: [{ name: "disk", size }] }, 40] as const
  ),
  [
    "with an export shorter than its blocks",
    { exports: [{ name: "disk", size: 4096, blockSize: { minimum: 65_536, preferred: 65_536, maximum: 1_048_576 } }] },
    40
  ],
  ["that leaves whoever has asked for what is not there", { exports: [disk], misbehaviours: [leaves] }, 90],
  [
    "that refuses whatever would change a read-only export, wherever that is",
    {
      exports: [{ ...disk, readOnly: true }],
      misbehaviours: [
        Says.flags((flags) => flags | TransmissionFlags.SEND_WRITE_ZEROES | TransmissionFlags.SEND_TRIM),
        [Says.failing("EPERM", ({ command }) => command === "TRIM" || command === "WRITE_ZEROES")]
      ].flat()
    },
    60
  ],
  [
    "that knows neither GO nor INFO, as old ones do",
    {
      exports: [disk],
      extendedHeaders: false,
      metaContexts: false,
      noZeroes: false,
      refuse: { GO: "ERR_UNSUP", INFO: "ERR_UNSUP" },
      structuredReplies: false
    },
    50
  ]
]

describe("a server", () => {
  it.scopedLive.each(fair)("%s is not condemned", ([, config, atLeast]) =>
    Effect.gen(function*() {
      const report = yield* Effect.provide(found, FakeServer.layer(config))
      // A minimum block size that does not divide the size is a SHOULD of its own.
      const others = failures(report).filter((failure) => !failure.includes("bytes behind the last block"))
      expect(others).toEqual([])
      expect(report.passed).toBeGreaterThan(atLeast)
    }), 120_000)

  it.scopedLive.each<readonly ["READ" | "WRITE", "EIO" | "ENOSPC" | "ENOMEM"]>([
    ["READ", "EIO"],
    ["WRITE", "ENOSPC"],
    ["WRITE", "ENOMEM"]
  ])("whose disk cannot %s (%s) is not condemned", ([command, errno]) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      // What is past the end is refused before it comes to the disk.
      yield* server.onRequest((request) =>
        request.command === command && request.flags === 0 && request.length > 0 &&
          request.offset + BigInt(request.length) <= BigInt(disk.size)
          ? Steering.fail(errno)
          : Steering.proceed
      )
      const report = yield* found
      expect(failures(report)).toEqual([])
      expect(report.checks.filter(({ verdict }) => verdict._tag === "Skipped").length).toBeGreaterThan(20)
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))), 120_000)
})

describe("a server that refuses a payload that is too long", () => {
  it.scopedLive("and then ends the session is not condemned", () =>
    Effect.gen(function*() {
      const [check] = Conformance.serverChecks(target).filter(({ name }) =>
        name === "a payload that is too long ends the session"
      )
      if (check === undefined) return expect.fail("there is no such check")
      expect(yield* verdictOf(check, {}, { hears: takesTooLongForUnknown, says: [leaves] })).toEqual({ _tag: "Passed" })
    }))
})

/** It was accepted, and ended. */
const ended: Connection = {
  peer: "a server without room",
  receive: ({ onEnd }) => queueMicrotask(() => onEnd({ _tag: "Finished", program: undefined })),
  resume: () => {},
  write: () => true,
  endWrites: () => {},
  close: () => {}
}

describe("an export that keeps nothing", () => {
  it.scopedLive(
    "is told of once, and no rule of anything else is said to be broken, also with one client at a time",
    () =>
      Effect.gen(function*() {
        const device = yield* BlockDevice.fromFunctions({
          size: BigInt(disk.size),
          readInto: (_, destination) => Effect.sync(() => void destination.fill(0)),
          write: () => Effect.void
        })
        const server = yield* FakeServer.make({ exports: [{ name: disk.name, device }] })
        const { refuseConnections } = server
        const busy = Effect.acquireRelease(refuseConnections(true), () => refuseConnections(false))
        const transport = { target: "one client at a time", open: Effect.zipLeft(server.open, busy) }
        const report = yield* Effect.provideService(found, Transport.Transport, transport)
        expect(failures(report)).toEqual([
          expect.stringMatching(
            /^what is written is read back, at the start, at the end and in between: read at 0, byte 0/
          )
        ])
      }),
    120_000
  )
})

describe("a server without room", () => {
  const crowded = (times: number) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [disk] })
      let left = times
      const open = Effect.suspend(() => left-- <= 0 ? server.open : Effect.succeed(ended))
      return { target: "a server without room", open }
    })

  const about = Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-036"))

  it.scopedLive("is asked again", () =>
    Effect.gen(function*() {
      const transport = yield* crowded(4)
      const report = yield* Effect.provideService(
        Conformance.run(target, { checks: about }),
        Transport.Transport,
        transport
      )
      expect(report).toMatchObject({ passed: 1, failed: 0, unclear: 0 })
    }))

  it.scopedLive("is not condemned where it has room again only after the check", () =>
    Effect.gen(function*() {
      const transport = yield* crowded(8)
      const report = yield* Effect.provideService(
        Conformance.run(target, { checks: about }),
        Transport.Transport,
        transport
      )
      expect(report.checks[0]?.verdict).toMatchObject({
        _tag: "Unclear",
        reason: expect.stringContaining("it may have had no room")
      })
    }))
})

describe("a server that answers no more", () => {
  it.scopedLive("or lets nobody in, is charged with nothing because of that", () =>
    Effect.gen(function*() {
      const checks = Conformance.serverChecks(target).filter(isQuick)
      const report = yield* Conformance.run(target, { checks, timeout: "1 second" })
      expect(report).toMatchObject({
        failed: 0,
        unclear: 1,
        stopped: { left: checks.length - report.checks.length, why: "Refuses" }
      })
      expect(report.checks.at(-1)?.verdict).toMatchObject({
        _tag: "Unclear",
        reason: expect.stringMatching(/^the server lets no client into the export any more/)
      })
    }).pipe(Effect.provide(FakeServer.layer({
      exports: [disk],
      misbehaviours: [Says.reply("GO", "ERR_POLICY", { nth: 3 })]
    }))), 30_000)

  it.scopedLive("ends the run, which says after which check", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      let hangs = false
      yield* server.onRequest(({ command, offset }) => {
        hangs ||= command === "READ" && offset >= BigInt(disk.size)
        return hangs ? Steering.hang : Steering.proceed
      })
      const checks = Conformance.serverChecks(target).filter(isQuick)
      const report = yield* Conformance.run(target, { checks, timeout: "1 second" })
      const after = "a read past the end is EINVAL, also where offset and length overflow"
      expect(report.failed + report.unclear).toBe(1)
      expect(report.stopped).toEqual({ after, left: checks.length - report.checks.length, why: "Silent" })
      expect(report.stopped?.left).toBeGreaterThan(20)
      expect(Conformance.format(report)).toMatch(
        /\n\nSTOPPED after "a read past the end is EINVAL, [^"]*": the server answers no more; \d\d checks were not made\n\n\d+ passed, /
      )
      expect(Conformance.toJson(report)).toMatchObject({ stopped: { after } })
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))), 60_000)

  it.scopedLive("is told from one that breaks a rule, which is asked all there is", () =>
    Effect.gen(function*() {
      const checks = Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-016")).concat(
        Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-036"))
      )
      const report = yield* Conformance.run(target, { checks })
      expect(report).toMatchObject({ failed: 1, passed: 1 })
      expect(report.stopped).toBeUndefined()
      expect(Conformance.toJson(report).stopped).toBeNull()
    }).pipe(Effect.provide(FakeServer.layer({
      exports: [disk],
      misbehaviours: [Misbehaviour.at(Misbehaviour.replyToAnotherOption, { option: 0x7fff_1234 })]
    }))))
})

describe("a server that says a lot", () => {
  it.scopedLive("fills no memory with what a report quotes of it", () =>
    Effect.gen(function*() {
      const checks = Conformance.serverChecks(target).filter(({ rules }) => rules.includes("S-059"))
      const { checks: [result] } = yield* Conformance.run(target, { checks, timeout: "20 seconds" })
      const { verdict } = result ?? {}
      if (verdict?._tag !== "Failed") return expect.fail(`it is ${verdict?._tag}`)
      expect(verdict.reason).toMatch(/selected beside it: expected "base:allocation", saw "x+ \(of \d{7} characters\)"/)
      expect(verdict.reason.length).toBeLessThan(1200)
      expect(JSON.stringify(verdict.error).length).toBeLessThan(1200)
    }).pipe(Effect.provide(FakeServer.layer({
      exports: [disk],
      misbehaviours: [Says.toOption("SET_META_CONTEXT", (frames) =>
        frames.length === 1 ? undefined : [
          ...Array.from(
            { length: 1000 },
            (_, id) => Misbehaviour.optionReply(10, 4, concat([Says.fields([4, id]), encodeText("x".repeat(4000))]))
          ),
          ...frames.slice(-1)
        ])]
    }))), 30_000)
})

describe("a server that breaks a rule in its first answers", () => {
  it.scopedLive.each<readonly [string, Misbehaviour.Misbehaviour, Conformance.RuleId]>([
    ["the greeting", Misbehaviour.wrongOptionReplyMagic, "S-015"],
    ["what GO tells", Misbehaviour.missingExportInfo, "S-031"]
  ])("is reported on: %s", ([, misbehaviour, rule]) =>
    Effect.gen(function*() {
      const target = yield* Conformance.targetOf("disk")
      expect(target).toEqual({ exportName: "disk", protocol: "newstyle-fixed", lists: false, enterable: false })
      const checks = Conformance.serverChecks(target).filter(({ rules }) => rules.includes(rule))
      const report = yield* Conformance.run(target, { checks })
      expect(report.rules.find((result) => result.rule === rule)?.verdict._tag).toBe("Failed")
      expect(report.stopped).toBeUndefined()
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk], misbehaviours: [misbehaviour] }))), 30_000)

  it.scopedLive("is an error where it is no NBD server at all, or the name is not known", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Conformance.targetOf("nothing"))
      expect(error._tag).toBe("NbdExportUnknownError")
    }).pipe(Effect.provide(FakeServer.layer({ exports: [disk] }))))
})
