/**
 * Misbehaviour in the greeting (H-001 to H-014).
 *
 * @since 0.1.0
 */
import { concat, encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { HandshakeFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeOldstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import type * as Duration from "effect/Duration"
import { apart, behind, type Cut, cutAfter, saying } from "./Changes.ts"
import { encode, optionReply, raw } from "./Frame.ts"
import { make, type Misbehaviour, type MomentOf, type Speech } from "./Model.ts"

/** Nothing where there are fewer than so many bytes, since another misbehaviour has taken some away. */
const patched =
  (size: number, change: (view: DataView) => void) => ({ frames, afterwards }: Speech): Speech | undefined => {
    const bytes = concat(frames.map(encode))
    if (bytes.byteLength < size) return undefined
    change(viewOf(bytes))
    return { frames: [raw(bytes)], afterwards }
  }

const handshakeFlags = (change: (flags: number) => number) => (speech: Speech, { handshake }: MomentOf<"Greeting">) =>
  handshake === "Newstyle" ? patched(18, (view) => view.setUint16(16, change(view.getUint16(16))))(speech) : undefined

const oldstyle = raw(
  encodeOldstyleGreeting({ exportSize: 1_048_576n, flags: TransmissionFlags(TransmissionFlags.HAS_FLAGS) })
)

/** Of a server of the other style it is an oldstyle greeting all the same. */
const patchedOldstyle =
  (size: number, change: (view: DataView) => void) =>
  (speech: Speech, { handshake }: MomentOf<"Greeting">): Speech | undefined =>
    patched(size, change)(handshake === "Oldstyle" ? speech : saying(oldstyle))

/**
 * The server speaks another protocol.
 *
 * @since 0.1.0
 * @category steering
 */
export const otherProtocol = (text = "HTTP/1.1 400 Bad Request\r\n\r\n"): Misbehaviour =>
  make({
    name: "otherProtocol",
    rule: "H-001",
    reaction: "Connection",
    sentence: "The server speaks another protocol.",
    moment: "Greeting",
    change: () => saying(raw(encodeText(text)))
  })

/**
 * The second magic of the greeting is neither the old nor the new one.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownSecondMagic: Misbehaviour = make({
  name: "unknownSecondMagic",
  rule: "H-002",
  reaction: "Connection",
  sentence: "The second magic of the greeting is neither the old nor the new one.",
  moment: "Greeting",
  change: patched(16, (view) => view.setBigUint64(8, 0x4948_4156_454f_5055n))
})

/**
 * The connection ends inside the greeting.
 *
 * @since 0.1.0
 * @category steering
 */
export const greetingCut = (cut: Cut = { after: 9, by: "End" }): Misbehaviour =>
  make({
    name: "greetingCut",
    rule: "H-003",
    reaction: "Connection",
    sentence: "The connection ends inside the greeting.",
    moment: "Greeting",
    change: (speech) => cutAfter(speech, cut)
  })

/**
 * Every byte of the greeting comes by itself.
 *
 * @since 0.1.0
 * @category steering
 */
export const greetingByteByByte: Misbehaviour = make({
  name: "greetingByteByByte",
  rule: "H-004",
  reaction: "Tolerated",
  sentence: "Every byte of the greeting comes by itself.",
  moment: "Greeting",
  change: (speech) => apart(speech, 0)
})

/**
 * The server accepts the connection and says nothing.
 *
 * @since 0.1.0
 * @category steering
 */
export const silentGreeting: Misbehaviour = make({
  name: "silentGreeting",
  rule: "H-005",
  reaction: "Guarded",
  sentence: "The server accepts the connection and says nothing.",
  moment: "Greeting",
  change: () => ({ frames: [], afterwards: "Silence" })
})

/**
 * The greeting comes a byte at a time, each after a while.
 *
 * @since 0.1.0
 * @category steering
 */
export const greetingDrip = (interval: Duration.DurationInput = "10 seconds"): Misbehaviour =>
  make({
    name: "greetingDrip",
    rule: "H-006",
    reaction: "Guarded",
    sentence: "The greeting comes a byte at a time, each after a while.",
    moment: "Greeting",
    change: (speech) => apart(speech, interval)
  })

/**
 * An option reply comes right behind the greeting, before any option was sent.
 *
 * @since 0.1.0
 * @category steering
 */
export const replyBehindGreeting: Misbehaviour = make({
  name: "replyBehindGreeting",
  rule: "H-007",
  reaction: "Connection",
  sentence: "An option reply comes right behind the greeting, before any option was sent.",
  moment: "Greeting",
  change: (speech) => behind(speech, optionReply(optionCode.STRUCTURED_REPLY, replyType.ACK))
})

/**
 * All 16 handshake flags are set.
 *
 * @since 0.1.0
 * @category steering
 */
export const allHandshakeFlags: Misbehaviour = make({
  name: "allHandshakeFlags",
  rule: "H-008",
  reaction: "Tolerated",
  sentence: "All 16 handshake flags are set.",
  moment: "Greeting",
  change: handshakeFlags(() => 0xffff)
})

/**
 * The server does not know options, so that there can be no TLS. It is the same as `notFixedNewstyle`, before a client
 * that requires TLS.
 *
 * @since 0.1.0
 * @category steering
 */
export const newstyleAgainstTls: Misbehaviour = make({
  name: "newstyleAgainstTls",
  rule: "H-009",
  reaction: "Connection",
  sentence: "The server does not know options, so that there can be no TLS.",
  moment: "Greeting",
  change: handshakeFlags((flags) => flags & ~HandshakeFlags.FIXED_NEWSTYLE)
})

/**
 * The server knows no option but NBD_OPT_EXPORT_NAME.
 *
 * @since 0.1.0
 * @category steering
 */
export const notFixedNewstyle: Misbehaviour = make({
  name: "notFixedNewstyle",
  rule: "H-010",
  reaction: "Tolerated",
  sentence: "The server knows no option but NBD_OPT_EXPORT_NAME.",
  moment: "Greeting",
  change: handshakeFlags((flags) => flags & ~HandshakeFlags.FIXED_NEWSTYLE)
})

/**
 * The greeting is an oldstyle one, so that there can be no TLS. It is the same as `oldstyleAgainstName`, before a
 * client that requires TLS.
 *
 * @since 0.1.0
 * @category steering
 */
export const oldstyleAgainstTls: Misbehaviour = make({
  name: "oldstyleAgainstTls",
  rule: "H-011",
  reaction: "Connection",
  sentence: "The greeting is an oldstyle one, so that there can be no TLS.",
  moment: "Greeting",
  change: () => saying(oldstyle)
})

/**
 * The greeting is an oldstyle one, with whatever export the server has.
 *
 * @since 0.1.0
 * @category steering
 */
export const oldstyleAgainstName: Misbehaviour = make({
  name: "oldstyleAgainstName",
  rule: "H-012",
  reaction: "Connection",
  sentence: "The greeting is an oldstyle one, with whatever export the server has.",
  moment: "Greeting",
  change: () => saying(oldstyle)
})

/**
 * An oldstyle greeting has bits in the upper half of its flags.
 *
 * @since 0.1.0
 * @category steering
 */
export const oldstyleUpperFlags: Misbehaviour = make({
  name: "oldstyleUpperFlags",
  rule: "H-013",
  reaction: "Connection",
  sentence: "An oldstyle greeting has bits in the upper half of its flags.",
  moment: "Greeting",
  change: patchedOldstyle(26, (view) => view.setUint16(24, 0x8000))
})

/**
 * The padding of an oldstyle greeting is not zero. It takes a server of that style.
 *
 * @since 0.1.0
 * @category steering
 */
export const oldstylePadding: Misbehaviour = make({
  name: "oldstylePadding",
  rule: "H-014",
  reaction: "Tolerated",
  sentence: "The padding of an oldstyle greeting is not zero.",
  moment: "Greeting",
  change: patchedOldstyle(28, (view) => new Uint8Array(view.buffer, view.byteOffset + 28).fill(0xff))
})

/**
 * The padding behind the answer to NBD_OPT_EXPORT_NAME is not zero. It takes a client that does not leave it out.
 *
 * @since 0.1.0
 * @category steering
 */
export const exportNamePadding: Misbehaviour = make({
  name: "exportNamePadding",
  rule: "H-014",
  reaction: "Tolerated",
  sentence: "The padding behind the answer to NBD_OPT_EXPORT_NAME is not zero.",
  moment: "ExportName",
  change: (speech, { noZeroes }) =>
    noZeroes ? undefined : patched(10, (view) => new Uint8Array(view.buffer, view.byteOffset + 10).fill(0xff))(speech)
})
