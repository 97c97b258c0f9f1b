/**
 * How many requests of a copy are in flight: as many as the distance to its servers calls for.
 *
 * A server far away answers no faster for being asked less, so what is in flight limits the rate there. Where a disk or a
 * processor is the limit, twice as many only wait twice as long. How long the quickest request of the copy took tells the
 * two apart: while requests take about as long as that one, none waits for the others, and there can be more of them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Milliseconds below which a request is answered so soon that more of them gain nothing. */
const nearby = 10

/** How many times as long as the quickest a request takes on the average while none waits for the others. */
const unhindered = 1.4

/** The same where there are far too many of them. */
const crowded = 3

/** Rounds after which it is tried again whether there can be more: distances and servers change. */
const rest = 8

/**
 * @since 0.1.0
 * @category models
 */
export interface Bounds {
  /** What suits servers nearby. */
  readonly least: number
  readonly most: number
}

/**
 * Is told of each request that is done, and says how many there should be.
 *
 * @since 0.1.0
 * @category models
 */
export class Depth {
  private readonly least: number
  private readonly most: number
  private current: number
  /** Requests of this round that are done. */
  private done = 0
  /** What they took, together. */
  private millis = 0
  private quickest = Number.POSITIVE_INFINITY
  /** Of this round some were sent when there were fewer or more. */
  private isMixed = true
  /** Rounds until the next trial. */
  private resting = 0
  /** Who waits for there to be more, by number. */
  private readonly waiting = new Map<number, () => void>()

  constructor({ least, most }: Bounds) {
    this.least = least
    this.most = Math.max(least, most)
    this.current = least
  }

  /** Requests that should be in flight now. */
  get requests(): number {
    return this.current
  }

  /** The most that it may become. */
  get limit(): number {
    return this.most
  }

  /** A request took so long. */
  finished(millis: number): void {
    this.done++
    this.millis += millis
    if (millis < this.quickest) this.quickest = millis
    if (this.done < this.current) return
    const average = this.millis / this.done
    const { isMixed } = this
    this.done = 0
    this.millis = 0
    this.isMixed = false
    if (!isMixed) this.judge(average)
  }

  /** Is done when there should be more than `number` requests, and at the end. */
  wait(number: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      this.waiting.set(number, () => resume(Effect.void))
      return Effect.sync(() => this.waiting.delete(number))
    })
  }

  /** Nobody waits any longer. */
  end(): void {
    this.wake(Number.POSITIVE_INFINITY)
  }

  private wake(below: number): void {
    for (const [number, resume] of this.waiting) {
      if (number >= below) continue
      this.waiting.delete(number)
      resume()
    }
  }

  private judge(average: number): void {
    if (this.resting > 0) this.resting--
    if (this.current > this.least && average > crowded * this.quickest) {
      this.resting = rest
      this.become(this.current / 2)
    } else if (
      this.resting === 0 && average >= nearby && average <= unhindered * this.quickest && this.current * 2 <= this.most
    ) {
      this.become(this.current * 2)
    }
  }

  private become(requests: number): void {
    this.current = requests
    this.isMixed = true
    this.wake(requests)
  }
}
