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
  view.setUint32(at, magic.REQUEST)
  view.setUint16(at + 4, flags)
  view.setUint16(at + 6, command)
  view.setUint32(at + 8, Math.floor(cookie / 0x1_0000_0000))
  view.setUint32(at + 12, cookie % 0x1_0000_0000)
  view.setBigUint64(at + 16, offset)
  view.setUint32(at + 24, length)
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
