/** Transcripts bent out of shape: one side says something else than it did. */
import { errno } from "@effect-nbd/core/wire/Errno"
import { infoType } from "@effect-nbd/core/wire/Info"
import { magic } from "@effect-nbd/core/wire/Magic"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { Transcript } from "@effect-nbd/testing"
import type { Random } from "./Random.ts"

/** A message or the part of one in an event, or another event. */
interface Piece {
  readonly event: Transcript.TranscriptEvent
  /** Where the numbers in it are. */
  readonly numbers: ReadonlyArray<{ readonly at: number; readonly size: number }>
}

/** The transcript with the side's events cut into messages, so that these can be told apart. */
export const piecesOf = (transcript: Transcript.Transcript, side: Transcript.Side): ReadonlyArray<Piece> => {
  try {
    return cut(transcript, side, Transcript.annotate(transcript)[side])
  } catch {
    // What makes a decoder throw may stand in the way of its own reduction.
    return transcript.events.map((event) => ({ event, numbers: [] }))
  }
}

const cut = (
  transcript: Transcript.Transcript,
  side: Transcript.Side,
  messages: ReadonlyArray<Transcript.Message>
): ReadonlyArray<Piece> => {
  let at = 0
  return transcript.events.flatMap((event): ReadonlyArray<Piece> => {
    if (event._tag !== "Bytes" || event.from !== side) return [{ event, numbers: [] }]
    const [start, end] = [at, at + event.bytes.byteLength]
    at = end
    return messages.filter((message) => message.start < end && message.end > start).map((message) => {
      const from = Math.max(start, message.start)
      const to = Math.min(end, message.end)
      const numbers = message.fields
        .filter(({ name, start, end }) => name !== "magic" && start >= from && end <= to)
        .filter(({ end, start }) => [2, 4, 8].includes(end - start))
        .map((field) => ({ at: field.start - from, size: field.end - field.start }))
      return { event: { ...event, bytes: event.bytes.slice(from - start, to - start) }, numbers }
    })
  })
}

const magics: ReadonlyArray<number> = [magic.SIMPLE_REPLY, magic.STRUCTURED_REPLY, magic.EXTENDED_REPLY, magic.REQUEST]

/** Numbers that mean something where such numbers stand. */
const words: { readonly [size: number]: ReadonlyArray<number | bigint> } = {
  2: [...Object.values(chunkType), ...Object.values(infoType), ...Object.values(commandCode)],
  4: [...Object.values(optionCode), ...Object.values(replyType), ...Object.values(errno), ...magics],
  8: [magic.GREETING, magic.OPTION, magic.OLDSTYLE, magic.OPTION_REPLY]
}

const numberIn = (random: Random, size: number, old: bigint): bigint => {
  const highest = (1n << BigInt(8 * size)) - 1n
  const edges = [0n, 1n, highest, highest - 1n, highest >> 1n, (highest >> 1n) + 1n, 4096n, 4097n, 65_537n, 0x400_0001n]
  const near = [
    old + 1n,
    old - 1n,
    old + 8n,
    old - 8n,
    old * 2n,
    old >> 1n,
    old ^ (1n << BigInt(random.below(8 * size)))
  ]
  const wanted = random.pick(random.pick([edges, near, near, words[size] ?? edges])) ?? 0n
  return BigInt.asUintN(8 * size, BigInt(wanted))
}

type Edit = (random: Random, pieces: Array<Piece>, at: number, side: Transcript.Side) => void

const bytesAt = (pieces: ReadonlyArray<Piece>, at: number): Uint8Array => {
  const event = pieces[at]?.event
  return event?._tag === "Bytes" ? event.bytes : new Uint8Array(0)
}

const replace = (pieces: Array<Piece>, at: number, bytes: Uint8Array): void => {
  const event = pieces[at]?.event
  if (event?._tag === "Bytes") pieces[at] = { event: { ...event, bytes }, numbers: [] }
}

