/**
 * Servers that break a rule of meta contexts, or of NBD_CMD_BLOCK_STATUS.
 */
import { concat, encodeText } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { encodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import { Misbehaviour } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import * as Effect from "effect/Effect"
import { type Breakers, goFails, type Hearing, isPast, readFails } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const isStatus = ({ command }: RecordedRequest): boolean => command === "BLOCK_STATUS"
const isForOne = (request: RecordedRequest): boolean =>
  isStatus(request) && (request.flags & CommandFlags.REQ_ONE) !== 0

const context = concat([Says.fields([4, 9]), encodeText("x-mine:heat")])

/** A query of the same length in place of another. */
const queries = (option: "LIST_META_CONTEXT" | "SET_META_CONTEXT", text: string, by: string): Hearing =>
  Hears.option(option, (data) => Hears.replaced(data, text, by))

const selecting = (...queries: ReadonlyArray<string>) => encodeMetaContextRequest({ exportName: "disk", queries })

/** A selection that cannot be made leaves the one before it in force. */
const keeps = (isKept: (data: Uint8Array) => boolean): Hearing =>
  Hears.option("SET_META_CONTEXT", (data) => isKept(data) ? selecting("base:allocation") : undefined)

export const contextBreakers: Breakers = {
  "selecting before structured replies is ERR_INVALID": [
    {
      rule: "S-064",
      found: /answer to SET_META_CONTEXT: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      others: [],
      says: Says.whenRepliesAre("Simple", Says.instead("SET_META_CONTEXT", "ERR_INVALID", "ACK"))
    },
    { rule: "S-064", ...goFails }
  ],
  "lengths that do not fit are ERR_INVALID, and haggling goes on": [
    {
      rule: "S-058",
      found: /answer to LIST_META_CONTEXT with lengths that do not fit: .* saw "NBD_REP_ACK"/,
      others: [],
      says: [Says.instead("LIST_META_CONTEXT", "ERR_INVALID", "ACK")]
    },
    {
      rule: "S-058",
      found: /answer to SET_META_CONTEXT with lengths that do not fit: .* saw "NBD_REP_ACK"/,
      says: [Says.instead("SET_META_CONTEXT", "ERR_INVALID", "ACK")]
    },
    { rule: "S-058", ...goFails }
  ],
  "unknown namespaces and leaves are passed over": [
    {
      rule: "S-059",
      found: /answer to LIST_META_CONTEXT of x-nobody:nothing: expected "NBD_REP_ACK", saw "NBD_REP_ERR_INVALID"/,
      others: [],
      hears: queries("LIST_META_CONTEXT", "x-nobody:nothing", "x-nobody-nothing")
    },
    {
      rule: "S-059",
      found: /answer to SET_META_CONTEXT of base:nothing.*: expected "NBD_REP_ACK", saw "NBD_REP_ERR_INVALID"/,
      hears: queries("SET_META_CONTEXT", "base:nothing", "base-nothing")
    },
    {
      rule: "S-059",
      found: /contexts for x-nobody:nothing: expected 0, saw 1/,
      says: [Says.before("SET_META_CONTEXT", "META_CONTEXT", context)]
    },
    {
      rule: "S-059",
      found: /selected beside it: expected "base:allocation", saw ""/,
      says: [Says.toOption("SET_META_CONTEXT", (frames) => frames.slice(-1))]
    }
  ],
  "a list without queries names everything; base: is a wildcard there, and selects nothing": [
    {
      rule: "S-060",
      found: /base:allocation is in the list of all: expected true, saw false/,
      others: [],
      hears: Hears.option(
        "LIST_META_CONTEXT",
        (data) => data.byteLength === selecting().byteLength ? selecting("qemu:allocation-depth") : undefined
      )
    },
    {
      rule: "S-060",
      found: /listed for base:: expected true, saw false/,
      hears: Hears.option(
        "LIST_META_CONTEXT",
        (data) => data.byteLength === selecting("base:").byteLength ? selecting("x-my:") : undefined
      )
    },
    {
      rule: "S-060",
      found: /selected by base:: expected 0, saw 1/,
      hears: Hears.option(
        "SET_META_CONTEXT",
        (data) => data.byteLength === selecting("base:").byteLength ? selecting("base:allocation") : undefined
      )
    }
  ],
  "ids in a list are zero": [
    {
      rule: "S-063",
      found: /ids other than 0: expected 0, saw 2/,
      others: [],
      says: [Says.payloads("LIST_META_CONTEXT", "META_CONTEXT", (payload) => payload.fill(1, 3, 4))]
    }
  ],
  "each selected context has an id of its own": [
    {
      rule: "S-062",
      found: /different ids: expected 2, saw 1/,
      others: [],
      says: [Misbehaviour.duplicateContextIds]
    },
    {
      rule: "S-062",
      found: /selected: expected "base:allocation,qemu:allocation-depth", saw "qemu:allocation-depth"/,
      says: [Says.toOption("SET_META_CONTEXT", (frames) => frames.length > 2 ? frames.slice(1) : undefined)]
    }
  ],
  "each selection replaces the one before, also if it selects nothing or fails": [
    {
      rule: "S-061",
      found: /BLOCK_STATUS without a context: expected "an error", saw "success"/,
      others: [],
      hears: keeps((data) => data.byteLength === selecting().byteLength)
    },
    {
      rule: "S-061",
      found: /BLOCK_STATUS without a context: expected "an error", saw "success"/,
      hears: keeps((data) => data.includes(0xff))
    }
  ],
  "BLOCK_STATUS without a context is EINVAL": [
    {
      rule: "S-065",
      found: /BLOCK_STATUS: expected "EINVAL", saw "EIO \(5\)"/,
      others: [],
      says: [Says.error("EIO", (request) => isStatus(request) && request.offset === 0n)]
    },
    {
      rule: "S-065",
      found: /BLOCK_STATUS: expected "EINVAL", saw "success"/,
      says: [Misbehaviour.statusWithoutContexts]
    },
    { rule: "S-065", ...readFails }
  ],
  "each context has one chunk, of extents that are not empty, and all but the last within the request": [
    {
      rule: "S-081",
      found: /status chunks of a context: expected 1, saw 2/,
      says: [Misbehaviour.contextTwice]
    },
    {
      rule: "S-081",
      found: /status chunks of a context: expected 1, saw 0/,
      says: [Misbehaviour.contextMissing]
    },
    {
      rule: "S-081",
      found: /context id: expected "a selected one"/,
      says: [Misbehaviour.unknownContextId]
    },
    {
      rule: "S-081",
      found: /extents of no bytes: expected 0, saw 1/,
      others: ["with REQ_ONE there is one extent, inside the request"],
      says: [Misbehaviour.emptyExtent]
    },
    {
      rule: "S-081",
      found: /bytes before the last extent: expected "less than 262144", saw/,
      says: [Misbehaviour.extentsBeyondNeed]
    },
    {
      rule: "S-081",
      found: /a status chunk: expected "4 bytes and 8 for each extent", saw "11 bytes"/,
      says: [Misbehaviour.statusLength]
    },
    {
      rule: "S-081",
      found: /BLOCK_STATUS: expected "none", saw "EINVAL \(22\)"/,
      says: [Says.failing("EINVAL", isStatus)]
    },
    { rule: "S-081", found: /type of a status chunk: expected 5, saw 6/, says: [Misbehaviour.otherStatusType] }
  ],
  "with REQ_ONE there is one extent, inside the request": [
    {
      rule: "S-081",
      found: /extents: expected 1, saw 2/,
      others: [],
      says: [Misbehaviour.severalExtentsForOne]
    },
    {
      rule: "S-081",
      found: /69632 bytes are within 65536: expected true, saw false/,
      says: [Misbehaviour.at(Misbehaviour.lastExtentLonger, { request: isForOne })]
    }
  ],
  "BLOCK_STATUS past the end is EINVAL, and the next request is answered": [
    {
      rule: "S-055",
      found: /BLOCK_STATUS past the end: expected "EINVAL", saw "success"/,
      says: [Says.success(isPast("BLOCK_STATUS"))]
    },
    {
      rule: "S-084",
      found: /BLOCK_STATUS past the end: expected "EINVAL", saw "ENOSPC \(28\)"/,
      others: [],
      says: [Says.error("ENOSPC", isPast("BLOCK_STATUS"))]
    },
    { rule: "S-084", ...readFails }
  ],
  "what is allocated can be written": [
    {
      rule: "S-091",
      found: /WRITE at 65536: expected "none", saw "ENOSPC \(28\)"/,
      others: [],
      says: [Says.failing("ENOSPC", ({ command }) => command === "WRITE", { nth: 2 })]
    }
  ],
  "neighbours differ, and begin at multiples of the minimum block size": [
    {
      rule: "S-082",
      found: /extent at 100: expected "other flags", saw 3/,
      says: [Misbehaviour.unalignedExtents]
    },
    {
      rule: "S-082",
      found: /100 is aligned: expected 0, saw 100/,
      others: [],
      among: { disk: { blockSize: { minimum: 512, preferred: 4096, maximum: 33_554_432 } } },
      disk: {
        allocation: false,
        contexts: [{
          name: "base:allocation",
          status: (_, length) => Effect.succeed([{ length: 100n, flags: 0n }, { length, flags: 3n }])
        }]
      }
    }
  ],
  "only the bits of base:allocation that have a meaning are set": [
    {
      rule: "S-066",
      found: /reserved bits: expected 0, saw 4294967280/,
      others: [],
      says: [Misbehaviour.reservedStatusBits]
    }
  ]
}
