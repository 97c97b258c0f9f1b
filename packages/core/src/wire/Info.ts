/**
 * The information replies of NBD_OPT_INFO and NBD_OPT_GO.
 *
 * @since 0.1.0
 */
import { concat, decodeText, encodeText, maxStringBytes, viewOf } from "./Bytes.ts"
import { TransmissionFlags } from "./Flags.ts"
import { WireError } from "./WireError.ts"

/**
 * @since 0.1.0
 * @category constants
 */
export const infoType = {
  EXPORT: 0,
  NAME: 1,
  DESCRIPTION: 2,
  BLOCK_SIZE: 3
} as const

/**
 * One information reply. `UnknownInfo` is kept apart so that it can be ignored at any length (C-049).
 *
 * @since 0.1.0
 * @category models
 */
export type Info =
  | { readonly _tag: "ExportInfo"; readonly exportSize: bigint; readonly flags: TransmissionFlags }
  | { readonly _tag: "NameInfo"; readonly name: string }
  | { readonly _tag: "DescriptionInfo"; readonly description: string }
  | { readonly _tag: "BlockSizeInfo"; readonly minimum: number; readonly preferred: number; readonly maximum: number }
  | { readonly _tag: "UnknownInfo"; readonly type: number; readonly payload: Uint8Array }

const typed = (type: number, rest: Uint8Array): Uint8Array => {
  const head = new Uint8Array(2)
  viewOf(head).setUint16(0, type)
  return concat([head, rest])
}

/**
 * The payload of an NBD_REP_INFO reply, its 2-byte type included.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeInfo = (info: Info): Uint8Array => {
  switch (info._tag) {
    case "ExportInfo": {
      const rest = new Uint8Array(10)
      const view = viewOf(rest)
      view.setBigUint64(0, info.exportSize)
      view.setUint16(8, info.flags)
      return typed(infoType.EXPORT, rest)
    }
    case "NameInfo":
      return typed(infoType.NAME, encodeText(info.name))
    case "DescriptionInfo":
      return typed(infoType.DESCRIPTION, encodeText(info.description))
    case "BlockSizeInfo": {
      const rest = new Uint8Array(12)
      const view = viewOf(rest)
      view.setUint32(0, info.minimum)
      view.setUint32(4, info.preferred)
      view.setUint32(8, info.maximum)
      return typed(infoType.BLOCK_SIZE, rest)
    }
    case "UnknownInfo":
      return typed(info.type, info.payload)
  }
}

/**
 * Lengths are fixed for EXPORT and BLOCK_SIZE and bounded by the longest string for the others (C-054).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeInfo = (payload: Uint8Array): Info | WireError => {
  if (payload.byteLength < 2) {
    return new WireError("an information type of 2 bytes", `${payload.byteLength} bytes`, "NBD_REP_INFO, C-054")
  }
  const view = viewOf(payload)
  const type = view.getUint16(0)
  const rest = payload.subarray(2)
  switch (type) {
    case infoType.EXPORT:
      return payload.byteLength === 12
        ? { _tag: "ExportInfo", exportSize: view.getBigUint64(2), flags: TransmissionFlags(view.getUint16(10)) }
        : new WireError("12 bytes of NBD_INFO_EXPORT", `${payload.byteLength} bytes`, "NBD_REP_INFO, C-054")
    case infoType.NAME:
      return rest.byteLength <= maxStringBytes
        ? { _tag: "NameInfo", name: decodeText(rest) }
        : new WireError("a name of at most 4096 bytes", `${rest.byteLength} bytes`, "NBD_REP_INFO, C-054")
    case infoType.DESCRIPTION:
      return rest.byteLength <= maxStringBytes
        ? { _tag: "DescriptionInfo", description: decodeText(rest) }
        : new WireError("a description of at most 4096 bytes", `${rest.byteLength} bytes`, "NBD_REP_INFO, C-054")
    case infoType.BLOCK_SIZE:
      return payload.byteLength === 14
        ? {
          _tag: "BlockSizeInfo",
          minimum: view.getUint32(2),
          preferred: view.getUint32(6),
          maximum: view.getUint32(10)
        }
        : new WireError("14 bytes of NBD_INFO_BLOCK_SIZE", `${payload.byteLength} bytes`, "NBD_REP_INFO, C-054")
    default:
      return { _tag: "UnknownInfo", type, payload: rest }
  }
}
