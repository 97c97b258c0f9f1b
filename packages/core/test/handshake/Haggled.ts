/**
 * What the tests of options have in common: a connection past its greeting, and scripts of one option.
 */
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import { concat, exportInfo, infoRequest, opt, option, optionReply, rep } from "../fixtures/HandWritten.ts"
import type { Line } from "./ScriptedPeer.ts"

export const fixed: Agreed = { protocol: "newstyle-fixed", replyStyle: "Structured", noZeroes: true, tls: false }
export const notFixed: Agreed = { protocol: "newstyle", replyStyle: "Simple", noZeroes: false, tls: false }
export const everything = { fullInfo: true, blockSize: true }
export const nothing = { fullInfo: false, blockSize: false }

export const ack = (code: number): Uint8Array => optionReply(code, rep.ACK)

/** An option and, in one piece, all the server answers to it. */
export const asked = (request: Uint8Array, ...replies: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> => [
  { client: request },
  { server: concat(...replies) }
]

/** NBD_OPT_GO for the default export, asking for nothing, and these replies to it. */
export const goTo = (...replies: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> =>
  asked(option(opt.GO, infoRequest("")), ...replies)

/** NBD_OPT_GO with these information replies, acknowledged. */
export const goWith = (...infos: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> =>
  goTo(...infos.map((info) => optionReply(opt.GO, rep.INFO, info)), ack(opt.GO))

export const listed = (...replies: ReadonlyArray<Uint8Array>): ReadonlyArray<Line> =>
  asked(option(opt.LIST), ...replies)

/** An export of 1 MiB that can flush, and its facts. */
export const plain = exportInfo(1_048_576n, 0x0005)
