/**
 * A line of waiting items, first in first out. An item may also be removed from the middle, and then uses no memory.
 *
 * A chain of places and not a `Set`, for the reason that CookieTable has: V8 would keep removed items in memory. A
 * removed place refers to no other place, so it keeps no other in memory. A removed place is not skipped later either:
 * it is gone at once, even if the first item waits for a long time.
 *
 * @since 0.1.0
 */

/**
 * A place in the line, with which its item can be removed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place<Entry> {
  readonly entry: Entry
  /** It is still in the line. */
  isTaken: boolean
  before: Place<Entry> | undefined
  behind: Place<Entry> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export class WaitingLine<Entry> {
  private head: Place<Entry> | undefined
  private tail: Place<Entry> | undefined
  private count = 0

  get size(): number {
    return this.count
  }

  /** Adds an item at the end, and returns the place with which it can be removed. */
  join(entry: Entry): Place<Entry> {
    const place: Place<Entry> = { entry, isTaken: true, before: this.tail, behind: undefined }
    if (this.tail === undefined) this.head = place
    else this.tail.behind = place
    this.tail = place
    this.count += 1
    return place
  }

  /** Whose turn it is, which stays the first. */
  get first(): Entry | undefined {
    return this.head?.entry
  }

  /** Leaves, from wherever that is. Whether it was there. */
  leave(place: Place<Entry>): boolean {
    if (!place.isTaken) return false
    const { before, behind } = place
    if (before === undefined) this.head = behind
    else before.behind = behind
    if (behind === undefined) this.tail = before
    else behind.before = before
    release(place)
    this.count -= 1
    return true
  }

  /** Everybody leaves. */
  clear(): ReadonlyArray<Entry> {
    const all: Array<Entry> = []
    for (let place = this.head; place !== undefined;) {
      const { behind } = place
      all.push(place.entry)
      release(place)
      place = behind
    }
    this.head = undefined
    this.tail = undefined
    this.count = 0
    return all
  }
}

const release = (place: Place<unknown>): void => {
  place.isTaken = false
  place.before = undefined
  place.behind = undefined
}
