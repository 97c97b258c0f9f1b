/**
 * What the specification asks of haggling whatever the option: what is sent and what is not, that every reply is read to
 * its last byte, and how the haggling is left.
 */
import { Handle, Transport } from "@effect-nbd/core"
import { abort } from "@effect-nbd/core/handshake/Abort"
import { go, info } from "@effect-nbd/core/handshake/InfoAndGo"
import { list } from "@effect-nbd/core/handshake/List"
import { extendedHeaders, structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import { TlsHandshakeError } from "@effect-nbd/core/TlsError"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { EncryptingConnection } from "../fixtures/EncryptingConnection.ts"
import {
  concat,
  infoRequest,
  newstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  server,
  u16,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { plainGo } from "./Encrypting.ts"
import { ack, asked, fixed, goWith, nothing, plain } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const settle = Effect.forEach(Array.from({ length: 80 }), () => Effect.yieldNow(), { discard: true })

/** A transport that closes its connection when it is told to, as real ones do. */
const closing = (connection: ManualConnection) =>
  Effect.provideService(Transport.Transport, {
    target: "by hand",
    open: Effect.acquireRelease(Effect.succeed(connection), () => Effect.sync(() => connection.close()))
  })

const disk = { name: "disk", size: 1_048_576 }
const one = FakeServer.layer({ exports: [disk] })

const optionsSent = Effect.flatMap(
  FakeServer.FakeServer,
  ({ options }) => Effect.map(options, (sent) => sent.map(({ option }) => option))
)
const endings = Effect.flatMap(
  FakeServer.FakeServer,
  ({ awaitEnds }) => Effect.map(awaitEnds(1), ([end]) => end?.ending._tag)
)

describe("an option that has no data is sent without", () => {
  it.each([
    ["ABORT (C-035)", opt.ABORT, abort],
    ["LIST (C-038)", opt.LIST, list],
    ["STRUCTURED_REPLY (C-104)", opt.STRUCTURED_REPLY, structuredReply],
    ["EXTENDED_HEADERS (C-217)", 11, extendedHeaders]
  ])("%s", (_, code, send) => {
    const { unexpected } = converse<unknown, unknown>(send, [])
    expect(unexpected).toStrictEqual(option(code))
    expect(unexpected.byteLength).toBe(16)
  })
})

describe("a reply", () => {
  const lines: ReadonlyArray<Line> = [
    ...asked(option(opt.STRUCTURED_REPLY), optionReply(opt.STRUCTURED_REPLY, rep.ERR_UNSUP, utf8("never heard of it"))),
    ...asked(option(opt.LIST), optionReply(opt.LIST, 0x8000_4242, zeros(4096))),
    ...asked(
      option(opt.INFO, infoRequest("a")),
      optionReply(opt.INFO, rep.INFO, concat(u16(0x7777), zeros(5000))),
      optionReply(opt.INFO, rep.INFO, plain),
      optionReply(opt.INFO, rep.ERR_UNKNOWN)
    ),
    ...asked(option(opt.LIST), optionReply(opt.LIST, rep.SERVER, server("disk", "with a text")), ack(opt.LIST)),
    ...goWith(plain)
  ]

  it.each([undefined, 1, 7])(
    "of any kind is read to its last byte, so that the next option finds its own, in pieces of %s bytes (C-024)",
    (split) => {
      const { outcome, reader } = converse(
        (reader) =>
          Effect.gen(function*() {
            const agrees = yield* structuredReply(reader)
            const unknown = yield* Effect.flip(list(reader))
            const absent = yield* Effect.flip(info(reader, fixed, "a", nothing))
            const listed = yield* list(reader)
            const entered = yield* go(reader, fixed, "", nothing)
            return [agrees, unknown._tag, absent._tag, listed, entered.size]
          }),
        lines,
        split
      )
      expect(outcome).toStrictEqual({
        _tag: "Succeeded",
        value: [
          false,
          "NbdOptionRefusedError",
          "NbdExportUnknownError",
          [{ name: "disk", description: "with a text" }],
          1_048_576n
        ]
      })
      expect(reader.buffered).toBe(0)
    }
  )
})

describe("options", () => {
  it("that the client can send by itself are all of the specification, and option 4 is none of them (C-027)", () => {
    expect(Object.values(optionCode).toSorted((left, right) => left - right)).toStrictEqual([
      1,
      2,
      3,
      5,
      6,
      7,
      8,
      9,
      10,
      11
    ])
  })

  it.scoped("that change the server's state are not repeated, however often an export is tried (C-026)", () =>
    Effect.gen(function*() {
      for (const extendedHeaders of [true, false]) {
        const server = FakeServer.layer({ exports: [disk], extendedHeaders })
        yield* Effect.gen(function*() {
          const negotiating = yield* Handle.negotiate()
          for (const name of ["none", "absent"]) yield* Effect.flip(negotiating.go(name))
          yield* negotiating.info("disk")
          expect(yield* negotiating.structuredReplies).toBe(true)
          if (extendedHeaders) expect(yield* negotiating.extendedHeaders).toBe(true)
          yield* negotiating.go("disk")
          const stateful = (yield* optionsSent).filter((code) => code === opt.STRUCTURED_REPLY || code === 11)
          expect(stateful).toStrictEqual(extendedHeaders ? [11] : [11, opt.STRUCTURED_REPLY])
          expect(yield* Effect.flatMap(FakeServer.FakeServer, ({ violations }) => violations)).toStrictEqual([])
        }).pipe(Effect.provide(server))
      }
    }))

  it.scoped("follow GO only where GO was refused (C-061)", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ optMode: true })
      yield* handle.connect
      yield* Effect.flip(handle.go("none"))
      yield* handle.list
      yield* handle.go("disk")
      const sent = yield* optionsSent
      for (
        const refused of [handle.list, handle.info("disk"), handle.go("disk"), handle.structuredReplies, handle.abort]
      ) {
        expect(yield* Effect.flip<unknown, object, never>(refused)).toMatchObject({ _tag: "NbdAlreadyConnectedError" })
      }
      expect(yield* optionsSent).toStrictEqual(sent)
      yield* handle.shutdown
      expect(yield* endings).toBe("Disconnected")
    }).pipe(Effect.provide(one)))

  it.scoped("that a server does not know leave a session of the baseline alone (C-028, C-106, C-218)", () =>
    Effect.gen(function*() {
      const { requests, violations } = yield* FakeServer.FakeServer
      const connected = yield* Handle.connect({ exportName: "disk" })
      expect(connected.agreed.replyStyle).toBe("Simple")
      expect(yield* Effect.flip(connected.readStructured(0n, 512, { df: true }))).toMatchObject({
        _tag: "NbdUnsupportedError",
        missing: "NBD_FLAG_SEND_DF"
      })
      expect(yield* Effect.flip(connected.blockStatus(0n, 512))).toMatchObject({ _tag: "NbdNoMetaContextError" })
      yield* connected.write(0n, new Uint8Array(512))
      yield* connected.read(0n, 512)
      expect((yield* requests).map(({ command, flags }) => [command, flags])).toStrictEqual([["WRITE", 0], ["READ", 0]])
      expect(yield* violations).toStrictEqual([])
    }).pipe(
      Effect.provide(
        FakeServer.layer({ exports: [disk], structuredReplies: false, extendedHeaders: false, metaContexts: false })
      )
    ))
})

