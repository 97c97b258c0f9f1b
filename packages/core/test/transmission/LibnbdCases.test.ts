/**
 * The servers that libnbd 1.22 was seen to meet, and what it made of them, beside what is made of them here: each case by
 * each. Where libnbd skips what it cannot place, the connection ends here, since the specification asks for it or since
 * the request it was meant for would wait for ever; where libnbd is wrong, the case says so.
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { ReplyFlags } from "@effect-nbd/core/wire/Flags"
import {
  type Chunk,
  encodeChunk,
  encodeChunkHeader,
  encodeExtendedChunk,
  encodeSimpleReply
} from "@effect-nbd/core/wire/Reply"
import { describe, expect, it } from "@effect/vitest"
import { u16, u32, u64, utf8, zeros } from "../fixtures/HandWritten.ts"
import { statusDetail, transmission } from "./ByHand.ts"

const last = ReplyFlags(1)
const more = ReplyFlags(0)
const context = { name: "base:allocation", id: 1 }

/** A read of 8 bytes at 100 (cookie 1), a block status of as many (cookie 2) and a flush (cookie 3), all in flight. */
const asked = (replyStyle: ReplyStyle) => {
  const session = transmission({ replyStyle, contexts: [context] })
  session.submit({ name: "read", offset: 100n, length: 8 })
  session.submit({ name: "blockStatus", offset: 100n, length: 8, detail: statusDetail(context) })
  session.submit({ name: "flush" })
  return session
}

const chunk = (cookie: number, flags: ReplyFlags, value: Chunk): Uint8Array =>
  concat(encodeChunk(BigInt(cookie), flags, value))
const raw = (
  cookie: number,
  flags: number,
  type: number,
  payload: Uint8Array,
  length = payload.byteLength
): Uint8Array =>
  concat([encodeChunkHeader({ cookie: BigInt(cookie), flags: ReplyFlags(flags), type, length }), payload])
const data = (offset: bigint, text: string): Chunk => ({ _tag: "OffsetData", offset, data: utf8(text) })
const error = (value: number, text: string): Uint8Array => concat([u32(value), u16(utf8(text).byteLength), utf8(text)])
const whole = concat([
  chunk(1, last, data(100n, "abcdefgh")),
  chunk(2, last, {
    _tag: "BlockStatus",
    contextId: 1,
    descriptors: [{ length: 8n, flags: 0n }]
  })
])

/** What becomes of the read, of the block status, and of the connection. */
interface Case {
  readonly name: string
  readonly style?: ReplyStyle
  readonly libnbd: string
  readonly bytes: Uint8Array
  readonly here: "dead" | { readonly read?: object; readonly blockStatus?: object }
}

