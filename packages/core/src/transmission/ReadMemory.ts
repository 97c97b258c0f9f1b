/**
 * Memory for reads that bring none of their own.
 *
 * Small reads are cut from a slab: an array buffer of its own costs more than a read of 4 KiB does. Every byte is given
 * out once, and is zero until the reply has written it, so that no reader sees what was there before. The price is that a
 * small result that is kept alive keeps its slab alive, 256 KiB at most; `readInto` has no such price.
 *
 * @since 0.1.0
 */
import type { PendingCommand } from "./InFlight.ts"
import { LentMemory } from "./LentMemory.ts"

const slabSize = 262_144

/** Longest read that is cut from a slab, in bytes. */
const small = 16_384

/**
 * @since 0.1.0
 * @category models
 */
export class ReadMemory {
  readonly lent = new LentMemory()
  private slab = new Uint8Array(0)
  private at = 0

  /** For a read that is sent now. What is lent is so when content comes for it. */
  supply(pending: PendingCommand): void {
    const { detail, length } = pending.command
    if (detail?._tag === "Lent") pending.lender = this.lent
    else pending.destination ??= this.take(length)
  }

  private take(length: number): Uint8Array<ArrayBuffer> {
    if (length > small) return new Uint8Array(length)
    if (length > this.slab.byteLength - this.at) {
      this.slab = new Uint8Array(slabSize)
      this.at = 0
    }
    const start = this.at
    this.at += length
    return this.slab.subarray(start, this.at)
  }
}
