/**
 * NBD_OPT_STARTTLS: when it is asked for, what every answer to it comes to, and what may cross the border into TLS.
 */
import type { Transport as Seam } from "@effect-nbd/core"
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import type { TlsMode } from "@effect-nbd/core/Tls"
import { TlsCredentialsError, TlsHandshakeError, TlsVerificationError } from "@effect-nbd/core/TlsError"
import { Transport } from "@effect-nbd/core/Transport"
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { drive } from "../fixtures/Drive.ts"
import { EncryptingConnection } from "../fixtures/EncryptingConnection.ts"
import {
  concat,
  infoRequest,
  newstyleGreeting,
  oldstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u32,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { broken, finished, ManualConnection } from "../fixtures/ManualConnection.ts"
import { go, greeting, over, plainGo } from "./Encrypting.ts"
import { ack, plain } from "./Haggled.ts"
import { follow, type Line } from "./ScriptedPeer.ts"

const config = (mode: TlsMode): HandleConfig => ({ ...plainGo, exportName: "secret", tls: { mode } })

/** Has a handle connect to the script, and to the second one once it is encrypted. */
const connected = <C extends ManualConnection>(
  connection: C,
  script: ReadonlyArray<Line>,
  config: HandleConfig,
  { encrypted = [], tls }: {
    readonly encrypted?: ReadonlyArray<Line>
    readonly tls?: Seam.Transport["Type"]["tls"]
  } = {}
) => {
  const running = drive(
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Handle.make(config)
      const exit = yield* Effect.either(handle.connect)
      return { exit, state: yield* handle.state }
    })).pipe(over(connection, tls))
  )
  const unexpected = follow(script, connection, running.outcome)
  const secret = connection instanceof EncryptingConnection
    ? follow(encrypted, connection.encrypted, running.outcome)
    : zeros(0)
  const outcome = running.outcome()
  if (outcome._tag !== "Succeeded") throw new Error(outcome._tag)
  return { ...outcome.value, unexpected, secret, connection }
}

const startTls = (...replies: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> => [
  ...greeting(),
  { client: option(opt.STARTTLS) },
  { server: concat(...replies) }
]
const fail = (): never => {
  throw new Error("no connection left")
}
const byAbort: ReadonlyArray<Line> = [{ client: option(opt.ABORT) }, { server: ack(opt.ABORT) }]
const goodbye = concat(u32(0x2560_9513), zeros(2), Uint8Array.of(0, 2), zeros(20))

const dead = (reason: object) => ({ exit: { _tag: "Left", left: reason }, state: { _tag: "Dead", reason } })
const entered = (tls: boolean) => ({
  exit: { _tag: "Right" },
  state: { _tag: "Connected", agreed: { tls } }
})

describe("a server that agrees to TLS", () => {
  it.each(["Allow", "Require"] as const)(
    "is asked first of all, without data, and the rest is encrypted (%s, C-069, C-070, C-072, C-083)",
    (mode) => {
      const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), config(mode), {
        encrypted: go
      })
      expect(outcome).toMatchObject(entered(true))
      expect(outcome.unexpected).toStrictEqual(zeros(0))
      expect(outcome.connection).toMatchObject({ upgrades: 1, prepared: [{ mode }] })
    }
  )

  it("is said goodbye to inside TLS when the scope closes", () => {
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), config("Require"), {
      encrypted: go
    })
    expect(outcome.unexpected).toStrictEqual(zeros(0))
    expect(outcome.secret.subarray(0, 4)).toStrictEqual(goodbye.subarray(0, 4))
    expect(outcome.secret.subarray(4, 8)).toStrictEqual(goodbye.subarray(4, 8))
  })

  it("is not asked when TLS is disabled (C-207)", () => {
    const outcome = connected(new EncryptingConnection(), [...greeting(), ...go], config("Disable"))
    expect(outcome).toMatchObject(entered(false))
    expect(outcome.connection).toMatchObject({ upgrades: 0, prepared: [] })
  })

  it("is asked as the transport says where the config says nothing, and as the config says otherwise", () => {
    const tls = { mode: "Require", hostname: "host" } as const
    const asked = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), {
      ...plainGo,
      exportName: "secret"
    }, {
      encrypted: go,
      tls
    })
    expect(asked).toMatchObject({ ...entered(true), connection: { prepared: [tls] } })
    expect(connected(new EncryptingConnection(), [...greeting(), ...go], config("Disable"), { tls })).toMatchObject(
      entered(false)
    )
  })

  it("is asked for extended headers and structured replies inside TLS, and not before (C-078, C-079, C-221)", () => {
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), {
      ...config("Require"),
      requestStructuredReplies: true
    }, {
      encrypted: [
        { client: option(opt.EXTENDED_HEADERS) },
        { server: optionReply(opt.EXTENDED_HEADERS, rep.ERR_UNSUP) },
        { client: option(opt.STRUCTURED_REPLY) },
        { server: ack(opt.STRUCTURED_REPLY) },
        ...go
      ]
    })
    expect(outcome).toMatchObject({ state: { agreed: { tls: true, replyStyle: "Structured" } } })
  })

  it("has TLS up before a handle negotiates", () => {
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), {
      ...config("Require"),
      optMode: true
    })
    expect(outcome).toMatchObject({ exit: { _tag: "Right" }, state: { _tag: "Negotiating", agreed: { tls: true } } })
    expect(outcome.secret).toStrictEqual(option(opt.ABORT))
  })

  it("H-047 and still requires it gets no second NBD_OPT_STARTTLS (C-068)", () => {
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), config("Allow"), {
      encrypted: [
        { client: option(opt.GO, infoRequest("secret")) },
        { server: optionReply(opt.GO, rep.ERR_TLS_REQD) },
        ...byAbort
      ]
    })
    expect(outcome).toMatchObject({ ...dead({ _tag: "NbdTlsRequiredError" }), unexpected: zeros(0), secret: zeros(0) })
  })
})

