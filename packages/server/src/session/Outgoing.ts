/**
 * The sending side of one session. A long reply is sent in pieces, each when there is room for it: so it is visible whether
 * the client reads it.
 *
 * @since 0.1.0
 */
import type { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import * as Effect from "effect/Effect"
import type { Line } from "../Speaker.ts"
import type { Progress } from "./Stalling.ts"

/**
 * @since 0.1.0
 * @category models
 */
export class Outgoing implements Line {
  readonly sever: () => void
  private readonly reader: () => FrameReader
  private readonly progress: Progress
  /** The parts of a long reply that are not sent yet. */
  private rest: Array<ReadonlyArray<Uint8Array>> = []

  /** `reader` is that of the connection in use now, which changes when TLS begins. */
  constructor(reader: () => FrameReader, progress: Progress, sever: () => void) {
    this.reader = reader
    this.progress = progress
    this.sever = sever
  }

  readonly send = (parts: ReadonlyArray<Uint8Array>): Effect.Effect<void> => {
    let length = 0
    for (const { byteLength } of parts) length += byteLength
    if (length === 0) return Effect.void
    if (length <= longestWhole) return this.reader().send(parts)
    return Effect.suspend(() => {
      this.rest = cut(parts)
      return Effect.whileLoop({
        while: () => this.rest.length > 0,
        body: () => Effect.zipRight(this.reader().send(this.rest.shift() ?? []), this.progress.step("Outgoing")),
        step: () => {}
      })
    })
  }

  readonly write = (parts: ReadonlyArray<Uint8Array>): Effect.Effect<void> => this.reader().send(parts)

  readonly endWrites = (): void => this.reader().connection.endWrites()

  /** Takes the unsent parts of the current reply; the caller has to send them. */
  takeRest(): ReadonlyArray<Uint8Array> {
    const rest = this.rest.flat()
    this.rest = []
    return rest
  }
}

/** A reply that is not longer than this, such as one to a read of 1 MiB, is sent as a whole. */
const longestWhole = 1_114_112

const longestPiece = 262_144

/** The same bytes, in pieces of 256 KiB or so. */
const cut = (parts: ReadonlyArray<Uint8Array>): Array<ReadonlyArray<Uint8Array>> => {
  const pieces: Array<ReadonlyArray<Uint8Array>> = []
  let piece: Array<Uint8Array> = []
  let length = 0
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; at += longestPiece) {
      const bytes = part.subarray(at, at + longestPiece)
      piece.push(bytes)
      length += bytes.byteLength
      if (length < longestPiece) continue
      pieces.push(piece)
      piece = []
      length = 0
    }
  }
  if (length > 0) pieces.push(piece)
  return pieces
}
