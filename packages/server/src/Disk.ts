/**
 * What stands behind an export: functions that read, write and tell what is where.
 *
 * Whoever has such functions has a disk to serve; only `read` is needed. Offsets and lengths are inside the export,
 * aligned to its minimum block size, and not empty. Requests to a disk of functions are carried out side by side.
 *
 * @since 0.1.0
 */
import type { Pages, Stretch } from "@effect-nbd/block/Pages"
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/**
 * Why a disk did not do what it was asked: the client is told so, and its connection goes on.
 *
 * @since 0.1.0
 * @category errors
 */
export class DiskError extends Data.TaggedError("NbdDiskError")<{
  /** A name of the specification, or any other number. */
  readonly errno: ErrnoName | number
  /** A text for the client, which reaches it in structured and extended replies. */
  readonly reason?: string
  /** Where the error lies, an absolute offset inside the request. */
  readonly offset?: bigint
}> {
  override get message(): string {
    return this.reason ?? `the disk failed with ${this.errno}`
  }
}

/**
 * A run of bytes that are alike; the next one begins where it ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extent {
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
 * The functions of a disk. What is absent is not offered to clients: without `write` the export is read-only.
 *
 * @since 0.1.0
 * @category models
 */
export interface Disk {
  /** Exactly `length` bytes. */
  readonly read: (offset: bigint, length: number) => Effect.Effect<Uint8Array, DiskError>
  /** The bytes are the disk's own to keep. */
  readonly write?: ((offset: bigint, bytes: Uint8Array) => Effect.Effect<void, DiskError>) | undefined
  /** Makes what was written durable. Also run after each command with NBD_CMD_FLAG_FUA, which is offered with it. */
  readonly flush?: Effect.Effect<void, DiskError> | undefined
  readonly trim?: ((offset: bigint, length: bigint) => Effect.Effect<void, DiskError>) | undefined
  readonly writeZeroes?:
    | ((offset: bigint, length: bigint, options: ZeroOptions) => Effect.Effect<void, DiskError>)
    | undefined
  /** A hint that the range will be read soon. */
  readonly cache?: ((offset: bigint, length: bigint) => Effect.Effect<void, DiskError>) | undefined
  /**
   * Extents from `offset` on, one at least; they need not reach the end of the range. Without it everything is said to
   * be data.
   */
  readonly extents?:
    | ((offset: bigint, length: bigint) => Effect.Effect<Iterable<Extent>, DiskError>)
    | undefined
}

/**
 * A disk in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofPages = (pages: Pages): Required<Disk> => ({
  read: (offset, length) => Effect.sync(() => pages.read(offset, length)),
  write: (offset, bytes) => withRoom(() => pages.write(offset, bytes)),
  flush: Effect.void,
  // A hint: where there is no room to remember a hole, it stays as it was.
  trim: (offset, length) => Effect.sync(() => void pages.zero(offset, length, false)),
  writeZeroes: (offset, length, { noHole }) => withRoom(() => pages.zero(offset, length, noHole)),
  cache: () => Effect.void,
  extents: (offset, length) => Effect.sync(() => extentsOf(pages.stretches(offset, length)))
})

const withRoom = (change: () => ErrnoName | undefined): Effect.Effect<void, DiskError> =>
  Effect.suspend(() => {
    const errno = change()
    return errno === undefined ? Effect.void : new DiskError({ errno, reason: noRoom })
  })

const noRoom = "the capacity of the export is used up"

function* extentsOf(stretches: Iterable<Stretch>): Generator<Extent> {
  let last: Extent | undefined
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