describe("a server that refuses TLS", () => {
  const refusals = [
    ["NBD_REP_ERR_UNSUP", rep.ERR_UNSUP],
    ["NBD_REP_ERR_POLICY", rep.ERR_POLICY],
    ["NBD_REP_ERR_INVALID", rep.ERR_INVALID],
    ["NBD_REP_ERR_PLATFORM", rep.ERR_PLATFORM],
    ["NBD_REP_ERR_TLS_REQD", rep.ERR_TLS_REQD],
    ["an error nobody knows", 0x8000_1234]
  ] as const

  it.each(refusals)(
    "H-065 with %s is left in order where TLS is required, and told nothing (C-066, C-071, C-073, C-083)",
    (_, type) => {
      const outcome = connected(new EncryptingConnection(), [
        ...startTls(optionReply(opt.STARTTLS, type, utf8("no"))),
        ...byAbort
      ], config("Require"))
      expect(outcome).toMatchObject(
        dead({ _tag: "NbdTlsUnavailableError", why: "Refused", serverMessage: "no", peer: "by hand" })
      )
      expect(outcome.unexpected).toStrictEqual(zeros(0))
      expect(outcome.connection.upgrades).toBe(0)
    }
  )

  it.each(refusals)("H-066 with %s is taken in plaintext where TLS is allowed (C-065, C-071)", (_, type) => {
    const outcome = connected(new EncryptingConnection(), [
      ...startTls(optionReply(opt.STARTTLS, type)),
      ...go
    ], config("Allow"))
    expect(outcome).toMatchObject(entered(false))
    expect(outcome.connection.upgrades).toBe(0)
  })

  it.each(["Allow", "Require"] as const)("because it is shutting down is left in order (%s, C-037, H-051)", (mode) => {
    const outcome = connected(new EncryptingConnection(), [
      ...startTls(optionReply(opt.STARTTLS, rep.ERR_SHUTDOWN, utf8("bye"))),
      ...byAbort
    ], config(mode))
    expect(outcome).toMatchObject(dead({ _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_SHUTDOWN" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("and then requires it has a handle that allowed it fail in order (C-066, C-076)", () => {
    const outcome = connected(new EncryptingConnection(), [
      ...startTls(optionReply(opt.STARTTLS, rep.ERR_UNSUP)),
      { client: option(opt.GO, infoRequest("secret")) },
      { server: optionReply(opt.GO, rep.ERR_TLS_REQD) },
      ...byAbort
    ], config("Allow"))
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsRequiredError", option: "NBD_OPT_GO" }))
  })
})

describe("a server that was seen before", () => {
  it("is asked again on every connection, whatever it answered before (C-077)", () => {
    const answers = [false, true, false, true]
    const connections = answers.map(() => new EncryptingConnection())
    const waiting = connections.values()
    const transport = Transport.of({ target: "by hand", open: Effect.sync(() => waiting.next().value ?? fail()) })
    answers.forEach((agrees, index) => {
      const connection = connections[index] ?? fail()
      const running = drive(
        Effect.scoped(Effect.map(Handle.connect(config("Allow")), ({ agreed }) => agreed.tls)).pipe(
          Effect.provideService(Transport, transport)
        )
      )
      const script = agrees ? startTls(ack(opt.STARTTLS)) : startTls(optionReply(opt.STARTTLS, rep.ERR_POLICY))
      follow([...script, ...agrees ? [] : go], connection, running.outcome)
      if (agrees) follow(go, connection.encrypted, running.outcome)
      expect(running.outcome()).toStrictEqual({ _tag: "Succeeded", value: agrees })
    })
  })
})

describe("a server that cannot be asked", () => {
  const oldstyle: ReadonlyArray<Line> = [{ server: oldstyleGreeting({ size: 512n, flags: 1 }) }]

  it("H-011 for it is oldstyle, is left without a word where TLS is required (C-012)", () => {
    const outcome = connected(new EncryptingConnection(), oldstyle, { ...config("Require"), exportName: "" })
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsUnavailableError", why: "Oldstyle" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("H-009 for it is not fixed, is left without a word where TLS is required (C-067, C-073)", () => {
    const outcome = connected(new EncryptingConnection(), greeting(2), config("Require"))
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsUnavailableError", why: "NotFixed" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("is fine where TLS is allowed (C-065)", () => {
    const outcome = connected(new EncryptingConnection(), oldstyle, { ...config("Allow"), exportName: "" })
    expect(outcome).toMatchObject(entered(false))
  })

  it("is not asked for lack of this side's flag either (C-067)", () => {
    const outcome = connected(
      new EncryptingConnection(),
      [{ server: newstyleGreeting(3) }, { client: u32(0) }],
      { ...config("Require"), handshakeFlags: HandshakeFlags(0) }
    )
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsUnavailableError", why: "NotFixed" }))
  })
})

describe("a transport without TLS", () => {
  it("is left without a word where TLS is required (C-066, C-242)", () => {
    const outcome = connected(new ManualConnection(), [], config("Require"))
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsUnavailableError", why: "Transport" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("is fine where TLS is allowed, and the server is not asked", () => {
    expect(connected(new ManualConnection(), [...greeting(), ...go], config("Allow"))).toMatchObject(entered(false))
  })
})

describe("credentials that cannot be used", () => {
  it.each(["Allow", "Require"] as const)("end it before anything is sent (%s)", (mode) => {
    const connection = new EncryptingConnection()
    connection.refusal = new TlsCredentialsError({ part: "Key", file: undefined, reason: "is not of the certificate" })
    const outcome = connected(connection, [], config(mode))
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsCredentialsError", part: "Key" }))
    expect(outcome.unexpected).toStrictEqual(zeros(0))
    expect(connection.upgrades).toBe(0)
  })
})

describe("the border into TLS", () => {
  const injected = (behind: Uint8Array) =>
    connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS), behind), config("Require"))

  it.each([
    ["one byte", Uint8Array.of(0x16)],
    ["a reply to the next option", concat(optionReply(opt.STRUCTURED_REPLY, rep.ACK))],
    ["a kilobyte", zeros(1024)]
  ])("H-063 is not crossed by %s behind the acknowledgement (C-084, CVE-2021-3716)", (_, behind) => {
    const outcome = injected(behind)
    expect(outcome).toMatchObject(
      dead({ _tag: "NbdProtocolError", received: expect.stringContaining(`${behind.byteLength} bytes of plaintext`) })
    )
    expect(outcome.connection.upgrades).toBe(0)
    expect(outcome.unexpected).toStrictEqual(zeros(0))
  })

  it("H-063 is not crossed by bytes that come while the handshake begins", () => {
    const connection = new EncryptingConnection()
    connection.handshake = Effect.sync(() => {
      connection.arrive(Uint8Array.of(1))
      return connection.encrypted
    })
    const outcome = connected(connection, startTls(ack(opt.STARTTLS)), config("Require"))
    expect(outcome).toMatchObject(dead({ _tag: "NbdProtocolError", rule: "TLS, C-084, as in CVE-2021-3716" }))
    expect(connection.encrypted.closed).toBe(true)
    expect(connection.encrypted.written).toStrictEqual(zeros(0))
  })

  it("H-064 is not opened by an answer to another option (C-023)", () => {
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.GO)), config("Allow"))
    expect(outcome).toMatchObject(dead({ _tag: "NbdProtocolError" }))
    expect(outcome.connection.upgrades).toBe(0)
  })

  it("H-062 is not opened by an acknowledgement with data", () => {
    const outcome = connected(
      new EncryptingConnection(),
      startTls(optionReply(opt.STARTTLS, rep.ACK, zeros(1))),
      config("Allow")
    )
    expect(outcome).toMatchObject(dead({ _tag: "NbdProtocolError" }))
  })

  it("H-023 is not opened by a reply of another option's kind", () => {
    const outcome = connected(
      new EncryptingConnection(),
      startTls(optionReply(opt.STARTTLS, rep.INFO, plain), ack(opt.STARTTLS)),
      config("Allow")
    )
    expect(outcome).toMatchObject(dead({ _tag: "NbdProtocolError" }))
  })

  it.each(
    [
      ["ends", finished, "NbdServerDisconnectedError"],
      ["breaks", broken, "NbdTransportLostError"]
    ] as const
  )("is not reached when the connection %s behind the acknowledgement", (_, end, tag) => {
    const connection = new EncryptingConnection()
    const running = drive(Effect.flip(Effect.scoped(Handle.connect(config("Require")))).pipe(over(connection)))
    follow(greeting(), connection, running.outcome)
    connection.arrive(ack(opt.STARTTLS))
    connection.end(end)
    expect(running.outcome()).toMatchObject({ _tag: "Succeeded", value: { _tag: tag } })
    expect(connection.upgrades).toBe(0)
  })
})

