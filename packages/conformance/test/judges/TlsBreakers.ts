/**
 * Servers that break a rule of NBD_OPT_STARTTLS.
 */
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { Misbehaviour } from "@effect-nbd/testing"
import { type Breakers, goFails, type Setting } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const forSome: Setting = { tls: "Allow" }
const forTheExport: Setting = { tls: "Allow", disk: { tlsOnly: true } }
const forAll: Setting = { tls: "Require" }

export const tlsBreakers: Breakers = {
  "without TLS on the server, STARTTLS is refused, nothing is ERR_TLS_REQD, and haggling goes on": [
    {
      rule: "S-026",
      found: /answer to STARTTLS: .* saw "NBD_REP_ERR_UNKNOWN"/,
      others: [],
      says: [Says.reply("STARTTLS", "ERR_UNKNOWN")]
    },
    {
      rule: "S-043",
      found: /answer to STARTTLS: .* saw "NBD_REP_ERR_TLS_REQD"/,
      says: [Says.reply("STARTTLS", "ERR_TLS_REQD")]
    },
    {
      rule: "S-043",
      found: /LIST is ERR_TLS_REQD: expected false, saw true/,
      says: [Says.reply("LIST", "ERR_TLS_REQD")]
    },
    { rule: "S-043", ...goFails }
  ],
  "STARTTLS with data is ERR_INVALID, and no TLS follows": [
    {
      rule: "S-026",
      found: /answer to STARTTLS with data: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ERR_POLICY"/,
      others: ["with TLS, nothing is ERR_TLS_REQD any more, and a second STARTTLS is ERR_INVALID"],
      among: forSome,
      says: [Says.instead("STARTTLS", "ERR_INVALID", "ERR_POLICY")]
    },
    {
      rule: "S-026",
      found: /answer to STARTTLS with data: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      among: forSome,
      hears: Hears.option("STARTTLS", () => new Uint8Array(0))
    },
    {
      rule: "S-026",
      among: forSome,
      found: /answer to ABORT in plaintext: expected "NBD_REP_ACK"/,
      says: [Says.reply("ABORT", "ERR_POLICY")]
    }
  ],
  "with TLS for all, everything before it but ABORT is ERR_TLS_REQD, and EXPORT_NAME ends the session": [
    {
      rule: "S-044",
      found: /answer to STRUCTURED_REPLY before TLS: expected "NBD_REP_ERR_TLS_REQD", saw "NBD_REP_ACK"/,
      others: [],
      among: forAll,
      says: [Says.instead("STRUCTURED_REPLY", "ERR_TLS_REQD", "ACK")]
    },
    {
      rule: "S-044",
      found: /answer to INFO before TLS: expected "NBD_REP_ERR_TLS_REQD", saw "NBD_REP_ERR_UNKNOWN"/,
      among: forAll,
      says: [Says.instead("INFO", "ERR_TLS_REQD", "ERR_UNKNOWN")]
    },
    {
      rule: "S-044",
      found: /answer to ABORT before TLS: expected "NBD_REP_ACK", saw "NBD_REP_ERR_TLS_REQD"/,
      among: forAll,
      says: [Says.instead("ABORT", "ACK", "ERR_TLS_REQD")]
    },
    {
      rule: "S-044",
      found: /EXPORT_NAME before TLS: expected "the end of the connection", saw "a byte/,
      among: forAll,
      hears: Hears.option("EXPORT_NAME", () => encodeOption(optionCode.LIST, new Uint8Array(0)))
    }
  ],
  "with TLS for some, what is about no export is not ERR_TLS_REQD": [
    {
      rule: "S-047",
      found: /STRUCTURED_REPLY is ERR_TLS_REQD: expected false, saw true/,
      others: [],
      among: forSome,
      says: [Says.instead("STRUCTURED_REPLY", "ACK", "ERR_TLS_REQD")]
    }
  ],
  "an export that takes TLS is ERR_TLS_REQD before it, and not described; EXPORT_NAME for it ends the session": [
    {
      rule: "S-046",
      found: /answer to INFO before TLS: expected "NBD_REP_ERR_TLS_REQD", saw "NBD_REP_ERR_UNKNOWN"/,
      others: [],
      among: forTheExport,
      says: [Says.instead("INFO", "ERR_TLS_REQD", "ERR_UNKNOWN")]
    },
    {
      rule: "S-046",
      found: /answer to GO before TLS: expected "NBD_REP_ERR_TLS_REQD", saw "NBD_REP_ERR_POLICY"/,
      among: forTheExport,
      says: [Says.instead("GO", "ERR_TLS_REQD", "ERR_POLICY")]
    },
    {
      rule: "S-046",
      found: /EXPORT_NAME before TLS: expected "the end of the connection", saw "a byte/,
      among: forTheExport,
      hears: Hears.option("EXPORT_NAME", () => encodeOption(optionCode.LIST, new Uint8Array(0)))
    },
    {
      rule: "S-050",
      found: /replies to INFO: expected 1, saw 2/,
      among: forTheExport,
      says: [Says.before("INFO", "INFO", Says.fields([2, 0], [8, 512], [2, 1]))]
    },
    {
      rule: "S-046",
      among: forTheExport,
      found: /answer to GO under TLS: .* saw "NBD_REP_ERR_POLICY"/,
      says: [Says.instead("GO", "ACK", "ERR_POLICY")]
    }
  ],
  "whether TLS is required does not change on the way": [
    {
      rule: "S-041",
      found: /LIST behind STRUCTURED_REPLY is ERR_TLS_REQD: expected false, saw true/,
      others: [],
      among: forSome,
      says: [Says.reply("LIST", "ERR_TLS_REQD", { nth: 3 })]
    },
    {
      rule: "S-041",
      found: /LIST behind STRUCTURED_REPLY is ERR_TLS_REQD: expected true, saw false/,
      among: forAll,
      says: [Says.reply("LIST", "ACK", { nth: 3 })]
    }
  ],
  "a client that did not take up fixed newstyle gets no TLS": [
    {
      rule: "S-042",
      found: /STARTTLS is acknowledged: expected false, saw true/,
      others: [],
      among: forSome,
      hears: (message) => message.byteLength === 4 ? Uint8Array.of(0, 0, 0, 3) : message
    }
  ],
  "with TLS, nothing is ERR_TLS_REQD any more, and a second STARTTLS is ERR_INVALID": [
    {
      rule: "S-045",
      found: /answer to a second STARTTLS: expected "NBD_REP_ERR_INVALID", saw "NBD_REP_ACK"/,
      among: forSome,
      says: [Says.instead("STARTTLS", "ERR_INVALID", "ACK")]
    },
    {
      rule: "S-045",
      found: /answer to STARTTLS: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
      among: forAll,
      says: [Misbehaviour.startTlsRefused]
    },
    {
      rule: "S-048",
      found: /an option under TLS is ERR_TLS_REQD: expected false, saw true/,
      others: [],
      among: forAll,
      says: [Misbehaviour.at(Misbehaviour.tlsRequiredUnderTls, { option: "LIST" })]
    },
    {
      rule: "S-049",
      found: /the TLS handshake with .* failed/,
      among: forSome,
      says: [Misbehaviour.plaintextInsteadOfTls]
    },
    { rule: "S-048", among: forSome, ...goFails }
  ],
  "nothing agreed on before STARTTLS is kept": [
    {
      rule: "S-027",
      found: /style of a reply: expected "simple", saw "structured"/,
      others: [],
      among: forSome,
      says: [Misbehaviour.staleReplyStyle]
    },
    {
      rule: "S-027",
      found: /NBD_FLAG_SEND_DF: expected 0, saw 128/,
      among: forSome,
      says: Says.flags((flags) => flags | TransmissionFlags.SEND_DF)
    }
  ]
}
