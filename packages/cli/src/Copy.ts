/**
 * Copies all bytes of a source to a sink, many requests at a time.
 *
 * The source lends its bytes until they are written, and uses the memory again, so how much is copied does not matter.
 * What is known to be zeroes is not read, and zeroes that are found in what was read are not written but made. Order is not
 * kept, nothing is retried, and nothing is printed.
 *
 * @since 0.1.0
 */
import { DeviceError } from "@effect-nbd/block/DeviceError"
import * as Turns from "@effect-nbd/node/file/Turns"
import * as WrittenZeroes from "@effect-nbd/node/file/WrittenZeroes"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Sink, Source } from "./CopyEnds.ts"
import * as CopyPlan from "./CopyPlan.ts"
import { Depth } from "./Depth.ts"
import type { Fault } from "./Failure.ts"
import { type Piece, Pieces } from "./Pieces.ts"
import * as ZeroRuns from "./ZeroRuns.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Requests in flight. Default: what suits the sink, or 8, and where an end may be far away as many more as make the copy
   * faster.
   */
  readonly requests?: number | undefined
  /**
   * Bytes a request. Default: what suits the sink, or 1 MiB. Adjusted to the block sizes of both ends: a multiple of what they prefer, and not
   * more than they take.
   */
  readonly requestSize?: number | undefined
  /** Bytes of all requests in flight together; one is in any case. Default: 64 MiB. */
  readonly queueSize?: number | undefined
  /**
   * Blocks of so many zero bytes are looked for in what was read; 0 to not look. At least what the sink prefers. Default:
   * 4096.
   */
  readonly sparse?: number | undefined
  /** Ask the source what is known to be zeroes. Default: `true`. */
  readonly extents?: boolean | undefined
  /** The sink reads as zeroes everywhere, so they need not be made. Default: `false`. */
  readonly destinationIsZero?: boolean | undefined
  /** Make it durable at the end. Default: `false`. */
  readonly flush?: boolean | undefined
  /** Called after each piece with the number of its bytes. */
  readonly onCopied?: ((bytes: number) => void) | undefined
  /** Called with what is left of a copy that fails or is interrupted, in words, where that is worth a word. */
  readonly onIncomplete?: ((left: string) => void) | undefined
}

/**
 * What `Options` are by default: few requests that are long. A request costs the same however long it is, and this is a
 * quarter less processor time than with requests of 256 KiB.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  requests: 8,
  requestSize: 1_048_576,
  queueSize: 67_108_864,
  sparse: 4096
}

/** Bytes of zeroes that one call of a sink makes by default: so that progress can be seen, and an interruption is not late. */
const zeroSize = 1_073_741_824

/** Bytes of zeroes that are left as they are at a time, where they need not be made: exact as a number. */
const nothingSize = 0x4_0000_0000_0000

/**
 * Shortest run of zeroes that is not read: about as many bytes as are read in the time that a request of its own costs.
 * Only where zeroes are looked for in what was read; otherwise all that is known counts.
 */
const worthwhile = 65_536

/**
 * Answers of the source about what it knows that are kept until they are needed: while some are left nobody waits for
 * the next. More would be memory alone.
 */
const answersAhead = 8

/**
 * A request failed, and the copy with it: the destination holds some of the source.
 *
 * @since 0.1.0
 * @category errors
 */
export class CopyError extends Data.TaggedError("CopyError")<{
  readonly operation: "prepare" | "look for data" | "read" | "write" | "zero" | "finish" | "flush"
  /** The end at which it failed. */
  readonly of: string
  /** Where, of a read or write. */
  readonly offset: bigint | undefined
  readonly cause: Fault
}> {
  override get message(): string {
    const where = this.offset === undefined ? "" : ` at offset ${this.offset}`
    // A device says where and of what too.
    const why = this.cause instanceof DeviceError ? this.cause.reason ?? this.cause.errno : this.cause.message
    return `${this.operation}${where} of ${this.of} failed: ${why}`
  }
}

/**
 * The source had fewer bytes than its size says.
 *
 * @since 0.1.0
 * @category errors
 */