describe("a TLS handshake", () => {
  const faults = [
    new TlsVerificationError({
      peer: "by hand",
      check: "Name",
      hostname: "host",
      code: "ERR_TLS_CERT_ALTNAME_INVALID"
    }),
    new TlsHandshakeError({ peer: "by hand", code: "ERR_SSL_WRONG_VERSION_NUMBER", by: "Client" })
  ]
  const failing = (mode: TlsMode, fault: TlsVerificationError | TlsHandshakeError) => {
    const connection = new EncryptingConnection()
    connection.handshake = Effect.fail(fault)
    return connected(connection, startTls(ack(opt.STARTTLS)), config(mode))
  }

  it.each(faults.flatMap((fault) => [["Allow", fault], ["Require", fault]] as const))(
    "H-067 H-068 that fails is the end, with no way back to plaintext (%s, C-074)",
    (mode, fault) => {
      const outcome = failing(mode, fault)
      expect(outcome).toMatchObject(dead({ _tag: fault._tag }))
      expect(outcome.unexpected).toStrictEqual(zeros(0))
      expect(outcome.secret).toStrictEqual(zeros(0))
    }
  )

  it.effect("H-070 that stalls has the time of the handshake", () =>
    Effect.gen(function*() {
      const connection = new EncryptingConnection()
      let interrupted = false
      connection.handshake = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true))
      const fiber = yield* Effect.fork(
        Effect.flip(Effect.scoped(Handle.connect(config("Require")))).pipe(over(connection))
      )
      yield* TestClock.adjust("1 millis")
      connection.arrive(newstyleGreeting(3))
      yield* TestClock.adjust("1 millis")
      connection.arrive(ack(opt.STARTTLS))
      yield* TestClock.adjust("30 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
      expect({ upgrades: connection.upgrades, interrupted }).toStrictEqual({ upgrades: 1, interrupted: true })
    }))

  it("whose server hangs up right behind it has failed, in any haggling that follows", () => {
    const late = new TlsHandshakeError({
      peer: "by hand",
      code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      by: "Server"
    })
    const outcome = connected(new EncryptingConnection(), startTls(ack(opt.STARTTLS)), config("Require"), {
      encrypted: [{ client: option(opt.GO, infoRequest("secret")) }, { end: { _tag: "Broken", error: late } }]
    })
    expect(outcome).toMatchObject(dead({ _tag: "NbdTlsHandshakeError", by: "Server" }))
  })
})
