/**
 * Which bytes of a read have arrived, as ranges: a count of bytes would take the same byte twice for two bytes, and a
 * duplicate with a gap for a whole reply (C-176, H-103, H-104).
 *
 * Ranges that touch are merged, so the usual reply, in order and without gaps, is one range however many chunks it
 * came in.
 *
 * @since 0.1.0
 */

/**
 * Most ranges that are kept apart. A server that answers in more separate pieces than this is not answering in earnest.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxFragments = 65_536

/**
 * @since 0.1.0
 * @category models
 */
export class Coverage {
  // Starts and ends of disjoint, ascending ranges that do not touch.
  private readonly starts: Array<number> = []
  private readonly ends: Array<number> = []

  /** Ranges that do not touch each other. */
  get fragments(): number {
    return this.starts.length
  }

  /** Adds a range of at least one byte. `false`: part of it was there already, and nothing changed. */
  add(start: number, length: number): boolean {
    const end = start + length
    const at = this.firstEndingAfter(start)
    const next = this.starts[at]
    if (next !== undefined && next < end) return false
    const touchesBefore = at > 0 && this.ends[at - 1] === start
    const touchesAfter = next === end
    if (touchesBefore && touchesAfter) {
      this.ends[at - 1] = this.ends[at] ?? end
      this.starts.splice(at, 1)
      this.ends.splice(at, 1)
    } else if (touchesBefore) {
      this.ends[at - 1] = end
    } else if (touchesAfter) {
      this.starts[at] = start
    } else {
      this.starts.splice(at, 0, start)
      this.ends.splice(at, 0, end)
    }
    return true
  }

  /** Every byte from 0 up to `length` is there. */
  isComplete(length: number): boolean {
    return length === 0 || (this.starts.length === 1 && this.starts[0] === 0 && this.ends[0] === length)
  }

  /** `byte` is there. */
  has(byte: number): boolean {
    const start = this.starts[this.firstEndingAfter(byte)]
    return start !== undefined && start <= byte
  }

  /** The first byte below `length` that is not there, or `length`. */
  firstGap(length: number): number {
    return this.starts[0] === 0 ? Math.min(this.ends[0] ?? length, length) : 0
  }

  private firstEndingAfter(position: number): number {
    let low = 0
    let high = this.ends.length
    // The usual chunk comes after everything before it.
    const last = this.ends[high - 1]
    if (last === undefined || last <= position) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.ends[middle] ?? 0) <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}
