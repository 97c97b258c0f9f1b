/**
 * Servers that break a rule of replies, or do not do what they answer.
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour, Steering } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import * as Effect from "effect/Effect"
import { type Breakers, is, isPast } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const isRead = is("READ")
const hasFlag = (flag: number) => ({ flags }: RecordedRequest): boolean => (flags & flag) !== 0

export const replyBreakers: Breakers = {
  "without structured replies every reply is a simple one, with its request's cookie": [
    { rule: "S-067", found: /cookie of the reply to READ: expected/, says: [Misbehaviour.unknownCookie] },
    {
      rule: "S-068",
      found: /style of the reply to READ: expected "simple", saw "structured"/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.chunkNotAgreedOn, { request: isPast("READ") })]
    },
    { rule: "S-079", found: /expected 0x668e33ef, received 0x00000000/, says: [Misbehaviour.dataBehindSimpleError] }
  ],
  "zeroes that are written read as zeroes, also where no hole may be, and are never ENOTSUP unless they have to be fast":
    [
      {
        rule: "S-087",
        found: /WRITE_ZEROES: expected "none", saw "ENOTSUP \(95\)"/,
        says: [Misbehaviour.notSupported]
      },
      {
        rule: "S-088",
        found: /zeroes, byte 0: expected 0, saw 189/,
        hears: Hears.request((heard) => {
          if (!Hears.is(heard, "WRITE_ZEROES")) return
          heard.command = Hears.codes.CACHE
          heard.flags = 0
        })
      },
      {
        rule: "S-088",
        found: /WRITE: expected "none", saw "ENOSPC \(28\)"/,
        others: [],
        hears: (message, server) => {
          const noRoom = Steering.fail("ENOSPC")
          return Hears.request((heard) => {
            if (!Hears.is(heard, "WRITE_ZEROES") || (heard.flags & CommandFlags.NO_HOLE) === 0) return
            Effect.runSync(server.onRequest(({ command }) => command === "WRITE" ? noRoom : Steering.proceed))
          })(message, server)
        }
      }
    ],
  "fast zeroes succeed, or are ENOTSUP and leave the data": [
    {
      rule: "S-087",
      found: /WRITE_ZEROES: expected "none or ENOTSUP", saw "EINVAL \(22\)"/,
      others: [],
      does: (request) => hasFlag(CommandFlags.FAST_ZERO)(request) ? Steering.fail("EINVAL") : Steering.proceed
    },
    {
      rule: "S-087",
      found: /read, byte 0: expected .*, saw 238/,
      does: (request) => hasFlag(CommandFlags.FAST_ZERO)(request) ? Steering.fail("ENOTSUP") : Steering.proceed,
      hears: Hears.request(({ flags, offset }, server) => {
        if ((flags & CommandFlags.FAST_ZERO) !== 0) Hears.scribbles(server, offset)
      })
    }
  ],
  "what is written with FUA, or flushed, is seen on every connection, where several count as one": [
    {
      rule: "S-014",
      found: /read by another, byte/,
      says: [Says.success((request) => isRead(request) && request.session === 2)]
    },
    {
      rule: "S-071",
      found: /FLUSH: expected "none", saw "EINVAL \(22\)"/,
      others: [],
      does: ({ command }) => command === "FLUSH" ? Steering.fail("EINVAL") : Steering.proceed
    },
    {
      rule: "S-071",
      found: /WRITE: expected "none", saw "EINVAL \(22\)"/,
      does: (request) => hasFlag(CommandFlags.FUA)(request) ? Steering.fail("EINVAL") : Steering.proceed
    }
  ],
  "requests that are sent at once are all answered": [
    {
      rule: "S-067",
      found: /a reply: expected "one to a request that waits"/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.unknownCookie, { nth: 20, times: 1 })]
    },
    {
      rule: "S-067",
      found: /an end within 600ms/,
      says: [Misbehaviour.at(Misbehaviour.noReply, { nth: 20, times: 1 })],
      timeout: "600 millis"
    },
    {
      rule: "S-067",
      found: /cookie of the reply to READ/,
      says: [Misbehaviour.at(Misbehaviour.secondFinalReply, { nth: 32, times: 1 })]
    }
  ],
  "DISC ends the session without a reply, when what was asked before is done": [
    {
      rule: "S-092",
      found: /DISC: expected "the end of the connection", saw "a byte/,
      others: [],
      says: [Says.farewell]
    },
    {
      rule: "S-092",
      found: /the stream ended/,
      says: [Misbehaviour.at(Misbehaviour.endsBehindReply(), { request: isRead, nth: 2 })]
    },
    {
      rule: "S-092",
      found: /read again, byte 0/,
      hears: Hears.request((heard, server) => {
        if (heard.command === 2) Hears.scribbles(server, 0n)
      })
    }
  ]
}