export class SourceEndedError extends Data.TaggedError("SourceEndedError")<{
  readonly source: string
  readonly offset: bigint
}> {
  override get message(): string {
    return `${this.source} ended at ${this.offset}, before its size`
  }
}

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
): Effect.Effect<void, CopyPlan.Refusal | CopyError> =>
  Effect.scoped(Effect.gen(function*() {
    const plan = yield* CopyPlan.make(
      source,
      sink,
      options.requestSize ?? sink.suited?.requestSize ?? defaults.requestSize
    )
    const way: Way = { upTo: () => 0n }
    yield* Effect.onError(carryOut(source, sink, plan, options, way), () =>
      Effect.sync(() => {
        const left = sink.left?.(way.upTo())
        if (left !== undefined) options.onIncomplete?.(left)
      }))
  }))

/** How far a copy has come. */
interface Way {
  /** Everything before it is copied. */
  upTo: () => bigint
}

const carryOut = (source: Source, sink: Sink, plan: CopyPlan.Plan, options: Options, way: Way) =>
  Effect.gen(function*() {
    if (sink.prepare !== undefined) yield* Effect.mapError(sink.prepare(source.size), failed("prepare", sink))
    const size = yield* transfer(source, sink, plan, options, way)
    if (source.verify !== undefined) yield* Effect.mapError(source.verify, failed("read", source))
    if (sink.finish !== undefined) yield* Effect.mapError(sink.finish(size), failed("finish", sink))
    if (options.flush === true) yield* Effect.mapError(sink.flush, failed("flush", sink))
    if (sink.settle !== undefined) yield* Effect.mapError(sink.settle, failed("finish", sink))
  })

const failed = (operation: CopyError["operation"], { name }: Source | Sink, offset?: bigint) => (cause: Fault) =>
  new CopyError({ operation, of: name, offset, cause })

/** Answers with the number of bytes that the source turned out to have. */
const transfer = (
  source: Source,
  sink: Sink,
  { grain, requestSize }: CopyPlan.Plan,
  options: Options,
  way: Way
): Effect.Effect<bigint, CopyPlan.Refusal | CopyError, Scope.Scope> =>
  Effect.gen(function*() {
    const { onCopied = () => {}, queueSize = defaults.queueSize, sparse = defaults.sparse } = options
    const looks = sink.geometry.canZero && sink.forgets !== true && sparse > 0
    const block = looks ? Math.max(sparse, sink.geometry.preferred) : undefined
    const pieces = new Pieces(source.size, {
      grain,
      requestSize,
      zeroSize: isMade(sink, options) ? sink.longestZero ?? zeroSize : nothingSize,
      worthwhile: block === undefined ? grain : Math.max(worthwhile, grain)
    })
    const learn = yield* learning(source, pieces, options)
    const store = storing(sink, block, options)
    let size = source.size ?? 0n

    /** Up to where a source of unknown size goes, as it shows. */
    const extend = (offset: bigint, count: number, wanted: number): Effect.Effect<void, CopyPlan.Refusal> => {
      if (count < wanted) pieces.stop()
      const end = offset + BigInt(count)
      if (count === 0 || end <= size) return Effect.void
      size = end
      const refusal = CopyPlan.refusalOf(source, sink, size)
      return refusal === undefined ? Effect.void : Effect.fail(refusal)
    }

    /** Answers with how many bytes there were. */
    const copyData = ({ length, offset }: Piece) =>
      Effect.mapError(
        source.readBorrowed(
          offset,
          length,
          (bytes): Effect.Effect<number, CopyPlan.Refusal | CopyError | SourceEndedError> => {
            const count = bytes.byteLength
            if (source.size !== undefined) {
              return count < length
                ? Effect.fail(new SourceEndedError({ source: source.name, offset: offset + BigInt(count) }))
                : Effect.as(store.data(offset, bytes), count)
            }
            return Effect.zipRight(
              extend(offset, count, length),
              Effect.as(count === 0 ? Effect.void : store.data(offset, bytes), count)
            )
          }
        ),
        (error) =>
          error instanceof CopyError || CopyPlan.isRefusal(error) ? error : failed("read", source, offset)(error)
      )

    const wanted = options.requests ?? sink.suited?.requests ?? defaults.requests
    const room = Math.max(1, Math.floor(queueSize / requestSize))
    const mayGrow = options.requests === undefined && (source.isRemote === true || sink.isRemote === true)
    const most = mayGrow ? room : Math.min(wanted, room)
    const depth = new Depth({
      least: Math.min(wanted, room),
      most: source.size === undefined ? most : requestsFor(size, requestSize, most)
    })
    const clock = yield* Effect.clock
    let first: CopyPlan.Refusal | CopyError | undefined
    /** Where each worker is. */
    const at: Array<bigint | undefined> = []
    way.upTo = () => {
      const taken = source.size === undefined && size < pieces.taken ? size : pieces.taken
      return at.reduce<bigint>((least, offset) => offset !== undefined && offset < least ? offset : least, taken)
    }
    const copyNext = (number: number) => {
      const piece = pieces.next()
      if (piece === undefined) return learn
      at[number] = piece.offset
      const start = clock.unsafeCurrentTimeMillis()
      const copied = piece.zero
        ? Effect.as(store.zeroes(piece.offset, piece.length), piece.length)
        : copyData(piece)
      return Effect.map(copied, (count) => {
        at[number] = undefined
        onCopied(count)
        if (!piece.zero) depth.finished(clock.unsafeCurrentTimeMillis() - start)
      })
    }
    /** Takes the next piece whenever it is done with one, unless there are enough that do. */
    const worker = (number: number) =>
      Effect.whileLoop({
        while: () => !pieces.isOver,
        body: () => number >= depth.requests ? depth.wait(number) : Turns.fair(() => copyNext(number)),
        step: () => {
          if (pieces.isOver) depth.end()
        }
      }).pipe(
        // Several may fail before the others are interrupted: the earliest is the one to tell.
        Effect.mapError((error) => first ??= error)
      )
    yield* Effect.forEach(Array.from({ length: depth.limit }, (_, number) => number), worker, {
      concurrency: "unbounded",
      discard: true
    })
    return size
  })

