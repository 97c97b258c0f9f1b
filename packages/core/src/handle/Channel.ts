/**
 * What it takes to haggle: a connection between two options, and the right to send the next one. What has been agreed on
 * so far is in the handle's state, which options change.
 *
 * Turns, the order in which fibers may send options, are no semaphore: a fiber that is interrupted in the moment of being
 * given a permit has it and does not know. Here a place in the queue is taken by a synchronous step and left by another,
 * also where the waiting was interrupted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FrameReader } from "../framing/FrameReader.ts"
import type { TlsSettings } from "../Tls.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Channel {
  readonly reader: FrameReader
  /** What TLS is made of when nothing else is said. */
  readonly tls: TlsSettings
  /** Haggling is lockstep, and fibers take turns. */
  readonly turns: Turns
  /** An option has been begun, and not been answered to its end: nothing may be sent, and an end is its own to notice. */
  underWay: boolean
  /** The connection's own scope, in which an option runs to its end even when its caller has gone. */
  readonly scope: Scope.Scope
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Turn {
  /** Is done when everybody before has left. */
  readonly comes: Effect.Effect<void>
  /** Gives up the place, whether or not its turn has come. May be called again. */
  readonly leave: () => void
}

interface Place {
  call: (() => void) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export class Turns {
  /** The first is the one whose turn it is. */
  private readonly places = new Set<Place>()

  /** Takes a place at the end of the queue, which must be left. */
  enter(): Turn {
    const place: Place = { call: undefined }
    this.places.add(place)
    return {
      comes: Effect.async<void>((resume) => {
        place.call = () => resume(Effect.void)
        if (this.first === place) place.call()
      }),
      leave: () => {
        const wasFirst = this.first === place
        if (this.places.delete(place) && wasFirst) this.first?.call?.()
      }
    }
  }

  private get first(): Place | undefined {
    for (const place of this.places) return place
    return undefined
  }
}
