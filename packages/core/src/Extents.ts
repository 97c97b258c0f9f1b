/**
 * The extents of a range of any length, out of answers to NBD_CMD_BLOCK_STATUS that may be short, long, unmerged or
 * unaligned, in several contexts at once.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Export } from "./Export.ts"
import * as MetaContext from "./MetaContext.ts"
import { maximumEffectLength } from "./transmission/CommandCheck.ts"
import type { ContextStatus } from "./transmission/ContextStatus.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where to begin, in bytes from 0. Default: at the start. */
  readonly offset?: bigint | undefined
  /** How many bytes, at least 0. Default: up to the end of the export. What lies beyond it is left out. */
  readonly length?: bigint | undefined
  /** The contexts to ask about, by name. Default: all that were granted. */
  readonly contexts?: ReadonlyArray<string> | undefined
}

/**
 * What one context says about an extent. `MetaContext.decode` tells what it means.
 *
 * @since 0.1.0
 * @category models
 */
export interface ContextFlags {
  readonly context: string
  readonly flags: bigint
}

/**
 * A run of bytes with the same status in every context. `offset` counts from the start of the export.
 *
 * @since 0.1.0
 * @category models
 */
export interface MappedExtent {
  readonly offset: bigint
  readonly length: bigint
  /** In the order of the contexts asked about. Extents of the same status may share it. */
  readonly status: ReadonlyArray<ContextFlags>
}

/**
 * The flags of an extent in one context; `undefined` for a context that was not asked about.
 *
 * @since 0.1.0
 * @category models
 */
export const flagsOf = (extent: MappedExtent, context: string): bigint | undefined =>
  extent.status.find((status) => status.context === context)?.flags

/**
 * The bytes of an extent read as zeroes, as `base:allocation` says: the one thing that lets a reader skip them.
 *
 * @since 0.1.0
 * @category guards
 */
export const isZero = (extent: MappedExtent): boolean =>
  MetaContext.isZero(flagsOf(extent, MetaContext.baseAllocation) ?? 0n)

type Ask<E> = (
  offset: bigint,
  length: bigint,
  options: { readonly contexts: ReadonlyArray<string> | undefined }
) => Effect.Effect<ReadonlyArray<ContextStatus>, E>

/** Extents that one pull of the stream makes at most: an answer may have a million of them. */
const batch = 4096

/**
 * Asks for as much at once as one request can say, and goes on where the answer that says least stopped. A server that
 * answers in pieces smaller than its own block size, or whose size is no multiple of it, cannot be asked about the rest
 * of a block: that rest has the flags that claim nothing (C-195, C-101).
 *
 * @since 0.1.0
 * @category constructors
 */
export const stream = <E, E2>(
  target: Effect.Effect<Export, E>,
  ask: Ask<E2>,
  options: Options = {}
): Stream.Stream<MappedExtent, E | E2> =>
  Stream.unwrap(Effect.map(target, (target) => {
    const walk = new ExtentWalk(target, options)
    const { contexts } = options
    const pull: Effect.Effect<Chunk.Chunk<MappedExtent>, Option.Option<E2>> = Effect.suspend(() => {
      if (walk.hasAnswer) return Effect.sync(() => Chunk.unsafeFromArray(walk.take(batch)))
      const { question } = walk
      if (question === undefined) {
        const rest = walk.end()
        return rest.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rest))
      }
      return ask(question.offset, question.length, { contexts }).pipe(
        Effect.mapError(Option.some),
        Effect.map((answer) => {
          walk.answer(answer)
          return Chunk.unsafeFromArray(walk.take(batch))
        })
      )
    })
    return Stream.repeatEffectChunkOption(pull)
  }))

interface Question {
  readonly offset: bigint
  readonly length: bigint
}

/** An answer, and how far it has been walked: one index a context. */
interface Walked {
  readonly statuses: ReadonlyArray<ContextStatus>
  readonly indices: Array<number>
  /** Where the extents at the indices end. */
  readonly ends: Array<bigint>
  /** Where the last of it that is used ends. */
  readonly upTo: bigint
}

/** Turns answers into extents, as a position that only goes forward. */
class ExtentWalk {
  private readonly start: bigint
  private readonly stop: bigint
  private readonly block: bigint
  /** Where the last whole block of the export ends: as far as can be asked. */
  private readonly askable: bigint
  private readonly longest: bigint
  private readonly names: ReadonlyArray<string>
  private position: bigint
  private walked: Walked | undefined
  private held: MappedExtent | undefined
  /** Status that came not long ago, to be shared. */
  private recent: Array<ReadonlyArray<ContextFlags>> = []
  private finished: Array<MappedExtent> = []

