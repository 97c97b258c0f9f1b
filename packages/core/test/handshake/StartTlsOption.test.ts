/**
 * NBD_OPT_STARTTLS in the caller's hands: what it leaves of what was learned before, and how often it may be sent.
 */
import type { Transport as Seam } from "@effect-nbd/core"
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { TlsCredentialsError, TlsHandshakeError } from "@effect-nbd/core/TlsError"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { drive } from "../fixtures/Drive.ts"
import { EncryptingConnection } from "../fixtures/EncryptingConnection.ts"
import {
  concat,
  infoRequest,
  newstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u32,
  zeros
} from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { go, greeting, over, plainGo } from "./Encrypting.ts"
import { ack, plain } from "./Haggled.ts"
import { follow, type Line } from "./ScriptedPeer.ts"

describe("TLS from within opt mode", () => {
  const optMode: HandleConfig = {
    ...plainGo,
    optMode: true,
    exportName: "secret",
    tls: { mode: "Disable", hostname: "host" }
  }
  const info: ReadonlyArray<Line> = [
    { client: option(opt.INFO, infoRequest("secret")) },
    { server: concat(optionReply(opt.INFO, rep.INFO, plain), ack(opt.INFO)) }
  ]
  const asked: ReadonlyArray<Line> = [{ client: option(opt.STARTTLS) }, { server: ack(opt.STARTTLS) }]

  /** A handle that negotiates, what it is asked to do, and the state that it is in then. */
  const negotiating = <C extends ManualConnection, A>(
    connection: C,
    { config = optMode, encrypted = [], script }: {
      readonly script: ReadonlyArray<Line>
      readonly encrypted?: ReadonlyArray<Line>
      readonly config?: HandleConfig
    },
    program: (handle: Handle.Handle) => Effect.Effect<A>
  ) => {
    const running = drive(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Handle.make(config)
        yield* handle.connect
        const result = yield* program(handle)
        return { result, state: yield* handle.state }
      })).pipe(over(connection))
    )
    const unexpected = follow([...greeting(), ...script], connection, running.outcome)
    const secret = connection instanceof EncryptingConnection
      ? follow(encrypted, connection.encrypted, running.outcome)
      : zeros(0)
    const outcome = running.outcome()
    if (outcome._tag !== "Succeeded") throw new Error(outcome._tag)
    return { ...outcome.value, unexpected, secret }
  }

  it("has everything that was learned before forgotten (C-078)", () => {
    const connection = new EncryptingConnection()
    const outcome = negotiating(connection, {
      config: { ...optMode, requestStructuredReplies: true, requestExtendedHeaders: false },
      script: [{ client: option(opt.STRUCTURED_REPLY) }, { server: ack(opt.STRUCTURED_REPLY) }, ...info, ...asked]
    }, (handle) =>
      Effect.gen(function*() {
        const known = yield* Effect.zipRight(handle.info(), handle.state)
        yield* handle.startTls({ verification: "ChainOnly" })
        return { known, agreed: yield* handle.agreed }
      }).pipe(Effect.orDie))
    expect(outcome.result).toMatchObject({
      known: { agreed: { replyStyle: "Structured", tls: false }, export: { _tag: "Some" } },
      agreed: { protocol: "newstyle-fixed", replyStyle: "Simple", tls: true, noZeroes: true }
    })
    expect(outcome.state).toMatchObject({ _tag: "Negotiating", export: { _tag: "None" } })
    expect(connection.prepared).toStrictEqual([{ mode: "Disable", hostname: "host", verification: "ChainOnly" }])
    expect(outcome.unexpected).toStrictEqual(zeros(0))
    expect(outcome.secret).toStrictEqual(option(opt.ABORT))
  })

  it("H-071 whose server goes on with what was agreed on before breaks the protocol (C-078, C-158)", () => {
    const chunk = concat(u32(0x668e33ef, 1), zeros(12))
    const outcome = negotiating(
      new EncryptingConnection(),
      {
        config: { ...optMode, requestStructuredReplies: true, requestExtendedHeaders: false },
        script: [{ client: option(opt.STRUCTURED_REPLY) }, { server: ack(opt.STRUCTURED_REPLY) }, ...asked],
        encrypted: [...go, { server: chunk }]
      },
      (handle) =>
        Effect.gen(function*() {
          yield* handle.startTls()
          yield* handle.go()
          return yield* handle.awaitState("Dead")
        }).pipe(Effect.orDie)
    )
    expect(outcome.result).toMatchObject({ reason: { _tag: "NbdProtocolError", received: "0x668e33ef" } })
  })

  it("is there for who is told that nothing goes without it (C-065, C-075, C-076)", () => {
    const list: ReadonlyArray<Line> = [{ client: option(opt.LIST) }]
    const outcome = negotiating(
      new EncryptingConnection(),
      {
        script: [
          ...list,
          { server: optionReply(opt.LIST, rep.ERR_TLS_REQD) },
          { client: option(opt.INFO, infoRequest("secret")) },
          { server: optionReply(opt.INFO, rep.ERR_TLS_REQD) },
          ...asked
        ],
        encrypted: [...list, { server: ack(opt.LIST) }, ...go]
      },
      (handle) =>
        Effect.gen(function*() {
          const refusals = [yield* Effect.flip(handle.list), yield* Effect.flip(handle.info())]
          yield* handle.startTls()
          yield* handle.list
          yield* handle.go()
          return refusals
        }).pipe(Effect.orDie)
    )
    expect(outcome).toMatchObject({
      result: [
        { _tag: "NbdTlsRequiredError", option: "NBD_OPT_LIST" },
        { _tag: "NbdTlsRequiredError", option: "NBD_OPT_INFO" }
      ],
      state: { _tag: "Connected", agreed: { tls: true } }
    })
  })

  it("goes on to the export", () => {
    const outcome = negotiating(
      new EncryptingConnection(),
      { script: asked, encrypted: go },
      (handle) => Effect.orDie(Effect.zipRight(handle.startTls(), handle.go()))
    )
    expect(outcome.state).toMatchObject({ _tag: "Connected", agreed: { tls: true } })
  })

  it("is up once, and not asked for again (C-068)", () => {
    const outcome = negotiating(
      new EncryptingConnection(),
      { script: asked },
      (handle) => Effect.zipRight(Effect.orDie(handle.startTls()), Effect.flip(handle.startTls()).pipe(Effect.orDie))
    )
    expect(outcome).toMatchObject({
      result: { _tag: "NbdTlsAlreadyStartedError", peer: "by hand" },
      state: { _tag: "Negotiating" },
      secret: option(opt.ABORT)
    })
  })

  it("that is refused leaves the handle negotiating in plaintext (C-071)", () => {
    const connection = new EncryptingConnection()
    const outcome = negotiating(
      connection,
      { script: [{ client: option(opt.STARTTLS) }, { server: optionReply(opt.STARTTLS, rep.ERR_POLICY) }, ...go] },
      (handle) => Effect.zipLeft(Effect.flip(handle.startTls()), handle.go()).pipe(Effect.orDie)
    )
    expect(outcome.result).toMatchObject({ _tag: "NbdOptionRefusedError", option: "NBD_OPT_STARTTLS" })
    expect(outcome.state).toMatchObject({ _tag: "Connected", agreed: { tls: false } })
    expect(connection.upgrades).toBe(0)
  })

  it.each(
    [
      ["whose credentials cannot be used", new EncryptingConnection(), "NbdTlsCredentialsError"],
      ["that the transport does not have", new ManualConnection(), "NbdTlsUnavailableError"]
    ] as const
  )("%s is not asked for, and leaves the handle negotiating", (_, connection, tag) => {
    if (connection instanceof EncryptingConnection) {
      connection.refusal = new TlsCredentialsError({ part: "Authorities", file: "ca-cert.pem", reason: "ENOENT" })
    }
    const outcome = negotiating(
      connection,
      { script: [] },
      (handle) => Effect.flip(handle.startTls()).pipe(Effect.orDie)
    )
    expect(outcome).toMatchObject({
      result: { _tag: tag },
      state: { _tag: "Negotiating" },
      unexpected: option(opt.ABORT)
    })
  })

  it("is not to be had from a server that is not fixed (C-067)", () => {
    const connection = new EncryptingConnection()
    const running = drive(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Handle.make(optMode)
        yield* handle.connect
        return yield* Effect.flip(handle.startTls())
      })).pipe(over(connection))
    )
    expect(follow(greeting(2), connection, running.outcome)).toStrictEqual(zeros(0))
    expect(running.outcome()).toMatchObject({
      value: { _tag: "NbdOptionUnavailableError", wanted: "NBD_OPT_STARTTLS" }
    })
  })

  it.each([
    ["fails", zeros(0), "NbdTlsHandshakeError"],
    ["is behind injected bytes", zeros(20), "NbdProtocolError"]
  ])("that %s ends the handle", (_, behind, tag) => {
    const connection = new EncryptingConnection()
    connection.handshake = Effect.fail(new TlsHandshakeError({ peer: "by hand", code: "ERR_SSL", by: "Server" }))
    const outcome = negotiating(
      connection,
      { script: [{ client: option(opt.STARTTLS) }, { server: concat(ack(opt.STARTTLS), behind) }] },
      (handle) => Effect.flip(handle.startTls()).pipe(Effect.orDie)
    )
    expect(outcome).toMatchObject({
      result: { _tag: tag },
      state: { _tag: "Dead", reason: { _tag: tag } },
      unexpected: zeros(0)
    })
    expect(connection.closed).toBe(true)
  })

  it.scoped("goes through even when nobody waits for it any more", () =>
    Effect.gen(function*() {
      const connection = new EncryptingConnection()
      const arrived = yield* Deferred.make<Seam.Connection>()
      connection.handshake = Deferred.await(arrived)
      const handle = yield* Handle.make(optMode)
      const connecting = yield* Effect.fork(handle.connect.pipe(over(connection)))
      yield* TestClock.adjust("1 millis")
      connection.arrive(newstyleGreeting(3))
      yield* Fiber.join(connecting)
      const asking = yield* Effect.fork(handle.startTls())
      yield* TestClock.adjust("1 millis")
      connection.arrive(ack(opt.STARTTLS))
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interrupt(asking)
      expect({ upgrades: connection.upgrades, ...yield* handle.agreed }).toMatchObject({ upgrades: 1, tls: false })
      yield* Deferred.succeed(arrived, connection.encrypted)
      yield* TestClock.adjust("1 millis")
      expect(yield* handle.state).toMatchObject({ _tag: "Negotiating", agreed: { tls: true } })
    }))
})
