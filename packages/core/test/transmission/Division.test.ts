/**
 * Requests that are longer than the server takes: what of them is sent, in which order, and what becomes of the whole.
 */
import { Handle, type HandleConfig, Request } from "@effect-nbd/core"
import type { CommandFailure } from "@effect-nbd/core/transmission/CommandError"
import { DividedCommand } from "@effect-nbd/core/transmission/Division"
import type { NeverSent } from "@effect-nbd/core/transmission/InFlight"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { transmission } from "./ByHand.ts"

const mebibyte = 1_048_576
const most = 32 * mebibyte
const huge = { name: "disk", size: 2n ** 40n }
const byteAt = (offset: number): number => (offset * 31 + (offset >> 8) * 7 + (offset >> 16)) & 0xff
const content = Uint8Array.from({ length: 8192 }, (_, at) => byteAt(at))
/** It takes 1 KiB at a time. */
const narrow = { name: "disk", size: 8192, content, blockSize: { minimum: 1, preferred: 512, maximum: 1024 } }

/** The fake server names its block sizes to whoever asks. */
const unnamed = { requestBlockSize: false }

const serving = (
  exports: FakeServer.FakeServerConfig["exports"],
  test: (nbd: Handle.Connected, server: FakeServer.FakeServer["Type"]) => Effect.Effect<void, unknown>,
  config: HandleConfig.HandleConfig = {},
  server: Partial<FakeServer.FakeServerConfig> = {}
) =>
  Effect.gen(function*() {
    const nbd = yield* Handle.connect({ ...config, exportName: "disk" })
    yield* test(nbd, yield* FakeServer.FakeServer)
  }).pipe(Effect.provide(FakeServer.layer({ ...server, exports })))

const ranges = (server: FakeServer.FakeServer["Type"]) =>
  Effect.map(server.requests, (list) => list.map(({ length, offset }) => [Number(offset), length]))

describe("where a server has named no block sizes", () => {
  it.scoped.each(["writeZeroes", "trim", "cache"] as const)(
    "no %s is longer than 32 MiB",
    (name) =>
      serving([huge], (nbd, server) =>
        Effect.gen(function*() {
          yield* nbd[name](5n, 3 * most + 7)
          expect(yield* ranges(server)).toStrictEqual([
            [5, most],
            [5 + most, most],
            [5 + 2 * most, most],
            [5 + 3 * most, 7]
          ])
          yield* nbd[name](0n, most)
          expect(yield* ranges(server)).toHaveLength(5)
        }), unnamed)
  )

  it.scoped("a longer one than any request could be is sent too, flags with each piece", () =>
    serving([huge], (nbd, server) =>
      Effect.gen(function*() {
        yield* nbd.writeZeroes(0n, 2n ** 32n + 1n, { fua: true })
        const requests = yield* server.requests
        expect(requests).toHaveLength(129)
        expect(requests.at(-1)).toMatchObject({ offset: 2n ** 32n, length: 1 })
        expect(new Set(requests.map(({ flags }) => flags))).toStrictEqual(new Set([CommandFlags.FUA]))
      }), unnamed))

  it.scoped("block status asks about all of it at once, and a tester sends everything whole (C-096)", () =>
    serving([huge], (nbd, server) =>
      Effect.gen(function*() {
        yield* nbd.blockStatus(0n, 3 * most)
        yield* nbd.setStrictness({ payload: false })
        yield* nbd.writeZeroes(0n, 3 * most)
        yield* nbd.trim(0n, 2 ** 32 - 1)
        expect(yield* ranges(server)).toStrictEqual([[0, 3 * most], [0, 3 * most], [0, 2 ** 32 - 1]])
      }), { ...unnamed, metaContexts: ["base:allocation"] }))
})

describe("where a server has named its block sizes", () => {
  const named = { ...huge, blockSize: { minimum: 4096, preferred: 4096, maximum: most } }

  it.scoped("effects are as long as 32 bits can say, in whole blocks (C-091, C-096)", () =>
    serving(
      [named],
      (nbd, server) =>
        Effect.gen(function*() {
          yield* nbd.writeZeroes(0n, 3 * most)
          yield* nbd.trim(4096n, 2n ** 32n)
          expect(yield* ranges(server)).toStrictEqual([
            [0, 3 * most],
            [4096, 0xffff_0000],
            [4096 + 0xffff_0000, 65_536]
          ])
        }),
      {},
      { extendedHeaders: false }
    ))

  it.scoped("and as they are under extended headers", () =>
    serving(
      [named],
      (nbd, server) =>
        Effect.gen(function*() {
          yield* nbd.writeZeroes(0n, 2n ** 40n)
          expect(yield* ranges(server)).toStrictEqual([[0, 2 ** 40]])
        }),
      {},
      { extendedHeaders: true }
    ))
})

