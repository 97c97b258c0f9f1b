/**
 * Sends what a session says: every message goes through here, and is changed by the misbehaviours in force.
 *
 * Where none is in force nothing is looked at, and bytes leave as they came.
 *
 * @since 0.1.0
 */
import type { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { concat } from "@effect-nbd/core/wire/Bytes"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Progress } from "../session/Stalling.ts"
import { encode, type Frame, optionReplies, raw, replies } from "./Frame.ts"
import { isWithin, type Misbehaviour, type Moment, type Speech } from "./Model.ts"

interface InForce {
  readonly misbehaviour: Misbehaviour
  /** How often it could have applied. */
  found: number
}

/**
 * The misbehaviours of one server, shared by its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export class Manners {
  private inForce: ReadonlyArray<InForce> = []

  constructor(misbehaviours: ReadonlyArray<Misbehaviour>) {
    this.set(misbehaviours)
  }

  get areGood(): boolean {
    return this.inForce.length === 0
  }

  /** From now on these and no others, counted anew. */
  set(misbehaviours: ReadonlyArray<Misbehaviour>): void {
    this.inForce = misbehaviours.map((misbehaviour) => ({ misbehaviour, found: 0 }))
  }

  /** What each in turn makes of it; the same object where none applies. */
  applied(moment: Moment, honest: Speech): Speech {
    let speech = honest
    for (const each of this.inForce) {
      const { change, place } = each.misbehaviour
      const changed = isWithin(moment, place) ? change(speech, moment) : undefined
      if (changed === undefined) continue
      each.found += 1
      const { nth = 1, times = Infinity } = place
      if (each.found >= nth && each.found - nth < times) speech = changed
    }
    return speech
  }
}

/**
 * How a session's connection can be broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breaks {
  /** Whatever is under way is lost. */
  readonly reset: () => void
  /** What is under way still arrives. */
  readonly sever: () => void
}

/**
 * @since 0.1.0
 * @category models
 */
export class Voice {
  /** Nothing is said any more. */
  isMute = false
  /** No message is taken any more. */
  isDeaf = false
  private readonly manners: Manners
  private readonly sever: () => void
  /** To be said behind what is said next. */
  private owed: ReadonlyArray<Frame> = []
  /** The parts of a long reply that are not sent yet. */
  private rest: Array<ReadonlyArray<Uint8Array>> = []

  constructor(manners: Manners, sever: () => void) {
    this.manners = manners
    this.sever = sever
  }

  /** Sends what the server has to say; answers with what was said instead, if it was something else. */
  say(
    reader: FrameReader,
    parts: ReadonlyArray<Uint8Array>,
    momentOf: () => Moment,
    progress: Progress
  ): Effect.Effect<Speech | undefined> {
    return Effect.suspend(() => {
      if (this.isMute) return nothing
      if (this.manners.areGood && this.owed.length === 0) return this.honestly(reader, parts, progress)
      const moment = momentOf()
      const honest: Speech = { frames: framesOf(moment, parts), afterwards: "GoOn" }
      const speech = this.manners.applied(moment, honest)
      const { owed } = this
      if (parts.length > 0) this.owed = []
      const frames = parts.length > 0 ? [...speech.frames, ...owed] : speech.frames
      return Effect.as(this.speak(reader, { ...speech, frames }), speech === honest ? undefined : speech)
    })
  }

  /** Takes the unsent parts of the current reply; the caller has to send them. */
  takeRest(): ReadonlyArray<Uint8Array> {
    const rest = this.rest.flat()
    this.rest = []
    return rest
  }

  /** A long reply is sent in pieces, each when there is room for it. So it is visible whether the client reads it. */
  private honestly(
    reader: FrameReader,
    parts: ReadonlyArray<Uint8Array>,
    progress: Progress
  ): Effect.Effect<undefined> {
    let length = 0
    for (const { byteLength } of parts) length += byteLength
    if (length === 0) return nothing
    if (length <= longestWhole) return Effect.as(reader.send(parts), undefined)
    this.rest = cut(parts)
    return Effect.as(
      Effect.whileLoop({
        while: () => this.rest.length > 0,
        body: () => Effect.zipRight(reader.send(this.rest.shift() ?? []), progress.step("Outgoing")),
        step: () => {}
      }),
      undefined
    )
  }

  private speak(reader: FrameReader, { frames, afterwards }: Speech): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      let write: Array<Uint8Array> = []
      for (const frame of frames) {
        if (frame._tag === "Later") this.owed = [...this.owed, ...frame.frames]
        else if (frame._tag !== "Pause") write.push(encode(frame))
        else {
          yield* reader.send(write)
          write = []
          yield* Duration.toMillis(frame.duration) === 0 ? Effect.yieldNow() : Effect.sleep(frame.duration)
        }
      }
      if (write.length > 0) yield* reader.send(write)
      if (afterwards === "GoOn") return
      if (afterwards === "Deaf") {
        this.isDeaf = true
        return
      }
      this.isMute = true
      if (afterwards === "End") reader.connection.endWrites()
      if (afterwards === "Break") this.sever()
    })
  }
}

const nothing: Effect.Effect<undefined> = Effect.succeed(undefined)

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

const framesOf = (moment: Moment, parts: ReadonlyArray<Uint8Array>): ReadonlyArray<Frame> => {
  if (parts.length === 0) return []
  const bytes = concat(parts)
  switch (moment._tag) {
    case "OptionAnswer":
      return optionReplies(bytes)
    case "Answer":
      return replies(bytes)
    default:
      return [raw(bytes)]
  }
}
