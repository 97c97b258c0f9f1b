/**
 * From the handshake into the transmission phase.
 *
 * @since 0.1.0
 */
import { printable } from "../errors/Printed.ts"
import { Export, type ExportFacts } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { type Settings, wantedInfo } from "../HandleConfig.ts"
import type { Agreed } from "../handshake/Agreed.ts"
import { go, goByName } from "../handshake/InfoAndGo.ts"
import { Transmission, type TransmissionEnd } from "../transmission/Transmission.ts"
import type { Established, HandleCell } from "./HandleCell.ts"
import { beginShutDown, die } from "./HandleEnd.ts"

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

const transmissionEnded = (cell: HandleCell, end: TransmissionEnd): void =>
  end._tag === "Failed" ? die(cell, end.fault) : beginShutDown(cell, "Server")
