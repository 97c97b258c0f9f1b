/**
 * What each reply, good and bad, does to its command and to its neighbours.
 */
import { concat, encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import type { Chunk } from "@effect-nbd/core/wire/Reply"
import { encodeChunk, encodeChunkHeader, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { transmission } from "./ByHand.ts"

const last = ReplyFlags(ReplyFlags.DONE)
const more = ReplyFlags(0)
const chunk = (cookie: number, flags: ReplyFlags, value: Chunk): Uint8Array =>
  concat(encodeChunk(BigInt(cookie), flags, value))
const simple = (cookie: number, error = 0, data = new Uint8Array(0)): Uint8Array =>
  concat([encodeSimpleReply({ cookie: BigInt(cookie), error }), data])
const data = (offset: bigint, ...bytes: ReadonlyArray<number>): Chunk => ({
  _tag: "OffsetData",
  offset,
  data: Uint8Array.from(bytes)
})
const hole = (offset: bigint, length: number): Chunk => ({ _tag: "OffsetHole", offset, length })
const none: Chunk = { _tag: "None" }
const failed = (error: number, message = ""): Chunk => ({ _tag: "ErrorChunk", error, message })
const raw = (cookie: number, flags: number, type: number, payload: Uint8Array): Uint8Array =>
  concat([
    encodeChunkHeader({ cookie: BigInt(cookie), flags: ReplyFlags(flags), type, length: payload.byteLength }),
    payload
  ])
const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value)
  return bytes
}
const u64 = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  viewOf(bytes).setBigUint64(0, value)
  return bytes
}

/** A read of 8 bytes at 100 (cookie 1) and, as a neighbour, a flush (cookie 2). */
const reading = (replyStyle: "Simple" | "Structured" = "Structured") => {
  const session = transmission({ replyStyle })
  const read = session.submit({ name: "read", offset: 100n, length: 8 })
  session.submit({ name: "flush" })
  return { ...session, read }
}

