/**
 * Misbehaviour in the content of a read (H-099 to H-106, H-110 to H-114, H-119).
 *
 * Where replies have no chunks they do not apply.
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import type { RecordedRequest } from "../Recording.ts"
import { chunkFor, errorPayload, failing, halves, isOf, onData, onlyChunk, to } from "./AnswerChanges.ts"
import { fields, first } from "./Changes.ts"
import { type ChunkFrame, withPayload } from "./Frame.ts"
import { make, type Misbehaviour, type Speech } from "./Model.ts"

const firstData = (change: (chunk: ChunkFrame) => ChunkFrame) => (speech: Speech): Speech | undefined =>
  first(speech, isOf(chunkType.OFFSET_DATA), change)

const hole = (payload: (request: RecordedRequest) => Uint8Array) =>
  to("READ", (speech, moment) => onlyChunk(chunkType.OFFSET_HOLE, payload(moment.request))(speech, moment))

const errorAt = (offset: bigint): Uint8Array => errorPayload(errno.EIO, "", fields([8, offset]))

/**
 * A chunk of data is too short for its offset.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataWithoutOffset = (length = 7): Misbehaviour =>
  make({
    name: "dataWithoutOffset",
    rule: "H-099",
    reaction: "Connection",
    sentence: "A chunk of data is too short for its offset.",
    moment: "Answer",
    change: firstData((chunk) => withPayload(chunk, chunk.payload.subarray(0, length)))
  })

/**
 * A chunk of data has no data.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataWithoutBytes: Misbehaviour = make({
  name: "dataWithoutBytes",
  rule: "H-100",
  reaction: "Connection",
  sentence: "A chunk of data has no data.",
  moment: "Answer",
  change: firstData((chunk) => withPayload(chunk, chunk.payload.subarray(0, 8)))
})

/**
 * Data does not lie inside what was asked for. `shift` is how far it is moved, in bytes, backwards where it is below
 * 0.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataOutside = (shift = 1n): Misbehaviour =>
  make({
    name: "dataOutside",
    rule: "H-101",
    reaction: "Connection",
    sentence: "Data does not lie inside what was asked for.",
    moment: "Answer",
    change: onData(({ data, offset }) => [{ offset: BigInt.asUintN(64, offset + shift), data }])
  })

/**
 * Data has an offset from which adding its length wraps round.
 *
 * @since 0.1.0
 * @category steering
 */
export const dataWraps: Misbehaviour = make({
  name: "dataWraps",
  rule: "H-102",
  reaction: "Connection",
  sentence: "Data has an offset from which adding its length wraps round.",
  moment: "Answer",
  change: onData(({ data }) => [{ offset: 0xffff_ffff_ffff_ffffn, data }])
})

/**
 * The same data comes twice.
 *
 * @since 0.1.0
 * @category steering
 */
export const duplicateData: Misbehaviour = make({
  name: "duplicateData",
  rule: "H-103",
  reaction: "Connection",
  sentence: "The same data comes twice.",
  moment: "Answer",
  change: onData((content) => [content, content])
})

/**
 * One half of the data comes twice, and the other never.
 *
 * @since 0.1.0
 * @category steering
 */
export const duplicateForGap: Misbehaviour = make({
  name: "duplicateForGap",
  rule: "H-104",
  reaction: "Connection",
  sentence: "One half of the data comes twice, and the other never.",
  moment: "Answer",
  change: onData((content) => {
    const [half] = halves(content)
    return [half, half]
  })
})

/**
 * Half of the data never comes.
 *
 * @since 0.1.0
 * @category steering
 */
export const gapInData: Misbehaviour = make({
  name: "gapInData",
  rule: "H-105",
  reaction: "Request",
  sentence: "Half of the data never comes.",
  moment: "Answer",
  change: onData((content) => [halves(content)[1]])
})

/**
 * Data comes where an error was reported before.
 *
 * @since 0.1.0
 * @category steering
 */
export const contentOverError: Misbehaviour = make({
  name: "contentOverError",
  rule: "H-106",
  reaction: "Connection",
  sentence: "Data comes where an error was reported before.",
  moment: "Answer",
  change: (speech, moment) =>
    first(speech, isOf(chunkType.OFFSET_DATA), (data) => {
      const error = chunkFor(moment, chunkType.ERROR_OFFSET, errorAt(moment.request.offset), 0)
      return error === undefined ? data : [error, data]
    })
})

/**
 * Every byte of the data comes in a chunk of its own.
 *
 * @since 0.1.0
 * @category steering
 */
export const singleByteChunks: Misbehaviour = make({
  name: "singleByteChunks",
  rule: "H-110",
  reaction: "Tolerated",
  sentence: "Every byte of the data comes in a chunk of its own.",
  moment: "Answer",
  change: onData(({ data, offset }) =>
    Array.from(data, (byte, index) => ({ offset: offset + BigInt(index), data: Uint8Array.of(byte) }))
  )
})

/**
 * The data comes in two chunks although it should not be fragmented.
 *
 * @since 0.1.0
 * @category steering
 */
export const fragmentedDespiteDf: Misbehaviour = make({
  name: "fragmentedDespiteDf",
  rule: "H-111",
  reaction: "Connection",
  sentence: "The data comes in two chunks although it should not be fragmented.",
  moment: "Answer",
  change: (speech, { request }) => (request.flags & CommandFlags.DF) === 0 ? undefined : onData(halves)(speech)
})

/**
 * A hole does not have 12 bytes.
 *
 * @since 0.1.0
 * @category steering
 */
export const holeLength = (length = 11): Misbehaviour =>
  make({
    name: "holeLength",
    rule: "H-112",
    reaction: "Connection",
    sentence: "A hole does not have 12 bytes.",
    moment: "Answer",
    change: to("READ", onlyChunk(chunkType.OFFSET_HOLE, new Uint8Array(length)))
  })

/**
 * A hole has a length of 0.
 *
 * @since 0.1.0
 * @category steering
 */
export const emptyHole: Misbehaviour = make({
  name: "emptyHole",
  rule: "H-113",
  reaction: "Connection",
  sentence: "A hole has a length of 0.",
  moment: "Answer",
  change: hole(({ offset }) => fields([8, offset], [4, 0]))
})

/**
 * A hole does not lie inside what was asked for.
 *
 * @since 0.1.0
 * @category steering
 */
export const holeOutside: Misbehaviour = make({
  name: "holeOutside",
  rule: "H-114",
  reaction: "Connection",
  sentence: "A hole does not lie inside what was asked for.",
  moment: "Answer",
  change: hole(({ length, offset }) => fields([8, offset], [4, length + 1]))
})

/**
 * A read is too long for the server.
 *
 * @since 0.1.0
 * @category steering
 */
export const overflow: Misbehaviour = make({
  name: "overflow",
  rule: "H-119",
  reaction: "Request",
  sentence: "A read is too long for the server.",
  moment: "Answer",
  change: to("READ", failing(errno.EOVERFLOW))
})
