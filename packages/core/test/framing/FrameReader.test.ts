/**
 * The frame reader over a connection by hand: frames however the bytes are split, ends, interruptions, pauses.
 */
import { FrameReader, type StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { drive, type Driven } from "../fixtures/Drive.ts"
import { u8, zeros } from "../fixtures/HandWritten.ts"
import { broken, finished, ManualConnection } from "../fixtures/ManualConnection.ts"

const opened = (): { readonly connection: ManualConnection; readonly reader: FrameReader } => {
  const connection = new ManualConnection()
  return { connection, reader: new FrameReader(connection) }
}
const taken = (bytes: Uint8Array) => ({ _tag: "Succeeded", value: bytes })
const takenAll = (...values: ReadonlyArray<Uint8Array>) => ({ _tag: "Succeeded", value: values })
const waiting = { _tag: "Waiting" }
const counted = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => index % 251)

/** Takes frames of these sizes, one after the other. */
const frames = (reader: FrameReader, sizes: ReadonlyArray<number>): Driven<ReadonlyArray<Uint8Array>, StreamEnded> =>
  drive(Effect.forEach(sizes, (size) => reader.take(size)))

describe("a frame", () => {
  it("is taken as soon as its last byte is there, and not before", () => {
    const { connection, reader } = opened()
    const take = drive(reader.take(3))
    connection.arrive(u8(1))
    connection.arrive(u8(2))
    expect(take.outcome()).toStrictEqual(waiting)
    connection.arrive(u8(3))
    expect(take.outcome()).toStrictEqual(taken(u8(1, 2, 3)))
  })

  it("is there at once when its bytes came ahead of being asked for", () => {
    const { connection, reader } = opened()
    connection.arrive(u8(1, 2, 3, 4))
    expect(reader.buffered).toBe(4)
    expect(drive(reader.take(3)).outcome()).toStrictEqual(taken(u8(1, 2, 3)))
    expect(reader.buffered).toBe(1)
    expect(reader.peek(10)).toStrictEqual(u8(4))
  })

  it("of no bytes is there at once, even before anything came", () => {
    expect(drive(opened().reader.take(0)).outcome()).toStrictEqual(taken(zeros(0)))
  })

  it("leaves trailing bytes for the next one", () => {
    const { connection, reader } = opened()
    const both = frames(reader, [2, 2])
    connection.arrive(u8(1, 2, 3))
    expect(both.outcome()).toStrictEqual(waiting)
    connection.arrive(u8(4, 5))
    expect(both.outcome()).toStrictEqual(takenAll(u8(1, 2), u8(3, 4)))
    expect(reader.peek(9)).toStrictEqual(u8(5))
  })

  it("stays as it was when the connection writes over its buffer and more comes", () => {
    const { connection, reader } = opened()
    const take = drive(reader.take(2))
    connection.arrive(u8(1, 2))
    connection.arrive(u8(9, 9))
    expect(take.outcome()).toStrictEqual(taken(u8(1, 2)))
  })

  it("is the same whether bytes come one at a time, all together or split anyhow", () => {
    const sizes = FastCheck.array(FastCheck.nat({ max: 40 }), { maxLength: 12 })
    const cuts = FastCheck.array(FastCheck.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 })
    FastCheck.assert(FastCheck.property(sizes, cuts, (wanted, split) => {
      const total = wanted.reduce((sum, size) => sum + size, 0)
      const bytes = counted(total)
      let start = 0
      const expected = wanted.map((size) => bytes.subarray(start, start += size))
      for (const pieces of [[1], [total + 1], split]) {
        const { connection, reader } = opened()
        const all = frames(reader, wanted)
        for (let at = 0, piece = 0; at < total; piece++) {
          const size = pieces[piece % pieces.length] ?? 1
          connection.arrive(bytes.subarray(at, at + size))
          all.outcome()
          at += size
        }
        expect(all.outcome()).toStrictEqual(takenAll(...expected))
      }
    }))
  })
})

