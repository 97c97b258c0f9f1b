/**
 * Memory that reads are lent, and that is used again once it was given back.
 *
 * Where a connection has bytes put into it by the system itself, the system knows no more than an address. So that memory
 * is of a kind that cannot be taken away: a `SharedArrayBuffer` can neither be transferred nor shrunk, and who keeps
 * a view of it too long sees other bytes, but never writes to somebody else's memory. It has its price: V8 copies into it
 * byte by byte as a rule, so what will be copied goes into ordinary memory. And V8 does not hurry to collect it, however
 * much there is, so there is little of it.
 *
 * @since 0.1.0
 */

/** Capacities are powers of two, so that what was given back fits the next read of about the same length. */
const leastCapacity = 4096

/** Bytes of ordinary memory that are kept for later; what is given back above that is let go. */
const mostIdle = 16_777_216

/** Bytes of shared memory that a connection has at a time, lent or not. Beyond that memory is ordinary. */
const mostShared = 67_108_864

/** What arrives in so many bytes or fewer comes along with the headers around it, and is copied. */
const mostCopied = 65_536

/**
 * @since 0.1.0
 * @category models
 */
export interface Lent {
  readonly bytes: Uint8Array
  /** The system may be told of its address. */
  readonly isShared: boolean
  /** The bytes are not used any more. To be called once at most; without it the memory is the garbage collector's. */
  readonly giveBack: () => void
}

/** Bytes of shared memory that one connection has. */
interface Count {
  shared: number
}

/** What was not given back is there until the collector says otherwise. */
const collected = new FinalizationRegistry<{ readonly count: Count; readonly capacity: number }>(
  ({ capacity, count }) => {
    count.shared -= capacity
  }
)

/**
 * What one connection lends.
 *
 * @since 0.1.0
 * @category models
 */
export class LentMemory {
  /** The connection asks where bytes belong before it takes them. */
  isPlaced = false
  private readonly shared = new Map<number, Array<SharedArrayBuffer>>()
  private readonly ordinary = new Map<number, Array<ArrayBuffer>>()
  private readonly count: Count = { shared: 0 }
  private idleBytes = 0

  /** Memory for a read of `length` bytes, of which the first to come are `arriving` in one piece. */
  take(length: number, arriving: number): Lent {
    const capacity = Math.max(leastCapacity, 2 ** Math.ceil(Math.log2(length)))
    const shared = this.isPlaced && arriving > mostCopied ? this.takeShared(capacity) : undefined
    if (shared !== undefined) {
      const giveBack = () => put(this.shared, capacity, shared)
      return { bytes: new Uint8Array(shared, 0, length), isShared: true, giveBack }
    }
    const memory = this.takeOrdinary(capacity)
    return { bytes: new Uint8Array(memory, 0, length), isShared: false, giveBack: () => this.keep(memory, capacity) }
  }

  private takeShared(capacity: number): SharedArrayBuffer | undefined {
    const known = this.shared.get(capacity)?.pop()
    if (known !== undefined || this.count.shared + capacity > mostShared) return known
    const memory = new SharedArrayBuffer(capacity)
    this.count.shared += capacity
    collected.register(memory, { capacity, count: this.count })
    return memory
  }

  private takeOrdinary(capacity: number): ArrayBuffer {
    const known = this.ordinary.get(capacity)?.pop()
    if (known === undefined) return new ArrayBuffer(capacity)
    this.idleBytes -= capacity
    // It may have been transferred, against the rules.
    return known.byteLength === capacity ? known : new ArrayBuffer(capacity)
  }

  private keep(memory: ArrayBuffer, capacity: number): void {
    if (this.idleBytes + capacity > mostIdle) return
    this.idleBytes += capacity
    put(this.ordinary, capacity, memory)
  }
}

const put = <Memory>(idle: Map<number, Array<Memory>>, capacity: number, memory: Memory): void => {
  const alike = idle.get(capacity)
  if (alike === undefined) idle.set(capacity, [memory])
  else alike.push(memory)
}

const zeroes = new Uint8Array(65_536)

/**
 * Makes bytes zero. To fill shared memory takes V8 five times as long as to copy zeroes into it.
 *
 * @since 0.1.0
 * @category models
 */
export const clear = (memory: Uint8Array, start: number, length: number): void => {
  if (memory.buffer instanceof ArrayBuffer) memory.fill(0, start, start + length)
  else for (let at = 0; at < length; at += zeroes.byteLength) memory.set(zeroes.subarray(0, length - at), start + at)
}
