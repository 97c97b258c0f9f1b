/**
 * A map of whole numbers from 0 to values, kept as runs of equal values: a change of a long range costs what a change of
 * a short one does. It may be infinitely long, and takes memory for its runs alone.
 *
 * @since 0.1.0
 */

/**
 * Numbers from `from` up to, but not including, `to` that have the same value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run<A> {
  readonly from: number
  readonly to: number
  readonly value: A
}

/**
 * Values are compared by `===`.
 *
 * @since 0.1.0
 * @category models
 */
export class Runs<A> {
  /** Where each run begins, ascending, the first at 0; a run ends where the next one begins. */
  private readonly starts: Array<number> = [0]
  private readonly values: Array<A>

  /** All numbers have this value at first. */
  constructor(initial: A) {
    this.values = [initial]
  }

  /** How many runs there are. */
  get count(): number {
    return this.starts.length
  }

  at(index: number): A {
    return this.valueOf(this.find(index))
  }

  /** Gives the numbers from `from` up to, but not including, `to` a value. */
  set(from: number, to: number, value: A): void {
    if (from >= to) return
    const first = this.find(from)
    const last = this.find(to)
    const starts: Array<number> = []
    const values: Array<A> = []
    const add = (start: number, next: A): void => {
      if (values.length > 0 && values.at(-1) === next) return
      starts.push(start)
      values.push(next)
    }
    // The neighbour before is taken along, so that runs that have become equal are joined.
    const begin = Math.max(0, first - 1)
    if (begin < first) add(this.startOf(begin), this.valueOf(begin))
    if (this.startOf(first) < from) add(this.startOf(first), this.valueOf(first))
    add(from, value)
    add(to, this.valueOf(last))
    this.starts.splice(begin, last + 1 - begin, ...starts)
    this.values.splice(begin, last + 1 - begin, ...values)
  }

  /** The runs between `from` and `to`, cut to it, in order. Changes must wait until it is done. */
  *between(from: number, to: number): Generator<Run<A>> {
    for (let index = this.find(from); index < this.starts.length; index++) {
      const start = Math.max(from, this.startOf(index))
      if (start >= to) return
      yield { from: start, to: Math.min(to, this.starts[index + 1] ?? Infinity), value: this.valueOf(index) }
    }
  }

  /** The index of the run that a number is in. */
  private find(index: number): number {
    let low = 0
    let high = this.starts.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.startOf(middle) <= index) low = middle
      else high = middle
    }
    return low
  }

  private startOf(index: number): number {
    return this.starts[index] ?? Infinity
  }

  private valueOf(index: number): A {
    // Indices come from `find` or a loop over `starts`, and both arrays have the same length.
    return this.values[index] as A
  }
}
