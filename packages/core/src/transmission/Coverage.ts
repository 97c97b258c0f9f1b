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
 * It limits how much one chunk can cause to be moved in memory; and a reply has no more chunks of content than the read
 * has bytes, since each brings at least one that had not come.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxFragments = 65_536

/** Starts and ends of disjoint, ascending ranges that do not touch. */
interface Ranges {
  readonly starts: Array<number>
  readonly ends: Array<number>
}

/**
 * @since 0.1.0
 * @category models
 */
export class Coverage {
  // The usual reply is one range, kept without arrays: they cost a tenth of a read of 4 KiB.
  private start = 0
  private end = 0
  // Once there are more.
  private ranges: Ranges | undefined

  /** Ranges that do not touch each other. */
  get fragments(): number {
    return this.ranges?.starts.length ?? (this.end > this.start ? 1 : 0)
  }

  /** Adds a range of at least one byte. `false`: part of it was there already, and nothing changed. */
  add(start: number, length: number): boolean {
    const end = start + length
    if (this.ranges !== undefined) return this.addApart(this.ranges, start, end)
    if (this.start === this.end) {
      this.start = start
      this.end = end
    } else if (start === this.end) {
      this.end = end
    } else if (end === this.start) {
      this.start = start
    } else if (start < this.end && end > this.start) {
      return false
    } else {
      this.ranges = { starts: [this.start], ends: [this.end] }
      return this.addApart(this.ranges, start, end)
    }
    return true
  }

  private addApart({ ends, starts }: Ranges, start: number, end: number): boolean {
    const at = firstEndingAfter(ends, start)
    const next = starts[at]
    if (next !== undefined && next < end) return false
    const touchesBefore = at > 0 && ends[at - 1] === start
    const touchesAfter = next === end
    if (touchesBefore && touchesAfter) {
      ends[at - 1] = ends[at] ?? end
      starts.splice(at, 1)
      ends.splice(at, 1)
    } else if (touchesBefore) {
      ends[at - 1] = end
    } else if (touchesAfter) {
      starts[at] = start
    } else {
      starts.splice(at, 0, start)
      ends.splice(at, 0, end)
    }
    if (starts.length === 1) {
      this.start = starts[0] ?? start
      this.end = ends[0] ?? end
      this.ranges = undefined
    }
    return true
  }

  /** Every byte from 0 up to `length` is there. */
  isComplete(length: number): boolean {
    return length === 0 || this.firstGap(length) === length
  }

  /** The first byte below `length` that is not there, or `length`. */
  firstGap(length: number): number {
    const start = this.ranges?.starts[0] ?? this.start
    const end = this.ranges?.ends[0] ?? this.end
    return start === 0 ? Math.min(end, length) : 0
  }
}

const firstEndingAfter = (ends: ReadonlyArray<number>, position: number): number => {
  let low = 0
  let high = ends.length
  // The usual chunk comes after everything before it.
  const last = ends[high - 1]
  if (last === undefined || last <= position) return high
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ends[middle] ?? 0) <= position) low = middle + 1
    else high = middle
  }
  return low
}