/** As many requests as there are bytes for, and not more than `most`. */
const requestsFor = (size: bigint, requestSize: number, most: number): number =>
  size > BigInt(requestSize) * BigInt(most) ? most : Math.ceil(Number(size) / requestSize)

/** Whether zeroes are made at all, rather than left as they are. */
const isMade = (sink: Sink, { destinationIsZero = false }: Options): boolean =>
  sink.forgets !== true && !destinationIsZero

/** How pieces are stored: zeroes of which `block` bytes or more are together are made rather than written. */
const storing = (sink: Sink, block: number | undefined, options: Options) => {
  const make = sink.geometry.canZero ? sink.writeZeroes : WrittenZeroes.by(sink.write, sink.geometry.maximum)
  const zero = isMade(sink, options) ? make : undefined
  const zeroes = (offset: bigint, length: number): Effect.Effect<void, CopyError> =>
    zero === undefined ? Effect.void : Effect.mapError(zero(offset, BigInt(length)), failed("zero", sink, offset))
  const write = (offset: bigint, bytes: Uint8Array): Effect.Effect<void, CopyError> =>
    Effect.mapError(sink.write(offset, bytes), failed("write", sink, offset))
  const data = (offset: bigint, bytes: Uint8Array): Effect.Effect<void, CopyError> => {
    const runs = block === undefined ? undefined : ZeroRuns.find(bytes, block)
    if (runs === undefined) return write(offset, bytes)
    return Effect.forEach(runs, ({ end, start, zero }) => {
      const from = offset + BigInt(start)
      return zero ? zeroes(from, end - start) : write(from, bytes.subarray(start, end))
    }, { concurrency: "unbounded", discard: true })
  }
  return { data, zeroes }
}

/** Gives the pieces what the source knows next. A source that cannot tell any more is read from there on. */
const learning = (
  source: Source,
  pieces: Pieces,
  { extents = true }: Options
): Effect.Effect<Effect.Effect<void, CopyError>, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (!extents || !source.geometry.canExtents) {
      pieces.close()
      return Effect.void
    }
    const pull = yield* Stream.toPull(Stream.bufferChunks(source.extents(), { capacity: answersAhead }))
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const learn = Effect.matchEffect(pull, {
      onSuccess: (known) => Effect.sync(() => pieces.add(Chunk.toReadonlyArray(known))),
      onFailure: Option.match({
        onNone: () => Effect.sync(() => pieces.close()),
        onSome: (cause) => Effect.fail(failed("look for data", source)(cause))
      })
    })
    // Others may have waited for the same.
    return oneAtATime.withPermits(1)(Effect.suspend(() => pieces.isStarved ? learn : Effect.void))
  })
