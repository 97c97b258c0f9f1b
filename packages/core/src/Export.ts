/**
 * What is known of an export: what the server told of it while haggling.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import { printFields } from "./errors/Printed.ts"
import { TransmissionFlags } from "./wire/Flags.ts"

/**
 * Block size constraints in bytes (specification, "Block size constraints").
 *
 * @since 0.1.0
 * @category models
 */
export interface BlockSize {
  /** Offsets and lengths are multiples of it; a power of two from 1 to 65,536. */
  readonly minimum: number
  /** Multiples of it are fast; a power of two, at least 512. */
  readonly preferred: number
  /** Longest payload of a read or write; 4,294,967,295 means that there is no fixed limit. */
  readonly maximum: number
}

/**
 * How replies come: in one piece, in chunks that name their offset, or in such chunks under extended headers, with 64
 * bits for every length.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplyStyle = "Simple" | "Structured" | "Extended"

/**
 * Longest payload where the server advertised no limit, in bytes (C-089).
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultMaximumPayload = 33_554_432

/**
 * Longest read or write this client sends at all, in bytes, as in libnbd. It also bounds what a reply may carry.
 *
 * @since 0.1.0
 * @category constants
 */
export const maximumRequestPayload = 67_108_864

/**
 * An advert that breaks the specification's rules is ignored as a whole, as libnbd does, and the connection goes on
 * (C-100): the minimum is a power of two up to 65,536; the preferred size a power of two, at least 512 and at least
 * the minimum; the maximum at least the preferred size and either a multiple of the minimum or 4,294,967,295.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkBlockSize = (advert: BlockSize): Option.Option<BlockSize> => {
  const { maximum, minimum, preferred } = advert
  const valid = isPowerOfTwo(minimum) && minimum <= 65_536 &&
    isPowerOfTwo(preferred) && preferred >= 512 && preferred >= minimum &&
    maximum >= preferred && (maximum === 0xffff_ffff || maximum % minimum === 0)
  return valid ? Option.some({ minimum, preferred, maximum }) : Option.none()
}

// Doubling rather than bit tricks: bitwise operators are signed and would take 2^31 for a negative number.
const isPowerOfTwo = (value: number): boolean => {
  let power = 1
  while (power < value) power *= 2
  return power === value
}

/**
 * A meta context that the server granted for an export.
 *
 * @since 0.1.0
 * @category models
 */
export interface GrantedContext {
  /** For example `base:allocation`. */
  readonly name: string
  /** Names it in status chunks of this connection, and nowhere else (C-115). */
  readonly id: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ExportFacts {
  readonly name: string
  readonly size: bigint
  readonly flags: TransmissionFlags
  readonly replyStyle: ReplyStyle
  readonly blockSize: Option.Option<BlockSize>
  readonly canonicalName: Option.Option<string>
  readonly description: Option.Option<string>
  readonly contexts: ReadonlyArray<GrantedContext>
}

/**
 * An export as the server described it. Everything is known from the handshake: no getter asks the server.
 *
 * A capability that only makes sense together with another is false without it: `canDf` needs structured replies,
 * `canBlockStatusPayload` needs extended headers and `canFastZero` needs `canWriteZeroes`; the server's flags alone do not count (H-038).
 *
 * @since 0.1.0
 * @category models
 */
export class Export implements ExportFacts {
  /** The name it was asked for by; the empty name is the server's default export. */
  readonly name: string
  /** Bytes, up to 2^64 - 1. */
  readonly size: bigint
  /** The flags as they came. */
  readonly flags: TransmissionFlags
  readonly replyStyle: ReplyStyle
  /** What the server advertised, where it did and the advert was valid. */
  readonly blockSize: Option.Option<BlockSize>
  /** The server's own name for the export, for display. */
  readonly canonicalName: Option.Option<string>
  /** The server's text about the export, for display. */
  readonly description: Option.Option<string>
  /** The meta contexts that block status can be asked for, in the server's order. */
  readonly contexts: ReadonlyArray<GrantedContext>
  /** Longest payload of one request to read or write, in bytes: what is longer is sent as several. */
  readonly maximumPayload: number
  /** What offsets and lengths are multiples of, in bytes; 1 where nothing was advertised. */
  readonly minimumBlockSize: number

  constructor(facts: ExportFacts) {
    this.name = facts.name
    this.size = facts.size
    this.flags = facts.flags
    this.replyStyle = facts.replyStyle
    this.blockSize = facts.blockSize
    this.canonicalName = facts.canonicalName
    this.description = facts.description
    this.contexts = facts.contexts
    this.maximumPayload = Option.match(facts.blockSize, {
      onNone: () => defaultMaximumPayload,
      onSome: ({ maximum }) => Math.min(maximum, maximumRequestPayload)
    })
    this.minimumBlockSize = Option.match(facts.blockSize, { onNone: () => 1, onSome: ({ minimum }) => minimum })
  }

  /** What is known, as any logger can print it: `size` is a decimal string, and what is not known is `null`. */
  toJSON(): unknown {
    return printFields(this)
  }

  private has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }

  /** Writes, trims and zeroes would be refused. */
  get isReadOnly(): boolean {
    return this.has(TransmissionFlags.READ_ONLY)
  }
  /** The disk prefers sequential access. */
  get isRotational(): boolean {
    return this.has(TransmissionFlags.ROTATIONAL)
  }
  get canFlush(): boolean {
    return this.has(TransmissionFlags.SEND_FLUSH)
  }
  /** Writes, trims and zeroes can be made durable one by one. */
  get canFua(): boolean {
    return this.has(TransmissionFlags.SEND_FUA)
  }
  get canTrim(): boolean {
    return this.has(TransmissionFlags.SEND_TRIM)
  }
  get canWriteZeroes(): boolean {
    return this.has(TransmissionFlags.SEND_WRITE_ZEROES)
  }
  /** The server can be asked to zero only where that is faster than writing. */
  get canFastZero(): boolean {
    return this.canWriteZeroes && this.has(TransmissionFlags.SEND_FAST_ZERO)
  }
  /** A read can be asked for in one chunk. */
  get canDf(): boolean {
    return this.replyStyle !== "Simple" && this.has(TransmissionFlags.SEND_DF)
  }
  /** Block status can be asked for a part of the granted contexts only. */
  get canBlockStatusPayload(): boolean {
    return this.replyStyle === "Extended" && this.has(TransmissionFlags.BLOCK_STATUS_PAYLOAD)
  }
  /** The server granted this context (libnbd: `can_meta_context`). */
  canMetaContext(name: string): boolean {
    return this.contexts.some((context) => context.name === name)
  }
  /** Several connections see each other's flushed writes. */
  get canMultiConn(): boolean {
    return this.has(TransmissionFlags.CAN_MULTI_CONN)
  }
  /** The prefetch hint is understood. */
  get canCache(): boolean {
    return this.has(TransmissionFlags.SEND_CACHE)
  }
}
