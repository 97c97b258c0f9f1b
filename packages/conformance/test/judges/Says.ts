/**
 * Things that a server says where the rules have it say something else.
 */
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { errno, type ErrnoName } from "@effect-nbd/core/wire/Errno"
import { infoType } from "@effect-nbd/core/wire/Info"
import { optionCode, type OptionName } from "@effect-nbd/core/wire/NbdOption"
import { replyType, type ReplyTypeName } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { Misbehaviour } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"

type Frames = ReadonlyArray<Misbehaviour.Frame>
type Place = Misbehaviour.Place

const made = { name: "made for a check", rule: "S", sentence: "", reaction: "Tolerated" } as const

/** Other frames in answer to an option, where they are other ones. */
export const toOption = (
  option: OptionName | number,
  change: (frames: Frames, moment: Misbehaviour.MomentOf<"OptionAnswer">) => Frames | undefined,
  place: Place = {}
): Misbehaviour.Misbehaviour =>
  Misbehaviour.make({
    ...made,
    moment: "OptionAnswer",
    place: { ...place, option },
    change: ({ frames }, moment) => {
      const changed = change(frames, moment)
      return changed && Misbehaviour.saying(...changed)
    }
  })

const codeOf = (option: OptionName | number): number => typeof option === "number" ? option : optionCode[option]

/** This reply and nothing else. */
export const reply = (option: OptionName | number, type: ReplyTypeName, place?: Place): Misbehaviour.Misbehaviour =>
  toOption(option, () => [Misbehaviour.optionReply(codeOf(option), replyType[type])], place)

const isOptionReply = Misbehaviour.isFrame("OptionReply")

/** One type of reply where another would be right. */
export const instead = (
  option: OptionName | number,
  right: ReplyTypeName,
  wrong: ReplyTypeName
): Misbehaviour.Misbehaviour =>
  toOption(option, (frames) => {
    const last = frames.at(-1)
    return last !== undefined && isOptionReply(last) && last.type === replyType[right]
      ? [Misbehaviour.optionReply(last.option, replyType[wrong])]
      : undefined
  })

/** More replies before the last one. */
export const before = (
  option: OptionName | number,
  type: ReplyTypeName,
  payload: Uint8Array,
  place?: Place
): Misbehaviour.Misbehaviour =>
  toOption(option, (frames) => {
    const more = Misbehaviour.optionReply(codeOf(option), replyType[type], payload)
    return [...frames.slice(0, -1), more, ...frames.slice(-1)]
  }, place)

/** Replies of a type with other payloads. */
export const payloads = (
  option: OptionName | number,
  type: ReplyTypeName,
  change: (payload: Uint8Array) => Uint8Array
): Misbehaviour.Misbehaviour =>
  toOption(option, (frames) =>
    frames.map((frame) =>
      isOptionReply(frame) && frame.type === replyType[type]
        ? Misbehaviour.withPayload(frame, change(Uint8Array.from(frame.payload)))
        : frame
    ))

const isExportInfo = (payload: Uint8Array): boolean => viewOf(payload).getUint16(0) === infoType.EXPORT

const patched = (change: (view: DataView) => void): ReadonlyArray<Misbehaviour.Misbehaviour> =>
  (["INFO", "GO"] as const).map((option) =>
    payloads(option, "INFO", (payload) => {
      if (isExportInfo(payload)) change(viewOf(payload))
      return payload
    })
  )

/** Other transmission flags than the export has. */
export const flags = (change: (flags: number) => number): ReadonlyArray<Misbehaviour.Misbehaviour> =>
  patched((view) => view.setUint16(10, change(view.getUint16(10))))

/** Another size than the export has. */
export const size = (change: (size: bigint) => bigint): ReadonlyArray<Misbehaviour.Misbehaviour> =>
  patched((view) => view.setBigUint64(2, change(view.getBigUint64(2))))

/** Other frames in answer to requests. */
export const toRequest = (
  request: (request: RecordedRequest) => boolean,
  change: (frames: Frames, moment: Misbehaviour.MomentOf<"Answer">) => Frames | undefined,
  place: Place = {}
): Misbehaviour.Misbehaviour =>
  Misbehaviour.make({
    ...made,
    moment: "Answer",
    place: { ...place, request },
    change: ({ frames }, moment) => {
      const changed = change(frames, moment)
      return changed && Misbehaviour.saying(...changed)
    }
  })

