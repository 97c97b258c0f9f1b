/**
 * Block status, structured reads and extended headers: what each reply, good and bad, does to its command and to its
 * neighbour.
 */
import type { GrantedContext } from "@effect-nbd/core/Export"
import { idMap } from "@effect-nbd/core/transmission/ContextTable"
import type { PendingCommand } from "@effect-nbd/core/transmission/InFlight"
import type { StatusDescriptor } from "@effect-nbd/core/wire/BlockStatus"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags, ReplyFlags } from "@effect-nbd/core/wire/Flags"
import type { Chunk } from "@effect-nbd/core/wire/Reply"
import {
  encodeChunk,
  encodeChunkHeader,
  encodeExtendedChunk,
  encodeExtendedChunkHeader,
  encodeSimpleReply
} from "@effect-nbd/core/wire/Reply"
import { describe, expect, it } from "@effect/vitest"
import { u16, u32, u64, utf8, zeros } from "../fixtures/HandWritten.ts"
import { statusDetail, statuses, transmission } from "./ByHand.ts"

const last = ReplyFlags(ReplyFlags.DONE)
const more = ReplyFlags(0)
const base: GrantedContext = { name: "base:allocation", id: 7 }
const dirty: GrantedContext = { name: "qemu:dirty-bitmap:b", id: 0 }
const none: Chunk = { _tag: "None" }

type Style = "Structured" | "Extended"
const styles: ReadonlyArray<Style> = ["Structured", "Extended"]

/** A chunk for one of the two commands below, under either header. */
const chunk = (style: Style, cookie: number, flags: ReplyFlags, value: Chunk): Uint8Array =>
  concat(
    style === "Structured"
      ? encodeChunk(BigInt(cookie), flags, value)
      : encodeExtendedChunk(BigInt(cookie), flags, cookie === 1 ? 1000n : 0n, value)
  )

/** The same with any type and payload. */
const raw = (style: Style, cookie: number, flags: ReplyFlags, type: number, payload: Uint8Array): Uint8Array => {
  const header = { flags, type, cookie: BigInt(cookie), length: payload.byteLength }
  const head = style === "Structured"
    ? encodeChunkHeader(header)
    : encodeExtendedChunkHeader({ ...header, offset: cookie === 1 ? 1000n : 0n })
  return concat([head, payload])
}

const status = (contextId: number, ...lengths: ReadonlyArray<number | bigint>): Chunk => ({
  _tag: "BlockStatus",
  contextId,
  descriptors: lengths.map((length, index): StatusDescriptor => ({ length: BigInt(length), flags: BigInt(index) }))
})

/** A block status of 100 bytes at 1000 (cookie 1) of an export of 1200, and as a neighbour a flush (cookie 2). */
const asking = (
  style: Style,
  options: { readonly flags?: number; readonly contexts?: ReadonlyArray<GrantedContext> } = {}
) => {
  const contexts = options.contexts ?? [base, dirty]
  const session = transmission({ replyStyle: style, size: 1200n, contexts })
  const asked = session.submit({
    name: "blockStatus",
    offset: 1000n,
    length: 100,
    flags: options.flags ?? 0,
    detail: statusDetail(...contexts)
  })
  session.submit({ name: "flush" })
  return { ...session, asked }
}

const told = (pending: PendingCommand) =>
  statuses(pending).map(({ context, covered, ...status }) => [
    context,
    covered,
    Array.from({ length: status.count }, (_, index) => index)
  ])

const extents = (pending: PendingCommand) =>
  statuses(pending).map((status) => [status.context, ...Array.from(status, ({ length, offset }) => [offset, length])])

const breach = (rule: string) => ({
  _tag: "Failed",
  fault: { _tag: "NbdProtocolError", rule: expect.stringContaining(rule) }
})

