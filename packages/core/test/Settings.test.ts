/**
 * What a handle is told: settings that change before connecting and between options, strictness at any time, and the URI
 * that tells what it is connected to.
 */
import { Handle, type HandleConfig, NbdUri, Transport } from "@effect-nbd/core"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { infoRequest, opt, option, optionReply, rep, zeros } from "./fixtures/HandWritten.ts"
import { ack, asked, plain } from "./handshake/Haggled.ts"
import { goTo, greeting, infoOf, negotiated, select, structured } from "./handshake/Negotiated.ts"

const base = "base:allocation"
const silent = zeros(0)

const server = FakeServer.layer({ exports: [{ name: "disk", size: 4096 }, { name: "a b", size: 4096 }] })

/** The server, by a transport that says more of it. */
const reaching = (more: Partial<Transport.Transport["Type"]>) =>
  Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (transport) => Transport.Transport.of({ ...transport, ...more }))
  ).pipe(Layer.provideMerge(server))

describe("settings", () => {
  it.effect("are libnbd's where nothing is said, or what the documentation names", () =>
    Effect.scoped(Effect.gen(function*() {
      const { settings } = yield* Handle.make()
      expect(yield* settings).toMatchObject({
        exportName: undefined,
        optMode: false,
        requestStructuredReplies: true,
        requestExtendedHeaders: true,
        metaContexts: [],
        requestMetaContexts: true,
        requestBlockSize: true,
        fullInfo: true,
        forceExportName: false,
        handshakeFlags: 3,
        handshakeTimeout: Duration.seconds(30),
        limits: { requests: 1024, bytes: 67_108_864 }
      })
      const { settings: forced } = yield* Handle.make({ forceExportName: true, metaContexts: [base] })
      expect(yield* forced).toMatchObject({
        requestExtendedHeaders: false,
        metaContexts: [{ name: base, optional: false }]
      })
    })))

  it("are what the next option asks with, and keep what is not mentioned", () => {
    const { result, unexpected } = negotiated(
      [
        ...greeting(),
        ...structured,
        ...asked(option(opt.INFO, infoRequest("other", 1, 2, 3)), optionReply(opt.INFO, rep.INFO, plain), ack(opt.INFO))
      ],
      ({ configure, info, settings }) =>
        Effect.gen(function*() {
          yield* configure({ exportName: "other", fullInfo: true })
          yield* configure({ requestBlockSize: true })
          yield* info()
          return yield* settings
        })
    )
    expect(result).toMatchObject({
      right: { exportName: "other", fullInfo: true, requestBlockSize: true, requestExtendedHeaders: false }
    })
    expect(unexpected).toStrictEqual(silent)
  })

  it("that mean another export have what was learned of the one before forgotten, and not those that do not", () => {
    const learned = (adjustment: HandleConfig.Adjustment) =>
      negotiated(
        [...greeting(), ...structured, ...select("disk", [base, 1]), ...infoOf("disk")],
        ({ configure, info, setMetaContexts }) =>
          setMetaContexts({ contexts: [base] }).pipe(Effect.zipRight(info()), Effect.zipRight(configure(adjustment)))
      ).state
    const kept = { _tag: "Negotiating", export: { _tag: "Some" }, contexts: { _tag: "Some" } }
    const forgotten = { _tag: "Negotiating", export: { _tag: "None" }, contexts: { _tag: "None" } }
    expect(learned({ exportName: "other" })).toMatchObject(forgotten)
    expect(learned({ exportName: "disk" })).toMatchObject(kept)
    expect(learned({ fullInfo: true, metaContexts: ["x:y"] })).toMatchObject(kept)
  })

  it("do not change at all if one of them is wrong (C-002, C-110)", () => {
    const { result, unexpected } = negotiated(
      [...greeting(), ...structured, ...goTo("disk")],
      ({ configure, go, settings }) =>
        Effect.gen(function*() {
          const before = yield* settings
          const errors = [
            yield* Effect.flip(configure({ exportName: "x".repeat(4097), fullInfo: true })),
            yield* Effect.flip(configure({ metaContexts: [base, "no namespace"], fullInfo: true }))
          ]
          expect(yield* settings).toStrictEqual(before)
          yield* go()
          return errors
        })
    )
    expect(result).toMatchObject({
      right: [
        { _tag: "NbdExportNameInvalidError", reason: "longer than 4096 bytes" },
        { _tag: "NbdMetaContextInvalidError", context: "no namespace" }
      ]
    })
    expect(unexpected).toStrictEqual(silent)
  })

  it.scoped("that change before connecting are connected with", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ exportName: "unknown" })
      yield* handle.configure({ exportName: "disk", metaContexts: [base] })
      yield* handle.connect
      expect((yield* handle.exportInfo).canMetaContext(base)).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scoped("that say nothing of an export leave it to the transport", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      expect((yield* negotiating.info()).name).toBe("disk")
      yield* negotiating.configure({ exportName: "" })
      expect((yield* negotiating.info()).name).toBe("")
      expect((yield* negotiating.go("disk")).export.name).toBe("disk")
    }).pipe(Effect.provide(reaching({ exportName: "disk" }))))
})

