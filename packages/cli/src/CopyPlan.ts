/**
 * Whether a copy is possible at all, and how long its requests are: decided before anything is written.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Sink, Source } from "./CopyEnds.ts"

/**
 * The source does not fit. Nothing was written, unless the size of the source was not known: then it has been filled.
 *
 * @since 0.1.0
 * @category errors
 */
export class DestinationTooSmallError extends Data.TaggedError("DestinationTooSmallError")<{
  readonly source: string
  /** `undefined` where it only showed that there is more. */
  readonly sourceSize: bigint | undefined
  readonly destination: string
  readonly destinationSize: bigint
}> {
  override get message(): string {
    const bytes = this.sourceSize === undefined ? "more bytes" : `${this.sourceSize} bytes`
    return `${this.source} has ${bytes} and does not fit in ${this.destination}, which has ${this.destinationSize}`
  }
}

/**
 * The end of the source cannot be copied: one of the two ends only takes requests that are multiples of its minimum
 * block size, and the source's size is none. Nothing was written, unless the size was not known.
 *
 * @since 0.1.0
 * @category errors
 */
export class SizeUnalignedError extends Data.TaggedError("SizeUnalignedError")<{
  readonly source: string
  readonly sourceSize: bigint
  /** The end whose minimum it is. */
  readonly limitedBy: string
  readonly minimumBlockSize: number
}> {
  override get message(): string {
    return `the size of ${this.source}, ${this.sourceSize} bytes, is not a multiple of ${this.minimumBlockSize} bytes, the minimum block size of ${this.limitedBy}`
  }
}

/**
 * No request is long enough for one end and short enough for the other. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class BlockSizesApartError extends Data.TaggedError("BlockSizesApartError")<{
  readonly source: string
  readonly destination: string
  readonly minimum: number
  readonly maximum: number
}> {
  override get message(): string {
    return `between ${this.source} and ${this.destination} requests would have to have at least ${this.minimum} and at most ${this.maximum} bytes`
  }
}

/**
 * Why nothing can be copied.
 *
 * @since 0.1.0
 * @category errors
 */
export type Refusal = DestinationTooSmallError | SizeUnalignedError | BlockSizesApartError

/**
 * @since 0.1.0
 * @category guards
 */
export const isRefusal = (fault: unknown): fault is Refusal =>
  fault instanceof DestinationTooSmallError || fault instanceof SizeUnalignedError ||
  fault instanceof BlockSizesApartError

/**
 * In bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Plan {
  /** Of each request that carries data, but for the last: a multiple of `grain`. */
  readonly requestSize: number
  /** Everything begins and ends at multiples of it, but for the end of the source. */
  readonly grain: number
}

/**
 * How long requests are between these two, or why nothing can be copied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (source: Source, sink: Sink, wanted: number): Effect.Effect<Plan, Refusal> =>
  Effect.suspend((): Effect.Effect<Plan, Refusal> => {
    const refusal = source.size === undefined ? undefined : refusalOf(source, sink, source.size)
    if (refusal !== undefined) return Effect.fail(refusal)
    const [from, to] = [source.geometry, sink.geometry]
    const minimum = strictest(source, sink).geometry.minimum
    const maximum = Math.min(from.maximum, to.maximum)
    const preferred = Math.max(from.preferred, to.preferred, minimum)
    // What both prefer, unless that is more than one of them takes.
    const multiple = preferred <= maximum ? preferred : minimum
    const requestSize = Math.min(multipleBelow(Math.max(wanted, multiple), multiple), multipleBelow(maximum, multiple))
    return requestSize > 0
      ? Effect.succeed({ requestSize, grain: minimum })
      : Effect.fail(new BlockSizesApartError({ source: source.name, destination: sink.name, minimum, maximum }))
  })

/**
 * Why a source of this size cannot be copied to the sink; `undefined` if it can.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refusalOf = (source: Source, sink: Sink, size: bigint): Refusal | undefined => {
  if (sink.size !== undefined && size > sink.size) {
    return new DestinationTooSmallError({
      source: source.name,
      sourceSize: source.size,
      destination: sink.name,
      destinationSize: sink.size
    })
  }
  const { geometry, name } = strictest(source, sink)
  return size % BigInt(geometry.minimum) === 0n
    ? undefined
    : new SizeUnalignedError({
      source: source.name,
      sourceSize: size,
      limitedBy: name,
      minimumBlockSize: geometry.minimum
    })
}

const strictest = (source: Source, sink: Sink): Source | Sink =>
  source.geometry.minimum > sink.geometry.minimum ? source : sink

const multipleBelow = (limit: number, grain: number): number => limit - limit % grain