describe.each(styles)("block status, %s", (style) => {
  it("comes context by context, in any order, short or beyond what was asked (C-186, C-190, C-193, H-140)", async () => {
    const { asked, connection, outcomes } = asking(style)
    connection.arrive(chunk(style, 1, more, status(0, 10, 20)), 3)
    connection.arrive(chunk(style, 1, more, status(7, 99, 50)))
    expect(outcomes).toStrictEqual([undefined, undefined])
    connection.arrive(chunk(style, 1, last, none))
    connection.arrive(chunk(style, 2, last, none))
    expect(outcomes).toStrictEqual(["ok", "ok"])
    expect(extents(asked)).toStrictEqual([
      ["qemu:dirty-bitmap:b", [1000n, 10n], [1010n, 20n]],
      ["base:allocation", [1000n, 99n], [1099n, 50n]]
    ])
    expect(told(asked)).toStrictEqual([["qemu:dirty-bitmap:b", 30n, [0, 1]], ["base:allocation", 149n, [0, 1]]])
  })

  it("is cut at the end of the export (H-141)", () => {
    const { asked, connection, outcomes } = asking(style, { contexts: [base] })
    connection.arrive(chunk(style, 1, last, status(7, 99, 0xffff_ffff)))
    expect(outcomes[0]).toBe("ok")
    expect(extents(asked)).toStrictEqual([["base:allocation", [1000n, 99n], [1099n, 101n]]])
  })

  it("of one extent is cut to the request, and to the first (C-191, H-139)", () => {
    const { asked, connection, outcomes } = asking(style, { contexts: [base], flags: CommandFlags.REQ_ONE })
    connection.arrive(chunk(style, 1, last, status(7, 150, 1)))
    expect(outcomes[0]).toBe("ok")
    expect(extents(asked)).toStrictEqual([["base:allocation", [1000n, 100n]]])
  })

  it.each<[string, ReadonlyArray<number>, string]>([
    ["that reaches the end before its last extent (C-190, H-138)", [60, 40, 1], "more extents than fit the request"],
    [
      "with more behind the end of the export (C-190, H-138)",
      [1, 4_000_000_000, 1],
      "more extents than fit the request"
    ]
  ])("%s fails alone", (_name, lengths, received) => {
    const { connection, ends, outcomes } = asking(style, { contexts: [base] })
    connection.arrive(chunk(style, 1, last, status(7, ...lengths)))
    connection.arrive(chunk(style, 2, last, none))
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError", received, command: "blockStatus" }, "ok"])
    expect(ends).toStrictEqual([])
  })

  it("of more extents than bytes is passed over without being kept, and fails alone (H-138, H-143)", () => {
    const { connection, outcomes } = asking(style, { contexts: [base] })
    const many = chunk(style, 1, last, status(7, ...Array.from({ length: 101 }, () => 1)))
    connection.arrive(many, 7)
    connection.arrive(chunk(style, 2, last, none))
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError", received: "101" }, "ok"])
  })

  it("without one of its contexts fails alone (C-186, H-136)", () => {
    const { connection, outcomes } = asking(style)
    connection.arrive(chunk(style, 1, more, status(7, 100)))
    connection.arrive(chunk(style, 1, last, none))
    connection.arrive(chunk(style, 2, last, none))
    expect(outcomes).toMatchObject([
      {
        _tag: "NbdReplyInvalidError",
        received: "none of \"qemu:dirty-bitmap:b\"",
        rule: "NBD_CMD_BLOCK_STATUS, C-186"
      },
      "ok"
    ])
  })

  it("that the server fails is that error, whatever came before", () => {
    const { connection, outcomes } = asking(style)
    connection.arrive(chunk(style, 1, more, status(7, 100)))
    connection.arrive(chunk(style, 1, last, { _tag: "ErrorChunk", error: 5, message: "no map" }))
    connection.arrive(chunk(style, 2, last, none))
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandError", errno: "EIO", serverMessage: "no map" }, "ok"])
  })

  describe("of a context that the caller has not asked about", () => {
    const askingOne = () => {
      const session = transmission({ replyStyle: style, size: 1200n, contexts: [base, dirty], limits: { bytes: 3000 } })
      const detail = { _tag: "Status", asked: idMap([base, dirty]), kept: idMap([base]), wanted: [base] } as const
      const asked = session.submit({ name: "blockStatus", offset: 1000n, length: 100, detail })
      session.submit({ name: "flush" })
      return { ...session, asked }
    }

    it("is passed over, whatever it says, and not kept", () => {
      const { asked, connection, outcomes } = askingOne()
      // More extents than there are bytes, and of no bytes.
      connection.arrive(chunk(style, 1, more, status(0, ...Array.from({ length: 500 }, () => 0))), 7)
      connection.arrive(chunk(style, 1, last, status(7, 100)), 5)
      connection.arrive(chunk(style, 2, last, none))
      expect(outcomes).toStrictEqual(["ok", "ok"])
      expect(extents(asked)).toStrictEqual([["base:allocation", [1000n, 100n]]])
    })

    it("must come all the same, and once (C-186, C-188)", () => {
      const missing = askingOne()
      missing.connection.arrive(chunk(style, 1, last, status(7, 100)))
      expect(missing.outcomes[0]).toMatchObject({ received: "none of \"qemu:dirty-bitmap:b\"" })
      const twice = askingOne()
      twice.connection.arrive(chunk(style, 1, more, status(0, 100)))
      twice.connection.arrive(chunk(style, 1, more, status(0, 100)))
      expect(twice.ends).toMatchObject([breach("C-188")])
    })

    it("does not count against the limit of bytes", () => {
      // 100 extents of 16 bytes are kept at most; of both contexts they would be too many.
      const { engine } = askingOne()
      expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([2, 0])
    })
  })

  it("is cut where all contexts together would keep too much, and says how far it goes (C-192)", () => {
    const contexts = Array.from({ length: 2 ** 19 }, (_, id) => ({ name: `x-many:${id}`, id }))
    const session = transmission({ replyStyle: style, size: 1200n, contexts })
    const asked = session.submit({
      name: "blockStatus",
      offset: 1000n,
      length: 100,
      detail: { _tag: "Status", asked: idMap(contexts), kept: idMap(contexts), wanted: contexts }
    })
    for (const split of [3, 1000]) {
      const answer = chunk(style, 1, more, status(split, ...Array.from({ length: 12 }, (_, index) => index + 1)))
      session.connection.arrive(answer, split)
    }
    expect(session.ends).toStrictEqual([])
    expect(statuses(asked)).toMatchObject([
      { context: "x-many:3", count: 8, covered: 36n },
      { context: "x-many:1000", count: 8, covered: 36n }
    ])
    session.connection.arrive(chunk(style, 1, last, { _tag: "ErrorChunk", error: 5, message: "" }))
    expect(session.outcomes).toMatchObject([{ _tag: "NbdCommandError", errno: "EIO" }])
  })

  const own = style === "Structured" ? 5 : 6
  const other = style === "Structured" ? 6 : 5
  const head = style === "Structured" ? u32(7) : u32(7, 1)
  const descriptor = style === "Structured" ? u32(100, 0) : concat([u64(100n), u64(0n)])

  it.each<[string, Uint8Array, string]>([
    ["of a context that was not asked about (C-188, H-134)", chunk(style, 1, more, status(9, 1)), "C-188"],
    [
      "of the same context twice (C-188, H-135)",
      concat([chunk(style, 1, more, status(7, 1)), chunk(style, 1, more, status(7, 1))]),
      "C-188"
    ],
    ["with an extent of no bytes (C-189, H-137)", chunk(style, 1, more, status(7, 1, 0, 1)), "C-189"],
    ["for a flush (C-168)", chunk(style, 2, more, status(7, 1)), "C-168"],
    ["of the other mode's type (C-228, H-146)", raw(style, 1, more, other, concat([head, descriptor])), "C-228"],
    [
      "without an extent (C-187, C-228, H-133)",
      raw(style, 1, more, own, head),
      style === "Structured" ? "C-187" : "C-228"
    ],
    [
      "cut short (C-187, C-228, H-133)",
      raw(style, 1, more, own, concat([head, descriptor]).subarray(0, -1)),
      style === "Structured" ? "C-187" : "C-228"
    ],
    [
      "brought as data (C-168, H-117)",
      chunk(style, 1, more, { _tag: "OffsetData", offset: 1000n, data: zeros(1) }),
      "C-173"
    ],
    [
      "brought as a hole (C-168, H-117)",
      chunk(style, 1, more, { _tag: "OffsetHole", offset: 1000n, length: 1 }),
      "C-168"
    ]
  ])("%s ends the connection (C-196)", (_name, bytes, rule) => {
    for (const split of [bytes.byteLength, 1]) {
      const { connection, ends, outcomes } = asking(style)
      connection.arrive(bytes, split)
      expect(ends).toMatchObject([breach(rule)])
      expect(outcomes).toMatchObject([{ _tag: "NbdCommandLostError" }, { _tag: "NbdCommandLostError" }])
    }
  })

  it("of 2^20 extents is taken, and one more is not waited for (C-197, H-098)", () => {
    const session = transmission({ replyStyle: style, size: 2n ** 40n, contexts: [base] })
    const asked = session.submit({
      name: "blockStatus",
      offset: 0n,
      length: 2 ** 31,
      detail: statusDetail(base)
    })
    const count = 1_048_576
    const descriptors = Array.from({ length: count }, (_, index) => ({ length: 512n, flags: BigInt(index % 2) }))
    const header = (length: number) => {
      const fields = { flags: last, type: own, cookie: 1n, length }
      return style === "Structured" ? encodeChunkHeader(fields) : encodeExtendedChunkHeader({ ...fields, offset: 0n })
    }
    const encoded = style === "Structured"
      ? concat(encodeChunk(1n, last, { _tag: "BlockStatus", contextId: 7, descriptors }))
      : concat(encodeExtendedChunk(1n, last, 0n, { _tag: "BlockStatus", contextId: 7, descriptors }))
    session.connection.arrive(encoded, 65_536)
    expect(session.outcomes).toStrictEqual(["ok"])
    expect(statuses(asked)).toMatchObject([{ count, covered: 2n ** 29n }])
    session.submit({ name: "blockStatus", offset: 0n, length: 2 ** 31, detail: statusDetail(base) })
    const longer = header(encoded.byteLength - header(0).byteLength + (style === "Structured" ? 8 : 16))
    longer.set(u64(2n), 8)
    session.connection.arrive(longer)
    expect(session.ends).toMatchObject([{ _tag: "Failed" }])
  })
})

