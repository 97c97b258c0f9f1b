/**
 * Commands by cookie, for cookies that are given out in turn and come back in about that order.
 *
 * A ring and not a `Map`: adding and deleting all the time makes V8 copy a Map's table again and again, and every
 * table refers to the one that replaced it. Once one of them is old, all that follow and the dead commands in them live
 * until the next major collection. With 1024 commands in flight a Map made a read a fifth dearer and the heap twice as large.
 *
 * @since 0.1.0
 */

/**
 * Anything that has a cookie: a whole number from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Numbered {
  readonly cookie: number
}

const fewest = 64

/**
 * @since 0.1.0
 * @category models
 */
export class CookieTable<Entry extends Numbered> {
  /** Each entry at its cookie modulo the length, a power of two. */
  private ring: Array<Entry | undefined> = emptyRing(fewest)
  /** Entries whose place a later one has taken: they wait for longer than so many others. */
  private readonly overtaken = new Map<number, Entry>()
  private count = 0

  get size(): number {
    return this.count
  }

  /** Adds an entry with a cookie above those of all others. */
  add(entry: Entry): void {
    if (this.count * 2 >= this.ring.length) this.grow()
    this.place(entry)
    this.count += 1
  }

  get(cookie: number): Entry | undefined {
    const entry = this.ring[cookie % this.ring.length]
    if (entry?.cookie === cookie) return entry
    return this.overtaken.size === 0 ? undefined : this.overtaken.get(cookie)
  }

  /** Whether it was there. */
  delete(entry: Entry): boolean {
    const { cookie } = entry
    const at = cookie % this.ring.length
    if (this.ring[at] === entry) this.ring[at] = undefined
    else if (!this.overtaken.delete(cookie)) return false
    this.count -= 1
    return true
  }

  /** All entries in the order of their cookies, which are then gone. */
  clear(): ReadonlyArray<Entry> {
    const all = this.entries()
    this.ring = emptyRing(fewest)
    this.overtaken.clear()
    this.count = 0
    return all
  }

  private entries(): ReadonlyArray<Entry> {
    return [...this.overtaken.values(), ...this.ring.filter((entry) => entry !== undefined)]
      .toSorted((one, other) => one.cookie - other.cookie)
  }

  private grow(): void {
    const all = this.entries()
    this.ring = emptyRing(this.ring.length * 2)
    this.overtaken.clear()
    for (const entry of all) this.place(entry)
  }

  private place(entry: Entry): void {
    const at = entry.cookie % this.ring.length
    const before = this.ring[at]
    if (before !== undefined) this.overtaken.set(before.cookie, before)
    this.ring[at] = entry
  }
}

const emptyRing = <Entry>(length: number): Array<Entry | undefined> => Array.from({ length }, () => undefined)
