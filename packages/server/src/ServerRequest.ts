/**
 * One request of the transmission phase as a server receives it, under any form of header.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly flags: CommandFlags
  readonly command: number
  readonly cookie: bigint
  readonly offset: bigint
  /** Bytes of the export that it is about, up to 2^64 - 1. */
  readonly length: bigint
  /** Bytes that follow the header. */
  readonly payloadLength: number
  /** The meta contexts that a request for block status is limited to; `undefined` where it is for all. */
  readonly contextIds?: ReadonlyArray<number> | undefined
}

/**
 * Largest payload of a request or reply in bytes, whatever an export advertises.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxPayload = 67_108_864

/**
 * Whether a request's flags say that its length counts bytes of payload.
 *
 * @since 0.1.0
 * @category guards
 */
export const hasPayload = ({ flags }: { readonly flags: CommandFlags }): boolean =>
  (flags & CommandFlags.PAYLOAD_LEN) !== 0
