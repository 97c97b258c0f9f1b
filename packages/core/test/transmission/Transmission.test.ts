/**
 * Sending, waiting for a turn, abandoning, and the end of a transmission phase.
 */
import { TransportLostError } from "@effect-nbd/core/TransportError"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { encodeChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { describe, expect, it } from "@effect/vitest"
import { transmission } from "./ByHand.ts"

const turn = () => new Promise<void>((resolve) => queueMicrotask(resolve))
const reply = (cookie: number, error = 0, data = new Uint8Array(0)) =>
  concat([encodeSimpleReply({ cookie: BigInt(cookie), error }), data])
const readOf = (length: number) => ({ name: "read", offset: 0n, length }) as const

describe("sending", () => {
  it("puts the requests of one turn into one write, payloads behind their headers (C-139)", async () => {
    const { connection, submit } = transmission({ replyStyle: "Simple" })
    const payload = Uint8Array.of(1, 2, 3)
    submit({ name: "read", offset: 0x0102030405060708n, length: 512 })
    submit({ name: "write", offset: 8n, length: 3, payload, flags: 1 })
    submit({ name: "flush" })
    expect(connection.writes).toBe(0)
    await turn()
    expect(connection.writes).toBe(1)
    expect(connection.requests).toMatchObject([
      { command: commandCode.READ, cookie: 1n, offset: 0x0102030405060708n, length: 512, flags: 0 },
      { command: commandCode.WRITE, cookie: 2n, offset: 8n, length: 3, flags: 1 },
      { command: commandCode.FLUSH, cookie: 3n, offset: 0n, length: 0 }
    ])
    expect(concat(connection.written).subarray(56, 59)).toStrictEqual(payload)
  })

  it("keeps every header when there are more than one slab holds", async () => {
    const { connection, submit } = transmission({ limits: { requests: 5000 } })
    for (let index = 0; index < 1300; index++) submit({ ...readOf(1), offset: BigInt(index) })
    await turn()
    expect(connection.requests.map(({ offset }) => Number(offset))).toStrictEqual(
      Array.from({ length: 1300 }, (_, at) => at)
    )
  })

  it("waits while the connection has no room, and goes on in order", async () => {
    const { connection, submit } = transmission()
    connection.hasRoom = false
    submit(readOf(1))
    await turn()
    expect(connection.requests).toHaveLength(1)
    submit(readOf(2))
    submit(readOf(3))
    await turn()
    expect(connection.requests).toHaveLength(1)
    connection.drain()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([1, 2, 3])
  })

  it("goes on reading replies while writes are held back, and sends the whole payload all the same (C-139, H-092, H-093)", async () => {
    const { connection, outcomes, submit } = transmission({ replyStyle: "Simple" })
    connection.hasRoom = false
    submit({ name: "write", offset: 0n, length: 3, payload: new Uint8Array(3) })
    await turn()
    submit({ name: "write", offset: 8n, length: 5, payload: Uint8Array.of(1, 2, 3, 4, 5) })
    connection.arrive(reply(1, 28))
    expect(outcomes).toMatchObject([{ errno: "ENOSPC" }, undefined])
    connection.drain()
    expect(connection.requests).toHaveLength(2)
    expect(concat(connection.written).subarray(-5)).toStrictEqual(Uint8Array.of(1, 2, 3, 4, 5))
    connection.arrive(reply(2, 28))
    expect(outcomes).toMatchObject([{ errno: "ENOSPC" }, { errno: "ENOSPC" }])
  })

  it("takes no answer to a request that has not left yet: its payload would be the caller's again (C-154, H-078)", async () => {
    const { connection, outcomes, submit } = transmission({ replyStyle: "Simple" })
    connection.hasRoom = false
    submit({ name: "write", offset: 0n, length: 3, payload: new Uint8Array(3) })
    await turn()
    submit({ name: "write", offset: 8n, length: 5, payload: Uint8Array.of(1, 2, 3, 4, 5) })
    connection.arrive(reply(2, 0))
    const lost = { _tag: "NbdCommandLostError", reason: { rule: "C-154, H-078" } }
    expect(outcomes).toMatchObject([lost, lost])
  })
})

describe("how much is in flight", () => {
  it("never exceeds the number of requests; the others wait, in order and without memory", async () => {
    const { connection, engine, outcomes, submit } = transmission({ replyStyle: "Simple", limits: { requests: 2 } })
    const pending = [1, 2, 3, 4].map((length) => submit(readOf(length)))
    await turn()
    expect(connection.requests).toHaveLength(2)
    expect(engine.requestsQueued).toBe(2)
    expect(pending.map(({ destination }) => destination?.byteLength)).toStrictEqual([1, 2, undefined, undefined])
    connection.arrive(reply(2, 0, new Uint8Array(2)))
    await turn()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([1, 2, 3])
    expect(outcomes).toStrictEqual([undefined, "ok", undefined, undefined])
  })

  it("never exceeds the bytes of payload, but for a single request that is larger", async () => {
    const { connection, submit } = transmission({ replyStyle: "Simple", limits: { bytes: 100 } })
    submit(readOf(500))
    submit(readOf(60))
    submit({ name: "write", offset: 0n, length: 40, payload: new Uint8Array(40) })
    submit(readOf(1))
    await turn()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([500])
    connection.arrive(reply(1, 5))
    await turn()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([500, 60, 40])
  })

  it("does not let a small request overtake a large one that waits", async () => {
    const { connection, submit } = transmission({ replyStyle: "Simple", limits: { bytes: 100 } })
    submit(readOf(90))
    submit(readOf(50))
    submit(readOf(1))
    await turn()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([90])
  })
})

describe("abandoning a command", () => {
  it("keeps its cookie until the reply is drained, and writes no more into its memory (C-127, C-206, H-080)", () => {
    const { connection, engine, ends, outcomes, submit } = transmission({ replyStyle: "Simple" })
    const destination = new Uint8Array(8)
    const abandoned = submit({ ...readOf(8), destination })
    const next = submit(readOf(2))
    const bytes = reply(1, 0, new Uint8Array(8).fill(7))
    connection.arrive(bytes.subarray(0, 20))
    engine.abandon(abandoned)
    connection.arrive(bytes.subarray(20))
    expect(engine.requestsInFlight).toBe(1)
    connection.arrive(reply(2, 0, Uint8Array.of(1, 2)))
    expect(destination).toStrictEqual(Uint8Array.of(7, 7, 7, 7, 0, 0, 0, 0))
    expect(next.destination).toStrictEqual(Uint8Array.of(1, 2))
    expect(outcomes).toStrictEqual([undefined, "ok"])
    expect(ends).toHaveLength(0)
  })

  it("of whose reply a part has come keeps its cookie, and nobody is told of the rest (H-108, H-130)", () => {
    const { connection, engine, ends, outcomes, submit } = transmission({ replyStyle: "Structured" })
    const unfinished = submit(readOf(8))
    const failing = submit(readOf(8))
    submit({ name: "flush" })
    const more = ReplyFlags(0)
    const data = new Uint8Array(4)
    connection.arrive(concat(encodeChunk(1n, more, { _tag: "OffsetData", offset: 0n, data })))
    connection.arrive(concat(encodeChunk(2n, more, { _tag: "ErrorChunk", error: 5, message: "" })))
    expect(outcomes).toStrictEqual([undefined, undefined, undefined])
    engine.abandon(unfinished)
    engine.abandon(failing)
    connection.arrive(reply(3))
    expect([engine.requestsInFlight, ...outcomes]).toStrictEqual([2, undefined, undefined, "ok"])
    engine.close()
    expect(outcomes).toStrictEqual([undefined, undefined, "ok"])
    expect(ends).toStrictEqual([{ _tag: "Ended" }])
  })

  it("never sends one that still waits for its turn", async () => {
    const { connection, engine, submit } = transmission({ replyStyle: "Simple", limits: { requests: 1 } })
    submit(readOf(1))
    const waiting = submit(readOf(2))
    submit(readOf(3))
    engine.abandon(waiting)
    connection.arrive(reply(1, 0, new Uint8Array(1)))
    await turn()
    expect(connection.requests.map(({ length }) => length)).toStrictEqual([1, 3])
  })
})

describe("the end", () => {
  it("drains, then says NBD_CMD_DISC with nothing in it, and nothing after it (C-198, C-199, C-200)", async () => {
    const { connection, engine, ends, outcomes, submit } = transmission({ replyStyle: "Simple" })
    submit(readOf(1))
    engine.drain()
    submit(readOf(2))
    await turn()
    expect(outcomes).toMatchObject([undefined, { _tag: "NeverSent" }])
    expect(connection.endedWrites).toBe(false)
    connection.arrive(reply(1, 0, new Uint8Array(1)))
    expect(connection.requests[1]).toStrictEqual({
      command: commandCode.DISC,
      flags: 0,
      cookie: 0n,
      offset: 0n,
      length: 0
    })
    expect(connection.endedWrites).toBe(true)
    connection.end()
    expect(ends).toStrictEqual([{ _tag: "Ended" }])
  })

  it("sends what waits for its turn before it says goodbye", async () => {
    const { connection, engine, submit } = transmission({ replyStyle: "Simple", limits: { requests: 1 } })
    submit(readOf(1))
    submit(readOf(2))
    engine.drain()
    connection.arrive(reply(1, 5))
    connection.arrive(reply(2, 5))
    await turn()
    expect(connection.requests.map(({ command }) => command)).toStrictEqual([
      commandCode.READ,
      commandCode.READ,
      commandCode.DISC
    ])
  })

  it("after goodbye takes a broken end for an end: some servers reset (C-201)", () => {
    const { connection, engine, ends } = transmission()
    engine.drain()
    connection.end({ _tag: "Broken", error: new TransportLostError({ peer: "p", code: "ECONNRESET" }) })
    expect(ends).toStrictEqual([{ _tag: "Ended" }])
  })

  it("is in order when an idle server closes, and a fault when it owes a reply (C-205, H-096)", () => {
    const idle = transmission()
    idle.connection.end()
    expect(idle.ends).toStrictEqual([{ _tag: "Ended" }])
    const busy = transmission()
    busy.submit(readOf(1))
    busy.connection.end()
    expect(busy.ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdServerDisconnectedError", received: 0 } }])
    expect(busy.outcomes).toMatchObject([{ _tag: "NbdCommandLostError" }])
  })

  it.each(Array.from({ length: 24 }, (_, cut) => cut))(
    "fails everything once when the stream ends after %i bytes of a reply (C-157, C-205, H-086, H-095)",
    (cut) => {
      const { connection, ends, outcomes, submit } = transmission({ replyStyle: "Simple" })
      submit(readOf(8))
      submit(readOf(9))
      connection.arrive(reply(1, 0, new Uint8Array(8)).subarray(0, cut))
      connection.end()
      connection.end()
      expect(ends).toHaveLength(1)
      expect(outcomes.map((outcome) => typeof outcome === "object" ? outcome._tag : outcome)).toStrictEqual([
        "NbdCommandLostError",
        "NbdCommandLostError"
      ])
    }
  )

  it("tells commands that were sent from those that were not", () => {
    const { connection, outcomes, submit } = transmission({ limits: { requests: 1 } })
    submit(readOf(1))
    submit(readOf(2))
    connection.end()
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandLostError" }, { _tag: "NeverSent" }])
  })

  it("reports ESHUTDOWN once the request has failed (C-162, H-082)", () => {
    const { connection, outcomes, state, submit } = transmission({ replyStyle: "Simple" })
    submit(readOf(1))
    connection.arrive(reply(1, 108))
    expect(outcomes).toMatchObject([{ errno: "ESHUTDOWN" }])
    expect(state.serverShutdowns).toBe(1)
  })

  it("on close says goodbye and gives up what is in flight (C-203)", () => {
    const { connection, engine, ends, outcomes, submit } = transmission()
    submit(readOf(1))
    engine.close()
    engine.close()
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandLostError", reason: { _tag: "NbdHandleClosedError" } }])
    expect(connection.requests.map(({ command }) => command)).toStrictEqual([commandCode.READ, commandCode.DISC])
    expect(ends).toHaveLength(1)
  })
})