  constructor(target: Export, { contexts, length, offset = 0n }: Options) {
    const { minimumBlockSize, size } = target
    this.start = offset < 0n ? 0n : offset
    this.stop = length === undefined || this.start > size || length > size - this.start ? size : this.start + length
    this.block = BigInt(minimumBlockSize)
    this.askable = size - size % this.block
    const longest = maximumEffectLength(target)
    this.longest = BigInt(longest - longest % Math.max(minimumBlockSize, 65_536))
    this.names = contexts ?? target.contexts.map(({ name }) => name)
    this.position = this.start - this.start % this.block
  }

  get hasAnswer(): boolean {
    return this.walked !== undefined
  }

  /** What to ask next; `undefined` once everything has been told. */
  get question(): Question | undefined {
    if (this.position < this.stop && this.position >= this.askable) this.passOver(this.stop)
    if (this.position >= this.stop) return undefined
    const end = this.stop + (this.block - this.stop % this.block) % this.block
    const left = (end > this.askable ? this.askable : end) - this.position
    return { offset: this.position, length: left > this.longest ? this.longest : left }
  }

  /** Every context covers one byte at least, or its answer would not have been accepted. */
  answer(statuses: ReadonlyArray<ContextStatus>): void {
    // Without any context, as only a client that does not check has it, there is nothing to tell apart.
    let covered = statuses[0]?.covered ?? this.stop
    for (const status of statuses) if (status.covered < covered) covered = status.covered
    const end = this.position + covered
    const whole = end - end % this.block
    this.walked = {
      statuses,
      indices: statuses.map(() => 0),
      ends: statuses.map((status) => this.position + status.lengthAt(0)),
      // A block that is known in part is asked about again, unless that would be the same question.
      upTo: whole > this.position ? whole : end
    }
  }

  /** Up to so many extents that are complete: the last one may go on in what is still to come. */
  take(limit: number): Array<MappedExtent> {
    const { walked } = this
    if (walked === undefined) return []
    const { ends, indices, statuses, upTo } = walked
    while (this.position < upTo && this.finished.length < limit) {
      let until = upTo
      for (const end of ends) if (end < until) until = end
      this.add(until, (index) => statuses[index]?.flagsAt(indices[index] ?? 0) ?? 0n)
      for (let index = 0; index < statuses.length; index++) {
        if (ends[index] !== until || until === upTo) continue
        const next = (indices[index] ?? 0) + 1
        indices[index] = next
        ends[index] = until + (statuses[index]?.lengthAt(next) ?? 0n)
      }
    }
    if (this.position >= upTo) {
      this.walked = undefined
      const rest = this.position % this.block
      if (rest !== 0n && this.position < this.stop) this.passOver(this.position - rest + this.block)
    }
    const { finished } = this
    this.finished = []
    return finished
  }

  /** What is left once there is nothing more to ask, the extent that was held back to see whether it goes on included. */
  end(): Array<MappedExtent> {
    const { finished, held } = this
    this.finished = []
    this.held = undefined
    return held === undefined ? finished : [...finished, held]
  }

  /** The rest of a block that cannot be asked about. */
  private passOver(until: bigint): void {
    const before = this.held?.status
    this.add(
      until > this.stop ? this.stop : until,
      (index) => MetaContext.cautiousFlags(this.names[index] ?? "", before?.[index]?.flags ?? 0n)
    )
    if (until > this.position) this.position = until
  }

  private add(until: bigint, flagsAt: (index: number) => bigint): void {
    const offset = this.position < this.start ? this.start : this.position
    const end = until > this.stop ? this.stop : until
    this.position = until
    if (end <= offset) return
    const { held } = this
    if (held !== undefined && this.isSame(held.status, flagsAt)) {
      this.held = { offset: held.offset, length: end - held.offset, status: held.status }
      return
    }
    if (held !== undefined) this.finished.push(held)
    this.held = { offset, length: end - offset, status: this.statusOf(flagsAt) }
  }

  private isSame(status: ReadonlyArray<ContextFlags>, flagsAt: (index: number) => bigint): boolean {
    for (let index = 0; index < status.length; index++) if (status[index]?.flags !== flagsAt(index)) return false
    return true
  }

  private statusOf(flagsAt: (index: number) => bigint): ReadonlyArray<ContextFlags> {
    for (const status of this.recent) if (this.isSame(status, flagsAt)) return status
    const status = this.names.map((context, index) => ({ context, flags: flagsAt(index) }))
    if (this.recent.length >= 8) this.recent.shift()
    this.recent.push(status)
    return status
  }
}