/** The most fruitful of all. */
const changeNumber: Edit = (random, pieces, at) => {
  const piece = pieces[at]
  const field = random.pick(piece?.numbers ?? [])
  if (piece === undefined || field === undefined) return
  const bytes = bytesAt(pieces, at).slice()
  let old = 0n
  for (let index = 0; index < field.size; index++) old = (old << 8n) | BigInt(bytes[field.at + index] ?? 0)
  let value = numberIn(random, field.size, old)
  for (let index = field.size - 1; index >= 0; index--, value >>= 8n) bytes[field.at + index] = Number(value & 0xffn)
  replace(pieces, at, bytes)
  const changed = pieces[at]
  if (changed !== undefined) pieces[at] = { ...changed, numbers: piece.numbers }
}

const edits: readonly [Edit, ...ReadonlyArray<Edit>] = [
  // A bit is another.
  (random, pieces, at) => {
    const bytes = bytesAt(pieces, at).slice()
    const index = random.below(bytes.byteLength)
    bytes[index] = (bytes[index] ?? 0) ^ (1 << random.below(8))
    replace(pieces, at, bytes)
  },
  // Bytes are missing at the end of a message, or in its middle.
  (random, pieces, at) => {
    const bytes = bytesAt(pieces, at)
    const from = random.below(bytes.byteLength)
    const to = random.chance(0.5) ? bytes.byteLength : Math.min(bytes.byteLength, from + 1 + random.below(16))
    replace(pieces, at, Uint8Array.of(...bytes.subarray(0, from), ...bytes.subarray(to)))
  },
  // There are more bytes: any, or some of the message's own.
  (random, pieces, at) => {
    const bytes = bytesAt(pieces, at)
    const where = random.below(bytes.byteLength + 1)
    const more = random.chance(0.5)
      ? random.bytes(1 + random.below(40))
      : bytes.subarray(random.below(bytes.byteLength))
    replace(pieces, at, Uint8Array.of(...bytes.subarray(0, where), ...more.subarray(0, 4096), ...bytes.subarray(where)))
  },
  (_, pieces, at) => void pieces.splice(at, 1),
  (_, pieces, at) => void pieces.splice(at, 0, ...pieces.slice(at, at + 1)),
  // Two change places.
  (random, pieces, at) => {
    const other = random.below(pieces.length)
    const [one, two] = [pieces[at], pieces[other]]
    if (one !== undefined && two !== undefined) [pieces[at], pieces[other]] = [two, one]
  },
  // It is the last thing that is said, and the end comes in order, broken, or not at all.
  (random, pieces, at, side) => {
    const how = random.pick(["Finished", "Broken", "Silence"] as const)
    const event: Transcript.TranscriptEvent = how === "Silence" ? { _tag: "Cut" } : { _tag: "Ended", from: side, how }
    pieces.splice(at + random.below(2), pieces.length, { event, numbers: [] })
  }
]

/** The transcript after one to four changes of what the side says. Now and then a message of `other` is in it. */
export const mutate = (
  random: Random,
  transcript: Transcript.Transcript,
  side: Transcript.Side,
  other: Transcript.Transcript
): Transcript.Transcript => {
  const pieces = [...piecesOf(transcript, side)]
  const places = (): ReadonlyArray<number> =>
    pieces.flatMap(({ event }, index) => event._tag === "Bytes" && event.from === side ? [index] : [])
  for (let count = random.chance(0.5) ? 1 : 2 + random.below(3); count > 0; count--) {
    const at = random.pick(places())
    if (at === undefined) break
    if (random.chance(0.05)) {
      const foreign = random.pick(
        piecesOf(other, side).filter(({ event }) => event._tag === "Bytes" && event.from === side)
      )
      if (foreign !== undefined) pieces.splice(at, 0, foreign)
    } else if (random.chance(0.5)) changeNumber(random, pieces, at, side)
    else random.pick(edits)(random, pieces, at, side)
  }
  return Transcript.make(pieces.map(({ event }) => event))
}