describe("a string that the protocol cannot carry", () => {
  it.scoped("opens no connection, and sends no option (C-002, C-003, C-005)", () =>
    Effect.gen(function*() {
      const { clientFlags } = yield* FakeServer.FakeServer
      const unfit = ["a\0b", "x".repeat(4097), "語".repeat(1366), "\ud800"]
      for (const exportName of unfit) {
        expect(yield* Effect.flip(Handle.connect({ exportName }))).toMatchObject({ _tag: "NbdExportNameInvalidError" })
      }
      expect(yield* clientFlags).toStrictEqual([])
      const negotiating = yield* Handle.negotiate()
      const sent = yield* optionsSent
      for (const name of unfit) {
        for (const asked of [negotiating.go(name), negotiating.info(name)]) {
          expect(yield* Effect.flip<unknown, object, never>(asked)).toMatchObject({ _tag: "NbdExportNameInvalidError" })
        }
        expect(yield* Effect.flip(negotiating.listMetaContexts({ queries: [`base:${name}`] }))).toMatchObject({
          _tag: "NbdMetaContextInvalidError"
        })
      }
      expect(yield* optionsSent).toStrictEqual(sent)
    }).pipe(Effect.provide(one)))

  it.scoped("is one character too long, and no more: 4096 bytes are sent, without a NUL behind them (C-002, C-003)", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ fullInfo: false, requestBlockSize: false })
      const name = "x".repeat(4096)
      yield* Effect.flip(negotiating.info(name))
      const { options } = yield* FakeServer.FakeServer
      expect((yield* options).at(-1)?.data).toStrictEqual(infoRequest(name))
    }).pipe(Effect.provide(one)))
})

