/** Every failure, and everything that a handle tells, can be given to any logger: whole, exact, and without secrets. */
import { Export, Handle, type HandleState, type NbdError, Transport } from "@effect-nbd/core"
import { print, printable } from "@effect-nbd/core/errors/Printed"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { large, sampleList, samples, secret } from "../fixtures/Errors.ts"

/** What a logger makes of a value that is logged, beside a text, and as an annotation. */
const logged = <A>(logger: Logger.Logger<unknown, A>, value: unknown): Effect.Effect<ReadonlyArray<A>> =>
  Effect.suspend(() => {
    const lines: Array<A> = []
    const keeping = Logger.map(logger, (line) => {
      lines.push(line)
    })
    return Effect.log(value).pipe(
      Effect.zipRight(Effect.log("failed", value)),
      Effect.zipRight(Effect.annotateLogs(Effect.log("failed"), "value", value)),
      Effect.provide(Logger.replace(Logger.defaultLogger, keeping)),
      Effect.as(lines)
    )
  })

/** Every way to print a value, by its name. */
const outputs = (value: unknown): Effect.Effect<ReadonlyArray<readonly [string, string]>> =>
  Effect.gen(function*() {
    const json = yield* logged(Logger.jsonLogger, value)
    const structured = yield* logged(Logger.structuredLogger, value)
    const logfmt = yield* logged(Logger.logfmtLogger, value)
    return [
      ...json.map((line) => ["Logger.json", line] as const),
      ...structured.map((line) => ["Logger.structured", JSON.stringify(line)] as const),
      ...logfmt.map((line) => ["Logger.logFmt", line] as const),
      ["JSON.stringify", JSON.stringify(value)],
      ["util.inspect", inspect(value, { depth: Infinity, breakLength: Infinity })]
    ]
  })

const digits = large.toString()
const hasLarge = (error: NbdError.NbdError): boolean => Object.values(error).includes(large)

describe("every error", () => {
  it("is among those that are printed here with large numbers", () => {
    expect(sampleList.filter(hasLarge).length).toBeGreaterThan(5)
  })

  it.effect.each(sampleList.map((error) => [error._tag, error] as const))(
    "%s",
    ([tag, error]) =>
      Effect.gen(function*() {
        const inJson = JSON.stringify(error.message).slice(1, -1)
        for (const [how, text] of yield* outputs(error)) {
          expect([how, text]).toStrictEqual([how, expect.stringContaining(tag)])
          if (how !== "Logger.logFmt") {
            expect([how, text]).toStrictEqual([
              how,
              expect.stringContaining(how === "util.inspect" ? error.message : inJson)
            ])
          }
          if (hasLarge(error)) expect([how, text]).toStrictEqual([how, expect.stringContaining(digits)])
          expect([how, text]).toStrictEqual([how, expect.not.stringContaining(secret)])
        }
        expect(JSON.parse(JSON.stringify(error))).toMatchObject({ _tag: tag, message: error.message })
      })
  )

  it("gives its fields: bigint as digits, an error inside as one, bytes as their number", () => {
    expect(samples.NbdCommandLostError.toJSON()).toStrictEqual({
      _tag: "NbdCommandLostError",
      message: samples.NbdCommandLostError.message,
      cookie: digits,
      command: "read",
      offset: digits,
      length: 512,
      request: { _tag: "Read", offset: digits, length: "512" },
      reason: {
        _tag: "NbdTransportLostError",
        message: "connection to tcp localhost:10809 lost (ECONNRESET)",
        peer: "tcp localhost:10809",
        code: "ECONNRESET",
        cause: { name: "Error", message: "the cause", code: "ECAUSE" }
      }
    })
    expect(samples.NbdStreamEnded.toJSON()).toMatchObject({ wanted: 16, received: `[${secret.length} bytes]` })
    expect(samples.NbdHandshakeTimeoutError.toJSON()).toMatchObject({ timeout: 1500 })
  })
})

