/**
 * Request headers of the transmission phase.
 *
 * Encoding writes into a caller's buffer, since many headers go out in one write.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "./Flags.ts"
import { magic } from "./Magic.ts"
import { hex, WireError } from "./WireError.ts"

/**
 * Command codes, in the specification's order.
 *
 * @since 0.1.0
 * @category constants
 */
export const commandCode = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7
} as const

/**
 * @since 0.1.0
 * @category models
 */
export interface RequestHeader {
  readonly flags: CommandFlags
  readonly command: number
  /** Any value that no other pending request has, up to 2^64 - 1; ours stay below 2^53. */
  readonly cookie: bigint
  readonly offset: bigint
  /** Bytes, up to 2^32 - 1. */
  readonly length: number
}

/**
 * Length of a compact request header in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const headerSize = 28

/**
 * Length of an extended request header in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const extendedHeaderSize = 32

/**
 * Writes a compact request header at `at`. The cookie is given as a number below 2^53, the form this client counts in.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeRequestHeader = (
  view: DataView,
  at: number,
  flags: number,
  command: number,
  cookie: number,
  offset: bigint,
  length: number
): void => {
  encodeCommon(view, at, magic.REQUEST, flags, command, cookie, offset)
  view.setUint32(at + 24, length)
}

/**
 * Writes an extended request header at `at`: as the compact one, with 64 bits for the length. The length is given as a
 * number up to 2^53 - 1. It counts bytes of payload where `flags` has PAYLOAD_LEN, and bytes of effect otherwise.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeExtendedRequestHeader = (
  view: DataView,
  at: number,
  flags: number,
  command: number,
  cookie: number,
  offset: bigint,
  length: number
): void => {
  encodeCommon(view, at, magic.EXTENDED_REQUEST, flags, command, cookie, offset)
  view.setUint32(at + 24, Math.floor(length / 0x1_0000_0000))
  view.setUint32(at + 28, length % 0x1_0000_0000)
}

const encodeCommon = (
  view: DataView,
  at: number,
  start: number,
  flags: number,
  command: number,
  cookie: number,
  offset: bigint
): void => {
  view.setUint32(at, start)
  view.setUint16(at + 4, flags)
  view.setUint16(at + 6, command)
  view.setUint32(at + 8, Math.floor(cookie / 0x1_0000_0000))
  view.setUint32(at + 12, cookie % 0x1_0000_0000)
  view.setBigUint64(at + 16, offset)
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeRequestHeader = (view: DataView, at: number): RequestHeader | WireError => {
  if (view.byteLength - at < headerSize) {
    return new WireError("28 bytes of request header", `${view.byteLength - at} bytes`, "Request message")
  }
  const start = view.getUint32(at)
  return start === magic.REQUEST
    ? {
      flags: CommandFlags(view.getUint16(at + 4)),
      command: view.getUint16(at + 6),
      cookie: view.getBigUint64(at + 8),
      offset: view.getBigUint64(at + 16),
      length: view.getUint32(at + 24)
    }
    : new WireError(`request magic ${hex(magic.REQUEST, 4)}`, hex(start, 4), "Request message")
}

/**
 * A request under extended headers.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExtendedRequestHeader extends Omit<RequestHeader, "length"> {
  /** Bytes of payload where `flags` has PAYLOAD_LEN, bytes of effect otherwise; up to 2^64 - 1. */
  readonly length: bigint
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const decodeExtendedRequestHeader = (view: DataView, at: number): ExtendedRequestHeader | WireError => {
  if (view.byteLength - at < extendedHeaderSize) {
    return new WireError("32 bytes of request header", `${view.byteLength - at} bytes`, "Extended request, C-219")
  }
  const start = view.getUint32(at)
  return start === magic.EXTENDED_REQUEST
    ? {
      flags: CommandFlags(view.getUint16(at + 4)),
      command: view.getUint16(at + 6),
      cookie: view.getBigUint64(at + 8),
      offset: view.getBigUint64(at + 16),
      length: view.getBigUint64(at + 24)
    }
    : new WireError(`request magic ${hex(magic.EXTENDED_REQUEST, 4)}`, hex(start, 4), "Extended request, C-219")
}
