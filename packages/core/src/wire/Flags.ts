/**
 * The five flag fields of the protocol, one type each, so that a bit of one can never be set in another.
 *
 * @since 0.1.0
 */
import * as Brand from "effect/Brand"

/**
 * What the server offers in its newstyle greeting, 16 bits.
 *
 * @since 0.1.0
 * @category models
 */
export type HandshakeFlags = number & Brand.Brand<"HandshakeFlags">

/**
 * @since 0.1.0
 * @category constants
 */
export const HandshakeFlags = Object.assign(Brand.nominal<HandshakeFlags>(), {
  FIXED_NEWSTYLE: 0x0001,
  NO_ZEROES: 0x0002
})

/**
 * What the client answers to the greeting, 32 bits. A bit may be set only where the server offered it (C-016, C-017).
 *
 * @since 0.1.0
 * @category models
 */
export type ClientFlags = number & Brand.Brand<"ClientFlags">

/**
 * @since 0.1.0
 * @category constants
 */
export const ClientFlags = Object.assign(Brand.nominal<ClientFlags>(), {
  FIXED_NEWSTYLE: 0x0000_0001,
  NO_ZEROES: 0x0000_0002
})

/**
 * What an export can do, 16 bits, sent with its size.
 *
 * @since 0.1.0
 * @category models
 */
export type TransmissionFlags = number & Brand.Brand<"TransmissionFlags">

/**
 * @since 0.1.0
 * @category constants
 */
export const TransmissionFlags = Object.assign(Brand.nominal<TransmissionFlags>(), {
  HAS_FLAGS: 0x0001,
  READ_ONLY: 0x0002,
  SEND_FLUSH: 0x0004,
  SEND_FUA: 0x0008,
  ROTATIONAL: 0x0010,
  SEND_TRIM: 0x0020,
  SEND_WRITE_ZEROES: 0x0040,
  SEND_DF: 0x0080,
  CAN_MULTI_CONN: 0x0100,
  SEND_RESIZE: 0x0200,
  SEND_CACHE: 0x0400,
  SEND_FAST_ZERO: 0x0800,
  BLOCK_STATUS_PAYLOAD: 0x1000
})

/**
 * The flags of one request, 16 bits.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandFlags = number & Brand.Brand<"CommandFlags">

/**
 * @since 0.1.0
 * @category constants
 */
export const CommandFlags = Object.assign(Brand.nominal<CommandFlags>(), {
  FUA: 0x0001,
  NO_HOLE: 0x0002,
  DF: 0x0004,
  REQ_ONE: 0x0008,
  FAST_ZERO: 0x0010,
  PAYLOAD_LEN: 0x0020
})

/**
 * The flags of one structured reply chunk, 16 bits. Unknown bits are ignored (C-166).
 *
 * @since 0.1.0
 * @category models
 */
export type ReplyFlags = number & Brand.Brand<"ReplyFlags">

/**
 * @since 0.1.0
 * @category constants
 */
export const ReplyFlags = Object.assign(Brand.nominal<ReplyFlags>(), {
  DONE: 0x0001
})