describe("what is longer than the server's largest payload", () => {
  const pieces = [[100, 1024], [1124, 1024], [2148, 452]]

  it.scoped.each([true, false])(
    "is read into one place, in chunks: %s (C-094)",
    (structuredReplies) =>
      serving(
        [narrow],
        (nbd, server) =>
          Effect.gen(function*() {
            const expected = content.slice(100, 2600)
            expect(yield* nbd.read(100n, 2500)).toStrictEqual(expected)
            const into = new Uint8Array(2502)
            yield* nbd.readInto(100n, into.subarray(1, 2501))
            expect(into).toStrictEqual(Uint8Array.of(0, ...expected, 0))
            expect(yield* nbd.readBorrowed(100n, 2500, (bytes) => Effect.succeed(bytes.slice()))).toStrictEqual(
              expected
            )
            expect(yield* nbd.readStructured(100n, 2500)).toStrictEqual({
              bytes: expected,
              pieces: [{ _tag: "Data", offset: 100n, length: 2500 }]
            })
            expect(yield* ranges(server)).toStrictEqual([...pieces, ...pieces, ...pieces, ...pieces])
          }),
        {},
        { structuredReplies }
      )
  )

  it.scoped("is written from one place, payload announced or not (C-094, C-222)", () =>
    Effect.forEach([true, false], (extendedHeaders) =>
      serving(
        [narrow],
        (nbd, server) =>
          Effect.gen(function*() {
            const bytes = Uint8Array.from({ length: 2500 }, (_, at) => 255 - byteAt(at))
            yield* nbd.write(100n, bytes, { fua: true })
            expect(yield* ranges(server)).toStrictEqual(pieces)
            expect(yield* nbd.read(99n, 2502)).toStrictEqual(Uint8Array.of(byteAt(99), ...bytes, byteAt(2600)))
            expect(yield* server.violations).toStrictEqual([])
          }),
        {},
        { extendedHeaders }
      )))

  it.scoped("cannot come in one chunk", () =>
    serving([narrow], (nbd, server) =>
      Effect.gen(function*() {
        expect(yield* Effect.flip(nbd.readStructured(0n, 1025, { df: true }))).toMatchObject({
          _tag: "NbdRequestTooLargeError",
          maximum: 1024
        })
        yield* nbd.readStructured(0n, 1024, { df: true })
        expect(yield* ranges(server)).toStrictEqual([[0, 1024]])
      })))
})

describe("a request that is sent in pieces", () => {
  it.scoped("fails with its first piece that does, names it, and sends no more", () =>
    serving([narrow], (nbd, server) =>
      Effect.gen(function*() {
        yield* server.onRequest(({ offset }) => offset === 1024n ? Steering.fail("ENOSPC") : Steering.proceed)
        expect(yield* Effect.flip(nbd.write(0n, new Uint8Array(5000)))).toMatchObject({
          _tag: "NbdCommandError",
          command: "write",
          errno: "ENOSPC",
          offset: 1024n,
          length: 1024
        })
        expect(yield* ranges(server)).toStrictEqual([[0, 1024], [1024, 1024]])
      })))

  it.scoped("has one of them under way at a time, and lets others in between", () =>
    serving([narrow], (nbd, server) =>
      Effect.gen(function*() {
        yield* server.hold
        const long = yield* Effect.fork(nbd.read(0n, 3000))
        yield* server.awaitRequests(1)
        const other = yield* Effect.fork(nbd.read(8000n, 10))
        yield* server.awaitRequests(2)
        yield* server.releaseWhere(({ offset }) => offset === 0n)
        yield* server.awaitRequests(3)
        yield* server.release
        expect(yield* Fiber.join(long)).toStrictEqual(content.slice(0, 3000))
        yield* Fiber.join(other)
        expect(yield* ranges(server)).toStrictEqual([[0, 1024], [8000, 10], [1024, 1024], [2048, 952]])
      }), { limits: { requests: 2 } }))

  it.scoped("is given up by an interruption: what was not sent is not sent", () =>
    serving([narrow], (nbd, server) =>
      Effect.gen(function*() {
        yield* server.hold
        const memory = new Uint8Array(3000)
        const long = yield* Effect.fork(nbd.readInto(0n, memory))
        yield* server.awaitRequests(1)
        yield* server.releaseWhere(() => true)
        yield* server.awaitRequests(2)
        yield* Fiber.interrupt(long)
        yield* server.release
        yield* nbd.read(8000n, 10)
        expect(yield* ranges(server)).toStrictEqual([[0, 1024], [1024, 1024], [8000, 10]])
        expect(memory.subarray(1024)).toStrictEqual(new Uint8Array(1976))
        expect(yield* nbd.inFlight).toBe(0)
      })))

  it.scoped("is under way until its last piece: a shutdown waits for it", () =>
    serving([narrow], (nbd, server) =>
      Effect.gen(function*() {
        yield* server.hold
        const long = yield* Effect.fork(nbd.write(0n, new Uint8Array(3000)))
        yield* server.awaitRequests(1)
        const leaving = yield* Effect.fork(nbd.shutdown)
        yield* Effect.yieldNow()
        expect(yield* Effect.flip(nbd.read(0n, 1))).toMatchObject({ _tag: "NbdShutDownError" })
        yield* server.release
        yield* Fiber.join(long)
        yield* Fiber.join(leaving)
        expect((yield* ranges(server)).slice(0, 3)).toStrictEqual([[0, 1024], [1024, 1024], [2048, 952]])
        expect((yield* server.requests).at(3)).toMatchObject({ command: "DISC" })
        expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "Disconnected" } }])
      })))
})

