/**
 * The answer to NBD_OPT_EXPORT_NAME, which has no option reply header: size and flags, then 124 bytes of padding
 * unless both sides agreed to leave them out.
 *
 * @since 0.1.0
 */
import { viewOf } from "./Bytes.ts"
import { TransmissionFlags } from "./Flags.ts"
import { WireError } from "./WireError.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ExportNameReply {
  readonly exportSize: bigint
  readonly flags: TransmissionFlags
}

/**
 * Length of the answer in bytes: 10 with NO_ZEROES agreed, 134 without (C-063).
 *
 * @since 0.1.0
 * @category constants
 */
export const replySize = (noZeroes: boolean): number => noZeroes ? 10 : 134

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeExportNameReply = (reply: ExportNameReply, noZeroes: boolean): Uint8Array => {
  const bytes = new Uint8Array(replySize(noZeroes))
  const view = viewOf(bytes)
  view.setBigUint64(0, reply.exportSize)
  view.setUint16(8, reply.flags)
  return bytes
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeExportNameReply = (bytes: Uint8Array): ExportNameReply | WireError => {
  if (bytes.byteLength < 10) {
    return new WireError("at least 10 bytes", `${bytes.byteLength} bytes`, "NBD_OPT_EXPORT_NAME")
  }
  const view = viewOf(bytes)
  return { exportSize: view.getBigUint64(0), flags: TransmissionFlags(view.getUint16(8)) }
}