describe("the end of the stream", () => {
  it("at a boundary fails the next frame with none of its bytes", () => {
    const { connection, reader } = opened()
    connection.arrive(u8(1, 2))
    connection.end()
    expect(drive(reader.take(2)).outcome()).toStrictEqual(taken(u8(1, 2)))
    expect(drive(reader.take(2)).outcome()).toMatchObject({
      error: { _tag: "NbdStreamEnded", end: finished, wanted: 2, received: zeros(0) }
    })
  })

  it("inside a frame fails it with the bytes that came", () => {
    const { connection, reader } = opened()
    const take = drive(reader.take(4))
    connection.arrive(u8(1, 2, 3))
    expect(take.outcome()).toStrictEqual(waiting)
    connection.end()
    expect(take.outcome()).toMatchObject({
      error: {
        _tag: "NbdStreamEnded",
        wanted: 4,
        received: u8(1, 2, 3),
        message: "the stream ended after 3 of 4 bytes"
      }
    })
  })

  it("by a broken connection is told from an orderly one, with the transport's reason", () => {
    const { connection, reader } = opened()
    const take = drive(reader.take(4))
    connection.end(broken)
    expect(take.outcome()).toMatchObject({ error: { end: { _tag: "Broken", error: { code: "ECONNRESET" } } } })
    expect(reader.ended).toBe(broken)
    expect(broken._tag === "Broken" && broken.error).toBeInstanceOf(TransportLostError)
  })

  it("fails every later frame in the same way, but not one of no bytes", () => {
    const { connection, reader } = opened()
    connection.end()
    for (let again = 0; again < 3; again++) {
      expect(drive(reader.take(1)).outcome()).toMatchObject({ error: { _tag: "NbdStreamEnded" } })
      expect(drive(reader.take(0)).outcome()).toStrictEqual(taken(zeros(0)))
    }
  })

  it("is told to whoever asked for it only while nobody waits for bytes", () => {
    const { connection, reader } = opened()
    let idle = 0
    reader.whenIdleEnds(() => idle += 1)
    const take = drive(reader.take(1))
    connection.end()
    expect(take.outcome()).toMatchObject({ _tag: "Failed" })
    expect(idle).toBe(0)
    const other = opened()
    other.reader.whenIdleEnds(() => idle += 1)
    other.connection.end()
    expect(idle).toBe(1)
    other.reader.whenIdleEnds(() => idle += 1)
    expect(idle).toBe(2)
  })
})

describe("an interrupted take", () => {
  it("leaves the bytes that had come, and those that come later, for the next taker", () => {
    const { connection, reader } = opened()
    const first = drive(reader.take(4))
    connection.arrive(u8(1, 2))
    first.interruptSoon()
    expect(first.outcome()).toStrictEqual({ _tag: "Interrupted" })
    connection.arrive(u8(3, 4, 5))
    expect(drive(reader.take(4)).outcome()).toStrictEqual(taken(u8(1, 2, 3, 4)))
    expect(reader.peek(9)).toStrictEqual(u8(5))
  })

  it("leaves the bytes for the next taker even when its last byte comes before the interruption takes effect", () => {
    const { connection, reader } = opened()
    const first = drive(reader.take(2))
    first.interruptSoon()
    connection.arrive(u8(1, 2))
    expect(first.outcome()).toStrictEqual({ _tag: "Interrupted" })
    expect(drive(reader.take(2)).outcome()).toStrictEqual(taken(u8(1, 2)))
  })

  it("is not the taker any more when the next one waits", () => {
    const { connection, reader } = opened()
    const first = drive(reader.take(4))
    first.interruptSoon()
    first.outcome()
    const second = drive(reader.take(2))
    connection.arrive(u8(1, 2))
    expect(second.outcome()).toStrictEqual(taken(u8(1, 2)))
  })
})

const readAhead = 65_536