describe("a reply to a read in chunks", () => {
  it("puts content in place by offset, whatever order it comes in, and holes as zeroes (C-175, C-174)", () => {
    const { connection, outcomes, read } = reading()
    connection.arrive(chunk(1, more, data(106n, 7, 8)))
    connection.arrive(chunk(1, more, hole(102n, 4)))
    connection.arrive(chunk(1, last, data(100n, 1, 2)))
    expect(outcomes).toStrictEqual(["ok", undefined])
    expect(read.destination).toStrictEqual(Uint8Array.of(1, 2, 0, 0, 0, 0, 7, 8))
  })

  it("zeroes what a hole covers in the caller's own memory", () => {
    const { connection, submit } = transmission()
    const destination = new Uint8Array(4).fill(9)
    submit({ name: "read", offset: 0n, length: 4, destination })
    connection.arrive(chunk(1, last, hole(0n, 4)))
    expect(destination).toStrictEqual(new Uint8Array(4))
  })

  it("is done only by DONE, which may come alone, and frees its cookie by it (C-163, C-171, C-172)", () => {
    const { connection, engine, outcomes } = reading()
    connection.arrive(chunk(1, more, data(100n, 1, 2, 3, 4, 5, 6, 7, 8)))
    expect([outcomes[0], engine.requestsInFlight]).toStrictEqual([undefined, 2])
    connection.arrive(chunk(1, last, none))
    expect([outcomes[0], engine.requestsInFlight]).toStrictEqual(["ok", 1])
  })

  it.each<[string, Array<Chunk>]>([
    ["nothing at all", []],
    ["a gap at the start", [data(101n, 2, 3, 4, 5, 6, 7, 8)]],
    ["a gap in the middle", [data(100n, 1, 2, 3), data(104n, 5, 6, 7, 8)]],
    ["a gap at the end", [data(100n, 1, 2, 3, 4, 5, 6, 7)]]
  ])("fails that read alone when DONE leaves %s (C-176, C-178, H-105)", (_name, chunks) => {
    const { connection, ends, outcomes } = reading()
    for (const each of chunks) connection.arrive(chunk(1, more, each))
    connection.arrive(chunk(1, last, none))
    connection.arrive(chunk(2, last, none))
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError", command: "read", offset: 100n, length: 8 }, "ok"])
    expect(ends).toHaveLength(0)
  })

  it("carries the server's error, text and offset, and its neighbour does not notice (C-182, C-184, C-185, H-129, H-131)", () => {
    const { connection, ends, outcomes } = reading()
    connection.arrive(chunk(1, more, data(100n, 1, 2)))
    connection.arrive(
      chunk(1, more, { _tag: "ErrorOffsetChunk", error: 5, message: "bad\u001b[31m sector", offset: 104n })
    )
    connection.arrive(chunk(1, more, data(106n, 7, 8)))
    connection.arrive(chunk(1, last, failed(22, "and more")))
    connection.arrive(chunk(2, last, none))
    expect(outcomes).toMatchObject([{
      _tag: "NbdCommandError",
      command: "read",
      offset: 100n,
      length: 8,
      errno: "EIO",
      value: 5,
      serverMessage: "bad\\x1b[31m sector",
      errorOffset: 104n
    }, "ok"])
    expect(ends).toHaveLength(0)
  })

  it("fails as a whole by a plain error, though all of its content came before (C-171, C-181)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(chunk(1, more, data(100n, 1, 2, 3, 4, 5, 6, 7, 8)))
    connection.arrive(chunk(1, last, failed(5)))
    expect(outcomes[0]).toMatchObject({ _tag: "NbdCommandError", errno: "EIO", errorOffset: undefined })
  })

  it("takes an error value outside the table for EINVAL and keeps it, alone in its chunk (C-161, C-185, H-126)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(chunk(1, last, failed(0xffff_ffff)))
    expect(outcomes[0]).toMatchObject({ errno: "EINVAL", value: 0xffff_ffff })
  })

  it("never takes an error of value 0 for success (C-180, H-125)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(chunk(1, more, data(100n, 1, 2, 3, 4, 5, 6, 7, 8)))
    connection.arrive(chunk(1, last, failed(0)))
    expect(outcomes[0]).toMatchObject({ _tag: "NbdReplyInvalidError" })
  })

  it("ignores an error offset outside the request, and fails all the same (C-183, H-127)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(chunk(1, last, { _tag: "ErrorOffsetChunk", error: 5, message: "", offset: 99n }))
    expect(outcomes[0]).toMatchObject({ errno: "EIO", errorOffset: undefined })
  })

  it("fails by an error type nobody knows, and skips what it cannot read of it (C-164, C-170, H-128, H-124)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(
      raw(1, 1, 0x8003, concat([u32(28), Uint8Array.of(0, 3), encodeText("abc"), new Uint8Array(60_000)]))
    )
    connection.arrive(chunk(2, last, none))
    expect(outcomes).toMatchObject([{ errno: "ENOSPC", serverMessage: "abc" }, "ok"])
  })

  it("ignores unknown reply flags (C-166, H-116)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(raw(1, 0xfffe, 1, concat([u64(100n), new Uint8Array(8)])))
    expect(outcomes[0]).toBeUndefined()
    connection.arrive(raw(1, 0xffff, 0, new Uint8Array(0)))
    expect(outcomes[0]).toBe("ok")
  })

  it("accepts thousands of single bytes (H-110)", () => {
    const { connection, outcomes, submit } = transmission()
    const read = submit({ name: "read", offset: 0n, length: 5000 })
    for (let byte = 4999; byte >= 0; byte--) {
      connection.arrive(chunk(1, byte === 0 ? last : more, data(BigInt(byte), byte & 0xff)))
    }
    expect(outcomes).toStrictEqual(["ok"])
    expect(read.destination?.[4660]).toBe(4660 & 0xff)
  })
})

