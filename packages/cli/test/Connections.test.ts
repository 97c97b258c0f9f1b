/**
 * What a copy asks of the protocol beyond a single command: how many connections, which sizes, and when to flush.
 */
import * as Copy from "#cli/Copy"
import * as Listener from "#cli/Listener"
import * as Operand from "#cli/Operand"
import * as Word from "#cli/Word"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

const mebibyte = 1_048_576

/** Copies 8 MiB from one export to another over up to four connections each, and gives the two servers. */
const copied = (
  can: { readonly multiConn: boolean },
  misbehaviours: ReadonlyArray<Misbehaviour.Misbehaviour> = []
) =>
  Effect.gen(function*() {
    const served = (blockSize?: { readonly minimum: number; readonly preferred: number; readonly maximum: number }) =>
      Effect.gen(function*() {
        const server = yield* FakeServer.make({
          exports: [{ name: "", size: 8 * mebibyte, can, ...(blockSize === undefined ? {} : { blockSize }) }],
          misbehaviours
        })
        const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
        return { server, operand: yield* Word.operand(yield* Listener.uriOf(address, "")) }
      })
    const from = yield* served()
    const to = yield* served({ minimum: 1, preferred: 65_536, maximum: 33_554_432 })
    const { source } = yield* Operand.openSource(from.operand, { connections: 4, extents: false })
    const { sink } = yield* Operand.openSink(to.operand, {
      connections: 4,
      from: undefined,
      flush: true,
      allocated: false,
      inPlace: false,
      destinationIsZero: false
    })
    // The others are opened beside the copy.
    if (can.multiConn) yield* Effect.all([from.server, to.server].map(({ awaitSessions }) => awaitSessions(4)))
    const sessions = [yield* from.server.sessions, yield* to.server.sessions]
    yield* Copy.copy(source, sink, { flush: true, sparse: 0 })
    return { sessions, read: yield* from.server.requests, written: yield* to.server.requests }
  })

describe("a copy", () => {
  it.scopedLive("has several connections only where the server lets them be used as one (C-143)", () =>
    Effect.gen(function*() {
      expect((yield* copied({ multiConn: true })).sessions).toStrictEqual([4, 4])
      expect((yield* copied({ multiConn: false })).sessions).toStrictEqual([1, 1])
    }))

  it.scopedLive("keeps to the first connection where the next ones cannot be used as one with it (H-151)", () =>
    Effect.gen(function*() {
      const { read, written } = yield* copied({ multiConn: true }, [Misbehaviour.lacksMultiConnNext])
      const requests = [...read, ...written].filter(({ command }) => command !== "DISC")
      expect(new Set(requests.map(({ session }) => session))).toStrictEqual(new Set([1]))
      expect(written.reduce((bytes, { command, length }) => command === "WRITE" ? bytes + length : bytes, 0))
        .toBe(8 * mebibyte)
    }))

  it.scopedLive("is flushed once, when every write on every connection has been answered (C-144)", () =>
    Effect.gen(function*() {
      const { written } = yield* copied({ multiConn: true })
      const commands = written.map(({ command }) => command)
      expect(commands.filter((command) => command === "WRITE").length).toBeGreaterThan(4)
      expect(commands.filter((command) => command === "FLUSH")).toHaveLength(1)
      expect(commands.at(-1)).toBe("FLUSH")
    }))

  it.scopedLive("asks for multiples of what both ends prefer, and of 512 where nothing was said (C-088, C-092)", () =>
    Effect.gen(function*() {
      const { read, written } = yield* copied({ multiConn: true })
      const ranges = [...read, ...written].filter(({ command }) => command === "READ" || command === "WRITE")
      for (const { length, offset } of ranges) {
        expect([offset % 65_536n, length % 65_536]).toStrictEqual([0n, 0])
      }
      expect(ranges.length).toBeGreaterThan(8)
    }))
})
