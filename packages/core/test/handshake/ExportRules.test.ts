/**
 * What the specification asks of a client about exports, from the outside: which may be entered, how, and what its block
 * sizes bind to.
 */
import { Handle, Transport } from "@effect-nbd/core"
import { go } from "@effect-nbd/core/handshake/InfoAndGo"
import { decodeInfoRequest } from "@effect-nbd/core/wire/NbdOption"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { drive } from "../fixtures/Drive.ts"
import { exportInfo, opt, option } from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { go as goTo, greeting, over, plainGo } from "./Encrypting.ts"
import { ack, fixed, goWith, nothing } from "./Haggled.ts"
import { converse, follow } from "./ScriptedPeer.ts"

const disk = { name: "disk", size: 1_048_576 }

describe("an export", () => {
  it("that is not listed is entered all the same (C-040)", () => {
    const connection = new ManualConnection()
    const running = drive(
      Effect.scoped(Effect.gen(function*() {
        const negotiating = yield* Handle.negotiate(plainGo)
        const listed = yield* negotiating.list
        const { export: { name } } = yield* negotiating.go("secret")
        return { listed, name }
      })).pipe(over(connection))
    )
    follow(
      [...greeting(), { client: option(opt.LIST) }, { server: ack(opt.LIST) }, ...goTo],
      connection,
      running.outcome
    )
    expect(running.outcome()).toStrictEqual({ _tag: "Succeeded", value: { listed: [], name: "secret" } })
  })

  const blockSize = { minimum: 512, preferred: 4096, maximum: 65_536 }
  const constrained = FakeServer.layer({ exports: [{ ...disk, blockSize }, { ...disk, name: "plain" }] })
  const typesAsked = Effect.flatMap(
    FakeServer.FakeServer,
    ({ options }) =>
      Effect.map(
        options,
        (sent) =>
          sent.filter(({ option }) => option === opt.GO || option === opt.INFO).map(({ data }) => {
            const request = decodeInfoRequest(data)
            return "types" in request && request.types.includes(3)
          })
      )
  )

  it.scoped("is asked for its block sizes, by INFO and by GO (C-046, C-102)", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      yield* negotiating.info("disk")
      const connected = yield* negotiating.go("disk")
      expect(yield* typesAsked).toStrictEqual([true, true])
      expect(connected.export.minimumBlockSize).toBe(512)
    }).pipe(Effect.provide(constrained)))

  it.scoped("that was asked for its block sizes by INFO binds nobody to them who enters another (C-087)", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate()
      expect((yield* negotiating.info("disk")).minimumBlockSize).toBe(512)
      const connected = yield* negotiating.go("plain")
      expect(connected.export.minimumBlockSize).toBe(1)
      yield* connected.write(1n, Uint8Array.of(1))
    }).pipe(Effect.provide(constrained)))

  it.scoped("that was not asked for its block sizes is held to the usual limits (C-089, C-103)", () =>
    Effect.gen(function*() {
      const { requests } = yield* FakeServer.FakeServer
      const connected = yield* Handle.connect({ exportName: "disk", requestBlockSize: false })
      expect(yield* typesAsked).toStrictEqual([false])
      expect(connected.export).toMatchObject({ minimumBlockSize: 1, maximumPayload: 33_554_432 })
      yield* connected.write(0n, new Uint8Array(33_554_433))
      expect(yield* requests).toMatchObject([
        { command: "WRITE", offset: 0n, length: 33_554_432 },
        { command: "WRITE", offset: 33_554_432n, length: 1 }
      ])
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ ...disk, size: 67_108_864 }] }))))

  it("may have transmission flags that nobody knows (C-122)", () => {
    const script = goWith(exportInfo(512n, 0xe001))
    expect(converse((reader) => go(reader, fixed, "", nothing), script).outcome).toMatchObject({
      _tag: "Succeeded",
      value: { size: 512n, flags: 0xe001 }
    })
  })

  it.scoped("is entered by its name alone at a server that does not know GO (C-216)", () =>
    Effect.gen(function*() {
      const { violations } = yield* FakeServer.FakeServer
      const connected = yield* Handle.connect({ exportName: "disk" })
      const sent = yield* Effect.flatMap(FakeServer.FakeServer, ({ options }) => options)
      expect(sent.slice(-2).map(({ option }) => option)).toStrictEqual([opt.GO, opt.EXPORT_NAME])
      yield* connected.write(512n, Uint8Array.of(1, 2, 3))
      expect(yield* connected.read(512n, 3)).toStrictEqual(Uint8Array.of(1, 2, 3))
      expect(yield* violations).toStrictEqual([])
    }).pipe(
      Effect.provide(FakeServer.layer({ exports: [disk], extendedHeaders: false, refuse: { GO: "ERR_UNSUP" } }))
    ))
})

describe("a server that is another one on the next connection", () => {
  it.scoped("is believed anew: nothing of what was told before is left (H-150)", () =>
    Effect.gen(function*() {
      const servers = yield* Effect.all([
        FakeServer.make({ exports: [{ ...disk, blockSize: { minimum: 512, preferred: 4096, maximum: 65_536 } }] }),
        FakeServer.make({ exports: [{ ...disk, size: 3 }], structuredReplies: false, extendedHeaders: false }),
        FakeServer.make({ exports: [{ ...disk, name: "other" }] })
      ])
      const waiting = servers.values()
      const transport = Transport.Transport.of({
        target: "one of three",
        open: Effect.suspend(() => waiting.next().value?.open ?? Effect.dieMessage("no server left"))
      })
      yield* Effect.gen(function*() {
        const connect = Handle.connect({ exportName: "disk" })
        const first = yield* connect
        expect([first.export.size, first.export.minimumBlockSize]).toStrictEqual([1_048_576n, 512])
        const second = yield* connect
        expect([second.export.size, second.export.minimumBlockSize]).toStrictEqual([3n, 1])
        expect([first.agreed.replyStyle, second.agreed.replyStyle]).toStrictEqual(["Extended", "Simple"])
        expect(yield* second.read(1n, 1)).toStrictEqual(new Uint8Array(1))
        expect(yield* Effect.flip(second.read(0n, 4))).toMatchObject({ _tag: "NbdOutOfBoundsError" })
        expect(yield* Effect.flip(connect)).toMatchObject({ _tag: "NbdExportUnknownError" })
      }).pipe(Effect.provideService(Transport.Transport, transport))
    }))
})
