/**
 * Rules of the handshake that the handle keeps rather than any one option: deadlines, refusals of oldstyle servers, and
 * how a connection is left.
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { drive } from "../fixtures/Drive.ts"
import {
  concat,
  infoRequest,
  newstyleGreeting,
  oldstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u16,
  u32,
  u64,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { finished, ManualConnection } from "../fixtures/ManualConnection.ts"
import { ack, plain } from "./Haggled.ts"
import { follow, type Line } from "./ScriptedPeer.ts"

const over = (connection: ManualConnection) =>
  Effect.provideService(Transport, Transport.of({ target: "by hand", open: Effect.succeed(connection) }))

/** Has a handle connect to the script, and says what became of it, what state it is in, and what else it sent. */
const connected = (script: ReadonlyArray<Line>, config: HandleConfig = {}) => {
  const connection = new ManualConnection()
  const running = drive(
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Handle.make(config)
      const exit = yield* Effect.either(handle.connect)
      const state = yield* handle.state
      return { exit, state }
    })).pipe(over(connection))
  )
  const unexpected = follow(script, connection, running.outcome)
  const outcome = running.outcome()
  if (outcome._tag !== "Succeeded") throw new Error(outcome._tag)
  return { ...outcome.value, unexpected }
}

const plainGo: HandleConfig = { requestStructuredReplies: false, requestBlockSize: false, fullInfo: false }
const greeting: ReadonlyArray<Line> = [{ server: newstyleGreeting(3) }, { client: u32(3) }]
const goTo = (...replies: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> => [
  ...greeting,
  { client: option(opt.GO, infoRequest("")) },
  { server: concat(...replies) }
]
const left = (error: object) => ({ exit: { _tag: "Left", left: error }, state: { _tag: "Dead", reason: error } })

describe("an oldstyle server", () => {
  it("H-012 has no export with a name, and never serves another in its place (C-012)", () => {
    const outcome = connected([{ server: oldstyleGreeting({ size: 512n, flags: 1 }) }], { exportName: "disk" })
    expect(outcome).toMatchObject({
      exit: { left: { _tag: "NbdOptionUnavailableError", protocol: "oldstyle", wanted: "export \"disk\"" } },
      state: { _tag: "Dead" }
    })
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("H-037 with transmission flags of zero has broken the protocol (C-123)", () => {
    const noFlags = [{ server: oldstyleGreeting({ size: 512n, flags: 0 }) }]
    const accepted = connected(noFlags, { acceptZeroFlags: true })
    expect(accepted).toMatchObject({
      exit: { _tag: "Right" },
      state: { _tag: "Connected", export: { size: 512n, flags: 0, isReadOnly: false, canFlush: false } }
    })
    const expected = "transmission flags (acceptZeroFlags goes on without any)"
    expect(connected(noFlags)).toMatchObject({ exit: { left: { expected } } })
    expect(connected(noFlags)).toMatchObject(
      left({ _tag: "NbdProtocolError", phase: "greeting", rule: "Transmission flags, C-123" })
    )
  })

  it("is entered without a word, with simple replies (C-011)", () => {
    const { exit, state } = connected([{ server: oldstyleGreeting({ size: 512n, flags: 1 }) }])
    expect(exit).toMatchObject({ _tag: "Right" })
    expect(state).toMatchObject({
      _tag: "Connected",
      agreed: { protocol: "oldstyle", replyStyle: "Simple" },
      export: { name: "", size: 512n }
    })
  })
})

describe("a server that exports are entered on by NBD_OPT_EXPORT_NAME", () => {
  it("H-037 with transmission flags of zero has broken the protocol (C-123)", () => {
    for (const noZeroes of [0, 2]) {
      const script = [
        { server: newstyleGreeting(noZeroes) },
        { client: concat(u32(noZeroes), option(opt.EXPORT_NAME, utf8("disk"))) },
        { server: concat(u64(512n), u16(0), zeros(noZeroes === 0 ? 124 : 0)) }
      ]
      expect(connected(script, { exportName: "disk", acceptZeroFlags: true })).toMatchObject({
        exit: { _tag: "Right" },
        state: { _tag: "Connected", export: { name: "disk", size: 512n, flags: 0, isReadOnly: false, canFlush: false } }
      })
      expect(connected(script, { exportName: "disk" })).toMatchObject(
        left({ _tag: "NbdProtocolError", phase: "haggling", rule: "Transmission flags, C-123" })
      )
    }
  })
})

describe("leaving", () => {
  const refusals = [
    ["NBD_REP_ERR_UNKNOWN", rep.ERR_UNKNOWN, "NbdExportUnknownError"],
    ["NBD_REP_ERR_POLICY", rep.ERR_POLICY, "NbdOptionRefusedError"],
    ["NBD_REP_ERR_TLS_REQD", rep.ERR_TLS_REQD, "NbdTlsRequiredError"]
  ] as const

  it.each(refusals)(
    "after %s is by NBD_OPT_ABORT, and a close is answer enough (C-029, C-030, C-036)",
    (_, type, tag) => {
      const outcome = connected([
        ...goTo(optionReply(opt.GO, type)),
        { client: option(opt.ABORT) },
        { end: finished }
      ], plainGo)
      expect(outcome).toMatchObject(left({ _tag: tag }))
      expect(outcome.unexpected).toStrictEqual(zeros(0))
    }
  )

  it("H-051 after NBD_REP_ERR_SHUTDOWN to GO is by NBD_OPT_ABORT (C-037)", () => {
    const outcome = connected([
      ...goTo(optionReply(opt.GO, rep.ERR_SHUTDOWN, utf8("bye"))),
      { client: option(opt.ABORT) },
      { server: ack(opt.ABORT) },
      { end: finished }
    ], plainGo)
    expect(outcome).toMatchObject(left({ _tag: "NbdOptionRefusedError", replyType: rep.ERR_SHUTDOWN }))
  })

  it("H-051 after NBD_REP_ERR_SHUTDOWN to STRUCTURED_REPLY is by NBD_OPT_ABORT, and no other option comes first (C-037)", () => {
    const connection = new ManualConnection()
    const running = drive(Effect.scoped(Handle.connect({ requestExtendedHeaders: false })).pipe(over(connection)))
    connection.arrive(newstyleGreeting(3))
    running.outcome()
    connection.takeWritten()
    connection.arrive(optionReply(opt.STRUCTURED_REPLY, rep.ERR_SHUTDOWN, utf8("bye")))
    running.outcome()
    const next = connection.takeWritten()
    connection.end()
    running.outcome()
    expect(next).toStrictEqual(option(opt.ABORT))
  })

  it("after a broken protocol is without a word (C-032)", () => {
    const outcome = connected(goTo(optionReply(opt.GO, rep.ACK)), plainGo)
    expect(outcome).toMatchObject(left({ _tag: "NbdProtocolError", rule: "NBD_OPT_GO, C-053" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })
})

describe("bytes behind GO's acknowledgement", () => {
  const entered = [optionReply(opt.GO, rep.INFO, plain), ack(opt.GO)]
  const dead = (received: string) => ({
    exit: { _tag: "Right" },
    state: { _tag: "Dead", reason: { _tag: "NbdProtocolError", phase: "transmission", received } }
  })

  it("H-053 that are 124 zeroes are no reply (C-060, C-153)", () => {
    expect(connected(goTo(...entered, zeros(124)), plainGo)).toMatchObject(dead("0x00000000"))
  })

  it("H-054 that are a reply nobody asked for have an unknown cookie (C-154)", () => {
    const reply = concat(u32(0x67446698, 0), u64(1n))
    expect(connected(goTo(...entered, reply), plainGo)).toMatchObject(dead("0x0000000000000001"))
  })
})

describe("a server that takes its time", () => {
  const waiting = (arrive: (connection: ManualConnection) => Effect.Effect<void>) =>
    Effect.gen(function*() {
      const connection = new ManualConnection()
      const connecting = Effect.scoped(Handle.connect({ handshakeTimeout: "30 seconds" })).pipe(over(connection))
      const fiber = yield* Effect.fork(Effect.flip(connecting))
      yield* arrive(connection)
      yield* TestClock.adjust("1 millis")
      expect(fiber.unsafePoll()).not.toBe(null)
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "NbdHandshakeTimeoutError", peer: "by hand" })
    })

  const patient = (connection: ManualConnection, config: HandleConfig, greetingTimeout?: Duration.DurationInput) =>
    Handle.connect(config).pipe(
      Effect.scoped,
      Effect.provideService(
        Transport,
        Transport.of({ target: "by hand", open: Effect.succeed(connection), greetingTimeout })
      ),
      Effect.flip,
      Effect.fork
    )

  it.effect.each<
    readonly [string, HandleConfig, Duration.DurationInput | undefined, milliseconds: number]
  >([
    ["the 30 seconds of the handshake", {}, undefined, 30_000],
    ["what its transport names", {}, "5 seconds", 5000],
    ["no more than the handshake", {}, "50 seconds", 30_000],
    ["the time that the handshake was given", { handshakeTimeout: "50 seconds" }, "5 seconds", 50_000],
    ["a time of its own", { greetingTimeout: "40 seconds", handshakeTimeout: "50 seconds" }, "5 seconds", 40_000]
  ])("H-005 has for its first byte %s", ([_, config, greetingTimeout, milliseconds]) =>
    Effect.gen(function*() {
      const fiber = yield* patient(new ManualConnection(), config, greetingTimeout)
      yield* TestClock.adjust(milliseconds - 1)
      expect(fiber.unsafePoll()).toBe(null)
      yield* TestClock.adjust(1)
      expect(yield* Fiber.join(fiber)).toMatchObject({
        _tag: "NbdHandshakeTimeoutError",
        received: 0,
        timeout: Duration.millis(milliseconds)
      })
    }))

  it.effect("has all of the handshake's time once it has said a byte", () =>
    Effect.gen(function*() {
      const connection = new ManualConnection()
      const fiber = yield* patient(connection, {}, "5 seconds")
      yield* TestClock.adjust("4 seconds")
      connection.arrive(newstyleGreeting(3).subarray(0, 1))
      yield* TestClock.adjust("25999 millis")
      expect(fiber.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "NbdHandshakeTimeoutError", received: 1 })
    }))

  it.effect("H-005 and stays silent has 30 seconds", () => waiting(() => TestClock.adjust("29999 millis")))

  it.effect("H-006 and drips has the same 30 seconds, however often it sends a byte", () =>
    waiting((connection) =>
      Effect.forEach(newstyleGreeting(3).subarray(0, 15), (byte, index) =>
        Effect.gen(function*() {
          yield* TestClock.adjust(index === 14 ? "1999 millis" : "2 seconds")
          connection.arrive(Uint8Array.of(byte))
        }), { discard: true })
    ))
})