describe("block status", () => {
  it("asked for under simple replies, by a client that does not check, has no answer to give (H-088)", () => {
    const { connection, outcomes, submit } = transmission({ replyStyle: "Simple" })
    submit({ name: "blockStatus", length: 1, detail: statusDetail(base) })
    submit({ name: "blockStatus", length: 1, detail: statusDetail(base) })
    connection.arrive(encodeSimpleReply({ cookie: 1n, error: 0 }))
    connection.arrive(encodeSimpleReply({ cookie: 2n, error: 95 }))
    expect(outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError" }, { _tag: "NbdCommandError", errno: "ENOTSUP" }])
  })

  it("comes by a simple error as well as by a chunk (H-088, H-089, C-160)", () => {
    const { connection, outcomes } = asking("Structured")
    connection.arrive(encodeSimpleReply({ cookie: 1n, error: 22 }))
    connection.arrive(encodeSimpleReply({ cookie: 2n, error: 0 }))
    expect(outcomes).toMatchObject([{ _tag: "NbdCommandError", errno: "EINVAL" }, "ok"])
    const second = asking("Structured")
    second.connection.arrive(encodeSimpleReply({ cookie: 1n, error: 0 }))
    expect(second.outcomes).toMatchObject([{ _tag: "NbdReplyInvalidError" }, undefined])
    expect(second.ends).toStrictEqual([])
  })

  it("for a client that was granted no context is a breach, and not a crash (C-188, H-145)", () => {
    const { connection, ends } = asking("Structured", { contexts: [] })
    connection.arrive(chunk("Structured", 1, more, status(7, 1)))
    expect(ends).toMatchObject([breach("C-188")])
  })

  it("keeps flags above 32 bits (C-229, H-148)", () => {
    const { asked, connection } = asking("Extended", { contexts: [dirty] })
    const descriptors = [{ length: 100n, flags: 2n ** 63n + 1n }]
    connection.arrive(chunk("Extended", 1, last, { _tag: "BlockStatus", contextId: 0, descriptors }))
    expect(statuses(asked)[0]?.flagsAt(0)).toBe(2n ** 63n + 1n)
  })

  it("counts against the limit of bytes by the most it can have", () => {
    const { connection, engine, submit } = transmission({ limits: { bytes: 2 ** 24 }, contexts: [base] })
    const detail = statusDetail(base)
    submit({ name: "blockStatus", length: 0xffff_ffff, detail })
    submit({ name: "blockStatus", length: 0xffff_ffff, detail })
    expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([1, 1])
    connection.arrive(chunk("Structured", 1, last, status(7, 1)))
    expect([engine.requestsInFlight, engine.requestsQueued]).toStrictEqual([1, 0])
  })
})

describe("a structured read", () => {
  const reading = (flags = 0) => {
    const session = transmission({ replyStyle: "Structured" })
    const read = session.submit({ name: "read", offset: 100n, length: 8, flags, detail: { _tag: "Pieces" } })
    return { ...session, read }
  }
  const data = (offset: bigint, count: number): Chunk => ({ _tag: "OffsetData", offset, data: zeros(count) })

  it("tells data from holes, and joins what goes on", () => {
    const { connection, outcomes, read } = reading()
    connection.arrive(chunk("Structured", 1, more, { _tag: "OffsetHole", offset: 104n, length: 4 }))
    connection.arrive(chunk("Structured", 1, more, data(100n, 2)))
    connection.arrive(chunk("Structured", 1, last, data(102n, 2)))
    expect(outcomes).toStrictEqual(["ok"])
    expect(read.pieces).toStrictEqual([
      { _tag: "Hole", offset: 104n, length: 4 },
      { _tag: "Data", offset: 100n, length: 4 }
    ])
  })

  it("that asked not to be fragmented takes one chunk, and a second one is a breach (C-179, H-111)", () => {
    const whole = reading(CommandFlags.DF)
    whole.connection.arrive(chunk("Structured", 1, more, data(100n, 8)))
    whole.connection.arrive(chunk("Structured", 1, last, none))
    expect(whole.outcomes).toStrictEqual(["ok"])
    const { connection, ends } = reading(CommandFlags.DF)
    connection.arrive(chunk("Structured", 1, more, data(100n, 4)))
    connection.arrive(chunk("Structured", 1, last, data(104n, 4)))
    expect(ends).toMatchObject([breach("C-179")])
  })

  it("is one piece of data where replies are simple", () => {
    const { connection, submit } = transmission({ replyStyle: "Simple" })
    const read = submit({ name: "read", offset: 100n, length: 2, detail: { _tag: "Pieces" } })
    connection.arrive(concat([encodeSimpleReply({ cookie: 1n, error: 0 }), zeros(2)]))
    expect(read.pieces).toStrictEqual([{ _tag: "Data", offset: 100n, length: 2 }])
  })
})

describe("extended headers", () => {
  const extended = () => {
    const session = transmission({ replyStyle: "Extended" })
    const read = session.submit({ name: "read", offset: 1000n, length: 4 })
    return { ...session, read }
  }
  const data: Chunk = { _tag: "OffsetData", offset: 1000n, data: utf8("abcd") }

  it("are 32 bytes, and a write says that it has a payload (C-219, C-222)", async () => {
    const { connection, submit } = transmission({ replyStyle: "Extended" })
    submit({ name: "trim", offset: 5n, length: 2 ** 40 })
    submit({ name: "write", offset: 6n, length: 3, flags: CommandFlags.PAYLOAD_LEN, payload: utf8("xyz") })
    submit({ name: "blockStatus", offset: 7n, length: 2 ** 33, flags: CommandFlags.PAYLOAD_LEN, payload: zeros(12) })
    await Promise.resolve()
    expect(concat(connection.written)).toStrictEqual(concat([
      concat([u32(0x21e41c71), u16(0, 4), u64(1n), u64(5n), u64(2n ** 40n)]),
      concat([u32(0x21e41c71), u16(0x20, 1), u64(2n), u64(6n), u64(3n), utf8("xyz")]),
      concat([u32(0x21e41c71), u16(0x20, 7), u64(3n), u64(7n), u64(12n), zeros(12)])
    ]))
    expect(connection.writes).toBe(1)
  })

  it("of a reply repeat the request's offset, whatever the payload says, in any split", () => {
    for (const split of [1, 7, 33, 1000]) {
      const { connection, outcomes, read } = extended()
      connection.arrive(concat([chunk("Extended", 1, more, data), chunk("Extended", 1, last, none)]), split)
      expect(outcomes).toStrictEqual(["ok"])
      expect(read.destination).toStrictEqual(utf8("abcd"))
    }
  })

  it("of another offset end the connection (C-226, H-149)", () => {
    const { connection, ends } = extended()
    connection.arrive(concat(encodeExtendedChunk(1n, last, 1001n, data)))
    expect(ends).toMatchObject([breach("C-226")])
  })

  it("are the only ones there are then (C-219, H-076)", () => {
    const others = [encodeSimpleReply({ cookie: 1n, error: 0 }), concat(encodeChunk(1n, last, data))]
    for (const [bytes, split] of others.flatMap((bytes) => [1, 3, 16].map((split) => [bytes, split] as const))) {
      const { connection, ends } = extended()
      // Nothing comes after it, and it is shorter than the header that was to come.
      connection.arrive(bytes.subarray(0, 16), split)
      expect(ends).toMatchObject([breach("C-219")])
    }
    for (const replyStyle of ["Simple", "Structured"] as const) {
      const { connection, ends, submit } = transmission({ replyStyle })
      submit({ name: "read", offset: 1000n, length: 4 })
      connection.arrive(chunk("Extended", 1, last, data))
      expect(ends).toMatchObject([breach("C-153")])
    }
  })

  it.each([2n ** 32n, 2n ** 53n, 2n ** 64n - 1n])(
    "that announce %s bytes end the connection before a byte is kept (C-227, H-098)",
    (length) => {
      for (const type of [0, 1, 2, 6, 0x8001, 9]) {
        const { connection, ends } = extended()
        connection.arrive(concat([u32(0x6e8a278c), u16(0, type), u64(1n), u64(1000n), u64(length)]))
        expect(ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdProtocolError" } }])
      }
    }
  )
})
