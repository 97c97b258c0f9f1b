/**
 * A peer in memory that follows a script: it waits for exactly the bytes the script has for the client, and says what
 * the script has for the server, whole or cut. Nothing waits for time, so what does not go on hangs for good.
 */
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import type * as Effect from "effect/Effect"
import { drive, type Outcome } from "../fixtures/Drive.ts"
import { concat, zeros } from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"

/** One line of a script. */
export type Line =
  | { readonly client: Uint8Array }
  | { readonly server: Uint8Array }
  | { readonly end: ConnectionEnd }

export interface Conversation<A, E> {
  readonly outcome: Outcome<A, E>
  readonly connection: ManualConnection
  readonly reader: FrameReader
  /** Bytes that the client sent and the script did not expect. */
  readonly unexpected: Uint8Array
}

/**
 * Has what runs on this connection talk to the script, and gives back the bytes that it sent beyond it. `turn` lets it
 * run on; `split` is the number of bytes that arrive together, by default a whole line.
 */
export const follow = (
  script: ReadonlyArray<Line>,
  connection: ManualConnection,
  turn: () => void,
  split = Number.MAX_SAFE_INTEGER
): Uint8Array => {
  let sent = zeros(0)
  for (const line of script) {
    turn()
    if ("server" in line) {
      for (let at = 0; at < line.server.byteLength; at += split) {
        connection.arrive(line.server.subarray(at, at + split))
        turn()
      }
    } else if ("end" in line) connection.end(line.end)
    else {
      sent = concat(sent, connection.takeWritten())
      const heard = sent.subarray(0, line.client.byteLength)
      if (hex(heard) !== hex(line.client)) throw new Error(`the client sent ${hex(sent)}, and not ${hex(line.client)}`)
      sent = sent.subarray(line.client.byteLength)
    }
  }
  turn()
  return concat(sent, connection.takeWritten())
}

/** Has the client talk to the script. */
export const converse = <A, E>(
  client: (reader: FrameReader) => Effect.Effect<A, E>,
  script: ReadonlyArray<Line>,
  split?: number
): Conversation<A, E> => {
  const connection = new ManualConnection()
  const reader = new FrameReader(connection)
  const running = drive(client(reader))
  const unexpected = follow(script, connection, running.outcome, split)
  return { outcome: running.outcome(), connection, reader, unexpected }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")

/** The script with each line of the server cut short at each byte, and then the end. */
export function* cutAtEveryByte(script: ReadonlyArray<Line>, end: ConnectionEnd): Generator<ReadonlyArray<Line>> {
  for (const [index, line] of script.entries()) {
    if (!("server" in line)) continue
    for (let length = 0; length < line.server.byteLength; length++) {
      yield [...script.slice(0, index), { server: line.server.subarray(0, length) }, { end }]
    }
  }
}
