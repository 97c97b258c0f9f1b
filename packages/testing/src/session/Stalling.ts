/**
 * Whether a client moves the payload that it is waited for, and since when it does not.
 *
 * A client is waited for while it sends a payload, and while it takes a reply. A payload counts as moved by every 64 KiB that
 * have come, a reply by every 256 KiB that have gone: a byte now and then is no progress. A client has stalled when it is
 * waited for and
 *
 * - has moved nothing in either direction for half a second, or
 * - has moved nothing in one of them for 2 seconds, whatever it does in the other.
 *
 * To stall is no fault, and costs nothing as long as nobody waits for the memory: see session/Memory.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds without any progress. */
const patience = 500

/** Milliseconds without progress in one direction. */
const patienceInOne = 2000

/**
 * What payload is for: WRITEs, or replies.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = "Incoming" | "Outgoing"

/**
 * The progress of one client.
 *
 * @since 0.1.0
 * @category models
 */
export class Progress {
  /** When the client last moved something that it is waited for; `undefined` where it is not waited for. */
  private readonly due: Record<Direction, number | undefined> = { Incoming: undefined, Outgoing: undefined }
  private moved = -Infinity

  /** While it runs, it is the client that is waited for. It is interrupted only with the session. */
  whileDue<A, E>(direction: Direction, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      this.due[direction] = now
      return Effect.zipLeft(
        effect,
        Effect.map(Clock.currentTimeMillis, (now) => {
          this.due[direction] = undefined
          this.moved = now
        })
      )
    })
  }

  /** Some of what it is waited for has come, or gone. */
  readonly step = (direction: Direction): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      this.due[direction] = now
      this.moved = now
    })

  /** From when on the client has stalled, unless it moves something before; `undefined` where it is not waited for. */
  get stallsAt(): number | undefined {
    const { Incoming, Outgoing } = this.due
    const first = Math.min(Incoming ?? Infinity, Outgoing ?? Infinity)
    if (first === Infinity) return undefined
    const last = Math.max(this.moved, Incoming ?? -Infinity, Outgoing ?? -Infinity)
    return Math.min(last + patience, first + patienceInOne)
  }
}
