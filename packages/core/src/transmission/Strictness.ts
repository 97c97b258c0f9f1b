/**
 * Which of its own checks the client makes before it sends a command, libnbd's strict mode as one switch per bit.
 *
 * All are on. Switching one off is for testing servers: the request goes out as it is, and the server's answer decides.
 * What the wire cannot carry, and reads and writes over 64 MiB, are always refused.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export interface Strictness {
  /** LIBNBD_STRICT_COMMANDS: the server must have advertised the command and its flags, and a write needs a writable export. */
  readonly commands: boolean
  /** LIBNBD_STRICT_FLAGS: the command must know the flags it is sent with. */
  readonly flags: boolean
  /** LIBNBD_STRICT_BOUNDS: the range must lie inside the export. */
  readonly bounds: boolean
  /** LIBNBD_STRICT_ZERO_SIZE: the range must not be empty. */
  readonly zeroSize: boolean
  /** LIBNBD_STRICT_ALIGN: offset and length must be multiples of the minimum block size. */
  readonly align: boolean
  /**
   * LIBNBD_STRICT_PAYLOAD: no request is longer than the server takes. One that is goes out as several, in order: reads and
   * writes above the server's maximum payload, and also zeroes, trims and prefetches above 32 MiB where the server has named
   * no block sizes. Switched off, everything goes out whole.
   */
  readonly payload: boolean
  /** LIBNBD_STRICT_AUTO_FLAG: NBD_CMD_FLAG_PAYLOAD_LEN is set where it belongs; a caller's flags do not change that. */
  readonly autoFlag: boolean
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const strict: Strictness = {
  commands: true,
  flags: true,
  bounds: true,
  zeroSize: true,
  align: true,
  payload: true,
  autoFlag: true
}
