/**
 * The mouth of a session: everything that it says goes through here, and is changed by the misbehaviours in force.
 *
 * Where none is in force nothing is looked at, and bytes leave as they came.
 *
 * @since 0.1.0
 */
import { concat } from "@effect-nbd/core/wire/Bytes"
import { isErrorType } from "@effect-nbd/core/wire/OptionReply"
import type { Line, Moment as Due, SaidInstead, Speaker } from "@effect-nbd/server/Speaker"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { recordedOf } from "../Recording.ts"
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
export class ActiveMisbehaviours {
  private inForce: ReadonlyArray<InForce> = []

  constructor(misbehaviours: ReadonlyArray<Misbehaviour>) {
    this.set(misbehaviours)
  }

  get areNone(): boolean {
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
 * @since 0.1.0
 * @category models
 */
export class MisbehavingSpeaker implements Speaker {
  /** Nothing is said any more. */
  isMute = false
  /** No message is taken any more. */
  isDeaf = false
  private readonly active: ActiveMisbehaviours
  private readonly line: Line
  /** To be said behind what is said next. */
  private owed: ReadonlyArray<Frame> = []

  constructor(active: ActiveMisbehaviours, line: Line) {
    this.active = active
    this.line = line
  }

  /** Sends what the server has to say; answers with what was said instead, if it was something else. */
  readonly say = (
    parts: ReadonlyArray<Uint8Array>,
    momentOf: () => Due
  ): Effect.Effect<SaidInstead | undefined> =>
    Effect.suspend(() => {
      if (this.isMute) return nothing
      if (this.active.areNone && this.owed.length === 0) return Effect.as(this.line.send(parts), undefined)
      const moment = recorded(momentOf())
      const honest: Speech = { frames: framesOf(moment, parts), afterwards: "GoOn" }
      const speech = this.active.applied(moment, honest)
      const { owed } = this
      if (parts.length > 0) this.owed = []
      const frames = parts.length > 0 ? [...speech.frames, ...owed] : speech.frames
      return Effect.as(this.speak({ ...speech, frames }), speech === honest ? undefined : { refuses: refuses(speech) })
    })

  private speak({ frames, afterwards }: Speech): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      let write: Array<Uint8Array> = []
      for (const frame of frames) {
        if (frame._tag === "Later") this.owed = [...this.owed, ...frame.frames]
        else if (frame._tag !== "Pause") write.push(encode(frame))
        else {
          yield* this.line.write(write)
          write = []
          yield* Duration.toMillis(frame.duration) === 0 ? Effect.yieldNow() : Effect.sleep(frame.duration)
        }
      }
      if (write.length > 0) yield* this.line.write(write)
      if (afterwards === "GoOn") return
      if (afterwards === "Deaf") {
        this.isDeaf = true
        return
      }
      this.isMute = true
      if (afterwards === "End") this.line.endWrites()
      if (afterwards === "Break") this.line.sever()
    })
  }
}

const nothing: Effect.Effect<undefined> = Effect.succeed(undefined)

/** The moment with its request as it is recorded. */
const recorded = (due: Due): Moment =>
  "request" in due ? { ...due, request: recordedOf(due.session, due.request) } : due

const refuses = ({ frames }: Speech): boolean =>
  frames.some((frame) => frame._tag === "OptionReply" && isErrorType(frame.type))

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
