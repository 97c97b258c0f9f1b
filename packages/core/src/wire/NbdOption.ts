/**
 * Option requests: what the client sends while haggling.
 *
 * @since 0.1.0
 */
import { concat, decodeText, encodeText, maxStringBytes, viewOf } from "./Bytes.ts"
import { magic } from "./Magic.ts"
import { hex, WireError } from "./WireError.ts"

/**
 * Option codes, in the specification's spelling and order. Option 4 (PEEK_EXPORT) was withdrawn.
 *
 * @since 0.1.0
 * @category constants
 */
export const optionCode = {
  EXPORT_NAME: 0x01,
  ABORT: 0x02,
  LIST: 0x03,
  STARTTLS: 0x05,
  INFO: 0x06,
  GO: 0x07,
  STRUCTURED_REPLY: 0x08,
  LIST_META_CONTEXT: 0x09,
  SET_META_CONTEXT: 0x0a,
  EXTENDED_HEADERS: 0x0b
} as const

/**
 * @since 0.1.0
 * @category models
 */
export type OptionName = keyof typeof optionCode

/**
 * @since 0.1.0
 * @category formatting
 */
export const optionName = (code: number): string => {
  for (const [name, value] of Object.entries(optionCode)) {
    if (value === code) return `NBD_OPT_${name}`
  }
  return `option ${hex(code, 4)}`
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OptionHeader {
  readonly option: number
  /** Bytes of data that follow, up to 2^32 - 1. */
  readonly length: number
}

/**
 * Length of an option request header in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const headerSize = 16

/**
 * An option request, header and data.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeOption = (option: number, data: Uint8Array): Uint8Array => {
  const header = new Uint8Array(headerSize)
  const view = viewOf(header)
  view.setBigUint64(0, magic.OPTION)
  view.setUint32(8, option)
  view.setUint32(12, data.byteLength)
  return concat([header, data])
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeOptionHeader = (bytes: Uint8Array): OptionHeader | WireError => {
  if (bytes.byteLength !== headerSize) {
    return new WireError("16 bytes of option header", `${bytes.byteLength} bytes`, "Newstyle negotiation")
  }
  const view = viewOf(bytes)
  const start = view.getBigUint64(0)
  return start === magic.OPTION
    ? { option: view.getUint32(8), length: view.getUint32(12) }
    : new WireError(`option magic ${hex(magic.OPTION, 8)}`, hex(start, 8), "Newstyle negotiation")
}

/**
 * The data of NBD_OPT_INFO and NBD_OPT_GO.
 *
 * @since 0.1.0
 * @category models
 */
export interface InfoRequest {
  readonly exportName: string
  /** Information types asked for, without duplicates (C-048). */
  readonly types: ReadonlyArray<number>
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeInfoRequest = (request: InfoRequest): Uint8Array => {
  const name = encodeText(request.exportName)
  const bytes = new Uint8Array(6 + name.byteLength + 2 * request.types.length)
  const view = viewOf(bytes)
  view.setUint32(0, name.byteLength)
  bytes.set(name, 4)
  view.setUint16(4 + name.byteLength, request.types.length)
  request.types.forEach((type, index) => view.setUint16(6 + name.byteLength + 2 * index, type))
  return bytes
}

/**
 * The name's length leaves room for the count, and the count fills the rest exactly (C-047).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeInfoRequest = (data: Uint8Array): InfoRequest | WireError => {
  const rule = "NBD_OPT_GO, C-047"
  if (data.byteLength < 6) return new WireError("at least 6 bytes", `${data.byteLength} bytes`, rule)
  const view = viewOf(data)
  const nameLength = view.getUint32(0)
  if (nameLength > data.byteLength - 6) {
    return new WireError(`a name of at most ${data.byteLength - 6} bytes`, `${nameLength}`, rule)
  }
  if (nameLength > maxStringBytes) return new WireError("a name of at most 4096 bytes", `${nameLength}`, "C-003")
  const count = view.getUint16(4 + nameLength)
  if (2 * count !== data.byteLength - 6 - nameLength) {
    return new WireError(`${(data.byteLength - 6 - nameLength) / 2} information requests`, `${count}`, rule)
  }
  const types: Array<number> = []
  for (let index = 0; index < count; index++) types.push(view.getUint16(6 + nameLength + 2 * index))
  return { exportName: decodeText(data.subarray(4, 4 + nameLength)), types }
}
