/**
 * How many bytes are delivered at a time.
 *
 * @since 0.1.0
 */
import type { Cuts } from "./Delivery.ts"

/**
 * Most bytes that are delivered at a time.
 *
 * @since 0.1.0
 * @category constants
 */
export const bufferSize = 65_536

/**
 * What has arrived and waits to be delivered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Waiting {
  readonly arrived: number
  /** Bytes up to the end of the first write. */
  readonly firstWrite: () => number
}

/**
 * How many bytes the next turn delivers, of those that have arrived; none means: not in this turn.
 *
 * @since 0.1.0
 * @category constructors
 */
export const picker = (cuts: Cuts): (waiting: Waiting) => number => {
  switch (cuts._tag) {
    case "Whole":
      return (waiting) => waiting.firstWrite()
    case "Bytes":
      return () => 1
    case "Coalesced":
      return ({ arrived }) => arrived
    case "Random": {
      const next = generator(cuts.seed)
      return ({ arrived }) => {
        const kind = next()
        if (kind < 0.2) return 0
        if (kind < 0.5) return 1 + Math.floor(next() * 40)
        return kind < 0.8 ? 1 + Math.floor(next() * Math.min(arrived, bufferSize)) : arrived
      }
    }
  }
}

/** Mulberry32: numbers from 0 up to 1, good enough to cut bytes by. */
const generator = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
