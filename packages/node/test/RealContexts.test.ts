/**
 * Haggling about meta contexts, headers and options with the real servers. None of Debian's knows extended headers.
 */
import { Handle, MetaContext } from "@effect-nbd/core"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bitmapNbd, has, nbdkitUnix, nbdServer } from "./RealServers.ts"

const base = MetaContext.baseAllocation
const depth = MetaContext.qemuAllocationDepth
const bitmap = MetaContext.qemuDirtyBitmap("b0")
const unsupported = 0x8000_0001

describe.skipIf(!has("nbdkit"))("nbdkit", () => {
  const server = nbdkitUnix("data", "0x01 @65536 0x01", "size=1M")

  it.scopedLive("lists its one context, grants it, and tells the status of the disk by it", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ metaContexts: [base] })
      expect((yield* negotiating.agreed).replyStyle).toBe("Structured")
      expect(yield* negotiating.extendedHeaders).toBe(false)
      expect(yield* negotiating.listMetaContexts({ queries: [] })).toStrictEqual([base])
      expect(yield* negotiating.listMetaContexts()).toStrictEqual([base])
      expect(yield* negotiating.listMetaContexts({ queries: ["qemu:"] })).toStrictEqual([])
      const known = yield* negotiating.info()
      const connected = yield* negotiating.go()
      for (const { contexts } of [known, connected.export]) {
        expect(contexts.map(({ name }) => name)).toStrictEqual([base])
      }
      const statuses = yield* connected.blockStatus(0n, 1_048_576)
      expect(statuses.map(({ context }) => context)).toStrictEqual([base])
      expect(statuses.flatMap((status) => [...status]).some(({ flags }) => MetaContext.isZero(flags))).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scopedLive("has no context that it does not know, which is an error unless it is optional", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Handle.connect({ metaContexts: [base, "x-none:such"] })))
      expect(error).toMatchObject({
        _tag: "NbdMetaContextNotGrantedError",
        contexts: ["x-none:such"],
        why: "NotOffered"
      })
      const { export: known } = yield* Handle.connect({
        metaContexts: [base, { name: "x-none:such", optional: true }]
      })
      expect([known.canMetaContext(base), known.canMetaContext("x-none:such")]).toStrictEqual([true, false])
    }).pipe(Effect.provide(server)))

  it.scopedLive("is asked for the rest step by step, and goes on after every refusal", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ requestStructuredReplies: false })
      expect(yield* Effect.flip(negotiating.setMetaContexts({ contexts: [base] }))).toMatchObject({
        _tag: "NbdOptionForbiddenError"
      })
      expect((yield* negotiating.option(0x7777, Uint8Array.of(1))).map(({ type }) => type)).toStrictEqual([unsupported])
      expect(yield* negotiating.structuredReplies).toBe(true)
      expect(yield* negotiating.setMetaContexts({ contexts: [base] })).toMatchObject([{ name: base }])
      const connected = yield* negotiating.go()
      expect(connected.export.canMetaContext(base)).toBe(true)
    }).pipe(Effect.provide(server)))

  it.scopedLive("is entered by EXPORT_NAME too, with its contexts", () =>
    Effect.gen(function*() {
      const connected = yield* Handle.connect({ forceExportName: true, metaContexts: [base] })
      expect(connected.export.contexts).toMatchObject([{ name: base }])
      const statuses = yield* connected.blockStatus(0n, 4096)
      expect(statuses).toHaveLength(1)
    }).pipe(Effect.provide(server)))
})

describe.skipIf(!has("qemu-nbd"))("qemu-nbd", () => {
  it.scopedLive("lists allocation, its depth and a dirty bitmap, and grants them all", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ exportName: "disk" })
      expect(new Set(yield* negotiating.listMetaContexts())).toStrictEqual(new Set([base, depth, bitmap]))
      expect(yield* negotiating.listMetaContexts({ queries: ["qemu:dirty-bitmap:"] })).toStrictEqual([bitmap])
      const granted = yield* negotiating.setMetaContexts({ contexts: [bitmap, base, depth] })
      expect(new Set(granted.map(({ name }) => name))).toStrictEqual(new Set([base, depth, bitmap]))
      const connected = yield* negotiating.go()
      expect(connected.export.contexts).toStrictEqual(granted)
      const statuses = yield* connected.blockStatus(0n, 1_048_576)
      const dirty = statuses.find(({ context }) => context === bitmap)
      expect([...dirty ?? []]).toStrictEqual([
        { offset: 0n, length: 131_072n, flags: 0n },
        { offset: 131_072n, length: 65_536n, flags: 1n },
        { offset: 196_608n, length: 851_968n, flags: 0n }
      ])
    }).pipe(Effect.provide(bitmapNbd)))

  it.scopedLive("does not enter an unknown export for the sake of its contexts, and says that it is unknown", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate({ exportName: "none", metaContexts: [base] })
      expect(yield* Effect.flip(negotiating.go())).toMatchObject({ _tag: "NbdExportUnknownError", exportName: "none" })
      const connected = yield* negotiating.go("disk")
      expect(connected.export.canMetaContext(base)).toBe(true)
    }).pipe(Effect.provide(bitmapNbd)))
})

describe.skipIf(!has("nbd-server"))("nbd-server", () => {
  const config = { exportName: "disk" }

  it.scopedLive("has no contexts, since it has no structured replies", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Handle.connect({ ...config, metaContexts: [base] })))
      expect(error).toMatchObject({ _tag: "NbdMetaContextNotGrantedError", contexts: [base], why: "NoChunks" })
      const connected = yield* Handle.connect({ ...config, metaContexts: [{ name: base, optional: true }] })
      expect(connected.agreed.replyStyle).toBe("Simple")
      expect(connected.export.contexts).toStrictEqual([])
      expect(yield* connected.read(0n, 512)).toStrictEqual(new Uint8Array(512))
    }).pipe(Effect.provide(nbdServer(1_048_576))))

  it.scopedLive("refuses what it does not know, and goes on", () =>
    Effect.gen(function*() {
      const negotiating = yield* Handle.negotiate(config)
      expect([yield* negotiating.structuredReplies, yield* negotiating.extendedHeaders]).toStrictEqual([false, false])
      for (const code of [9, 10, 11, 0x7777]) {
        expect((yield* negotiating.option(code)).map(({ type }) => type)).toStrictEqual([unsupported])
      }
      expect((yield* negotiating.go()).export.size).toBe(1_048_576n)
    }).pipe(Effect.provide(nbdServer(1_048_576))))
})
