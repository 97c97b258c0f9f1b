/**
 * Servers that do not refuse what they have to, or do not bear it.
 */
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour, Steering } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import { type Breakers, type Hearing, is, readFails, type Setting } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const isUnknown = ({ code }: RecordedRequest): boolean => code === 0x7777

const readOnly: Setting = { disk: { readOnly: true } }

/** Flags that the server does not look at. */
const overlooks = (command: keyof typeof Hears.codes, flags: number): Hearing =>
  Hears.request((heard) => {
    if (Hears.is(heard, command)) heard.flags &= ~flags
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
      found: /an end within 600ms/,
      // It waits for more of a payload than there is.
      hears: Hears.request((heard) => {
        if (Hears.is(heard, "WRITE") && (heard.flags & 0x8000) !== 0) heard.length += 512n
      }),
      timeout: "600 millis"
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
  "commands that the export does not offer are done all the same, or EINVAL, EPERM or ENOTSUP": [
    {
      rule: "S-085",
      found: /TRIM: expected "none or EINVAL or EPERM or ENOTSUP", saw "EOVERFLOW \(75\)"/,
      others: [],
      among: { disk: { can: { trim: false } } },
      says: [Says.error("EOVERFLOW", (request) => is("TRIM")(request) && request.offset === 0n)]
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
      found: /CACHE: expected "none", saw "EINVAL \(22\)"/,
      does: ({ command }) => command === "CACHE" ? Steering.fail("EINVAL") : Steering.proceed
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
      others: [],
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
  "a hundred requests that make no sense do not end the session": [
    {
      rule: "S-094",
      found: /the stream ended/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.endsBehindReply(), { nth: 50 })]
    },
    { rule: "S-094", ...readFails }
  ]
}