describe("strictness", () => {
  it.scoped("can be changed at any time, and holds for the commands from then on", () =>
    Effect.gen(function*() {
      const { requests } = yield* FakeServer.FakeServer
      const connected = yield* Handle.connect({ exportName: "disk" })
      const beyond = Effect.flip(connected.read(4096n, 512))
      expect(yield* beyond).toMatchObject({ _tag: "NbdOutOfBoundsError" })
      expect(yield* requests).toHaveLength(0)
      yield* connected.setStrictness({ bounds: false })
      expect(yield* beyond).toMatchObject({ _tag: "NbdCommandError" })
      expect(yield* requests).toHaveLength(1)
      expect((yield* connected.settings).strictness).toMatchObject({ bounds: false, commands: true })
      yield* connected.setStrictness({ bounds: true })
      expect(yield* beyond).toMatchObject({ _tag: "NbdOutOfBoundsError" })
      expect(yield* requests).toHaveLength(1)
    }).pipe(Effect.provide(server)))
})

describe("the URI of a handle", () => {
  const reached = (text: string) => Layer.unwrapEffect(Effect.map(NbdUri.parse(text), (uri) => reaching({ uri })))

  it.scoped("names the export that is meant, and then the one that was entered, for as long as it can be asked", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ optMode: true, exportName: "disk" })
      yield* handle.connect
      expect(yield* handle.uri).toBe("nbd://host:10809/disk")
      yield* handle.configure({ exportName: "other" })
      expect(yield* handle.uri).toBe("nbd://host:10809/other")
      yield* handle.go("a b")
      expect(yield* handle.uri).toBe("nbd://host:10809/a%20b")
      yield* handle.shutdown
      expect(yield* handle.uri).toBe("nbd://host:10809/a%20b")
    }).pipe(Effect.provide(reached("nbd://host"))))

  it.scoped("says what came of TLS, and keeps the rest of what the transport says", () =>
    Effect.gen(function*() {
      const connected = yield* Handle.connect({ exportName: "disk" })
      expect(yield* connected.uri).toBe("nbd+unix:///disk?socket=/run/nbd.sock")
    }).pipe(Effect.provide(reached("nbds+unix:///?socket=/run/nbd.sock"))))

  it.scoped("is there for a handle that died of connecting", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ exportName: "none" })
      yield* Effect.flip(handle.connect)
      expect(yield* handle.isDead).toBe(true)
      expect(yield* handle.uri).toBe("nbd://host:10809/none")
    }).pipe(Effect.provide(reached("nbd://host"))))

  it.scoped("is not there where no URI can name the transport, or nothing was connected to", () =>
    Effect.gen(function*() {
      const connected = yield* Handle.connect({ exportName: "disk" })
      const error = yield* Effect.flip(connected.uri)
      expect(error).toMatchObject({ _tag: "NbdNoUriError" })
      expect(error.message).toContain("no URI can name")
      const unused = yield* Effect.scoped(
        Effect.tap(
          Handle.make(),
          ({ uri }) =>
            Effect.map(Effect.flip(uri), (error) => expect(error).toMatchObject({ _tag: "NbdNotConnectedError" }))
        )
      )
      expect(yield* Effect.flip(unused.uri)).toMatchObject({ _tag: "NbdNoUriError", target: undefined })
    }).pipe(Effect.provide(server)))
})
