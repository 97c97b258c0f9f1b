/**
 * How many requests of a copy are in flight: as many as the distance to its servers calls for.
 *
 * A server far away answers no faster for being asked less, so what is in flight limits the rate. Doubled, it doubles the
 * rate there, and does nothing where a disk or a processor is the limit. So it is doubled as long as that helps. The time
 * that a round of requests takes tells where to begin at all: a copy on one machine is over before that could pay.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Milliseconds that so many requests take on the whole. Distance does not matter below that. */
const nearby = 10

/** How much faster twice as many requests have to be, to be kept. */
const worthwhile = 1.25

/** Rounds after which it is tried again whether more would help: distances and servers change. */
const rest = 32

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
 * Is told of each request that is done, and how many there should be. Times are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class Depth {
  private readonly most: number
  private current: number
  /** Requests of this round that are done. */
  private done = 0
  private bytes = 0
  /** When the round began; `undefined` for one that says nothing of the rate. */
  private start: number | undefined
  /** Bytes a millisecond with half as many. */
  private before: number | undefined
  /** Rounds until the next trial. */
  private resting = 0
  /** Who waits for there to be more, by number. */
  private readonly waiting = new Map<number, () => void>()

  constructor({ least, most }: Bounds) {
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

  /** A request of so many bytes is done. */
  finished(length: number, now: number): void {
    this.done++
    this.bytes += length
    if (this.done < this.current) return
    const { bytes, start } = this
    this.start = now
    this.done = 0
    this.bytes = 0
    if (start !== undefined) this.judge(bytes / Math.max(1, now - start), now - start)
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

  private judge(rate: number, millis: number): void {
    if (this.before !== undefined && rate < this.before * worthwhile) {
      this.resting = rest
      return this.become(this.current / 2, undefined)
    }
    if (this.resting > 0) {
      this.resting--
      return
    }
    if (millis < nearby || this.current * 2 > this.most) return this.become(this.current, undefined)
    this.become(this.current * 2, rate)
  }

  private become(requests: number, before: number | undefined): void {
    this.before = before
    if (requests === this.current) return
    this.current = requests
    // The round that begins was sent, in part, while there were fewer.
    this.start = undefined
    this.wake(requests)
  }
}
