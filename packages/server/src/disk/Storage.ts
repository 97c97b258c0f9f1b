/**
 * What stands behind an export, as sessions use it: a disk in memory, or any block device (disk/DeviceStorage).
 *
 * Offsets and lengths are inside the export, aligned to its minimum block size, and not empty. What is absent is not
 * offered to clients.
 *
 * @since 0.1.0
 */
import type { Pages, Stretch } from "@effect-nbd/block/Pages"
import * as Effect from "effect/Effect"
import type { Failure } from "../Decider.ts"

/**
 * A run of bytes that are alike; the next one begins where it ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  /** Bytes, at least 1. */
  readonly length: bigint
  /** Storage is taken for them: NBD_STATE_HOLE is clear. */
  readonly allocated: boolean
  /** They are known to read as zero: NBD_STATE_ZERO is set. */
  readonly zero: boolean
}

/**
 * How zeroes are to be written.
 *
 * @since 0.1.0
 * @category models
 */
export interface ZeroOptions {
  /** Keep storage for the bytes (NBD_CMD_FLAG_NO_HOLE). */
  readonly noHole: boolean
  /** Fail with ENOTSUP at once where it would take as long as writing (NBD_CMD_FLAG_FAST_ZERO). */
  readonly fastZero: boolean
}

/**
 * The functions of a disk. `fua`: durable before it is answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Storage {
  /** Exactly `length` bytes. */
  readonly read: (offset: bigint, length: number) => Effect.Effect<Uint8Array, Failure>
  readonly write: ((offset: bigint, bytes: Uint8Array, fua: boolean) => Effect.Effect<void, Failure>) | undefined
  readonly flush: Effect.Effect<void, Failure> | undefined
  readonly trim: ((offset: bigint, length: bigint, fua: boolean) => Effect.Effect<void, Failure>) | undefined
  readonly writeZeroes:
    | ((offset: bigint, length: bigint, options: ZeroOptions, fua: boolean) => Effect.Effect<void, Failure>)
    | undefined
  /** A hint that the range will be read soon. */
  readonly cache: ((offset: bigint, length: bigint) => Effect.Effect<void, Failure>) | undefined
  /** Runs from `offset` on, one at least; they need not reach the end of the range. Without it everything is data. */
  readonly extents: ((offset: bigint, length: bigint) => Effect.Effect<Iterable<Run>, Failure>) | undefined
}

/**
 * A disk in memory, where everything is done at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofPages = (pages: Pages): Storage => ({
  read: (offset, length) => Effect.sync(() => pages.read(offset, length)),
  write: (offset, bytes) => withRoom(() => pages.write(offset, bytes)),
  flush: Effect.void,
  // A hint: where there is no room to remember a hole, it stays as it was.
  trim: (offset, length) => Effect.sync(() => void pages.zero(offset, length, false)),
  writeZeroes: (offset, length, { noHole }) => withRoom(() => pages.zero(offset, length, noHole)),
  cache: () => Effect.void,
  extents: (offset, length) => Effect.sync(() => runsOf(pages.stretches(offset, length)))
})

const withRoom = (change: () => "ENOSPC" | "ENOMEM" | undefined): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    const errno = change()
    return errno === undefined ? Effect.void : Effect.fail({ errno, message: noRoom })
  })

const noRoom = "the capacity of the export is used up"

function* runsOf(stretches: Iterable<Stretch>): Generator<Run> {
  let last: Run | undefined
  for (const { length, state } of stretches) {
    const zero = state !== "Data" && state !== "Content"
    const allocated = !zero || state === "Zero"
    if (last?.zero === zero && last.allocated === allocated) last = { ...last, length: last.length + length }
    else {
      if (last !== undefined) yield last
      last = { length, allocated, zero }
    }
  }
  if (last !== undefined) yield last
}
