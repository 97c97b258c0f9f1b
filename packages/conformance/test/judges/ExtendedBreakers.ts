/**
 * Servers that break a rule of extended headers.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour } from "@effect-nbd/testing"
import { type Breakers, goFails, type Hearing, is, isPast, readFails, size } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const hasPayload = ({ flags }: { readonly flags: number }): boolean => (flags & CommandFlags.PAYLOAD_LEN) !== 0

const isUnknown = (message: Uint8Array): boolean => message.byteLength >= 8 && viewOf(message).getUint16(6) === 0x7777

/** A payload of 1 TiB is taken for a command that does not exist. */
export const takesTooLongForUnknown: Hearing = Hears.request((request) => {
  if (request.length !== 2n ** 40n) return
  request.command = 0x7777
  request.flags = 0
  request.length = 0n
})

export const extendedBreakers: Breakers = {
  "every reply is an extended chunk that repeats offset and cookie": [
    {
      rule: "S-095",
      found: /offset in a chunk of READ: expected 65536, saw 66048/,
      others: [],
      says: [Misbehaviour.otherOffset]
    },
    {
      rule: "S-095",
      found: /style of the reply to READ: expected "extended", saw "structured"/,
      says: [Misbehaviour.otherHeaders]
    },
    { rule: "S-095", found: /cookie of the reply to READ/, says: [Misbehaviour.unknownCookie] },
    {
      rule: "S-095",
      found: /offset in a chunk of WRITE/,
      says: [Misbehaviour.at(Misbehaviour.otherOffset, { request: ({ command }) => command === "WRITE" })]
    },
    { rule: "S-095", found: /READ: expected "none", saw "EINVAL \(22\)"/, says: [Says.failing("EINVAL", is("READ"))] },
    {
      rule: "S-095",
      found: /READ past the end: expected "EINVAL or EOVERFLOW", saw "success"/,
      says: [Says.success(isPast("READ"))]
    },
    {
      rule: "S-095",
      found: /offset in a chunk of READ past the end/,
      says: [Misbehaviour.at(Misbehaviour.otherOffset, { request: isPast("READ") })]
    },
    { rule: "S-095", found: /WRITE: expected "none", saw "EPERM \(1\)"/, says: [Misbehaviour.notPermitted] },
    {
      rule: "S-095",
      found: /read back, byte 0: expected .*, saw 238/,
      hears: Hears.request((heard, server) => {
        if (Hears.is(heard, "READ") && heard.offset > 0n) {
          Hears.scribbles(server, heard.offset === size ? 0n : heard.offset)
        }
      })
    }
  ],
  "lengths of more than 32 bits are refused where they reach past the end, without wrapping": [
    {
      rule: "S-084",
      found: /WRITE_ZEROES of 2\^64 - 65536 bytes: .* saw "success"/,
      others: [],
      hears: Hears.request((heard) => {
        if (heard.length > 2n ** 63n) heard.length = 512n
      })
    },
    { rule: "S-084", ...readFails }
  ],
  "they need no structured replies, which are ERR_EXT_HEADER_REQD or ERR_INVALID afterwards": [
    {
      rule: "S-100",
      found: /answer to STRUCTURED_REPLY afterwards: .* saw "NBD_REP_ACK"/,
      others: [],
      says: [Says.instead("STRUCTURED_REPLY", "ERR_EXT_HEADER_REQD", "ACK")]
    },
    { rule: "S-100", ...goFails }
  ],
  "status has 64 bits, and a count that fits its length": [
    { rule: "S-096", found: /type: expected 6, saw 5/, others: [], says: [Misbehaviour.otherStatusType] },
    {
      rule: "S-096",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_UNSUP"/,
      says: [Misbehaviour.goUnsupported]
    },
    { rule: "S-097", found: /length: expected 8, saw 24/, says: [Misbehaviour.wrongExtentCount] },
    { rule: "S-097", found: /upper half of the status: expected 0, saw 256/, says: [Misbehaviour.wideStatus] },
    {
      rule: "S-096",
      found: /BLOCK_STATUS: expected "none", saw "EINVAL \(22\)"/,
      says: [Says.failing("EINVAL", is("BLOCK_STATUS"))]
    }
  ],
  "a payload that nobody expects is swallowed, and EINVAL": [
    {
      rule: "S-098",
      found: /READ with a payload: expected "EINVAL", saw "success"/,
      others: [],
      hears: (message, server) =>
        Hears.request((heard) => {
          if (Hears.is(heard, "READ") && hasPayload(heard)) heard.flags = 0
        })(message.byteLength === 32 + 4096 ? message.subarray(0, 32) : message, server)
    },
    {
      rule: "S-098",
      found: /received 0x00000000/,
      // Nor is it swallowed, but sent back.
      says: [Says.toRequest(hasPayload, (frames) => [...frames, Misbehaviour.raw(new Uint8Array(32))])]
    }
  ],
  "a payload that is too long ends the session": [
    {
      rule: "S-098",
      found: /a payload of 1 TiB: expected "the end of the connection", saw "success"/,
      others: [],
      hears: Hears.request((heard) => {
        if (heard.length !== 2n ** 40n) return
        heard.command = Hears.codes.FLUSH
        heard.flags = 0
        heard.length = 0n
      })
    },
    {
      rule: "S-098",
      found: /a payload of 1 TiB: expected "the end of the connection", saw "a byte 0x6e"/,
      others: [],
      // It refuses the request, goes on, and refuses what it takes for the next one.
      hears: (message, server) => {
        const heard = takesTooLongForUnknown(message, server)
        return isUnknown(heard) ? concat([heard, heard]) : heard
      }
    }
  ],
  "a filter with an id that was not selected, or one twice, is swallowed, and EINVAL": [
    {
      rule: "S-099",
      found: /BLOCK_STATUS of 2147418112: expected "EINVAL", saw "success"/,
      says: [Says.success(hasPayload)]
    },
    {
      rule: "S-099",
      found: /BLOCK_STATUS of 0 and 0: expected "EINVAL", saw "success"/,
      others: [],
      says: [Misbehaviour.at(Says.success(hasPayload), { nth: 2 })]
    },
    {
      rule: "S-099",
      found: /received 0x00000000/,
      says: [Says.toRequest(hasPayload, (frames) => [...frames, Misbehaviour.raw(new Uint8Array(32))])]
    },
    { rule: "S-099", ...readFails }
  ]
}
