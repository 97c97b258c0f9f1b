/**
 * Ways to change what is said, from which misbehaviours are made. Each answers with `undefined` where there is nothing
 * for it to change.
 *
 * @since 0.1.0
 */
import { concat } from "@effect-nbd/core/wire/Bytes"
import type * as Duration from "effect/Duration"
import { encode, type Frame, raw } from "./Frame.ts"
import type { Speech } from "./Model.ts"

/**
 * Where bytes are cut off, and how the connection ends there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cut {
  /** Bytes that still come. */
  readonly after: number
  readonly by: "End" | "Break" | "Silence"
}

type FrameTag = Frame["_tag"]
type FrameOf<Tag extends FrameTag> = Extract<Frame, { readonly _tag: Tag }>

/**
 * Whether a frame is of a kind.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFrame = <Tag extends FrameTag>(tag: Tag) => (frame: Frame): frame is FrameOf<Tag> => frame._tag === tag

/**
 * These frames in place of what would be said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const saying = (...frames: ReadonlyArray<Frame>): Speech => ({ frames, afterwards: "GoOn" })

/**
 * Further frames behind what is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const behind = (speech: Speech, ...frames: ReadonlyArray<Frame>): Speech => ({
  ...speech,
  frames: [...speech.frames, ...frames]
})

/**
 * Other frames in place of the first one that passes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const first = <F extends Frame>(
  speech: Speech,
  passes: (frame: Frame) => frame is F,
  change: (frame: F) => Frame | ReadonlyArray<Frame>
): Speech | undefined => {
  const index = speech.frames.findIndex(passes)
  const found = speech.frames[index]
  if (found === undefined || !passes(found)) return undefined
  const changed = change(found)
  // A frame is never an array, which the type of `Array.isArray` does not know of read-only ones.
  const instead = "_tag" in changed ? [changed] : changed
  return { ...speech, frames: [...speech.frames.slice(0, index), ...instead, ...speech.frames.slice(index + 1)] }
}

/**
 * Other frames in place of each one that passes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const each = <F extends Frame>(
  speech: Speech,
  passes: (frame: Frame) => frame is F,
  change: (frame: F) => ReadonlyArray<Frame>
): Speech | undefined =>
  speech.frames.some(passes)
    ? { ...speech, frames: speech.frames.flatMap((frame) => passes(frame) ? change(frame) : [frame]) }
    : undefined

/**
 * What is said up to a number of bytes, or `undefined` where it has no more than those.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cutAfter = ({ frames }: Speech, { after, by }: Cut): Speech | undefined => {
  const bytes = concat(frames.map(encode))
  return bytes.byteLength > after ? { frames: [raw(bytes.slice(0, after))], afterwards: by } : undefined
}

/**
 * The same bytes, each by itself and so far apart.
 *
 * @since 0.1.0
 * @category constructors
 */
export const apart = (speech: Speech, duration: Duration.DurationInput): Speech => {
  const bytes = concat(speech.frames.map(encode))
  const frames = Array.from(bytes).flatMap((byte, index): ReadonlyArray<Frame> => {
    const frame = raw(Uint8Array.of(byte))
    return index === 0 ? [frame] : [{ _tag: "Pause", duration }, frame]
  })
  return { ...speech, frames }
}

/**
 * Numbers in the order of the wire, each of its width in bytes.
 *
 * @since 0.1.0
 * @category encoding
 */
export const fields = (...values: ReadonlyArray<readonly [width: 1 | 2 | 4 | 8, value: number | bigint]>): Uint8Array =>
  concat(values.map(([width, value]) => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
    return bytes.subarray(8 - width)
  }))