/** Success without a deed; zeroes are read. */
export const success = (request: (request: RecordedRequest) => boolean): Misbehaviour.Misbehaviour =>
  toRequest(request, (_, { replyStyle, request: { command, cookie, length, offset } }) => {
    const data = command === "READ" ? new Uint8Array(length) : new Uint8Array(0)
    if (replyStyle === "Simple") return [Misbehaviour.simpleReply(cookie, 0, data)]
    const content = { cookie, offset, type: chunkType.OFFSET_DATA, payload: concat([fields([8, offset]), data]) }
    return [Misbehaviour.chunk(replyStyle, command === "READ" ? content : { cookie, offset, type: chunkType.NONE })]
  })

/** Another error where there is one. */
export const error = (
  name: ErrnoName | number,
  request: (request: RecordedRequest) => boolean
): Misbehaviour.Misbehaviour =>
  toRequest(request, (frames) => {
    const value = typeof name === "number" ? name : errno[name]
    return frames.map((frame) => {
      if (frame._tag === "SimpleReply" && frame.error !== 0) return { ...frame, error: value }
      if (frame._tag !== "Chunk" || (frame.type & 0x8000) === 0) return frame
      return Misbehaviour.withPayload(frame, concat([fields([4, value]), frame.payload.subarray(4)]))
    })
  })

/** The connection breaks in place of an answer. */
export const breaks = (request: (request: RecordedRequest) => boolean, place: Place = {}): Misbehaviour.Misbehaviour =>
  Misbehaviour.at(
    Misbehaviour.make({
      ...made,
      moment: "Answer",
      change: () => ({ frames: [], afterwards: "Break" })
    }),
    { ...place, request }
  )

/** The connection breaks while a payload of this length is on its way. */
export const breaksOffPayload = (length: number): Misbehaviour.Misbehaviour =>
  Misbehaviour.make({
    ...made,
    moment: "Payload",
    change: (_, { request }) => request.length < length ? undefined : { frames: [], afterwards: "Break" }
  })

/** Other bytes in answer to NBD_OPT_EXPORT_NAME. */
export const toExportName = (change: (bytes: Uint8Array, noZeroes: boolean) => Uint8Array): Misbehaviour.Misbehaviour =>
  Misbehaviour.make({
    ...made,
    moment: "ExportName",
    change: ({ frames }, { noZeroes }) =>
      Misbehaviour.saying(Misbehaviour.raw(change(concat(frames.map(Misbehaviour.encode)), noZeroes)))
  })

/** Numbers in the order of the wire, each of its width in bytes. */
export const fields = (...values: ReadonlyArray<readonly [width: 2 | 4 | 8, value: number | bigint]>): Uint8Array =>
  concat(values.map(([width, value]) => {
    const bytes = new Uint8Array(8)
    viewOf(bytes).setBigUint64(0, BigInt(value))
    return bytes.subarray(8 - width)
  }))

/** No block sizes, though they were asked for. */
export const untold: Misbehaviour.Misbehaviour = Misbehaviour.make({
  ...made,
  moment: "OptionAnswer",
  change: ({ frames }) => {
    const isSizes = (frame: Misbehaviour.Frame) =>
      isOptionReply(frame) && frame.type === replyType.INFO &&
      viewOf(frame.payload).getUint16(0) === infoType.BLOCK_SIZE
    return frames.some(isSizes) ? Misbehaviour.saying(...frames.filter((frame) => !isSizes(frame))) : undefined
  }
})

/** A byte more, where nothing may be said any more. */
export const farewell: Misbehaviour.Misbehaviour = Misbehaviour.make({
  ...made,
  moment: "Farewell",
  change: () => Misbehaviour.saying(Misbehaviour.raw(Uint8Array.of(0x4e)))
})

/** The same to clients alone that have agreed on this style. */
export const whenRepliesAre = (
  style: "Simple" | "Structured",
  ...misbehaviours: ReadonlyArray<Misbehaviour.Misbehaviour>
): ReadonlyArray<Misbehaviour.Misbehaviour> =>
  misbehaviours.map((misbehaviour) => ({
    ...misbehaviour,
    change: (speech, moment) =>
      moment._tag === "OptionAnswer" && moment.replyStyle === style ? misbehaviour.change(speech, moment) : undefined
  }))

/** An error in place of an answer. */
export const failing = (
  name: ErrnoName,
  request: (request: RecordedRequest) => boolean,
  place?: Place
): Misbehaviour.Misbehaviour =>
  toRequest(request, (_, { replyStyle, request: { cookie, offset } }) => {
    if (replyStyle === "Simple") return [Misbehaviour.simpleReply(cookie, errno[name])]
    const payload = fields([4, errno[name]], [2, 0])
    return [Misbehaviour.chunk(replyStyle, { cookie, offset, type: chunkType.ERROR, payload })]
  }, place)