describe("an error that is malformed, or in the wrong form, fails its request alone, since its end is known", () => {
  const text = encodeText("Input/output error")
  const swapped = concat([u32(5), Uint8Array.of(text.byteLength, 0), text])
  const rule = "Structured reply types, C-180"
  const cases: Array<[string, Uint8Array, object]> = [
    [
      "the bytes of its text's length are exchanged (C-170, C-180, H-121)",
      raw(1, 1, 0x8001, swapped),
      { errno: "EIO", rule, expected: "a message of at most 18 bytes", received: "4608 bytes" }
    ],
    [
      "its text is a byte longer than its chunk (C-170, C-180, H-121)",
      raw(1, 1, 0x8001, concat([u32(28), Uint8Array.of(0, 4, 1, 2, 3)])),
      { errno: "ENOSPC", rule, received: "4 bytes" }
    ],
    [
      "its text is longer than its chunk, and the chunk than what is put together (H-121)",
      raw(1, 1, 0x8001, concat([u32(5), Uint8Array.of(0xff, 0xff), new Uint8Array(60_000)])),
      { errno: "EIO", rule, expected: "a message of at most 60000 bytes", received: "65535 bytes" }
    ],
    ["it has no payload (C-180, H-120)", raw(1, 1, 0x8001, new Uint8Array(0)), { errno: undefined, rule }],
    ["it has no room for its value (H-120)", raw(1, 1, 0x8001, Uint8Array.of(0, 0, 5)), { errno: undefined, rule }],
    ["it has a value alone (C-180, H-120)", raw(1, 1, 0x8001, u32(12)), { errno: "ENOMEM", received: "4 bytes" }],
    ["it has half a length (C-180, H-120)", raw(1, 1, 0x8001, new Uint8Array(5)), { errno: undefined }],
    [
      "it has no room for its offset (C-180, H-122)",
      raw(1, 1, 0x8002, concat([u32(5), new Uint8Array(9)])),
      { errno: "EIO", expected: "an error chunk of at least 14 bytes" }
    ],
    ["it is of no known type (C-170)", raw(1, 1, 0x8003, concat([u32(95), Uint8Array.of(1, 0)])), { errno: "ENOTSUP" }],
    [
      "it is a simple reply to a read in chunks (C-159, H-083)",
      simple(1, 5),
      { errno: "EIO", rule: "Simple reply message, C-159", received: "a simple one" }
    ]
  ]

  it.each(cases)("%s", (_name, bytes, expected) => {
    for (const split of [bytes.byteLength, 1]) {
      const { connection, engine, ends, outcomes } = reading()
      connection.arrive(bytes, split)
      expect(outcomes).toMatchObject([
        { _tag: "NbdReplyInvalidError", command: "read", offset: 100n, length: 8 },
        undefined
      ])
      expect(outcomes[0]).toMatchObject(expected)
      expect([ends, connection.closed, engine.requestsInFlight]).toStrictEqual([[], false, 1])
      connection.arrive(chunk(2, last, none), split)
      expect(outcomes[1]).toBe("ok")
    }
  })

  it("is whole behind another request's reply in one piece of bytes, and before the next one's", () => {
    const { connection, ends, outcomes } = reading()
    connection.arrive(concat([chunk(2, last, none), raw(1, 1, 0x8001, swapped)]))
    expect(outcomes).toMatchObject(["ok", { errno: "EIO" }].toReversed())
    expect(ends).toStrictEqual([])
  })

  it("still waits for the final chunk where it is none itself (C-163, C-184, H-129)", () => {
    const { connection, engine, outcomes } = reading()
    connection.arrive(raw(1, 0, 0x8001, swapped))
    connection.arrive(chunk(1, more, data(100n, 1, 2, 3, 4)))
    connection.arrive(raw(1, 0, 0x8001, new Uint8Array(0)))
    expect([outcomes[0], engine.requestsInFlight]).toStrictEqual([undefined, 2])
    connection.arrive(chunk(1, last, none))
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError", errno: "EIO" }, undefined])
    expect(engine.requestsInFlight).toBe(1)
  })

  it("tells in one line what failed, with what, and what was wrong with the reply", () => {
    const { connection, outcomes } = reading()
    connection.arrive(raw(1, 1, 0x8001, swapped))
    expect(outcomes[0]).toHaveProperty(
      "message",
      "read of 8 bytes at 100 failed with EIO: expected a message of at most 18 bytes, received 4608 bytes " +
        "(Structured reply types, C-180)"
    )
  })

  it.each(["whole", "malformed"])("comes 65,536 times in a reply at most, %s", (which) => {
    const { connection, ends, outcomes } = reading()
    const error = which === "whole" ? chunk(1, more, failed(5)) : raw(1, 0, 0x8001, swapped)
    connection.arrive(concat(Array.from({ length: 65_536 }, () => error)))
    expect([ends, outcomes]).toStrictEqual([[], [undefined, undefined]])
    connection.arrive(error)
    expect(ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdProtocolError", rule: "NBD_REPLY_TYPE_ERROR" } }])
  })

  it.each([
    ["malformed", raw(1, 1, 0x8001, concat([u32(108), Uint8Array.of(1, 0)]))],
    ["in the wrong form", simple(1, 108)]
  ])("is heeded when it says, %s, that the server is shutting down (C-162, H-082)", (_name, bytes) => {
    const { connection, outcomes, state } = reading()
    connection.arrive(bytes)
    expect(outcomes[0]).toMatchObject({ _tag: "NbdReplyInvalidError", errno: "ESHUTDOWN" })
    expect(state.serverShutdowns).toBe(1)
  })
})

describe("a breach ends the connection: every command fails once, each with its own range (C-202)", () => {
  const breaches: Array<[string, "Simple" | "Structured", Uint8Array]> = [
    ["an unknown magic (C-153, H-074)", "Structured", concat([u32(0x25609513), new Uint8Array(28)])],
    ["a chunk that was not negotiated (C-158, H-075)", "Simple", chunk(1, last, data(100n, 1, 2, 3, 4, 5, 6, 7, 8))],
    ["a simple success to a read in structured mode (C-159, H-083)", "Structured", simple(1, 0, new Uint8Array(8))],
    ["an unknown cookie in a simple reply (C-154, H-077)", "Simple", simple(99)],
    ["an unknown cookie in a chunk (C-154, H-078)", "Structured", chunk(99, last, none)],
    ["cookie 0, which only a disconnect carries", "Structured", raw(0, 1, 0, new Uint8Array(0))],
    [
      "a cookie beyond 2^53, which ours never reach",
      "Structured",
      encodeChunkHeader({ cookie: 2n ** 64n - 1n, flags: last, type: 0, length: 0 })
    ],
    ["a chunk longer than the read (C-099, C-165, H-098)", "Structured", raw(1, 0, 1, new Uint8Array(17))],
    [
      "a chunk of 4 GiB, from its header alone (C-099, C-165, H-098)",
      "Structured",
      encodeChunkHeader({ cookie: 1n, flags: more, type: 1, length: 0xffff_ffff })
    ],
    ["data without room for its offset (C-169, C-173, H-099)", "Structured", raw(1, 0, 1, new Uint8Array(7))],
    ["data of no bytes (C-169, C-173, H-100)", "Structured", raw(1, 0, 1, u64(100n))],
    ["data that starts before the request (C-169, C-173, H-101)", "Structured", chunk(1, more, data(99n, 1))],
    ["data that starts behind it (C-173, H-101)", "Structured", chunk(1, more, data(108n, 1))],
    ["data that runs past it (C-173, H-101)", "Structured", chunk(1, more, data(107n, 1, 2))],
    [
      "data at an offset that wraps round (C-173, H-102)",
      "Structured",
      chunk(1, more, data(0xffff_ffff_ffff_fffen, 1, 2, 3, 4))
    ],
    [
      "the same byte twice (C-173, C-177, H-103)",
      "Structured",
      concat([chunk(1, more, data(100n, 1, 2)), chunk(1, more, data(101n, 9))])
    ],
    [
      "a duplicate as long as the gap it leaves (C-176, C-177, H-104)",
      "Structured",
      concat([chunk(1, more, data(100n, 1, 2, 3, 4)), chunk(1, last, data(100n, 1, 2, 3, 4))])
    ],
    [
      "content where an error was reported (C-173, H-106)",
      "Structured",
      concat([
        chunk(1, more, { _tag: "ErrorOffsetChunk", error: 5, message: "", offset: 103n }),
        chunk(1, more, data(102n, 1, 2, 3))
      ])
    ],
    [
      "content that begins where an error was reported (C-173, H-106)",
      "Structured",
      concat([
        chunk(1, more, { _tag: "ErrorOffsetChunk", error: 5, message: "", offset: 103n }),
        chunk(1, more, data(103n, 1, 2, 3))
      ])
    ],
    ["NONE without DONE (C-172, H-107)", "Structured", chunk(1, more, none)],
    ["NONE with a payload (C-169, C-172, H-107)", "Structured", raw(1, 1, 0, new Uint8Array(1))],
    ["a hole of another length than 12 (C-169, C-174, H-112)", "Structured", raw(1, 0, 2, new Uint8Array(13))],
    ["a hole of no bytes (C-169, C-174, H-113)", "Structured", chunk(1, more, hole(100n, 0))],
    ["a hole outside the request (C-174, H-114)", "Structured", chunk(1, more, hole(100n, 9))],
    ["a hole that wraps round (C-174, H-114)", "Structured", chunk(1, more, hole(0xffff_ffff_ffff_ffffn, 0xffff_ffff))],
    ["an unknown chunk type (C-167, H-115)", "Structured", raw(1, 0, 3, new Uint8Array(4))],
    [
      "an unknown chunk type, though it looks like data (C-167, H-115)",
      "Structured",
      raw(1, 1, 7, concat([u64(100n), new Uint8Array(8)]))
    ],
    [
      "an unknown chunk type with all bits but the error's (C-167, H-115)",
      "Structured",
      raw(1, 1, 0x7fff, new Uint8Array(0))
    ],
    ["data in a reply to a flush (C-168, H-117)", "Structured", raw(2, 1, 1, concat([u64(0n), Uint8Array.of(1)]))],
    ["a hole in a reply to a flush (C-168, H-117)", "Structured", raw(2, 1, 2, concat([u64(0n), u32(1)]))],
    ["a status chunk in a reply to a read (C-168, H-118)", "Structured", raw(1, 1, 5, new Uint8Array(12))],
    [
      "an error chunk of 4 GiB, from its header alone (C-165)",
      "Structured",
      encodeChunkHeader({ cookie: 1n, flags: last, type: 0x8001, length: 0xffff_ffff })
    ],
    [
      "an error chunk longer than any (C-165)",
      "Structured",
      encodeChunkHeader({ cookie: 1n, flags: last, type: 0x8001, length: 65_551 })
    ],
    ["a malformed error chunk for nobody (C-154, H-078)", "Structured", raw(99, 1, 0x8001, new Uint8Array(5))]
  ]

  it.each(breaches)("%s", (_name, replyStyle, bytes) => {
    for (const split of [bytes.byteLength, 1]) {
      const { connection, ends, outcomes } = reading(replyStyle)
      connection.arrive(bytes, split)
      expect(ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdProtocolError", phase: "transmission" } }])
      expect(outcomes).toMatchObject([
        {
          _tag: "NbdCommandLostError",
          cookie: 1n,
          command: "read",
          offset: 100n,
          reason: { _tag: "NbdProtocolError" }
        },
        { _tag: "NbdCommandLostError", cookie: 2n, command: "flush" }
      ])
      expect(connection.closed).toBe(true)
      connection.arrive(chunk(2, last, none))
      expect(ends).toHaveLength(1)
    }
  })

  it("a second final reply for a cookie (C-163, H-079, H-109)", () => {
    const { connection, ends, outcomes } = reading()
    connection.arrive(chunk(2, last, none))
    expect(outcomes).toStrictEqual([undefined, "ok"])
    connection.arrive(chunk(2, last, none))
    expect(ends).toHaveLength(1)
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandLostError" }, "ok"])
  })

  it("fewer bytes than a simple read asked for: what follows them is taken for data, and the next header is none (H-085)", () => {
    const { connection, ends, outcomes } = reading("Simple")
    connection.arrive(concat([simple(1, 0, new Uint8Array(6)), simple(2), simple(2)]))
    expect(ends).toHaveLength(1)
    expect(outcomes).toMatchObject(["ok", { _tag: "NbdCommandLostError" }])
  })

  it("data behind a reply to another command than a read (C-156, H-087)", () => {
    const { connection, ends, outcomes } = reading("Simple")
    connection.arrive(simple(2, 0, new Uint8Array(16)))
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandLostError" }, "ok"])
    expect(ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdProtocolError", received: "0x00000000" } }])
  })

  it("data behind an error, in simple mode: it is taken for a header (C-156, H-084)", () => {
    const { connection, ends, outcomes } = reading("Simple")
    connection.arrive(simple(1, 5, new Uint8Array(8)))
    connection.arrive(simple(2))
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandError", errno: "EIO" }, { _tag: "NbdCommandLostError" }])
    expect(ends).toHaveLength(1)
  })
})

describe("simple replies", () => {
  it("bring data for a read that succeeded, and nothing else does (C-156)", () => {
    const { connection, outcomes, read } = reading("Simple")
    connection.arrive(concat([simple(2), simple(1, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))]))
    expect(outcomes).toStrictEqual(["ok", "ok"])
    expect(read.destination).toStrictEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))
  })

  it("fail one request and leave the next alone (T-08)", () => {
    const { connection, outcomes } = reading("Simple")
    connection.arrive(concat([simple(1, 28), simple(2)]))
    expect(outcomes).toMatchObject([{ errno: "ENOSPC", errorOffset: undefined, serverMessage: "" }, "ok"])
  })

  it("are accepted in structured mode for everything but reads (C-160)", () => {
    const { connection, outcomes } = reading()
    connection.arrive(simple(2, 95))
    expect(outcomes).toMatchObject([undefined, { _tag: "NbdCommandError", errno: "ENOTSUP" }])
  })
})

