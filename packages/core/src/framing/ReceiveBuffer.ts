/**
 * Bytes that have arrived and were not taken yet.
 *
 * It copies what it is given, since a connection's bytes are borrowed, and moves the rest to the front when it runs
 * out of room. It is meant for haggling, where messages are small; the reply path parses in place instead.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export class ReceiveBuffer {
  private store = new Uint8Array(4096)
  private start = 0
  private end = 0

  /** Bytes that can be taken now. */
  get length(): number {
    return this.end - this.start
  }

  push(bytes: Uint8Array): void {
    const length = this.length
    if (bytes.byteLength > this.store.byteLength - this.end) {
      const needed = length + bytes.byteLength
      const target = needed <= this.store.byteLength
        ? this.store
        : new Uint8Array(Math.max(needed, 2 * this.store.byteLength))
      target.set(this.store.subarray(this.start, this.end), 0)
      this.store = target
      this.start = 0
      this.end = length
    }
    this.store.set(bytes, this.end)
    this.end += bytes.byteLength
  }

  /** A copy of the next `count` bytes, which must be there. */
  take(count: number): Uint8Array {
    const taken = this.peek(count)
    this.start += taken.byteLength
    if (this.start === this.end) {
      this.start = 0
      this.end = 0
    }
    return taken
  }

  /** A copy of the next bytes, `count` at most, left where they are. */
  peek(count: number): Uint8Array {
    return this.store.slice(this.start, this.start + Math.min(count, this.length))
  }
}
