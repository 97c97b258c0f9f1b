/**
 * Ways to change option replies, from which misbehaviours are made.
 *
 * @since 0.1.0
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { decodeInfo, encodeInfo, type Info, infoType } from "@effect-nbd/core/wire/Info"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { first, isFrame } from "./Changes.ts"
import { type Frame, optionReply, type OptionReplyFrame, withPayload } from "./Frame.ts"
import type { MomentOf, Speech } from "./Model.ts"

type Test = (frame: Frame) => frame is OptionReplyFrame

const isReply = isFrame("OptionReply")

/**
 * Frames that are replies of a type.
 *
 * @since 0.1.0
 * @category guards
 */
export const ofType = (type: number): Test => (frame): frame is OptionReplyFrame =>
  isReply(frame) && frame.type === type

/**
 * Frames that are information of a type.
 *
 * @since 0.1.0
 * @category guards
 */
export const ofInfo = (type: number): Test => (frame): frame is OptionReplyFrame =>
  ofType(replyType.INFO)(frame) && frame.payload.byteLength >= 2 && viewOf(frame.payload).getUint16(0) === type

/**
 * Other replies in place of the first one that passes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const firstReply = (
  test: Test,
  change: (reply: OptionReplyFrame) => OptionReplyFrame | ReadonlyArray<OptionReplyFrame>
) =>
(speech: Speech): Speech | undefined => first(speech, test, change)

/**
 * Further information in answer to INFO or GO, before it is acknowledged.
 *
 * @since 0.1.0
 * @category constructors
 */
export const beforeAck =
  (...payloads: ReadonlyArray<Uint8Array>) =>
  (speech: Speech, { option }: MomentOf<"OptionAnswer">): Speech | undefined =>
    option === optionCode.INFO || option === optionCode.GO
      ? first(
        speech,
        ofType(replyType.ACK),
        (ack) => [...payloads.map((payload) => optionReply(option, replyType.INFO, payload)), ack]
      )
      : undefined

type ExportInfo = Extract<Info, { readonly _tag: "ExportInfo" }>

/**
 * Other information in place of NBD_INFO_EXPORT.
 *
 * @since 0.1.0
 * @category constructors
 */
export const onExport = (change: (told: ExportInfo) => ReadonlyArray<Info>) =>
  firstReply(ofInfo(infoType.EXPORT), (reply) => {
    const told = decodeInfo(reply.payload)
    return told._tag === "ExportInfo" ? change(told).map((info) => withPayload(reply, encodeInfo(info))) : reply
  })
