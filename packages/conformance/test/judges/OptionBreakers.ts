/**
 * Servers that break a rule of options which have nothing to do with one export.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour } from "@effect-nbd/testing"
import { type Breakers, goFails } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const nobodyKnows = 0x7fff_1234

export const optionBreakers: Breakers = {
  "an unknown option is ERR_UNSUP, its data is skipped, and haggling goes on": [
    {
      rule: "S-015",
      found: /expected a reply to option 0x7fff1234, received one to NBD_OPT_LIST/,
      says: [Misbehaviour.at(Misbehaviour.replyToAnotherOption, { option: nobodyKnows })]
    },
    {
      rule: "S-016",
      found: /answer to an unknown option: expected "NBD_REP_ERR_UNSUP", saw "NBD_REP_ERR_INVALID"/,
      others: [],
      says: [Says.reply(nobodyKnows, "ERR_INVALID")]
    },
    {
      rule: "S-016",
      found: /the stream ended/,
      // Its data is taken for the next option.
      hears: (message) => {
        if (message.byteLength < 1000 || viewOf(message).getUint32(8) !== nobodyKnows) return message
        const copy = Uint8Array.from(message)
        viewOf(copy).setUint32(12, 0)
        return copy
      }
    },
    { rule: "S-016", ...goFails }
  ],
  "sixteen refused options do not end the session": [
    {
      rule: "S-018",
      found: /the stream ended/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.closesOnOption, { nth: 10 })]
    },
    { rule: "S-018", ...goFails }
  ],
  "a client that asks for an export that there is not is told so every time": [
    {
      rule: "S-019",
      found: /the stream ended/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.closesOnOption, { option: "GO", nth: 4 })]
    },
    {
      rule: "S-019",
      found: /GO is refused: expected false, saw true/,
      says: [Says.instead("GO", "ERR_UNKNOWN", "ACK")]
    },
    { rule: "S-019", found: goFails.found, says: [Says.instead("GO", "ACK", "ERR_POLICY")] }
  ],
  "LIST names exports, each in a reply of its own, and is acknowledged": [
    {
      rule: "S-003",
      found: /texts with a NUL in them: expected 0, saw 1/,
      others: [],
      says: [Misbehaviour.hostileExportName]
    },
    {
      rule: "S-003",
      found: /strings of at most 4096 bytes/,
      says: [Misbehaviour.exportNameTooLong]
    },
    {
      rule: "S-003",
      found: /texts that are not UTF-8: expected 0, saw 1/,
      says: [Says.payloads("LIST", "SERVER", () => concat([Says.fields([4, 1]), Uint8Array.of(0xff)]))]
    },
    {
      rule: "S-024",
      found: /kinds of replies before the acknowledgement: expected "Server", saw "InfoReply"/,
      says: [Misbehaviour.at(Misbehaviour.replyOfAnotherOption, { option: "LIST" })]
    },
    {
      rule: "S-024",
      found: /replies to NBD_OPT_LIST without an end: gave up after 65537 /,
      says: [Misbehaviour.at(Misbehaviour.endlessReplies(), { option: "LIST" })]
    },
    { rule: "S-024", ...goFails }
  ],
  "LIST with data is ERR_INVALID, and haggling goes on": [
    {
      rule: "S-025",
      found: /answer to LIST with data: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      others: [],
      says: [Says.instead("LIST", "ERR_INVALID", "ACK")]
    },
    { rule: "S-025", ...goFails }
  ],
  "STRUCTURED_REPLY with data is ERR_INVALID, and agrees on nothing": [
    {
      rule: "S-028",
      found: /answer to STRUCTURED_REPLY with data: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      others: [],
      says: [Says.instead("STRUCTURED_REPLY", "ERR_INVALID", "ACK")]
    },
    {
      rule: "S-028",
      found: /NBD_FLAG_SEND_DF: expected 0, saw 128/,
      says: Says.flags((flags) => flags | TransmissionFlags.SEND_DF)
    }
  ],
  "EXTENDED_HEADERS with data is ERR_INVALID": [
    {
      rule: "S-028",
      found: /answer to EXTENDED_HEADERS with data: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      others: [],
      says: [Says.instead("EXTENDED_HEADERS", "ERR_INVALID", "ACK")]
    }
  ],
  "an option that has been agreed to may be refused the second time, in sync": [
    {
      rule: "S-017",
      found: /the stream ended/,
      others: ["STRUCTURED_REPLY with data is ERR_INVALID, and agrees on nothing"],
      says: [Misbehaviour.at(Misbehaviour.closesOnOption, { option: "STRUCTURED_REPLY", nth: 2 })]
    },
    { rule: "S-017", ...goFails }
  ],
  "without structured replies nothing is offered that needs them": [
    {
      rule: "S-011",
      found: /NBD_FLAG_SEND_DF: expected 0, saw 128/,
      says: Says.flags((flags) => flags | TransmissionFlags.SEND_DF)
    },
    {
      rule: "S-029",
      found: /NBD_FLAG_SEND_DF: expected 0, saw 128/,
      says: [Misbehaviour.contradictoryFlags]
    },
    {
      rule: "S-099",
      found: /NBD_FLAG_BLOCK_STATUS_PAYLOAD: expected 0, saw 4096/,
      others: [],
      says: Says.flags((flags) => flags | TransmissionFlags.BLOCK_STATUS_PAYLOAD)
    }
  ],
  "ABORT is acknowledged, and ends the session": [
    {
      rule: "S-022",
      found: /answer to ABORT: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
      others: [],
      says: [Says.reply("ABORT", "ERR_POLICY")]
    },
    {
      rule: "S-022",
      found: /ABORT: expected "the end of the connection", saw "a byte/,
      says: [Says.farewell]
    }
  ],
  "data with ABORT is ignored": [
    {
      rule: "S-023",
      found: /answer to ABORT: expected "NBD_REP_ACK", saw "NBD_REP_ERR_INVALID"/,
      others: [],
      // The first one has no data.
      says: [Says.reply("ABORT", "ERR_INVALID", { nth: 2 })]
    }
  ],
  "a client that aborts and closes without waiting does no harm": [
    {
      rule: "S-023",
      found: /refused/,
      others: ["data with ABORT is ignored"],
      hears: Hears.option("ABORT", (_, server) => {
        Hears.dies(server)
        return undefined
      })
    }
  ]
}
