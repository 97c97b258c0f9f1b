/**
 * Whether a client makes progress with the payload that the server waits for, and since when it does not.
 *
 * The server waits for a client while the client sends a payload, and while it reads a reply. Every 64 KiB of a payload
 * that have arrived, and every 256 KiB of a reply that were sent, count as progress. A single byte from time to time is
 * no progress. A client has stalled if the server waits for it and it
 *
 * - has moved nothing in either direction for half a second, or
 * - has moved nothing in one direction for 2 seconds, even if it moves something in the other.
 *
 * To stall is no fault, and has no effect as long as no session waits for the memory: see session/Memory.
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
  /** When the client last made progress; `undefined` while the server does not wait for it. */
  private readonly due: Record<Direction, number | undefined> = { Incoming: undefined, Outgoing: undefined }
  private moved = -Infinity

  /** While this effect runs, the server waits for the client. It is interrupted only with the session. */
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

  /** A part of the payload has arrived, or a part of the reply was sent. */
  readonly step = (direction: Direction): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      this.due[direction] = now
      this.moved = now
    })

  /**
   * The time from which the client counts as stalled, unless it makes progress before; `undefined` while the server
   * does not wait for it.
   */
  get stallsAt(): number | undefined {
    const { Incoming, Outgoing } = this.due
    const first = Math.min(Incoming ?? Infinity, Outgoing ?? Infinity)
    if (first === Infinity) return undefined
    const last = Math.max(this.moved, Incoming ?? -Infinity, Outgoing ?? -Infinity)
    return Math.min(last + patience, first + patienceInOne)
  }
}
