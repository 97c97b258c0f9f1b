/**
 * Servers that write fewer zeroes than they say.
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import type { Breakers, Hearing, Setting } from "./Breaker.ts"
import * as Hears from "./Hears.ts"

const mistaken = 67_108_864n

const large: Setting = { disk: { size: 68_157_440 } }

/** No more than this at a time. */
const upTo = (most: bigint, flags: number): Hearing =>
  Hears.request((heard) => {
    if (Hears.is(heard, "WRITE_ZEROES") && heard.flags === flags && heard.length > most) heard.length = most
  })

export const zeroBreakers: Breakers = {
  "zeroes of more than 64 MiB are written to their end, or refused": [
    {
      rule: "S-088",
      found: /zeroes at 67108864, byte 0: expected 0, saw/,
      others: [],
      among: large,
      hears: upTo(mistaken, 0)
    },
    {
      rule: "S-088",
      found: /zeroes at 67108864, byte 0: expected 0, saw/,
      among: large,
      hears: upTo(mistaken, CommandFlags.NO_HOLE)
    },
    {
      rule: "S-088",
      found: /zeroes at 67239424, byte 0: expected 0, saw/,
      among: large,
      hears: upTo(mistaken + 65_536n, 0)
    },
    {
      rule: "S-088",
      found: /zeroes at 67108352, byte 0: expected 0, saw/,
      among: large,
      hears: upTo(33_554_432n, 0)
    }
  ]
}
