/**
 * Servers that do not refuse what they have to, or do not bear it.
 */
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour, Steering } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import { type Breakers, disk, type Hearing, readFails, type Setting } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

type Is = (request: RecordedRequest) => boolean

const size = BigInt(disk.size)
const is = (...commands: ReadonlyArray<RecordedRequest["command"]>): Is => ({ command }) => commands.includes(command)
const isUnknown: Is = ({ code }) => code === 0x7777
const isPast = (command: RecordedRequest["command"]): Is => (request) =>
  request.command === command && request.offset === size

const inBlocks: Setting = { disk: { blockSize: { minimum: 512, preferred: 4096, maximum: 33_554_432 } } }
const readOnly: Setting = { disk: { readOnly: true } }

/** Flags that the server does not look at. */
const overlooks = (command: keyof typeof Hears.codes, flags: number): Hearing =>
  Hears.request((heard) => {
    if (Hears.is(heard, command)) heard.flags &= ~flags
  })

/** A write whose payload is taken for the next request. */
const leavesPayload = (which: (heard: Hears.Heard) => boolean): Hearing =>
  Hears.request((heard) => {
    if (Hears.is(heard, "WRITE") && which(heard)) heard.command = 0x7777
  })

export const requestBreakers: Breakers = {
  "an unknown command is EINVAL, and the next request is answered": [
    {
      rule: "S-085",
      found: /command 0x7777: expected "EINVAL", saw "success"/,
      others: [],
      says: [Says.success(isUnknown)]
    },
    {
      rule: "S-085",
      found: /command 0x7777: expected "EINVAL", saw "ENOTSUP \(95\)"/,
      says: [Says.error("ENOTSUP", isUnknown)]
    },
    { rule: "S-085", found: /the stream ended/, says: [Says.breaks(isUnknown)] },
    { rule: "S-085", ...readFails }
  ],
  "unknown flags are EINVAL, and a payload behind them is taken": [
    { rule: "S-085", found: /READ: expected "EINVAL", saw "success"/, others: [], hears: overlooks("READ", 0x8000) },
    { rule: "S-085", found: /WRITE: expected "EINVAL or EPERM", saw "success"/, hears: overlooks("WRITE", 0x8000) },
    {
      rule: "S-085",
      found: /the stream ended/,
      hears: leavesPayload(({ flags }) => (flags & 0x8000) !== 0)
    },
    { rule: "S-085", ...readFails }
  ],
  "flags of other commands are EINVAL": [
    {
      rule: "S-085",
      found: /READ with NO_HOLE: expected "EINVAL", saw "success"/,
      others: [],
      hears: overlooks("READ", CommandFlags.NO_HOLE)
    },
    { rule: "S-085", ...readFails }
  ],
  "commands that the export does not offer are refused": [
    {
      rule: "S-085",
      found: /TRIM: expected "EINVAL or EPERM or ENOTSUP", saw "success"/,
      others: [],
      among: { disk: { can: { trim: false } } },
      disk: { can: { trim: true } },
      says: Says.flags((flags) => flags & ~TransmissionFlags.SEND_TRIM)
    },
    { rule: "S-085", among: { disk: { can: { trim: false } } }, ...readFails }
  ],
  "commands that the export offers are carried out": [
    {
      rule: "S-010",
      found: /TRIM: expected "none", saw "EINVAL \(22\)"/,
      disk: { can: { trim: false } },
      says: Says.flags((flags) => flags | TransmissionFlags.SEND_TRIM)
    },
    {
      rule: "S-010",
      found: /FLUSH: expected "none", saw "EINVAL \(22\)"/,
      disk: { can: { flush: false } },
      says: Says.flags((flags) => flags | TransmissionFlags.SEND_FLUSH)
    },
    {
      rule: "S-010",
      found: /READ with DF: expected "none", saw "EINVAL \(22\)"/,
      others: [],
      disk: { can: { df: false } },
      says: Says.whenRepliesAre("Structured", ...Says.flags((flags) => flags | TransmissionFlags.SEND_DF))
    }
  ],
  "a read past the end is EINVAL, also where offset and length overflow": [
    {
      rule: "S-055",
      found: /READ at 1048576: expected "EINVAL", saw "success"/,
      says: [Says.success(isPast("READ"))]
    },
    {
      rule: "S-055",
      found: /READ at 1048065: expected "EINVAL", saw "success"/,
      others: [],
      hears: Hears.request((heard) => {
        if (heard.offset === size - 511n) heard.offset -= 1n
      })
    },
    {
      rule: "S-084",
      found: /READ at 1048576: expected "EINVAL", saw "EIO \(5\)"/,
      says: [Says.error("EIO", isPast("READ"))]
    },
    {
      rule: "S-055",
      found: /READ at 18446744073709551104: expected "EINVAL", saw "success"/,
      hears: Hears.request((heard) => {
        if (heard.offset > 2n ** 63n) heard.offset = 0n
      })
    },
    { rule: "S-055", ...readFails }
  ],
  "a write past the end is ENOSPC, and its payload is taken": [
    {
      rule: "S-084",
      found: /WRITE at 1048576: expected "ENOSPC", saw "EINVAL \(22\)"/,
      others: [],
      says: [Says.error("EINVAL", isPast("WRITE"))]
    },
    {
      rule: "S-084",
      found: /the stream ended/,
      says: [Says.error("ENOSPC", isUnknown)],
      hears: leavesPayload(({ offset }) => offset === size)
    },
    { rule: "S-084", ...readFails }
  ],
  "a write past the end is refused, its payload taken, and nothing is written": [
    {
      rule: "S-055",
      found: /WRITE across the end: expected "an error", saw "success"/,
      others: [],
      says: [Says.success((request) => is("WRITE")(request) && request.length === 2048)]
    },
    {
      rule: "S-055",
      found: /what was there, byte 0: expected .* saw 238/,
      hears: Hears.request((heard, server) => {
        if (Hears.is(heard, "WRITE") && heard.length === 2048n) Hears.scribbles(server, heard.offset)
      })
    },
    {
      rule: "S-055",
      found: /WRITE inside: expected "none", saw "EIO \(5\)"/,
      does: (request) => is("WRITE")(request) && request.length === 512 ? Steering.fail("EIO") : Steering.proceed
    }
  ],
  "whatever else has a range is refused past the end": [
    {
      rule: "S-055",
      found: /TRIM: expected "EINVAL or ENOSPC", saw "success"/,
      others: [],
      says: [Says.success(isPast("TRIM"))]
    },
    {
      rule: "S-055",
      found: /CACHE: expected "EINVAL or ENOSPC", saw "success"/,
      says: [Says.success(isPast("CACHE"))]
    },
    {
      rule: "S-084",
      found: /WRITE_ZEROES: expected "EINVAL or ENOSPC", saw "EIO \(5\)"/,
      says: [Says.error("EIO", isPast("WRITE_ZEROES"))]
    },
    { rule: "S-055", ...readFails }
  ],
  "too long an effect is an error, not an end": [
    {
      rule: "S-056",
      found: /the stream ended/,
      others: [],
      says: [Says.breaks(({ length }) => length > 0x8000_0000)]
    },
    {
      rule: "S-056",
      found: /TRIM of nearly 4 GiB: expected "an error", saw "success"/,
      says: [Says.success(({ length }) => length > 0x8000_0000)]
    },
    { rule: "S-056", ...readFails }
  ],
  "a payload of 32 MiB is no abuse": [
    {
      rule: "S-057",
      found: /the stream ended/,
      others: [],
      says: [Says.breaksOffPayload(33_554_432)]
    }
  ],
  "requests of no bytes do not end the session": [
    {
      rule: "S-083",
      found: /the stream ended/,
      others: [],
      says: [Says.breaks((request) => is("READ")(request) && request.length === 0)]
    },
    {
      rule: "S-083",
      found: /the stream ended/,
      says: [Says.breaks((request) => is("TRIM")(request) && request.length === 0)]
    },
    { rule: "S-083", ...readFails }
  ],
  "misaligned requests are EINVAL, and change nothing": [
    {
      rule: "S-055",
      found: /READ at 1: expected "EINVAL", saw "success"/,
      others: [],
      among: inBlocks,
      hears: Hears.request((heard) => {
        if (heard.offset === 1n) heard.offset = 0n
      })
    },
    {
      rule: "S-055",
      found: /READ at 1: expected "EINVAL", saw "EIO \(5\)"/,
      among: inBlocks,
      says: [Says.error("EIO", ({ offset }) => offset === 1n)]
    },
    {
      rule: "S-054",
      found: /what was there, byte 1: expected 0, saw 238/,
      among: inBlocks,
      hears: Hears.request((heard, server) => {
        if (Hears.is(heard, "WRITE") && heard.offset === 1n) Hears.scribbles(server, 1n)
      })
    },
    {
      rule: "S-055",
      found: /WRITE at 1: expected "EINVAL or EPERM", saw "success"/,
      among: inBlocks,
      hears: Hears.request((heard) => {
        if (Hears.is(heard, "WRITE") && heard.offset === 1n) heard.offset = 0n
      })
    }
  ],
  "a client that did not ask for the block sizes gets data or a clean error": [
    {
      rule: "S-032",
      found: /the stream ended/,
      others: [],
      among: inBlocks,
      says: [Says.breaks(({ length }) => length === 1)]
    },
    {
      rule: "S-054",
      found: /READ of one byte: expected "none or EINVAL", saw "EIO \(5\)"/,
      among: inBlocks,
      says: [Says.error("EIO", ({ length }) => length === 1)]
    },
    {
      rule: "S-054",
      found: /READ of a block: expected "none", saw "EIO \(5\)"/,
      does: ({ length }) => length === 512 ? Steering.fail("EIO") : Steering.proceed
    }
  ],
  "where FUA is offered, every command takes it": [
    {
      rule: "S-086",
      found: /READ: expected "none", saw "EINVAL \(22\)"/,
      does: ({ command, flags }) => command === "READ" && flags !== 0 ? Steering.fail("EINVAL") : Steering.proceed
    },
    {
      rule: "S-086",
      found: /FLUSH: expected "none", saw "EINVAL \(22\)"/,
      others: [],
      does: ({ command, flags }) => command === "FLUSH" && flags !== 0 ? Steering.fail("EINVAL") : Steering.proceed
    },
    {
      rule: "S-086",
      found: /WRITE: expected "none", saw "EINVAL \(22\)"/,
      does: ({ command, flags }) => command === "WRITE" && flags !== 0 ? Steering.fail("EINVAL") : Steering.proceed
    }
  ],
  "a prefetch takes no unknown flags, and changes nothing": [
    {
      rule: "S-089",
      found: /CACHE, flag 0x8000: expected "EINVAL", saw "success"/,
      others: [],
      hears: overlooks("CACHE", 0x8000)
    },
    {
      rule: "S-089",
      found: /what was there, byte 0: expected 0, saw 238/,
      hears: Hears.request((heard, server) => {
        if (Hears.is(heard, "CACHE")) Hears.scribbles(server, 0n)
      })
    },
    {
      rule: "S-089",
      found: /CACHE: expected "none", saw "EIO \(5\)"/,
      does: ({ command }) => command === "CACHE" ? Steering.fail("EIO") : Steering.proceed
    }
  ],
  "a read-only export fails what would change it, and stays as it was": [
    {
      rule: "S-013",
      found: /WRITE: expected "an error", saw "success"/,
      among: readOnly,
      says: [Says.success(is("WRITE"))]
    },
    {
      rule: "S-013",
      found: /TRIM: expected "an error", saw "success"/,
      others: ["commands that the export does not offer are refused"],
      among: readOnly,
      says: [Says.success(is("TRIM"))]
    },
    {
      rule: "S-013",
      found: /what was there, byte 0: expected 0, saw 238/,
      among: readOnly,
      disk: { readOnly: false },
      says: Says.flags((flags) => flags | TransmissionFlags.READ_ONLY),
      does: (request) => is("READ")(request) ? Steering.proceed : Steering.fail("EPERM"),
      hears: Hears.request((heard, server) => {
        if (Hears.is(heard, "WRITE")) Hears.scribbles(server, 0n)
      })
    },
    {
      rule: "S-013",
      found: /WRITE_ZEROES: expected "an error", saw "success"/,
      among: readOnly,
      says: [Says.success(is("WRITE_ZEROES"))]
    }
  ],
  "writing to a read-only export is EPERM": [
    {
      rule: "S-084",
      found: /WRITE: expected "EPERM", saw "EINVAL \(22\)"/,
      others: [],
      among: readOnly,
      says: [Says.error("EINVAL", is("WRITE"))]
    }
  ],
  "a hundred requests that are refused do not end the session": [
    {
      rule: "S-094",
      found: /the stream ended/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.endsBehindReply(), { nth: 50 })]
    },
    { rule: "S-094", ...readFails }
  ]
}
