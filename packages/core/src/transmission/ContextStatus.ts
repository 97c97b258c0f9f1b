/**
 * The answer to NBD_CMD_BLOCK_STATUS, context by context.
 *
 * @since 0.1.0
 * @public
 */
import { type Descriptors, maxDescriptors } from "../wire/BlockStatus.ts"

/**
 * One run of bytes of the same status, in bytes from the start of the export.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extent {
  readonly offset: bigint
  readonly length: bigint
  /** The context says what they mean: `MetaContext.decode`. */
  readonly flags: bigint
}

/**
 * What one context says about the bytes from `offset` on. It may say less than was asked for, and its last extent may go
 * on beyond, up to the end of the export.
 *
 * The extents stay as they came, and become objects one at a time, as they are asked for.
 *
 * @since 0.1.0
 * @category models
 */
export class ContextStatus implements Iterable<Extent> {
  /** The context's name, for example `base:allocation`. */
  readonly context: string
  readonly offset: bigint
  /** Bytes that the extents cover together. */
  readonly covered: bigint
  /** How many extents there are: at least 1. */
  readonly count: number
  private readonly descriptors: Descriptors
  /** What the last extent is cut to. */
  private readonly lastLength: bigint

  constructor(options: {
    readonly context: string
    readonly offset: bigint
    readonly descriptors: Descriptors
    readonly extent: DescribedExtent
  }) {
    this.context = options.context
    this.offset = options.offset
    this.descriptors = options.descriptors
    this.count = options.extent.count
    this.covered = options.extent.covered
    this.lastLength = options.extent.lastLength
  }

  /** Bytes of the extent at `index`, from 0 up to `count`. */
  lengthAt(index: number): bigint {
    return index === this.count - 1 ? this.lastLength : this.descriptors.lengthAt(index)
  }

  /** Flags of the extent at `index`. */
  flagsAt(index: number): bigint {
    return this.descriptors.flagsAt(index)
  }

  *[Symbol.iterator](): Generator<Extent> {
    let offset = this.offset
    for (let index = 0; index < this.count; index++) {
      const length = this.lengthAt(index)
      yield { offset, length, flags: this.flagsAt(index) }
      offset += length
    }
  }
}

/**
 * How many of the descriptors count, and how far they reach.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedExtent {
  readonly count: number
  readonly covered: bigint
  readonly lastLength: bigint
}

/**
 * Most descriptors that an answer about so many bytes can have, each of them being about one byte at least.
 *
 * @since 0.1.0
 * @category constants
 */
export const mostDescriptors = (length: number): number => Math.min(maxDescriptors, length)

/**
 * The largest number of extents that are kept for one request, over all contexts: 64 MiB of them, as much as the
 * longest read.
 *
 * @since 0.1.0
 * @category constants
 */
export const mostExtents = 4 * maxDescriptors

/**
 * How many extents are kept for each context, given the number of contexts. The client asks again about the rest of the
 * range, as after any answer that covers less than was asked for (C-192).
 *
 * @since 0.1.0
 * @category constants
 */
export const extentsKept = (contexts: number, length: number): number =>
  Math.min(mostDescriptors(length), Math.max(1, Math.floor(mostExtents / contexts)))

/**
 * Adds descriptors up, and cuts them where the export ends (H-141). All but the last stay inside the request, so that
 * their sum cannot wrap; a string says which rule they break.
 *
 * @since 0.1.0
 * @category decoding
 */
export const measure = (
  descriptors: Descriptors,
  requested: bigint,
  available: bigint
): DescribedExtent | "an extent of no bytes" | "more extents than fit the request" => {
  let covered = 0n
  // At most `extentsKept`, once for each context that was asked about.
  for (let index = 0; index < descriptors.count; index++) {
    const length = descriptors.lengthAt(index)
    if (length === 0n) return "an extent of no bytes"
    if (covered >= requested) return "more extents than fit the request"
    const left = available - covered
    if (length > left) {
      return index < descriptors.count - 1
        ? "more extents than fit the request"
        : { count: descriptors.count, covered: available, lastLength: left }
    }
    covered += length
  }
  return { count: descriptors.count, covered, lastLength: descriptors.lengthAt(descriptors.count - 1) }
}

/**
 * The same for a request for one extent (NBD_CMD_FLAG_REQ_ONE), which is not longer than the request.
 *
 * @since 0.1.0
 * @category decoding
 */
export const measureOne = (
  descriptors: Descriptors,
  requested: bigint
): DescribedExtent | "an extent of no bytes" => {
  const length = descriptors.lengthAt(0)
  if (length === 0n) return "an extent of no bytes"
  const covered = length > requested ? requested : length
  return { count: 1, covered, lastLength: covered }
}
