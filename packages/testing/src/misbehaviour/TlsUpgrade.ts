/**
 * Misbehaviour in the change to TLS (H-062 to H-071).
 *
 * What needs real certificates or versions of TLS is not here: see Elsewhere.
 *
 * @since 0.1.0
 */
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { behind, isFrame, saying } from "./Changes.ts"
import { chunk, optionReply, withPayload } from "./Frame.ts"
import { make, type Misbehaviour, type MomentOf, type Speech } from "./Model.ts"

const isReply = isFrame("OptionReply")

const forged = optionReply(optionCode.STRUCTURED_REPLY, replyType.ACK)

const refused = saying(optionReply(optionCode.STARTTLS, replyType.ERR_POLICY, encodeText("no TLS today")))

const onStartTls =
  (change: (speech: Speech) => Speech) => (speech: Speech, { option }: MomentOf<"OptionAnswer">): Speech | undefined =>
    option === optionCode.STARTTLS ? change(speech) : undefined

/**
 * NBD_OPT_STARTTLS is acknowledged with data.
 *
 * @since 0.1.0
 * @category steering
 */
export const startTlsAckWithData: Misbehaviour = make({
  name: "startTlsAckWithData",
  rule: "H-062",
  reaction: "Connection",
  sentence: "NBD_OPT_STARTTLS is acknowledged with data.",
  moment: "OptionAnswer",
  change: onStartTls((speech) => ({
    ...speech,
    frames: speech.frames.map((frame) => isReply(frame) ? withPayload(frame, Uint8Array.of(1)) : frame)
  }))
})

/**
 * Plaintext follows the acknowledgement of NBD_OPT_STARTTLS, in the same segment.
 *
 * @since 0.1.0
 * @category steering
 */
export const plaintextBehindStartTls: Misbehaviour = make({
  name: "plaintextBehindStartTls",
  rule: "H-063",
  reaction: "Connection",
  sentence: "Plaintext follows the acknowledgement of NBD_OPT_STARTTLS, in the same segment.",
  moment: "OptionAnswer",
  change: onStartTls((speech) => behind(speech, forged))
})

/**
 * A reply to another option comes before that to NBD_OPT_STARTTLS.
 *
 * @since 0.1.0
 * @category steering
 */
export const forgedBeforeStartTls: Misbehaviour = make({
  name: "forgedBeforeStartTls",
  rule: "H-064",
  reaction: "Connection",
  sentence: "A reply to another option comes before that to NBD_OPT_STARTTLS.",
  moment: "OptionAnswer",
  change: onStartTls(({ frames, afterwards }) => ({ frames: [forged, ...frames], afterwards }))
})

/**
 * NBD_OPT_STARTTLS is refused. It is the same as `startTlsRefused`, before a client that requires TLS.
 *
 * @since 0.1.0
 * @category steering
 */
export const startTlsRefusedWhereRequired: Misbehaviour = make({
  name: "startTlsRefusedWhereRequired",
  rule: "H-065",
  reaction: "Connection",
  sentence: "NBD_OPT_STARTTLS is refused.",
  moment: "OptionAnswer",
  change: onStartTls(() => refused)
})

/**
 * NBD_OPT_STARTTLS is refused, by whoever is between a client and its server perhaps.
 *
 * @since 0.1.0
 * @category steering
 */
export const startTlsRefused: Misbehaviour = make({
  name: "startTlsRefused",
  rule: "H-066",
  reaction: "Tolerated",
  sentence: "NBD_OPT_STARTTLS is refused, by whoever is between a client and its server perhaps.",
  moment: "OptionAnswer",
  change: onStartTls(() => refused)
})

/**
 * NBD_OPT_STARTTLS is acknowledged, and haggling goes on in plaintext.
 *
 * @since 0.1.0
 * @category steering
 */
export const plaintextInsteadOfTls: Misbehaviour = make({
  name: "plaintextInsteadOfTls",
  rule: "H-067",
  reaction: "Connection",
  sentence: "NBD_OPT_STARTTLS is acknowledged, and haggling goes on in plaintext.",
  moment: "TlsHandshake",
  change: () => saying(forged)
})

/**
 * NBD_OPT_STARTTLS is acknowledged, and the server says nothing any more.
 *
 * @since 0.1.0
 * @category steering
 */
export const tlsStalls: Misbehaviour = make({
  name: "tlsStalls",
  rule: "H-070",
  reaction: "Guarded",
  sentence: "NBD_OPT_STARTTLS is acknowledged, and the server says nothing any more.",
  moment: "TlsHandshake",
  change: () => ({ frames: [], afterwards: "Silence" })
})

/**
 * Under TLS the server replies in a style that was agreed on before it.
 *
 * @since 0.1.0
 * @category steering
 */
export const staleReplyStyle: Misbehaviour = make({
  name: "staleReplyStyle",
  rule: "H-071",
  reaction: "Connection",
  sentence: "Under TLS the server replies in a style that was agreed on before it.",
  moment: "Answer",
  change: (_, { replyStyle, request: { cookie, offset } }) =>
    replyStyle === "Simple" ? saying(chunk("Structured", { cookie, offset, type: chunkType.NONE })) : undefined
})