describe("the pieces of a command, by hand", () => {
  const write = (payload: Uint8Array, requests = 1) => {
    const session = transmission({ replyStyle: "Simple", limits: { requests } })
    const outcomes: Array<CommandFailure | NeverSent | "ok"> = []
    const gone = { now: false }
    const request = new Request.Write(0n, payload)
    const command = { request, name: "write", flags: 0, offset: 0n, length: payload.byteLength, payload } as const
    const divided = new DividedCommand(
      session.engine,
      { ...command, destination: undefined, detail: undefined },
      4,
      { settle: (failure) => outcomes.push(failure ?? "ok"), isGone: () => gone.now }
    )
    const succeed = (cookie: number) =>
      session.connection.arrive(encodeSimpleReply({ cookie: BigInt(cookie), error: 0 }))
    return { ...session, divided, gone, settled: outcomes, succeed }
  }

  it("wait for their turn behind others, and are given up there", () => {
    const { divided, engine, outcomes, settled, submit, succeed } = write(new Uint8Array(12))
    submit({ name: "flush" })
    succeed(1)
    expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([1, 1])
    divided.abandon()
    succeed(2)
    expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([0, 0])
    expect([outcomes, settled]).toStrictEqual([["ok"], []])
  })

  it("are not sent on for somebody who has gone", () => {
    const { engine, gone, settled, succeed } = write(new Uint8Array(12))
    gone.now = true
    succeed(1)
    expect([engine.requestsInFlight, settled]).toStrictEqual([0, []])
  })

  it("are lost with the connection: a piece that was sent, and one that had not been after another was done", () => {
    const sent = write(new Uint8Array(12))
    sent.succeed(1)
    sent.connection.end()
    expect(sent.settled).toMatchObject([{ _tag: "NbdCommandLostError", cookie: 2n, offset: 4n, length: 4 }])
    const waiting = write(new Uint8Array(12))
    waiting.submit({ name: "flush" })
    waiting.succeed(1)
    waiting.connection.end()
    expect(waiting.settled).toMatchObject([{
      _tag: "NbdCommandLostError",
      offset: 4n,
      length: 4,
      reason: { _tag: "NbdServerDisconnectedError" }
    }])
  })

  it("are refused where nothing at all was sent", () => {
    const { engine, settled } = write(new Uint8Array(12))
    const late: Array<unknown> = []
    engine.close()
    expect(settled).toMatchObject([{ _tag: "NbdCommandLostError", offset: 0n }])
    const request = new Request.Trim(0n, 12)
    const command = { request, name: "trim", flags: 0, offset: 0n, length: 12, payload: undefined } as const
    const divided = new DividedCommand(engine, { ...command, destination: undefined, detail: undefined }, 4, {
      settle: (failure) => late.push(failure),
      isGone: () => false
    })
    divided.abandon()
    expect(late).toMatchObject([{ _tag: "NeverSent" }])
  })

  it("are lost, and not refused, when the server shuts down after one of them was done (C-162)", () => {
    const { connection, engine, settled, state, submit, succeed } = write(new Uint8Array(12), 2)
    submit({ name: "flush" })
    submit({ name: "flush" })
    succeed(1)
    // The other flush was first in line; the second piece is behind it.
    expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([2, 1])
    connection.arrive(encodeSimpleReply({ cookie: 2n, error: 108 }))
    expect(settled).toMatchObject([{
      _tag: "NbdCommandLostError",
      command: "write",
      offset: 4n,
      length: 4,
      reason: { _tag: "NbdHandleClosedError" }
    }])
    expect([state.serverShutdowns, engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([1, 1, 0])
  })

  it("are not sent to a server that shuts down, when the one before them succeeds all the same (C-162)", () => {
    const { connection, engine, settled, submit, succeed } = write(new Uint8Array(12), 2)
    submit({ name: "flush" })
    connection.arrive(encodeSimpleReply({ cookie: 2n, error: 108 }))
    succeed(1)
    expect([engine.requestsInFlight, settled]).toMatchObject([0, [{ _tag: "NbdCommandLostError", offset: 4n }]])
  })

  it("fail when their memory is taken away between two of them", async () => {
    const memory = new Uint8Array(12)
    const { ends, settled, succeed } = write(memory)
    await Promise.resolve()
    structuredClone(memory, { transfer: [memory.buffer] })
    succeed(1)
    expect(settled).toMatchObject([{ _tag: "NbdReplyInvalidError", command: "write", length: 12 }])
    expect(ends).toStrictEqual([])
  })
})
