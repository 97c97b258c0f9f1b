/**
 * Misbehaviour from one session to the next, and from what was told to what is done (H-150 to H-154).
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { failing, to } from "./AnswerChanges.ts"
import { make, type Misbehaviour } from "./Model.ts"
import { onExport } from "./ReplyChanges.ts"

/**
 * The export is of another size on every session but the first.
 *
 * @since 0.1.0
 * @category steering
 */
export const otherExportNext: Misbehaviour = make({
  name: "otherExportNext",
  rule: "H-150",
  reaction: "Tolerated",
  sentence: "The export is of another size on every session but the first.",
  moment: "OptionAnswer",
  place: { session: (session) => session > 1 },
  change: onExport((told) => [{ ...told, exportSize: told.exportSize / 2n }])
})

/**
 * The export has no NBD_FLAG_CAN_MULTI_CONN on every session but the first.
 *
 * @since 0.1.0
 * @category steering
 */
export const lacksMultiConnNext: Misbehaviour = make({
  name: "lacksMultiConnNext",
  rule: "H-151",
  reaction: "Tolerated",
  sentence: "The export has no NBD_FLAG_CAN_MULTI_CONN on every session but the first.",
  moment: "OptionAnswer",
  place: { session: (session) => session > 1 },
  change: onExport((told) => [{ ...told, flags: TransmissionFlags(told.flags & ~TransmissionFlags.CAN_MULTI_CONN) }])
})

/**
 * NBD_OPT_INFO tells another size than NBD_OPT_GO.
 *
 * @since 0.1.0
 * @category steering
 */
export const goDiffersFromInfo: Misbehaviour = make({
  name: "goDiffersFromInfo",
  rule: "H-152",
  reaction: "Tolerated",
  sentence: "NBD_OPT_INFO tells another size than NBD_OPT_GO.",
  moment: "OptionAnswer",
  place: { option: "INFO" },
  change: onExport((told) => [{ ...told, exportSize: told.exportSize / 2n }])
})

/**
 * A write is not permitted although the export is writable.
 *
 * @since 0.1.0
 * @category steering
 */
export const notPermitted: Misbehaviour = make({
  name: "notPermitted",
  rule: "H-153",
  reaction: "Request",
  sentence: "A write is not permitted although the export is writable.",
  moment: "Answer",
  change: to("WRITE", failing(errno.EPERM))
})

/**
 * A command is not supported although it was offered.
 *
 * @since 0.1.0
 * @category steering
 */
export const notSupported: Misbehaviour = make({
  name: "notSupported",
  rule: "H-154",
  reaction: "Request",
  sentence: "A command is not supported although it was offered.",
  moment: "Answer",
  change: to("WRITE_ZEROES", failing(errno.ENOTSUP))
})