describe("haggling is left", () => {
  it.scoped("by ABORT after any refusal, and never by a close alone (C-029, C-030, C-210)", () =>
    Effect.gen(function*() {
      for (
        const reply of [
          "ERR_POLICY",
          "ERR_INVALID",
          "ERR_PLATFORM",
          "ERR_UNKNOWN",
          "ERR_SHUTDOWN",
          "ERR_TOO_BIG"
        ] as const
      ) {
        const refusing = FakeServer.layer({ exports: [disk], refuse: { GO: reply } })
        expect(yield* Effect.zipRight(Effect.flip(Handle.connect()), endings).pipe(Effect.provide(refusing))).toBe(
          "Aborted"
        )
      }
    }))

  it.effect("by ABORT when the caller has enough of it (C-030)", () =>
    Effect.gen(function*() {
      yield* Effect.exit(Effect.scoped(Effect.zipRight(Handle.negotiate(), Effect.fail("enough"))))
      expect(yield* endings).toBe("Aborted")
    }).pipe(Effect.provide(one)))

  it.scoped("by a close where nothing can be said any more: behind a TLS handshake that failed (C-031)", () =>
    Effect.gen(function*() {
      const connection = new EncryptingConnection()
      connection.handshake = Effect.fail(new TlsHandshakeError({ peer: "by hand", code: "ERR_SSL", by: "Server" }))
      const failing = yield* Effect.fork(
        Effect.flip(Handle.connect({ ...plainGo, tls: { mode: "Require" } })).pipe(closing(connection))
      )
      yield* settle
      connection.arrive(newstyleGreeting(3))
      yield* settle
      connection.takeWritten()
      connection.arrive(ack(opt.STARTTLS))
      expect(yield* Fiber.join(failing)).toMatchObject({ _tag: "NbdTlsHandshakeError" })
      expect(connection.takeWritten()).toStrictEqual(zeros(0))
      expect(connection.closed).toBe(true)
    }))

  it.scoped("by a close after a breach (C-032)", () =>
    Effect.gen(function*() {
      const connection = new ManualConnection()
      const failing = yield* Effect.fork(Effect.flip(Handle.connect(plainGo)).pipe(closing(connection)))
      yield* settle
      connection.arrive(newstyleGreeting(3))
      yield* settle
      connection.takeWritten()
      connection.arrive(ack(opt.LIST))
      expect(yield* Fiber.join(failing)).toMatchObject({ _tag: "NbdProtocolError" })
      expect(connection.takeWritten()).toStrictEqual(zeros(0))
      expect(connection.closed).toBe(true)
    }))
})
