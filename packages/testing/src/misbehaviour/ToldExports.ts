/**
 * Misbehaviour in the replies that list and describe exports (H-025 to H-033).
 *
 * @since 0.1.0
 */
import { concat, encodeText, maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { encodeInfo, infoType } from "@effect-nbd/core/wire/Info"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { fields } from "./Changes.ts"
import { withPayload } from "./Frame.ts"
import { make, type Misbehaviour } from "./Model.ts"
import { beforeAck, firstReply, ofInfo, ofType } from "./ReplyChanges.ts"

const isServer = ofType(replyType.SERVER)

const server = (name: string, description: string): Uint8Array =>
  concat([fields([4, encodeText(name).byteLength]), encodeText(name), encodeText(description)])

/**
 * NBD_REP_SERVER has less than 4 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const serverReplyTooShort = (length = 3): Misbehaviour =>
  make({
    name: "serverReplyTooShort",
    rule: "H-025",
    reaction: "Connection",
    sentence: "NBD_REP_SERVER has less than 4 bytes.",
    moment: "OptionAnswer",
    change: firstReply(isServer, (reply) => withPayload(reply, new Uint8Array(length)))
  })

/**
 * NBD_REP_SERVER has a name that is longer than itself.
 *
 * @since 0.1.0
 * @category steering
 */
export const exportNameOverrun = (length = 0xffff_ffff): Misbehaviour =>
  make({
    name: "exportNameOverrun",
    rule: "H-026",
    reaction: "Connection",
    sentence: "NBD_REP_SERVER has a name that is longer than itself.",
    moment: "OptionAnswer",
    change: firstReply(
      isServer,
      (reply) => withPayload(reply, concat([fields([4, length]), reply.payload.subarray(4)]))
    )
  })

/**
 * NBD_REP_SERVER has a name of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const exportNameTooLong: Misbehaviour = make({
  name: "exportNameTooLong",
  rule: "H-027",
  reaction: "Connection",
  sentence: "NBD_REP_SERVER has a name of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: firstReply(isServer, (reply) => withPayload(reply, server("x".repeat(maxStringBytes + 1), "")))
})

/**
 * NBD_REP_SERVER has a description of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const descriptionTooLong: Misbehaviour = make({
  name: "descriptionTooLong",
  rule: "H-027",
  reaction: "Connection",
  sentence: "NBD_REP_SERVER has a description of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: firstReply(isServer, (reply) => withPayload(reply, server("x", "y".repeat(maxStringBytes + 1))))
})

/**
 * NBD_REP_SERVER has a name of slashes, dots, NUL and control characters.
 *
 * @since 0.1.0
 * @category steering
 */
export const hostileExportName: Misbehaviour = make({
  name: "hostileExportName",
  rule: "H-028",
  reaction: "Tolerated",
  sentence: "NBD_REP_SERVER has a name of slashes, dots, NUL and control characters.",
  moment: "OptionAnswer",
  change: firstReply(isServer, (reply) => withPayload(reply, server("../../etc/\0\u001b[2J", "")))
})

/**
 * The same export is listed twice.
 *
 * @since 0.1.0
 * @category steering
 */
export const duplicateExportName: Misbehaviour = make({
  name: "duplicateExportName",
  rule: "H-029",
  reaction: "Tolerated",
  sentence: "The same export is listed twice.",
  moment: "OptionAnswer",
  change: firstReply(isServer, (reply) => [reply, reply])
})

/**
 * NBD_REP_INFO has less than 2 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const infoTooShort = (length = 1): Misbehaviour =>
  make({
    name: "infoTooShort",
    rule: "H-030",
    reaction: "Connection",
    sentence: "NBD_REP_INFO has less than 2 bytes.",
    moment: "OptionAnswer",
    change: firstReply(ofType(replyType.INFO), (reply) => withPayload(reply, new Uint8Array(length)))
  })

/**
 * NBD_INFO_EXPORT does not have 12 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const exportInfoLength: Misbehaviour = make({
  name: "exportInfoLength",
  rule: "H-031",
  reaction: "Connection",
  sentence: "NBD_INFO_EXPORT does not have 12 bytes.",
  moment: "OptionAnswer",
  change: firstReply(ofInfo(infoType.EXPORT), (reply) => withPayload(reply, reply.payload.subarray(0, 11)))
})

/**
 * NBD_INFO_BLOCK_SIZE does not have 14 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const blockSizeInfoLength: Misbehaviour = make({
  name: "blockSizeInfoLength",
  rule: "H-031",
  reaction: "Connection",
  sentence: "NBD_INFO_BLOCK_SIZE does not have 14 bytes.",
  moment: "OptionAnswer",
  change: beforeAck(fields([2, infoType.BLOCK_SIZE], [8, 1], [2, 0], [1, 0]))
})

/**
 * NBD_INFO_NAME has a name of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const nameInfoTooLong: Misbehaviour = make({
  name: "nameInfoTooLong",
  rule: "H-032",
  reaction: "Connection",
  sentence: "NBD_INFO_NAME has a name of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: beforeAck(encodeInfo({ _tag: "NameInfo", name: "x".repeat(maxStringBytes + 1) }))
})

/**
 * NBD_INFO_DESCRIPTION has a description of more than 4096 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const descriptionInfoTooLong: Misbehaviour = make({
  name: "descriptionInfoTooLong",
  rule: "H-032",
  reaction: "Connection",
  sentence: "NBD_INFO_DESCRIPTION has a description of more than 4096 bytes.",
  moment: "OptionAnswer",
  change: beforeAck(encodeInfo({ _tag: "DescriptionInfo", description: "x".repeat(maxStringBytes + 1) }))
})

/**
 * There is information of a type that nobody knows.
 *
 * @since 0.1.0
 * @category steering
 */
export const unknownInfo = (type = 0xffff): Misbehaviour =>
  make({
    name: "unknownInfo",
    rule: "H-033",
    reaction: "Tolerated",
    sentence: "There is information of a type that nobody knows.",
    moment: "OptionAnswer",
    change: beforeAck(encodeInfo({ _tag: "UnknownInfo", type, payload: new Uint8Array(1024) }))
  })