describe("reading ahead", () => {
  it("asks the connection to pause at 64 KiB that nobody asked for, and not a byte before", () => {
    const { connection, reader } = opened()
    expect(connection.arrive(zeros(readAhead - 1))).toBe(true)
    expect(connection.arrive(zeros(1))).toBe(false)
    expect(reader.buffered).toBe(readAhead)
  })

  it("goes up to 64 KiB beyond the frame that is waited for", () => {
    const { connection, reader } = opened()
    const take = drive(reader.take(100_000))
    expect(connection.arrive(zeros(99_999))).toBe(true)
    expect(take.outcome()).toStrictEqual(waiting)
    expect(connection.arrive(zeros(1 + readAhead))).toBe(false)
    expect(take.outcome()).toMatchObject({ _tag: "Succeeded" })
    expect(reader.buffered).toBe(readAhead)
  })

  it("resumes once, when a frame is asked for that is not there, and then reads on", () => {
    const { connection, reader } = opened()
    connection.arrive(zeros(readAhead))
    const there = drive(reader.take(readAhead))
    expect(there.outcome()).toMatchObject({ _tag: "Succeeded" })
    const next = drive(reader.take(2))
    expect(connection.resumes).toBe(1)
    expect(connection.arrive(u8(1))).toBe(true)
    expect(connection.arrive(u8(2))).toBe(true)
    expect(next.outcome()).toStrictEqual(taken(u8(1, 2)))
    expect(drive(reader.take(1)).outcome()).toStrictEqual(waiting)
    expect(connection.resumes).toBe(1)
  })

  it("resumes for a frame that is longer than what is held", () => {
    const { connection, reader } = opened()
    connection.arrive(counted(readAhead))
    const take = drive(reader.take(readAhead + 1))
    expect(connection.resumes).toBe(1)
    connection.arrive(u8(7))
    expect(take.outcome()).toMatchObject({ _tag: "Succeeded" })
    expect(reader.buffered).toBe(0)
  })

  it("takes what still comes after it asked for a pause", () => {
    const { connection, reader } = opened()
    expect(connection.arrive(counted(readAhead))).toBe(false)
    expect(connection.arrive(u8(1, 2, 3))).toBe(false)
    expect(reader.buffered).toBe(readAhead + 3)
  })
})

describe("sending", () => {
  it("is done at once when the connection has room", () => {
    const { connection, reader } = opened()
    expect(drive(reader.send([u8(1, 2), u8(3)])).outcome()).toMatchObject({ _tag: "Succeeded" })
    expect(connection.written).toStrictEqual(u8(1, 2, 3))
    expect(connection.writes).toBe(1)
  })

  it("waits for the connection to drain, and bytes are received meanwhile (T-13)", () => {
    const { connection, reader } = opened()
    connection.hasRoom = false
    const send = drive(reader.send([u8(1)]))
    expect(send.outcome()).toStrictEqual(waiting)
    const take = drive(reader.take(1))
    connection.arrive(u8(9))
    expect(take.outcome()).toStrictEqual(taken(u8(9)))
    expect(send.outcome()).toStrictEqual(waiting)
    connection.drain()
    expect(send.outcome()).toMatchObject({ _tag: "Succeeded" })
  })

  it("is done when the stream ends, before or meanwhile: the end is for the next take to report", () => {
    const { connection, reader } = opened()
    connection.hasRoom = false
    const send = drive(reader.send([u8(1)]))
    connection.end(broken)
    expect(send.outcome()).toMatchObject({ _tag: "Succeeded" })
    expect(drive(reader.send([u8(2)])).outcome()).toMatchObject({ _tag: "Succeeded" })
  })

  it("that was interrupted is not woken by a later drain, and others are", () => {
    const { connection, reader } = opened()
    connection.hasRoom = false
    const [first, second] = [drive(reader.send([u8(1)])), drive(reader.send([u8(2)]))]
    first.interruptSoon()
    expect(first.outcome()).toStrictEqual({ _tag: "Interrupted" })
    connection.drain()
    expect(second.outcome()).toMatchObject({ _tag: "Succeeded" })
  })
})

describe("detaching", () => {
  it("hands over everything not taken yet, once", () => {
    const { connection, reader } = opened()
    connection.arrive(u8(1, 2, 3))
    drive(reader.take(1))
    expect(reader.detach()).toStrictEqual(u8(2, 3))
    expect(reader.detach()).toStrictEqual(zeros(0))
    expect(reader.buffered).toBe(0)
  })
})
