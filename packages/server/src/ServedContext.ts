/**
 * Meta contexts: what a server can tell of the blocks of an export, by NBD_CMD_BLOCK_STATUS.
 *
 * An export has `base:allocation`, and others where its description asks for them. This is what a context is, for
 * those who bring their own.
 *
 * @since 0.1.0
 */
import type { StatusDescriptor } from "@effect-nbd/core/wire/BlockStatus"
import type * as Effect from "effect/Effect"

/**
 * One thing that a server can tell of blocks.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServedContext<out E = unknown> {
  /** A namespace, a colon and a name, for example `x-mine:heat`. */
  readonly name: string
  /**
   * Its flags take 64 bits, so that it can be selected under extended headers only (C-231). Default: `false`, and of
   * all flags the low 32 bits are sent.
   */
  readonly wide?: boolean
  /**
   * Runs of bytes of the same status from `offset` on, one at least. They may end before the range does, and the last
   * one may run past it. `offset` and `length` are inside the export. Lengths are sent as they are given, but for what
   * lies outside the export; aligning them to the export's minimum block size is up to the context (S-097).
   * What it fails with is told as the errors of the export's device are.
   */
  readonly status: (offset: bigint, length: bigint) => Effect.Effect<Iterable<StatusDescriptor>, E>
}

/**
 * Flags of `base:allocation`.
 *
 * @since 0.1.0
 * @category constants
 */
export const allocationFlags = { HOLE: 1n, ZERO: 2n } as const

/**
 * The flag of a `qemu:dirty-bitmap:` context.
 *
 * @since 0.1.0
 * @category constants
 */
export const dirtyFlag = 1n
