/**
 * What waits for its turn, first come first served; anybody may leave from the middle, and leaves nothing behind.
 *
 * A chain of places and not a `Set`, for the reason that CookieTable has: V8 would keep those that are gone. A place that
 * was left refers to no other, so that an old one keeps none alive. Nothing is left to be passed over either, whoever
 * stands in front and for however long.
 *
 * @since 0.1.0
 */

/**
 * A place in the line, by which whoever has it can leave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place<Entry> {
  readonly entry: Entry
  /** It is in the line still. */
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

  /** Joins at the end. The place is for leaving. */
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