describe("however the bytes are split", () => {
  it("the same replies give the same outcomes, in whatever order (C-154, C-155, H-090, H-091)", () => {
    const session = FastCheck.record({
      replyStyle: FastCheck.constantFrom("Simple" as const, "Structured" as const),
      lengths: FastCheck.array(FastCheck.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
      order: FastCheck.infiniteStream(FastCheck.nat()),
      splits: FastCheck.array(FastCheck.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 8 })
    })
    FastCheck.assert(
      FastCheck.property(session, ({ lengths, order, replyStyle, splits }) => {
        const { connection, ends, outcomes, submit } = transmission({ replyStyle })
        const reads = lengths.map((length, index) => submit({ name: "read", offset: BigInt(index * 64), length }))
        const contents = lengths.map((length, index) =>
          Uint8Array.from({ length }, (_, at) => (index * 41 + at * 7) & 0xff)
        )
        const waiting = reads.map((read, index) => ({ read, content: contents[index] ?? new Uint8Array(0) }))
        const parts: Array<Uint8Array> = []
        while (waiting.length > 0) {
          const [next] = waiting.splice((order.next().value ?? 0) % waiting.length, 1)
          if (next === undefined) break
          const { content, read: { command, cookie } } = next
          if (replyStyle === "Simple") parts.push(simple(cookie, 0, content))
          else {
            const middle = content.byteLength >> 1
            const second = {
              _tag: "OffsetData",
              offset: command.offset + BigInt(middle),
              data: content.subarray(middle)
            } as const
            parts.push(chunk(cookie, middle === 0 ? last : more, second))
            if (middle > 0) {
              parts.push(
                chunk(cookie, last, { _tag: "OffsetData", offset: command.offset, data: content.subarray(0, middle) })
              )
            }
          }
        }
        const bytes = concat(parts)
        for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
          const count = splits[turn % splits.length] ?? 1
          connection.arrive(bytes.subarray(at, at + count))
          at += count
        }
        expect(ends).toHaveLength(0)
        expect(outcomes).toStrictEqual(lengths.map(() => "ok"))
        reads.forEach((read, index) => expect(read.destination).toStrictEqual(contents[index]))
      }),
      { numRuns: 500 }
    )
  })
})
