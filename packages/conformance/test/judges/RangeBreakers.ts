/**
 * Servers that do not hold requests to the range and the blocks of the export.
 */
import { Steering } from "@effect-nbd/testing"
import { type Breakers, is, isPast, readFails, type Setting, size } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const inBlocks: Setting = { disk: { blockSize: { minimum: 512, preferred: 4096, maximum: 33_554_432 } } }

export const rangeBreakers: Breakers = {
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
      found: /an end within 600ms/,
      // It waits for more of a payload than there is.
      hears: Hears.request((heard) => {
        if (Hears.is(heard, "WRITE") && heard.offset === size) heard.length += 512n
      }),
      timeout: "600 millis"
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
      found: /WRITE inside: expected "none", saw "EINVAL \(22\)"/,
      does: (request) => is("WRITE")(request) && request.length === 512 ? Steering.fail("EINVAL") : Steering.proceed
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
      others: ["a hundred requests that make no sense do not end the session"],
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
      found: /READ of a block and a byte: expected "EINVAL", saw "success"/,
      among: inBlocks,
      says: [Says.success(({ length }) => length === 513)]
    },
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
      found: /READ of one byte: expected "none or EINVAL", saw "EPERM \(1\)"/,
      among: inBlocks,
      says: [Says.error("EPERM", ({ length }) => length === 1)]
    },
    {
      rule: "S-054",
      found: /READ of a block: expected "none", saw "EINVAL \(22\)"/,
      does: ({ length }) => length === 512 ? Steering.fail("EINVAL") : Steering.proceed
    }
  ]
}
