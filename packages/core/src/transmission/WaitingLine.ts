/**
 * What waits for its turn, first come first served; anybody may leave from the middle.
 *
 * A list with a place for each and not a `Set`, for the reason that CookieTable has: V8 would keep those that are gone.
 *
 * @since 0.1.0
 */

/** So many places of those that are gone may be in front before the list is made shorter. */
const mostGone = 1024

/**
 * @since 0.1.0
 * @category models
 */
export class WaitingLine<Entry> {
  private places: Array<Entry | undefined> = []
  /** The first place that may be taken, and the ticket of the first place there is. */
  private head = 0
  private base = 0
  private count = 0

  get size(): number {
    return this.count
  }

  /** Joins at the end. The ticket is for leaving. */
  join(entry: Entry): number {
    this.count += 1
    return this.base + this.places.push(entry) - 1
  }

  /** Whose turn it is, which stays the first. */
  get first(): Entry | undefined {
    if (this.count === 0) return undefined
    while (this.places[this.head] === undefined) this.head += 1
    return this.places[this.head]
  }

  /** Leaves, from wherever that is. Whether it was there. */
  leave(ticket: number): boolean {
    const at = ticket - this.base
    if (this.places[at] === undefined) return false
    this.places[at] = undefined
    this.count -= 1
    if (at === this.head) this.head += 1
    if (this.count === 0) this.forget(this.places.length)
    else if (this.head >= mostGone && this.head * 2 >= this.places.length) this.forget(this.head)
    return true
  }

  /** Everybody leaves. */
  clear(): ReadonlyArray<Entry> {
    const all = this.places.filter((entry) => entry !== undefined)
    this.forget(this.places.length)
    this.count = 0
    return all
  }

  private forget(places: number): void {
    this.places = this.places.slice(places)
    this.base += places
    this.head = Math.max(0, this.head - places)
  }
}