const cases: ReadonlyArray<Case> = [
  { name: "a bad reply magic", libnbd: "dead", bytes: zeros(20), here: "dead" },
  { name: "a reply of more than 64 MiB", libnbd: "dead", bytes: raw(1, 1, 1, zeros(8), 2 ** 26 + 9), here: "dead" },
  { name: "a read chunk outside its request", libnbd: "dead", bytes: chunk(1, more, data(96n, "abcd")), here: "dead" },
  {
    name: "a read chunk whose end wraps round 2^64",
    libnbd: "ran what a server sent (2019)",
    bytes: chunk(1, more, data(2n ** 64n - 4n, "abcdefgh")),
    here: "dead"
  },
  {
    name: "a simple reply under extended headers",
    style: "Extended",
    libnbd: "dead",
    bytes: concat([encodeSimpleReply({ cookie: 3n, error: 0 }), zeros(16)]),
    here: "dead"
  },
  {
    name: "a structured reply under extended headers",
    style: "Extended",
    libnbd: "dead",
    bytes: concat([chunk(3, last, { _tag: "None" }), zeros(12)]),
    here: "dead"
  },
  {
    name: "an extended reply under structured replies",
    libnbd: "dead",
    bytes: concat(encodeExtendedChunk(3n, last, 0n, { _tag: "None" })),
    here: "dead"
  },
  {
    name: "a structured reply under simple ones",
    style: "Simple",
    libnbd: "dead",
    bytes: chunk(3, last, { _tag: "None" }),
    here: "dead"
  },
  {
    name: "a simple reply to nothing",
    style: "Simple",
    libnbd: "dead",
    bytes: encodeSimpleReply({ cookie: 99n, error: 0 }),
    here: "dead"
  },
  {
    name: "a structured reply to nothing",
    libnbd: "skips it, and the request it was meant for waits for ever",
    bytes: chunk(99, last, { _tag: "None" }),
    here: "dead"
  },
  {
    name: "a simple error to a read under structured replies",
    libnbd: "fails the read",
    bytes: concat([encodeSimpleReply({ cookie: 1n, error: 5 }), whole.subarray(36)]),
    here: { read: { _tag: "NbdReplyInvalidError", errno: "EIO" } }
  },
  {
    name: "a simple success to a read under structured replies",
    libnbd: "takes the data, and fails the read",
    bytes: concat([encodeSimpleReply({ cookie: 1n, error: 0 }), zeros(8)]),
    here: "dead"
  },
  { name: "NONE without DONE", libnbd: "fails the request", bytes: raw(3, 0, 0, zeros(0)), here: "dead" },
  { name: "an unknown chunk type", libnbd: "fails the request", bytes: raw(1, 0, 3, zeros(4)), here: "dead" },
  { name: "a malformed block status", libnbd: "fails the request", bytes: raw(2, 1, 5, zeros(7)), here: "dead" },
  {
    name: "block status for a client without contexts",
    libnbd: "hit an assertion (2023)",
    bytes: chunk(1, more, { _tag: "BlockStatus", contextId: 1, descriptors: [{ length: 1n, flags: 0n }] }),
    here: "dead"
  },
  {
    name: "an unknown error chunk type",
    libnbd: "fails the request with its errno",
    bytes: concat([raw(1, 1, 0x8042, concat([error(28, "full"), u64(1n)])), whole.subarray(36)]),
    here: { read: { _tag: "NbdCommandError", errno: "ENOSPC", serverMessage: "full" } }
  },
  {
    name: "an error chunk with the value 0",
    libnbd: "fails the request",
    bytes: concat([raw(1, 1, 0x8001, error(0, "fine")), whole.subarray(36)]),
    here: { read: { _tag: "NbdReplyInvalidError", received: "0" } }
  },
  {
    name: "an error text longer than its chunk",
    libnbd: "fails the request with its errno",
    bytes: concat([raw(1, 1, 0x8001, concat([u32(5), u16(9), utf8("short")])), whole.subarray(36)]),
    here: { read: { _tag: "NbdReplyInvalidError", errno: "EIO" } }
  },
  {
    name: "fewer bytes than were asked for",
    libnbd: "fails the request",
    bytes: concat([chunk(1, last, data(100n, "abcd")), whole.subarray(36)]),
    here: { read: { _tag: "NbdReplyInvalidError", rule: "NBD_CMD_READ, C-176" } }
  },
  {
    name: "the same bytes twice in place of others",
    libnbd: "succeeds, with zeroes for what never came",
    bytes: concat([chunk(1, more, data(100n, "abcd")), chunk(1, last, data(100n, "abcd"))]),
    here: "dead"
  },
  {
    name: "block status without any extent",
    libnbd: "succeeds, having said nothing",
    bytes: concat([whole.subarray(0, 36), chunk(2, last, { _tag: "None" })]),
    here: { blockStatus: { _tag: "NbdReplyInvalidError", rule: "NBD_CMD_BLOCK_STATUS, C-186" } }
  },
  {
    name: "an extended reply that repeats another offset",
    style: "Extended",
    libnbd: "fails the request",
    bytes: concat(encodeExtendedChunk(1n, last, 101n, data(100n, "abcdefgh"))),
    here: "dead"
  },
  {
    name: "an error with a text and an offset",
    libnbd: "has both in its debug log alone",
    bytes: concat([
      chunk(1, last, { _tag: "ErrorOffsetChunk", error: 5, message: "bad sector", offset: 104n }),
      whole.subarray(36)
    ]),
    here: { read: { _tag: "NbdCommandError", errno: "EIO", serverMessage: "bad sector", errorOffset: 104n } }
  }
]

describe("a server that sends", () => {
  it.each(cases)("$name (libnbd: $libnbd)", ({ bytes, here, style = "Structured" }) => {
    for (const split of [bytes.byteLength, 1]) {
      const { connection, ends, outcomes } = asked(style)
      connection.arrive(bytes, split)
      if (here === "dead") {
        expect(ends).toMatchObject([{ _tag: "Failed", fault: { _tag: "NbdProtocolError" } }])
        // Nobody waits for ever, and each is told of its own range.
        expect(outcomes).toMatchObject([
          { _tag: "NbdCommandLostError", command: "read", offset: 100n },
          { _tag: "NbdCommandLostError", command: "blockStatus" },
          { _tag: "NbdCommandLostError", command: "flush" }
        ])
      } else {
        expect(ends).toStrictEqual([])
        connection.arrive(chunk(3, last, { _tag: "None" }))
        const expected = (outcome: object | undefined): unknown =>
          outcome === undefined ? "ok" : expect.objectContaining(outcome)
        expect(outcomes).toStrictEqual([expected(here.read), expected(here.blockStatus), "ok"])
      }
    }
  })
})
