/**
 * The two ends of a copy, as the engine sees them: block devices, or as much of one as a copy needs.
 *
 * Any `BlockDevice` is a `Source` and a `Sink`. What they have beside that is for ends that are no devices, since they have no
 * size before all is read or written (standard input and output, a file that is made, `null:`), and for what tells one end
 * from another (it is far away, some requests suit it).
 *
 * @since 0.1.0
 */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import type { Geometry } from "@effect-nbd/block/Geometry"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type { Fault } from "./Failure.ts"

/**
 * Sizes in bytes that requests to one end are held to.
 *
 * @since 0.1.0
 * @category models
 */
export type BlockSize = Pick<Geometry, "minimum" | "preferred" | "maximum">

/**
 * Where bytes come from. `readBorrowed` lends fewer bytes than were asked for only where a source of unknown size ends. What
 * `extents` does not reach is read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source extends Pick<BlockDevice<Fault>, "name" | "readBorrowed" | "extents"> {
  /** `undefined` where only reading tells. */
  readonly size: bigint | undefined
  readonly geometry: BlockSize & Pick<Geometry, "canExtents">
  /** It may be far away: the longer an answer takes, the more requests should be on their way. */
  readonly isRemote?: boolean
  /** Called once, after the last read: fails where what was read may not be what there was. */
  readonly verify?: Effect.Effect<void, Fault>
}

/**
 * Where bytes go.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sink extends Pick<BlockDevice<Fault>, "name" | "write" | "writeZeroes" | "flush"> {
  /** The most that fits; `undefined` where there is no limit. */
  readonly size: bigint | undefined
  readonly geometry: BlockSize & Pick<Geometry, "canZero">
  /** Nothing is kept of what is written, and so zeroes need not be made. */
  readonly forgets?: boolean
  /** As of a source. */
  readonly isRemote?: boolean
  /** Requests that suit it better than the usual ones. */
  readonly suited?: { readonly requests: number; readonly requestSize: number }
  /** Bytes of zeroes that one call makes in no more time than others. Default: 1 GiB. */
  readonly longestZero?: number | undefined
  /** Called once, after all checks and before the first write, with the size of the source if that is known. */
  readonly prepare?: (size: bigint | undefined) => Effect.Effect<void, Fault>
  /** Called once, after the last write, with how many bytes there were. */
  readonly finish?: (size: bigint) => Effect.Effect<void, Fault>
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
): Source["readBorrowed"] => {
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
  return <A, E>(offset: bigint, length: number | bigint, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
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
