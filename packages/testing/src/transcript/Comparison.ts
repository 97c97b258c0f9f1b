/**
 * What was said in a replay beside what was said in the recording.
 *
 * @since 0.1.0
 */
import type { FrameReader, StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Message } from "./Annotation.ts"
import type { Side } from "./Model.ts"

/**
 * How alike what is said must be.
 *
 * - `Exact`: every byte.
 * - `CookiesMayDiffer`: every byte but the cookies of requests, which are the client's to choose.
 * - `LengthOnly`: as many bytes.
 *
 * @since 0.1.0
 * @category models
 */
export type Comparison = "Exact" | "CookiesMayDiffer" | "LengthOnly"

/**
 * One side said something else than it did when it was recorded.
 *
 * @since 0.1.0
 * @category errors
 */
export class TranscriptMismatchError extends Data.TaggedError("NbdTranscriptMismatchError")<{
  /** Who said it. */
  readonly from: Side
  /** Bytes that this side had sent before. */
  readonly offset: number
  /** What stands there in the recording, for example `command of request`. */
  readonly field: string
  /** From there on, at most 16 bytes; none where the side had nothing more to say. */
  readonly expected: Uint8Array
  /** The same; none where nothing came any more. */
  readonly received: Uint8Array
}> {
  override get message(): string {
    const { expected, field, from, offset, received } = this
    return `the ${from}'s byte ${offset} (${field}) should be ${inWords(expected)}, and was ${inWords(received)}`
  }
}

const inWords = (bytes: Uint8Array): string =>
  bytes.byteLength === 0 ? "the end" : Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")

const shown = 16

/**
 * What one side should say, from the beginning of its recording on.
 *
 * @since 0.1.0
 * @category models
 */
export class Expected {
  /** Bytes that have been compared. */
  at = 0
  private readonly from: Side
  private readonly messages: ReadonlyArray<Message>
  private readonly bytes: Uint8Array
  private readonly comparison: Comparison
  private readonly heard: (at: number, bytes: Uint8Array) => void

  /** `heard` is told of all bytes that passed. */
  constructor(
    from: Side,
    messages: ReadonlyArray<Message>,
    bytes: Uint8Array,
    comparison: Comparison,
    heard: (at: number, bytes: Uint8Array) => void = () => undefined
  ) {
    this.from = from
    this.messages = messages
    this.bytes = bytes
    this.comparison = comparison
    this.heard = heard
  }

  /** The next `count` bytes, compared as they come, so that a difference shows before all of them are there. */
  take(reader: FrameReader, count: number): Effect.Effect<void, TranscriptMismatchError> {
    return Effect.suspend(() => {
      if (count === 0) return Effect.void
      const now = Math.min(count, Math.max(1, reader.buffered))
      return Effect.matchEffect(reader.take(now), {
        onFailure: (ended) => Effect.fail(this.endedEarly(ended)),
        onSuccess: (bytes) => {
          const difference = this.compare(bytes)
          return difference === undefined ? this.take(reader, count - now) : Effect.fail(difference)
        }
      })
    })
  }

  /** The side has nothing more to say. */
  takeEnd(reader: FrameReader): Effect.Effect<void, TranscriptMismatchError> {
    return Effect.matchEffect(reader.take(1), {
      onFailure: () => Effect.void,
      onSuccess: (bytes) => Effect.fail(this.mismatch(this.at, bytes, true))
    })
  }

  private compare(received: Uint8Array): TranscriptMismatchError | undefined {
    if (this.comparison !== "LengthOnly") {
      for (let index = 0; index < received.byteLength; index++) {
        const at = this.at + index
        if (received[index] !== this.bytes[at] && !this.mayDiffer(at)) {
          return this.mismatch(at, received.subarray(index))
        }
      }
    }
    this.heard(this.at, received)
    this.at += received.byteLength
    return undefined
  }

  private mayDiffer(at: number): boolean {
    return this.comparison === "CookiesMayDiffer" && this.fieldAt(at)?.field.name === "cookie"
  }

  private endedEarly({ received }: StreamEnded): TranscriptMismatchError {
    return this.compare(received) ?? this.mismatch(this.at, new Uint8Array(0))
  }

  private mismatch(offset: number, received: Uint8Array, isOver = false): TranscriptMismatchError {
    const found = this.fieldAt(offset)
    return new TranscriptMismatchError({
      from: this.from,
      offset,
      field: isOver || found === undefined ? "the end" : `${found.field.name} of ${found.message.kind}`,
      expected: isOver ? new Uint8Array(0) : this.bytes.slice(offset, offset + shown),
      received: received.slice(0, shown)
    })
  }

  private fieldAt(offset: number) {
    const message = first(this.messages, offset)
    const field = first(message?.fields ?? [], offset)
    return message === undefined || field === undefined ? undefined : { message, field }
  }
}

/** The first that ends behind the offset, found by halving: there may be many. */
const first = <A extends { readonly end: number }>(items: ReadonlyArray<A>, offset: number): A | undefined => {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((items[middle]?.end ?? 0) > offset) high = middle
    else low = middle + 1
  }
  return items[low]
}
