/**
 * Memory that reads are lent, and that is used again once it was given back.
 *
 * Where a connection has bytes put into it by the system itself, the system knows no more than an address. So that memory
 * is of a kind which nobody can take away: a `SharedArrayBuffer` can neither be transferred nor shrunk, and whoever keeps
 * a view of it too long sees other bytes, but never writes to somebody else's memory. To copy bytes into it is slow,
 * though, one at a time as a rule (V8): what will be copied goes into ordinary memory.
 *
 * @since 0.1.0
 */

/** Capacities are powers of two, so that what was given back fits the next read of about the same length. */
const leastCapacity = 4096

/** Bytes that are kept for later; what is given back above that is let go. */
const mostIdle = 16_777_216

/** Memory for fewer bytes than this, or as many, is ordinary: too much of them would come along with the headers around them. */
const leastPlaced = 65_536

/**
 * @since 0.1.0
 * @category models
 */
export interface Lent {
  readonly bytes: Uint8Array
  /** Nobody looks at the bytes any more. To be called once at most; without it the memory is the garbage collector's. */
  readonly giveBack: () => void
}

type Memory = ArrayBuffer | SharedArrayBuffer

/**
 * What one connection lends.
 *
 * @since 0.1.0
 * @category models
 */
export class LentMemory {
  /** The connection asks where bytes belong before it takes them. */
  isPlaced = false
  private readonly idle = new Map<number, Array<Memory>>()
  private idleBytes = 0

  take(length: number): Lent {
    const capacity = Math.max(leastCapacity, 2 ** Math.ceil(Math.log2(length)))
    const memory = this.reuse(capacity) ?? this.make(capacity)
    return { bytes: new Uint8Array(memory, 0, length), giveBack: () => this.giveBack(memory, capacity) }
  }

  private reuse(capacity: number): Memory | undefined {
    const memory = this.idle.get(capacity)?.pop()
    if (memory !== undefined) this.idleBytes -= capacity
    return memory
  }

  private make(capacity: number): Memory {
    return this.isPlaced && capacity > leastPlaced ? new SharedArrayBuffer(capacity) : new ArrayBuffer(capacity)
  }

  private giveBack(memory: Memory, capacity: number): void {
    // Ordinary memory may have been transferred, against the rules.
    if (memory.byteLength !== capacity || this.idleBytes + capacity > mostIdle) return
    const alike = this.idle.get(capacity)
    if (alike === undefined) this.idle.set(capacity, [memory])
    else alike.push(memory)
    this.idleBytes += capacity
  }
}
