/**
 * Servers that break a rule of NBD_OPT_INFO and NBD_OPT_GO, or of what they tell of an export.
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { Misbehaviour } from "@effect-nbd/testing"
import { type Breakers, type Setting } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const sizes = { minimum: 1, preferred: 4096, maximum: 33_554_432 }

const untold: Setting = { says: [Says.untold] }

export const exportBreakers: Breakers = {
  "NBD_INFO_EXPORT comes unasked, before the acknowledgement": [
    {
      rule: "S-031",
      found: /NBD_INFO_EXPORT in INFO: expected true, saw false/,
      others: ["GO tells what INFO has just told"],
      says: [Misbehaviour.at(Misbehaviour.missingExportInfo, { option: "INFO" })]
    },
    {
      rule: "S-031",
      found: /NBD_INFO_EXPORT in GO: expected true, saw false/,
      says: [Misbehaviour.at(Misbehaviour.missingExportInfo, { option: "GO" })]
    },
    {
      rule: "S-031",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
      says: [Misbehaviour.at(Misbehaviour.infoThenError, { option: "GO" })]
    }
  ],
  "information of a type that nobody knows is not missed": [
    {
      rule: "S-030",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_INVALID"/,
      others: [],
      // A count that does not fit.
      hears: Hears.option("GO", (data) => {
        const types = data.subarray(data.byteLength - 6)
        if (viewOf(types).getUint16(0) !== 0x7ffe) return undefined
        return Uint8Array.from(data).fill(0xff, data.byteLength - 8, data.byteLength - 6)
      })
    }
  ],
  "each type of information comes once": [
    {
      rule: "S-034",
      found: /types of information: expected 4, saw 5/,
      others: [],
      says: [Misbehaviour.contradictoryExportInfo]
    }
  ],
  "GO tells what INFO has just told": [
    {
      rule: "S-035",
      found: /ExportInfo.exportSize by GO, as INFO told it: expected .*, saw/,
      others: [],
      says: [Misbehaviour.goDiffersFromInfo]
    },
    {
      rule: "S-035",
      found: /ExportInfo.exportSize by GO, as INFO told it: expected "0", saw "1048576"/,
      says: Says.size(() => 0n).slice(0, 1)
    },
    {
      rule: "S-035",
      found: /ExportInfo.flags by GO, as INFO told it/,
      says: Says.flags((flags) => flags ^ TransmissionFlags.SEND_TRIM).slice(1)
    },
    {
      rule: "S-035",
      found: /BlockSizeInfo.minimum by GO, as INFO told it: expected "1", saw "nothing"/,
      says: [Misbehaviour.at(Says.untold, { option: "GO" })]
    },
    {
      rule: "S-035",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
      says: [Misbehaviour.at(Misbehaviour.infoThenError, { option: "GO" })]
    },
    {
      rule: "S-037",
      found: /14 bytes of NBD_INFO_BLOCK_SIZE/,
      says: [Misbehaviour.blockSizeInfoLength]
    },
    {
      rule: "S-035",
      found: /answer to INFO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_INVALID"/,
      says: [Says.instead("INFO", "ACK", "ERR_INVALID")]
    }
  ],
  "no padding follows the acknowledgement of GO": [
    {
      rule: "S-036",
      found: /expected 0x668e33ef, received 0x00000000/,
      others: [],
      says: [Misbehaviour.zeroesBehindGo]
    }
  ],
  "an unknown export is refused, by ERR_UNKNOWN without information, and haggling goes on": [
    {
      rule: "S-033",
      found: /replies: expected 1, saw 2$/,
      others: [],
      says: [
        Says.toOption("GO", (frames) =>
          frames.length > 1 ? undefined : [
            Misbehaviour.optionReply(7, 3, Says.fields([2, 0], [8, 512], [2, 1])),
            ...frames
          ])
      ]
    },
    {
      rule: "S-033",
      found: /INFO of an unknown export is acknowledged: expected false, saw true/,
      says: [Says.instead("INFO", "ERR_UNKNOWN", "ACK")]
    },
    {
      rule: "S-033",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_POLICY"/,
      says: [Says.instead("GO", "ACK", "ERR_POLICY")]
    }
  ],
  "block sizes are told to who asks, are powers of two, and fit one another": [
    {
      rule: "S-051",
      found: /minimum: expected "a power of two up to 64 KiB", saw 3/,
      says: [Misbehaviour.senselessBlockSize({ ...sizes, minimum: 3 })]
    },
    {
      rule: "S-051",
      found: /minimum: expected "a power of two up to 64 KiB", saw 131072/,
      others: [],
      says: [Misbehaviour.senselessBlockSize({ ...sizes, minimum: 131_072, preferred: 131_072 })]
    },
    {
      rule: "S-051",
      found: /preferred size: expected "a power of two, at least 512 and the minimum", saw 256/,
      says: [Misbehaviour.senselessBlockSize({ ...sizes, preferred: 256 })]
    },
    {
      rule: "S-051",
      found: /preferred size: .* saw 4096/,
      says: [Misbehaviour.senselessBlockSize({ ...sizes, minimum: 8192 })]
    },
    {
      rule: "S-051",
      found: /maximum: expected "4096 at least", saw 512/,
      says: [Misbehaviour.senselessBlockSize({ ...sizes, maximum: 512 })]
    }
  ],
  "where no block sizes are told the default ones hold: every byte is aligned, and 32 MiB are no matter": [
    {
      rule: "S-038",
      found: /READ of one byte: expected "none", saw "EINVAL \(22\)"/,
      others: [],
      among: untold,
      disk: { blockSize: { ...sizes, minimum: 512 } }
    },
    {
      rule: "S-053",
      found: /READ of 32 MiB, or of everything: expected "none", saw "EOVERFLOW \(75\)"/,
      among: untold,
      disk: { blockSize: { ...sizes, maximum: 65_536 } }
    }
  ],
  "whoever is told to ask for the block sizes is told them": [
    {
      rule: "S-040",
      found: /NBD_INFO_BLOCK_SIZE before ERR_BLOCK_SIZE_REQD: expected true, saw false/,
      others: [],
      among: { disk: { blockSize: { ...sizes, minimum: 512 } }, server: { requireBlockSize: true } },
      says: [Says.toOption("GO", (frames) => frames.length === 2 ? frames.slice(-1) : undefined)]
    }
  ],
  "the size is a multiple of the minimum block size, and payloads of 1 MiB are taken": [
    {
      rule: "S-052",
      found: /bytes behind the last block: expected 0, saw 488/,
      others: [],
      says: [Misbehaviour.unalignedExport]
    },
    {
      rule: "S-052",
      found: /maximum payload: expected "1 MiB at least", saw 65536/,
      says: [Misbehaviour.smallMaximumPayload(65_536)]
    }
  ],
  "a client that asks for block sizes is not told to ask for them": [
    {
      rule: "S-039",
      found: /answer to GO: expected "NBD_REP_ACK", saw "NBD_REP_ERR_BLOCK_SIZE_REQD"/,
      others: [
        "NBD_INFO_EXPORT comes unasked, before the acknowledgement",
        "information of a type that nobody knows is not missed",
        "GO tells what INFO has just told",
        "no padding follows the acknowledgement of GO",
        "an unknown export is refused, by ERR_UNKNOWN without information, and haggling goes on",
        "where no block sizes are told the default ones hold: every byte is aligned, and 32 MiB are no matter",
        "whoever is told to ask for the block sizes is told them",
        "the size is a multiple of the minimum block size, and payloads of 1 MiB are taken",
        "HAS_FLAGS is set, and FAST_ZERO not without WRITE_ZEROES"
      ],
      says: [Misbehaviour.blockSizeRequired]
    }
  ],
  "HAS_FLAGS is set, and FAST_ZERO not without WRITE_ZEROES": [
    {
      rule: "S-009",
      found: /NBD_FLAG_HAS_FLAGS: expected 1, saw 0/,
      others: [],
      says: Says.flags((flags) => flags & ~TransmissionFlags.HAS_FLAGS)
    },
    {
      rule: "S-012",
      found: /SEND_WRITE_ZEROES: expected true, saw false/,
      says: Says.flags((flags) => flags & ~TransmissionFlags.SEND_WRITE_ZEROES)
    }
  ]
}
