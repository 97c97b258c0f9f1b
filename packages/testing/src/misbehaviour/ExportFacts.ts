/**
 * Misbehaviour in what is said of an export by NBD_OPT_INFO and NBD_OPT_GO (H-034 to H-045).
 *
 * It applies to both, unless it is given a place.
 *
 * @since 0.1.0
 */
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeInfo, infoType } from "@effect-nbd/core/wire/Info"
import type { BlockSize } from "@effect-nbd/server/ServedExport"
import { make, type Misbehaviour, type MomentOf, type Speech } from "./Model.ts"
import { beforeAck, firstReply, ofInfo, onExport } from "./ReplyChanges.ts"

/** These constraints in place of those there are, if any. */
const blockSizes = (sizes: BlockSize) => (speech: Speech, moment: MomentOf<"OptionAnswer">): Speech | undefined => {
  const isBlockSize = ofInfo(infoType.BLOCK_SIZE)
  const frames = speech.frames.filter((frame) => !isBlockSize(frame))
  return beforeAck(encodeInfo({ _tag: "BlockSizeInfo", ...sizes }))({ ...speech, frames }, moment)
}

const meaningless = TransmissionFlags.SEND_DF | TransmissionFlags.SEND_FAST_ZERO |
  TransmissionFlags.BLOCK_STATUS_PAYLOAD

/**
 * NBD_OPT_GO is acknowledged without NBD_INFO_EXPORT.
 *
 * @since 0.1.0
 * @category steering
 */
export const missingExportInfo: Misbehaviour = make({
  name: "missingExportInfo",
  rule: "H-034",
  reaction: "Connection",
  sentence: "NBD_OPT_GO is acknowledged without NBD_INFO_EXPORT.",
  moment: "OptionAnswer",
  change: firstReply(ofInfo(infoType.EXPORT), () => [])
})

/**
 * NBD_INFO_EXPORT comes twice, with different sizes.
 *
 * @since 0.1.0
 * @category steering
 */
export const contradictoryExportInfo: Misbehaviour = make({
  name: "contradictoryExportInfo",
  rule: "H-035",
  reaction: "Connection",
  sentence: "NBD_INFO_EXPORT comes twice, with different sizes.",
  moment: "OptionAnswer",
  change: onExport((told) => [told, { ...told, exportSize: told.exportSize + 1n }])
})

/**
 * The transmission flags are all zero.
 *
 * @since 0.1.0
 * @category steering
 */
export const noTransmissionFlags: Misbehaviour = make({
  name: "noTransmissionFlags",
  rule: "H-037",
  reaction: "Connection",
  sentence: "The transmission flags are all zero.",
  moment: "OptionAnswer",
  change: onExport((told) => [{ ...told, flags: TransmissionFlags(0) }])
})

/**
 * The transmission flags promise what the replies that were agreed on cannot have.
 *
 * @since 0.1.0
 * @category steering
 */
export const contradictoryFlags: Misbehaviour = make({
  name: "contradictoryFlags",
  rule: "H-038",
  reaction: "Tolerated",
  sentence: "The transmission flags promise what the replies that were agreed on cannot have.",
  moment: "OptionAnswer",
  change: onExport((told) => [
    { ...told, flags: TransmissionFlags((told.flags | meaningless) & ~TransmissionFlags.SEND_WRITE_ZEROES) }
  ])
})

/**
 * The export has 2^63 bytes and more.
 *
 * @since 0.1.0
 * @category steering
 */
export const hugeExport = (exportSize = 0xffff_ffff_ffff_ffffn): Misbehaviour =>
  make({
    name: "hugeExport",
    rule: "H-039",
    reaction: "Tolerated",
    sentence: "The export has 2^63 bytes and more.",
    moment: "OptionAnswer",
    change: onExport((told) => [{ ...told, exportSize }])
  })

/**
 * The export has more than 2^53 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const largeExport = (exportSize = 0x20_0000_0000_0001n): Misbehaviour =>
  make({
    name: "largeExport",
    rule: "H-040",
    reaction: "Tolerated",
    sentence: "The export has more than 2^53 bytes.",
    moment: "OptionAnswer",
    change: onExport((told) => [{ ...told, exportSize }])
  })

/**
 * The export has no bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const emptyExport: Misbehaviour = make({
  name: "emptyExport",
  rule: "H-041",
  reaction: "Tolerated",
  sentence: "The export has no bytes.",
  moment: "OptionAnswer",
  change: onExport((told) => [{ ...told, exportSize: 0n }])
})

/**
 * The export is no multiple of its minimum block size.
 *
 * @since 0.1.0
 * @category steering
 */
export const unalignedExport: Misbehaviour = make({
  name: "unalignedExport",
  rule: "H-042",
  reaction: "Tolerated",
  sentence: "The export is no multiple of its minimum block size.",
  moment: "OptionAnswer",
  change: (speech, moment) => {
    const sized = blockSizes({ minimum: 512, preferred: 4096, maximum: 65_536 })(speech, moment)
    return sized && onExport((told) => [{ ...told, exportSize: told.exportSize - 24n }])(sized)
  }
})

/**
 * The block size constraints are such as cannot be.
 *
 * @since 0.1.0
 * @category steering
 */
export const senselessBlockSize = (sizes: BlockSize = { minimum: 0, preferred: 3, maximum: 0 }): Misbehaviour =>
  make({
    name: "senselessBlockSize",
    rule: "H-043",
    reaction: "Tolerated",
    sentence: "The block size constraints are such as cannot be.",
    moment: "OptionAnswer",
    change: blockSizes(sizes)
  })

/**
 * The maximum payload is very small, and valid.
 *
 * @since 0.1.0
 * @category steering
 */
export const smallMaximumPayload = (maximum = 512): Misbehaviour =>
  make({
    name: "smallMaximumPayload",
    rule: "H-044",
    reaction: "Tolerated",
    sentence: "The maximum payload is very small, and valid.",
    moment: "OptionAnswer",
    change: blockSizes({ minimum: 1, preferred: 512, maximum })
  })

/**
 * There are block size constraints that were not asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const unaskedBlockSize: Misbehaviour = make({
  name: "unaskedBlockSize",
  rule: "H-045",
  reaction: "Tolerated",
  sentence: "There are block size constraints that were not asked for.",
  moment: "OptionAnswer",
  change: blockSizes({ minimum: 512, preferred: 4096, maximum: 65_536 })
})
