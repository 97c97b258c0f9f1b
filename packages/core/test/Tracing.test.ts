/**
 * What a handle tells those who watch: spans, debug logs, and counts.
 */
import { Handle } from "@effect-nbd/core"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

const server = FakeServer.layer({ exports: [{ name: "disk", size: 65_536 }] })

/** Every span that was begun, by name, with its attributes and how it ended. */
const recordingTracer = () => {
  const spans: Array<{
    readonly name: string
    readonly attributes: Map<string, unknown>
    readonly parent: string | undefined
    failed?: boolean
  }> = []
  const tracer = Tracer.make({
    context: (run) => run(),
    span: (name, parent, context, links, startTime, kind) => {
      const span: (typeof spans)[number] = {
        name,
        attributes: new Map(),
        parent: Option.isSome(parent) && parent.value._tag === "Span" ? parent.value.name : undefined
      }
      spans.push(span)
      return {
        _tag: "Span",
        spanId: String(spans.length),
        traceId: "trace",
        sampled: true,
        name,
        parent,
        context,
        links,
        kind,
        status: { _tag: "Started", startTime },
        attributes: span.attributes,
        attribute: (key, value) => void span.attributes.set(key, value),
        end: (_, exit) => void (span.failed = exit._tag === "Failure"),
        event: () => {},
        addLinks: () => {}
      }
    }
  })
  return { spans, layer: Layer.setTracer(tracer) }
}

describe("spans", () => {
  it.scoped("are there for connecting and each option, and for no command unless it was wanted", () => {
    const { layer, spans } = recordingTracer()
    return Effect.gen(function*() {
      const nbd = yield* Handle.connect({ exportName: "disk" })
      yield* nbd.read(0n, 512)
      const names = spans.map(({ name }) => name)
      expect(names[0]).toBe("nbd.connect")
      expect(names).toContain("nbd.NBD_OPT_GO")
      expect(names).not.toContain("nbd.read")
      expect(spans[0]?.attributes.get("nbd.target")).toBeTypeOf("string")
    }).pipe(Effect.provide(Layer.merge(server, layer)))
  })

  it.scoped("tell the range of every command, and which failed", () => {
    const { layer, spans } = recordingTracer()
    return Effect.gen(function*() {
      const nbd = yield* Handle.connect({ exportName: "disk", traceCommands: true })
      yield* nbd.write(512n, new Uint8Array(1024))
      yield* nbd.flush
      yield* Effect.flip(nbd.read(65_536n, 512))
      const [write, flush, read] = spans.slice(-3)
      expect(write).toMatchObject({ name: "nbd.write", failed: false })
      expect(Object.fromEntries(write?.attributes ?? [])).toStrictEqual({ "nbd.offset": 512n, "nbd.length": 1024 })
      expect(flush).toMatchObject({ name: "nbd.flush", failed: false })
      expect(read).toMatchObject({ name: "nbd.read", failed: true })
    }).pipe(Effect.provide(Layer.merge(server, layer)))
  })
})

describe("the span of a read of borrowed bytes", () => {
  it.scoped("is over when they are lent, and not around what is done with them", () => {
    const { layer, spans } = recordingTracer()
    return Effect.gen(function*() {
      const nbd = yield* Handle.connect({ exportName: "disk", traceCommands: true })
      const used = nbd.readBorrowed(0n, 512, () => {
        expect(spans.at(-1)).toMatchObject({ name: "nbd.readBorrowed", failed: false })
        return Effect.zipRight(Effect.withSpan(Effect.void, "use"), Effect.fail("no"))
      })
      expect(yield* Effect.flip(Effect.withSpan(used, "all"))).toBe("no")
      const [all, read, use] = spans.slice(-3)
      expect([all?.name, read?.name, use?.name]).toStrictEqual(["all", "nbd.readBorrowed", "use"])
      expect([all?.failed, read?.failed, use?.failed]).toStrictEqual([true, false, false])
      expect([read?.parent, use?.parent]).toStrictEqual(["all", "all"])
      expect(Object.fromEntries(read?.attributes ?? [])).toStrictEqual({ "nbd.offset": 0n, "nbd.length": 512 })
      yield* Effect.flip(nbd.readBorrowed(65_536n, 512, () => Effect.void))
      expect(spans.at(-1)).toMatchObject({ name: "nbd.readBorrowed", failed: true })
    }).pipe(Effect.provide(Layer.merge(server, layer)))
  })
})

describe("debug logs", () => {
  it.scoped("tell what was asked and how it was answered, and are silent otherwise", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ annotations, message }) => {
      const option = Option.getOrUndefined(HashMap.get(annotations, "nbd.option"))
      lines.push(`${typeof option === "string" ? `${option}: ` : ""}${String(message)}`)
    })
    const logging = Logger.replace(Logger.defaultLogger, logger)
    return Effect.gen(function*() {
      yield* Effect.scoped(Handle.connect({ exportName: "disk" }))
      expect(lines).toStrictEqual([])
      yield* Handle.connect({ exportName: "disk" }).pipe(Logger.withMinimumLogLevel(LogLevel.Debug))
      expect(lines).toContain("NBD_OPT_GO: accepted")
      expect(lines.at(-1)).toBe("connected")
      yield* Effect.flip(Handle.connect({ exportName: "none" }).pipe(Logger.withMinimumLogLevel(LogLevel.Debug)))
      expect(lines).toContain("NBD_OPT_GO: refused with NBD_REP_ERR_UNKNOWN")
      expect(lines.at(-1)).toContain("not connected: the server has no export \"none\"")
    }).pipe(Effect.provide(Layer.merge(server, logging)))
  })
})

describe("statistics", () => {
  it.scoped("count bytes and messages both ways, from the first byte to the last", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ exportName: "disk", requestExtendedHeaders: false })
      const none = { bytesSent: 0n, chunksSent: 0n, bytesReceived: 0n, chunksReceived: 0n }
      expect(yield* handle.statistics).toStrictEqual(none)
      yield* handle.connect
      const connected = yield* handle.statistics
      yield* handle.write(0n, new Uint8Array(1000))
      yield* handle.read(0n, 1000)
      const after = yield* handle.statistics
      expect(after).toStrictEqual({
        bytesSent: connected.bytesSent + 28n + 1000n + 28n,
        chunksSent: connected.chunksSent + 2n,
        bytesReceived: after.bytesReceived,
        chunksReceived: after.chunksReceived
      })
      expect(after.bytesReceived - connected.bytesReceived).toBeGreaterThan(1000n + 20n + 8n)
      expect(connected.chunksReceived).toBeGreaterThan(2n)
      yield* handle.shutdown
      expect((yield* handle.statistics).bytesSent).toBe(after.bytesSent + 28n)
    }).pipe(Effect.provide(server)))
})
