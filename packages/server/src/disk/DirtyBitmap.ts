/**
 * A dirty bitmap as qemu has it: which blocks may have changed since it was made.
 *
 * @since 0.1.0
 */
import { Runs } from "@effect-nbd/block/Runs"
import type { StatusDescriptor } from "@effect-nbd/core/wire/BlockStatus"
import * as Effect from "effect/Effect"
import { dirtyFlag, type ServedContext } from "../ServedContext.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface DirtyBitmapConfig {
  /** Clients know it as `qemu:dirty-bitmap:` and this name. */
  readonly name: string
  /**
   * Bytes for each bit, rounded up to a multiple of the minimum block size of the export; 65,536 by default. At least
   * 2048 where the export is larger than 2^53 bytes.
   */
  readonly granularity?: number
  /** What is dirty from the start; nothing by default. Whatever these ranges touch is dirty as a whole. */
  readonly dirty?: ReadonlyArray<{ readonly offset: bigint | number; readonly length: bigint | number }>
}

/** Most runs that are kept apart; beyond it everything counts as dirty, which a bitmap may always say. */
const maxRuns = 1_048_576

/**
 * The bits of one export.
 *
 * @since 0.1.0
 * @category models
 */
export class DirtyBitmap implements ServedContext<never> {
  readonly name: string
  private readonly granularity: bigint
  private bits = new Runs(false)

  /** `size` is that of the export, in bytes. */
  constructor(config: DirtyBitmapConfig, size: bigint, minimumBlockSize: number) {
    this.name = `qemu:dirty-bitmap:${config.name}`
    const block = BigInt(Math.max(1, minimumBlockSize))
    const asked = BigInt(Math.max(1, config.granularity ?? 65_536))
    // Bits are counted in numbers, which are exact up to 2^53.
    const enough = size > 2n ** 53n && asked < 2048n ? 2048n : asked
    this.granularity = (enough + block - 1n) / block * block
    for (const { length, offset } of config.dirty ?? []) this.mark(BigInt(offset), BigInt(length))
  }

  /** The range may have changed. */
  mark(offset: bigint, length: bigint): void {
    if (length === 0n) return
    if (this.bits.count > maxRuns - 2) this.bits = new Runs(true)
    this.bits.set(Number(offset / this.granularity), this.bitAfter(offset + length), true)
  }

  status(offset: bigint, length: bigint): Effect.Effect<Iterable<StatusDescriptor>> {
    return Effect.sync(() => this.descriptors(offset, offset + length))
  }

  private *descriptors(offset: bigint, end: bigint): Generator<StatusDescriptor> {
    let at = offset
    for (const { to, value } of this.bits.between(Number(offset / this.granularity), this.bitAfter(end))) {
      const next = BigInt(to) * this.granularity
      const until = next < end ? next : end
      yield { length: until - at, flags: value ? dirtyFlag : 0n }
      at = until
    }
  }

  private bitAfter(offset: bigint): number {
    return Number((offset + this.granularity - 1n) / this.granularity)
  }
}
