/**
 * The two ends of a copy, as the engine sees them: nothing of NBD, files or pipes.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Stream from "effect/Stream"
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
  /** Longest request that carries data. */
  readonly maximum: number
}

/**
 * A run of bytes, and whether they are known to be zeroes. Where they are not, they may be zeroes all the same.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extent {
  readonly offset: bigint
  readonly length: bigint
  readonly zero: boolean
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
  /** `undefined` where only reading tells. */
  readonly size: bigint | undefined
  readonly blockSize: BlockSize
  /** It may be far away: the longer an answer takes, the more requests should be on their way. */
  readonly isRemote?: boolean
  /**
   * What is known of the content: in order from 0 and without gaps. What it does not reach is read. `undefined` where
   * nothing is known.
   */
  readonly extents: Stream.Stream<Extent, Fault> | undefined
  /**
   * Reads, and lends the bytes to `use` for as long as it runs. They are fewer than `length` only where a source of unknown
   * size ends.
   */
  readonly read: <A, E>(
    offset: bigint,
    length: number,
    use: (bytes: Uint8Array) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | Fault>
  /** Called once, after the last read: fails where what was read may not be what there was. */
  readonly verify?: Effect.Effect<void, Fault>
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
  /** As of a source. */
  readonly isRemote?: boolean
  /** Requests that suit it better than the usual ones. */
  readonly suited?: { readonly requests: number; readonly requestSize: number }
  /** Called once, after all checks and before the first write, with the size of the source if that is known. */
  readonly prepare: (size: bigint | undefined) => Effect.Effect<void, Fault>
  /** Writes all of `bytes`, which are written over afterwards. */
  readonly write: (offset: bigint, bytes: Uint8Array) => Effect.Effect<void, Fault>
  /** Makes a range read as zeroes, however long it is. `undefined` where it makes no difference whether they are written. */
  readonly zero: ((offset: bigint, length: bigint) => Effect.Effect<void, Fault>) | undefined
  /** Bytes of zeroes that one call makes in no more time than others. Default: 1 GiB. */
  readonly longestZero?: number | undefined
  /** Called once, after the last write, with how many bytes there were. */
  readonly finish: (size: bigint) => Effect.Effect<void, Fault>
  /** Makes durable what was written. */
  readonly flush: Effect.Effect<void, Fault>
  /** Called once, last: the copy is complete, and takes its place. */
  readonly settle?: Effect.Effect<void, Fault>
  /**
   * What is left of a copy that ended when something was written, and the first so many bytes were; `undefined` where that is
   * not worth a word.
   */
  readonly left?: (upTo: bigint) => string | undefined
}

/**
 * How a source reads that fills memory: what was lent and is not needed any more is filled again, the latest first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lending = (
  fill: (offset: bigint, destination: Uint8Array) => Effect.Effect<number, Fault>
): Source["read"] => {
  const idle: Array<Uint8Array> = []
  return (offset, length, use) =>
    Effect.suspend(() => {
      const last = idle.pop()
      const memory = last !== undefined && last.byteLength >= length ? last : new Uint8Array(length)
      return Effect.flatMap(fill(offset, memory.subarray(0, length)), (count) =>
        Effect.map(use(memory.subarray(0, count)), (result) => {
          idle.push(memory)
          return result
        }))
    })
}

/**
 * For ends that have no positions: runs what is for a range when all ranges before it are done. Ranges have no gaps and do
 * not overlap.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inOrder = () => {
  let at = 0n
  const waiting = new Map<bigint, Deferred.Deferred<void>>()
  return <A, E>(offset: bigint, length: number, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const turn = Deferred.unsafeMake<void>(FiberId.none)
      if (offset !== at) waiting.set(offset, turn)
      return Effect.tap(offset === at ? effect : Effect.zipRight(Deferred.await(turn), effect), () => {
        at = offset + BigInt(length)
        const next = waiting.get(at)
        waiting.delete(at)
        return next === undefined ? Effect.void : Deferred.succeed(next, undefined)
      })
    })
}
