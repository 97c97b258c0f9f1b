/**
 * From the handshake into the transmission phase, and out of it: the ways a connection changes the state of its handle.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { printable } from "../errors/Printed.ts"
import { Export, type ExportFacts } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { type Settings, wantedInfo } from "../HandleConfig.ts"
import type { DeathReason, Ender } from "../HandleState.ts"
import type { Agreed } from "../handshake/Agreed.ts"
import { go, goByName } from "../handshake/InfoAndGo.ts"
import { ServerDisconnectedError } from "../ProtocolError.ts"
import { Transmission, type TransmissionEnd } from "../transmission/Transmission.ts"
import type { Channel } from "./Channel.ts"
import type { Established, HandleCell } from "./HandleCell.ts"

/**
 * Asks the server to enter an export, by the option that the settings name.
 *
 * @since 0.1.0
 * @category haggling
 */
export const askToEnter = (reader: FrameReader, settings: Settings, agreed: Agreed, exportName: string) =>
  settings.forceExportName
    ? goByName(reader, agreed, exportName, wantedInfo(settings))
    : go(reader, agreed, exportName, wantedInfo(settings))

/**
 * Begins the transmission phase: the handle is `Connected`, for a moment at least. `undefined`: the handle has ended in
 * the same turn in which the server agreed, and the connection is dropped.
 *
 * @since 0.1.0
 * @category transitions
 */
export const enterTransmission = (
  cell: HandleCell,
  reader: FrameReader,
  settings: Settings,
  agreed: Agreed,
  facts: ExportFacts
): Extract<Established, { readonly _tag: "Connected" }> | undefined => {
  const { _tag } = cell.current
  if (_tag !== "Connecting" && _tag !== "Negotiating") {
    reader.connection.close()
    return undefined
  }
  const entered = new Export(facts)
  const transmission: Transmission = new Transmission({
    connection: reader.connection,
    export: entered,
    limits: settings.limits,
    traffic: cell.traffic,
    events: {
      onEnd: (end) => transmissionEnded(cell, end),
      onServerShutdown: () => beginShutDown(cell, "Server")
    }
  })
  const connected = {
    _tag: "Connected",
    state: printable({ _tag: "Connected", peer: reader.connection.peer, agreed, export: entered }),
    transmission
  } as const
  cell.move(connected)
  transmission.start(reader.detach(), reader.ended)
  return connected
}

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
  const state = printable({ _tag: "ShutDown", by, agreed, export: known })
  cell.move({ _tag: "ShutDown", state, transmission: undefined })
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

/** An end in order of a handle that is still `Connected` is the server's: this side shuts the handle down before it leaves. */
const transmissionEnded = (cell: HandleCell, end: TransmissionEnd): void =>
  end._tag === "Failed" ? die(cell, end.fault) : beginShutDown(cell, "Server")
