/**
 * Commands as data: what the engine is asked to send.
 *
 * @since 0.1.0
 */
import { commandCode } from "../wire/RequestHeader.ts"

/**
 * The commands of the transmission phase that have a reply, by the name of the call that sends them.
 *
 * @since 0.1.0
 * @category models
 */
export type CommandName = "read" | "write" | "flush" | "trim" | "cache" | "writeZeroes"

/**
 * Code of each command on the wire.
 *
 * @since 0.1.0
 * @category constants
 */
export const codeOf: { readonly [Name in CommandName]: number } = {
  read: commandCode.READ,
  write: commandCode.WRITE,
  flush: commandCode.FLUSH,
  trim: commandCode.TRIM,
  cache: commandCode.CACHE,
  writeZeroes: commandCode.WRITE_ZEROES
}

/**
 * @since 0.1.0
 * @category models
 */
export interface NbdCommand {
  readonly name: CommandName
  /** Command flags as they go on the wire. */
  readonly flags: number
  readonly offset: bigint
  /** Bytes: of payload for a read or write, of effect otherwise. At most 2^32 - 1. */
  readonly length: number
  /** What a write sends, by reference: it must stay unchanged until the reply. */
  readonly payload: Uint8Array | undefined
  /** Where a read goes. Without it, memory is taken when the request is sent. */
  readonly destination: Uint8Array | undefined
}
