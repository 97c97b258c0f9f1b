/**
 * Servers that break a rule of the greeting, or of NBD_OPT_EXPORT_NAME.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { Misbehaviour, Steering } from "@effect-nbd/testing"
import * as Effect from "effect/Effect"
import { type Breakers, disk, goFails, type Hearing } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

/** Client flags without some of them. */
const without = (bits: number): Hearing => (message) => {
  if (message.byteLength !== 4) return message
  const copy = Uint8Array.from(message)
  viewOf(copy).setUint32(0, viewOf(copy).getUint32(0) & ~bits)
  return copy
}

const firstReadFails = {
  found: /a read right behind the answer: expected "0,77", saw "1,77"/,
  does: () => Steering.fail("EPERM")
}

export const greetingBreakers: Breakers = {
  "it greets as fixed newstyle, with no flag that nobody knows": [
    {
      rule: "S-004",
      found: /NBD_FLAG_FIXED_NEWSTYLE: expected 1, saw 0/,
      says: [Misbehaviour.notFixedNewstyle]
    },
    {
      rule: "S-005",
      found: /handshake flags beyond bits 0 and 1: expected 0, saw 65532/,
      others: [],
      says: [Misbehaviour.allHandshakeFlags]
    }
  ],
  "an oldstyle greeting has no handshake flags": [
    {
      rule: "S-005",
      found: /oldstyle greeting: expected "handshake flags of zero", saw "0x8000"/,
      others: [],
      among: { target: { protocol: "oldstyle" }, server: { protocol: "oldstyle" } },
      says: [Misbehaviour.oldstyleUpperFlags]
    }
  ],
  "client flags that it cannot know, or has not offered, end the session": [
    {
      rule: "S-007",
      found: /client flag 0x40000000: expected "the end of the connection"/,
      others: [],
      hears: without(0x4000_0000)
    },
    {
      rule: "S-007",
      found: /client flag 0x00000002: expected "the end of the connection"/,
      among: { server: { noZeroes: false } },
      hears: without(2)
    }
  ],
  "a client that takes up no handshake flag enters by EXPORT_NAME, as if none had been offered": [
    {
      rule: "S-006",
      found: /the stream ended/,
      others: [],
      // It takes fixed newstyle for granted, and so what is no option for an attack.
      hears: (message, server) => {
        if (message.byteLength === 4 && message.every((byte) => byte === 0)) Effect.runSync(server.killAll)
        return message
      }
    },
    {
      rule: "S-006",
      found: /an end within 600ms/,
      // It takes up what its client has not.
      hears: (message) => message.byteLength === 4 ? Uint8Array.of(0, 0, 0, 3) : message,
      timeout: "600 millis"
    },
    { rule: "S-006", ...firstReadFails },
    { rule: "S-006", found: /the padding, byte 0: expected 0, saw 255/, says: [Misbehaviour.exportNamePadding] }
  ],
  "EXPORT_NAME is answered with 124 zeroes behind it, unless the client took up NO_ZEROES": [
    {
      rule: "S-008",
      found: /expected 0x67446698, received 0x00000000/,
      others: [],
      says: [Says.toExportName((bytes, noZeroes) => noZeroes ? concat([bytes, new Uint8Array(124)]) : bytes)]
    },
    {
      rule: "S-008",
      found: /an end within 600ms/,
      says: [Says.toExportName((bytes, noZeroes) => noZeroes ? bytes : bytes.subarray(0, 10))],
      timeout: "600 millis"
    },
    {
      rule: "S-008",
      found: /the padding, byte 0: expected 0, saw 255/,
      says: [Misbehaviour.exportNamePadding]
    },
    {
      rule: "S-009",
      found: /NBD_FLAG_HAS_FLAGS: expected 1, saw 0/,
      says: [Says.toExportName((bytes) => bytes.fill(0, 8, 10))]
    },
    { rule: "S-008", ...firstReadFails }
  ],
  "EXPORT_NAME for an export that there is not ends the session": [
    {
      rule: "S-021",
      found: /EXPORT_NAME: expected "the end of the connection"/,
      others: [],
      server: { exports: [disk, { name: "nothing", size: 512 }] }
    }
  ],
  "a client that leaves in the middle of an option hurts nobody": [
    {
      rule: "S-094",
      found: /refused/,
      others: [],
      hears: (message, server) => {
        if (message.byteLength === 3) Hears.dies(server)
        return message
      }
    },
    { rule: "S-094", ...goFails }
  ]
}
