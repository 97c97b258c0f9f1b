/**
 * How a handle ends: shut down in order, or dead by a fault.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { printable } from "../errors/Printed.ts"
import type { DeathReason, Ender } from "../HandleState.ts"
import { ServerDisconnectedError } from "../ProtocolError.ts"
import type { Transmission } from "../transmission/Transmission.ts"
import type { Channel } from "./Channel.ts"
import type { HandleCell } from "./HandleCell.ts"

/**
 * A `Connected` handle is `ShutDown` from now on: no more commands, and goodbye after the last reply.
 *
 * @since 0.1.0
 * @category transitions
 */
export const beginShutDown = (cell: HandleCell, by: Ender): void => {
  const live = cell.current
  if (live._tag !== "Connected") return
  const { agreed, export: known } = live.state
  cell.move({
    _tag: "ShutDown",
    state: printable({ _tag: "ShutDown", by, agreed: Option.some(agreed), export: Option.some(known) }),
    transmission: live.transmission
  })
  live.transmission.drain()
}

/**
 * The end of a handle's scope: commands that were not sent yet fail, and outstanding replies are waited for, as the
 * specification asks (C-198), but only for `atMost`. Some servers abort, and all their clients lose their connection,
 * if one client disconnects before its requests are answered. If no request is outstanding, or the connection is over,
 * nothing is waited for.
 *
 * @since 0.1.0
 * @category transitions
 */
export const closeTransmission = (
  cell: HandleCell,
  transmission: Transmission,
  atMost: Duration.DurationInput
): Effect.Effect<void> =>
  Effect.suspend(() => {
    beginShutDown(cell, "Client")
    transmission.empty()
    const close = Effect.sync(() => transmission.close())
    if (transmission.requestsInFlight === 0 || Duration.equals(atMost, Duration.zero)) return close
    // A finalizer cannot be interrupted, but this wait must be interruptible for its timeout.
    const left = Effect.interruptible(called((callback) => transmission.onLeaving(callback)))
    return Effect.zipRight(Effect.timeoutOption(left, atMost), close)
  })

/**
 * An effect that ends when its callback is called.
 *
 * @since 0.1.0
 * @category constructors
 */
export const called = (register: (callback: () => void) => () => void): Effect.Effect<void> =>
  Effect.async((resume) => Effect.sync(register(() => resume(Effect.void))))

/**
 * Ends a handle that was not connected in order, by abort or by the end of its scope.
 *
 * @since 0.1.0
 * @category transitions
 */
export const shutDownEarly = (cell: HandleCell, by: Ender): void => {
  const live = cell.current
  if (live._tag === "ShutDown" || live._tag === "Dead") return
  const agreed = live._tag === "Negotiating" ? Option.some(live.state.agreed) : Option.none()
  const known = live._tag === "Negotiating" ? live.state.export : Option.none()
  cell.move({
    _tag: "ShutDown",
    state: printable({ _tag: "ShutDown", by, agreed, export: known }),
    transmission: undefined
  })
}

/**
 * @since 0.1.0
 * @category transitions
 */
export const die = (cell: HandleCell, reason: DeathReason): void => {
  if (cell.current._tag !== "Dead") cell.move({ _tag: "Dead", state: printable({ _tag: "Dead", reason }) })
}

/**
 * The server has ended its half between two options: the handle dies of it. In the middle of one, that option notices.
 *
 * @since 0.1.0
 * @category transitions
 */
export const hungUp = (cell: HandleCell, { reader, underWay }: Channel): void => {
  const { ended } = reader
  if (cell.current._tag !== "Negotiating" || underWay || ended === undefined) return
  const silent = new ServerDisconnectedError({
    peer: reader.connection.peer,
    phase: "haggling",
    received: 0,
    wanted: 0
  })
  die(cell, ended._tag === "Broken" ? ended.error : ended.program ?? silent)
  reader.connection.close()
}
