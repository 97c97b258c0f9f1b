/**
 * Copies all bytes of a source to a sink, many requests at a time.
 *
 * Memory is taken once: a fixed pool of buffers, one for each request in flight. A buffer is read into, written from and
 * used again, so how much is copied does not matter. Order is not kept, nothing is retried, and nothing is printed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Fault } from "./Failure.ts"

/**
 * Sizes in bytes that requests to one end are held to. All but `maximum` are powers of two.
 *
 * @since 0.1.0
 * @category models
 */
export interface BlockSize {
  /** Offsets and lengths are multiples of it. */
  readonly minimum: number
  /** Multiples of it are fast. */
  readonly preferred: number
  /** Longest request. */
  readonly maximum: number
}

/**
 * Where bytes come from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  /** In words, for errors. */
  readonly name: string
  readonly size: bigint
  readonly blockSize: BlockSize
  /** Fills all of `destination`. */
  readonly readInto: (offset: bigint, destination: Uint8Array) => Effect.Effect<void, Fault>
}

/**
 * Where bytes go.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sink {
  /** In words, for errors. */
  readonly name: string
  /** The most that fits; `undefined` where there is no limit. */
  readonly capacity: bigint | undefined
  readonly blockSize: BlockSize
  /** Called once, after all checks and before the first write, with the size of the source. */
  readonly prepare: (size: bigint) => Effect.Effect<void, Fault>
  /** Writes all of `bytes`, which are written over afterwards. */
  readonly write: (offset: bigint, bytes: Uint8Array) => Effect.Effect<void, Fault>
  /** Makes durable what was written. */
  readonly flush: Effect.Effect<void, Fault>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Requests in flight, and so buffers. Default: 16. */
  readonly requests?: number
  /**
   * Bytes a request. Default: 256 KiB. Adjusted to the block sizes of both ends: a multiple of what they prefer, and not
   * more than they take.
   */
  readonly requestSize?: number
  /** Make it durable at the end. Default: `false`. */
  readonly flush?: boolean
  /** Called after each request with the number of bytes that were written. */
  readonly onCopied?: (bytes: number) => void
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaultRequests = 16

/**
 * @since 0.1.0
 * @category constants
 */
export const defaultRequestSize = 262_144

/**
 * The source does not fit. Nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class DestinationTooSmallError extends Data.TaggedError("DestinationTooSmallError")<{
  readonly source: string
  readonly sourceSize: bigint
  readonly destination: string
  readonly destinationSize: bigint
}> {
  override get message(): string {
    return `${this.source} has ${this.sourceSize} bytes and does not fit in ${this.destination}, which has ${this.destinationSize}`
  }
}

/**
 * The end of the source cannot be copied: one of the two ends only takes requests that are multiples of its minimum
 * block size, and the source's size is none. Nothing was written.
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
 * A request failed, and the copy with it: the destination holds some of the source.
 *
 * @since 0.1.0
 * @category errors
 */
export class CopyError extends Data.TaggedError("CopyError")<{
  readonly operation: "prepare" | "read" | "write" | "flush"
  /** The end at which it failed. */
  readonly of: string
  /** Where, of a read or write. */
  readonly offset: bigint | undefined
  readonly cause: Fault
}> {
  override get message(): string {
    const where = this.offset === undefined ? "" : ` at offset ${this.offset}`
    return `${this.operation}${where} of ${this.of} failed: ${this.cause.message}`
  }
}

/**
 * Why nothing was copied.
 *
 * @since 0.1.0
 * @category errors
 */
export type Misfit = DestinationTooSmallError | SizeUnalignedError | BlockSizesApartError

/**
 * How long requests are between these two, or why nothing can be copied.
 *
 * @since 0.1.0
 * @category constructors
 */
export const planRequestSize = (
  source: Source,
  sink: Sink,
  wanted = defaultRequestSize
): Effect.Effect<number, Misfit> =>
  Effect.suspend((): Effect.Effect<number, Misfit> => {
    const [from, to] = [source.blockSize, sink.blockSize]
    if (sink.capacity !== undefined && source.size > sink.capacity) {
      return Effect.fail(
        new DestinationTooSmallError({
          source: source.name,
          sourceSize: source.size,
          destination: sink.name,
          destinationSize: sink.capacity
        })
      )
    }
    const strictest = from.minimum > to.minimum ? source : sink
    const minimum = strictest.blockSize.minimum
    if (source.size % BigInt(minimum) !== 0n) {
      return Effect.fail(
        new SizeUnalignedError({
          source: source.name,
          sourceSize: source.size,
          limitedBy: strictest.name,
          minimumBlockSize: minimum
        })
      )
    }
    const maximum = Math.min(from.maximum, to.maximum)
    const preferred = Math.max(from.preferred, to.preferred, minimum)
    // What both prefer, unless that is more than one of them takes.
    const grain = preferred <= maximum ? preferred : minimum
    const size = Math.min(multipleBelow(Math.max(wanted, grain), grain), multipleBelow(maximum, grain))
    return size > 0
      ? Effect.succeed(size)
      : Effect.fail(new BlockSizesApartError({ source: source.name, destination: sink.name, minimum, maximum }))
  })

const multipleBelow = (limit: number, grain: number): number => limit - limit % grain

/**
 * Copies everything. The first request that fails ends the copy; requests in flight at that time are given up.
 *
 * @since 0.1.0
 * @category constructors
 */
export const copy = (
  source: Source,
  sink: Sink,
  options: Options = {}
): Effect.Effect<void, Misfit | CopyError> =>
  Effect.gen(function*() {
    const requestSize = yield* planRequestSize(source, sink, options.requestSize)
    yield* Effect.mapError(sink.prepare(source.size), failed("prepare", sink))
    yield* transfer(source, sink, requestSize, options)
    if (options.flush === true) yield* Effect.mapError(sink.flush, failed("flush", sink))
  })

const failed = (operation: CopyError["operation"], { name }: Source | Sink, offset?: bigint) => (cause: Fault) =>
  new CopyError({ operation, of: name, offset, cause })

const transfer = (
  source: Source,
  sink: Sink,
  requestSize: number,
  { onCopied = () => {}, requests = defaultRequests }: Options
): Effect.Effect<void, CopyError> =>
  Effect.suspend(() => {
    let next = 0n
    let first: CopyError | undefined
    const copyNext = (buffer: Uint8Array): Effect.Effect<void, CopyError> => {
      const offset = next
      const left = source.size - offset
      const bytes = left < BigInt(requestSize) ? buffer.subarray(0, Number(left)) : buffer
      next += BigInt(bytes.byteLength)
      return source.readInto(offset, bytes).pipe(
        Effect.mapError(failed("read", source, offset)),
        Effect.zipRight(Effect.mapError(sink.write(offset, bytes), failed("write", sink, offset))),
        Effect.map(() => onCopied(bytes.byteLength)),
        // Several may fail before the others are interrupted: the earliest is the one to tell.
        Effect.mapError((error) => first ??= error)
      )
    }
    // Each worker owns a buffer and takes the next piece whenever it is done with one.
    const worker = (): Effect.Effect<void, CopyError> => {
      const buffer = new Uint8Array(requestSize)
      return Effect.whileLoop({
        while: () => next < source.size,
        body: () => copyNext(buffer),
        step: () => {}
      })
    }
    const pieces = (source.size + BigInt(requestSize) - 1n) / BigInt(requestSize)
    const workers = pieces < BigInt(requests) ? Number(pieces) : requests
    return Effect.forEach(Array.from({ length: workers }), worker, { concurrency: "unbounded", discard: true })
  })