describe("what is printed of a value", () => {
  it("is what JSON knows", () => {
    const circular: Record<string, unknown> = { n: 1n }
    circular["self"] = circular
    expect(print(circular)).toStrictEqual({ n: "1", self: "[Circular]" })
    expect(print([undefined, Number.NaN, Infinity, () => 1, Symbol("x"), null])).toStrictEqual([
      null,
      "NaN",
      "Infinity",
      null,
      null,
      null
    ])
    expect(print(Option.some({ size: 2n ** 64n }))).toStrictEqual({ size: "18446744073709551616" })
    expect(print(Option.none())).toBe(null)
    expect(print(Redacted.make(secret))).toBe("<redacted>")
    expect(print(new DataView(new ArrayBuffer(3)))).toBe("[3 bytes]")
    expect(print(undefined)).toBe(null)
  })

  it("does not throw where a value does", () => {
    const broken = {
      toJSON(): never {
        throw new Error("no")
      }
    }
    expect(print({ broken })).toStrictEqual({ broken: "[toJSON failed]" })
  })

  it("hides nothing of what it is made of, and adds no field", () => {
    const made = printable({ _tag: "A", n: 1n })
    expect(Object.keys(made)).toStrictEqual(["_tag", "n"])
    expect(inspect(made)).toBe("{ _tag: 'A', n: 1n }")
    expect(JSON.stringify(made)).toBe("{\"_tag\":\"A\",\"n\":\"1\"}")
  })
})

const server = FakeServer.layer({ exports: [{ name: "disk", size: large, description: "a disk" }] })

/** A target that opens nothing: it hangs, or fails. */
const nowhere = (open: Transport.Transport["Type"]["open"]) =>
  Layer.succeed(Transport.Transport, { target: "nowhere", open })

const shown = (value: unknown, ...texts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    for (const [how, text] of yield* outputs(value)) {
      for (const part of texts) expect([how, text]).toStrictEqual([how, expect.stringContaining(part)])
    }
  })

describe("what a handle tells", () => {
  it.scoped("of its states, each of them", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.make({ optMode: true, metaContexts: ["base:allocation"] })
      const seen = new Set<HandleState.StateTag>()
      const look = Effect.flatMap(handle.state, (state) => {
        seen.add(state._tag)
        expect(JSON.parse(JSON.stringify(state))).toMatchObject({ _tag: state._tag })
        return shown(state, state._tag)
      })
      yield* look
      yield* handle.connect
      yield* look
      yield* handle.info("disk")
      yield* look
      yield* shown(yield* handle.state, digits)
      yield* handle.go("disk")
      yield* look
      yield* shown(yield* handle.state, digits)
      yield* handle.shutdown
      yield* look
      expect(JSON.parse(JSON.stringify(yield* handle.state))).toMatchObject({
        _tag: "ShutDown",
        by: "Client",
        export: { name: "disk", size: digits, description: "a disk", replyStyle: "Extended" },
        agreed: { protocol: "newstyle-fixed", tls: false }
      })
      expect([...seen]).toStrictEqual(["Created", "Negotiating", "Connected", "ShutDown"])
    }).pipe(Effect.provide(server)))

  it.scoped("while it connects, and of its death", () =>
    Effect.gen(function*() {
      const connecting = yield* Handle.make()
      const dead = yield* Handle.make()
      yield* connecting.startConnect.pipe(Effect.provide(nowhere(Effect.never)))
      yield* Effect.ignore(dead.connect.pipe(Effect.provide(nowhere(Effect.fail(samples.NbdProgramNotFoundError)))))
      yield* shown(yield* connecting.state, "Connecting", "nowhere")
      yield* shown(yield* dead.state, "Dead", "NbdProgramNotFoundError", "cannot start nbdkit")
    }))

  it.scoped("of its export and its traffic", () =>
    Effect.gen(function*() {
      const disk = yield* Handle.connect({ exportName: "disk" })
      expect(disk.export).toBeInstanceOf(Export.Export)
      yield* shown(disk.export, "disk", digits)
      const statistics = yield* disk.statistics
      yield* shown(statistics, "bytesSent", statistics.bytesReceived.toString())
      expect(JSON.parse(JSON.stringify(statistics))).toStrictEqual({
        bytesSent: statistics.bytesSent.toString(),
        chunksSent: statistics.chunksSent.toString(),
        bytesReceived: statistics.bytesReceived.toString(),
        chunksReceived: statistics.chunksReceived.toString()
      })
    }).pipe(Effect.provide(server)))
})
