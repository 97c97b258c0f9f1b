/**
 * A transcript as data: what either side of one connection sent, in the order in which one end saw it.
 *
 * @since 0.1.0
 */
import { concat } from "@effect-nbd/core/wire/Bytes"

/**
 * Who sent it.
 *
 * @since 0.1.0
 * @category models
 */
export type Side = "client" | "server"

/**
 * - `Bytes`: one side sent these, at least one byte. What it sent before the other side's next word is one event.
 * - `Ended`: one side ended its half in order, or the connection broke.
 * - `TlsBegan`: what follows went over the connection encrypted, and stands here as the plaintext inside.
 * - `Cut`: the recording reached its limit; the conversation went on.
 *
 * @since 0.1.0
 * @category models
 */
export type TranscriptEvent =
  | { readonly _tag: "Bytes"; readonly from: Side; readonly bytes: Uint8Array }
  | { readonly _tag: "Ended"; readonly from: Side; readonly how: "Finished" | "Broken" }
  | { readonly _tag: "TlsBegan" }
  | { readonly _tag: "Cut" }

/**
 * One conversation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transcript {
  /** Where it is from, a line each: the server and its version, and what it was started with. */
  readonly remarks: ReadonlyArray<string>
  readonly events: ReadonlyArray<TranscriptEvent>
}

/**
 * A transcript in its one form: bytes of one side that follow one another are one event, there is no event without
 * bytes, and a remark is one line without blanks at its end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (events: Iterable<TranscriptEvent>, remarks: ReadonlyArray<string> = []): Transcript => {
  const joined: Array<TranscriptEvent> = []
  let parts: Array<Uint8Array> = []
  let from: Side = "client"
  const flush = (): void => {
    if (parts.length > 0) joined.push({ _tag: "Bytes", from, bytes: concat(parts) })
    parts = []
  }
  for (const event of events) {
    if (event._tag !== "Bytes") {
      flush()
      joined.push(event)
    } else if (event.bytes.byteLength > 0) {
      if (event.from !== from) flush()
      from = event.from
      parts.push(event.bytes)
    }
  }
  flush()
  return { events: joined, remarks: remarks.flatMap((remark) => remark.split(/\r?\n/)).map((line) => line.trimEnd()) }
}

/**
 * Everything that one side sent.
 *
 * @since 0.1.0
 * @category getters
 */
export const bytesFrom = (side: Side, { events }: Transcript): Uint8Array =>
  concat(events.flatMap((event) => event._tag === "Bytes" && event.from === side ? [event.bytes] : []))
