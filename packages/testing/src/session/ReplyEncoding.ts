/**
 * Replies as the bytes of one write: simple, or structured reply chunks.
 *
 * A whole reply goes out in one write, so replies are never mixed up with each other. It keeps to the server's rules
 * for replies (S-067 to S-080); to break them is not its job.
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags, ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { type Chunk, encodeChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { commandCode, type RequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import type { FakeExport } from "../FakeExport.ts"
import type { Failure } from "../Steering.ts"

/**
 * How replies are made where there is a choice.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplyRules {
  readonly replyStyle: "Simple" | "Structured"
  /** Structured style: how anything but a READ is answered. Simple replies carry no error text. */
  readonly acknowledgements: "Simple" | "Structured"
  /** Most bytes of data in one chunk; `undefined` sends each extent in one. A READ with DF is never cut. */
  readonly chunkSize: number | undefined
  /** Whether the chunks of a READ come from its start or from its end. */
  readonly chunkOrder: "Ascending" | "Descending"
  /** End a READ with a NONE chunk, instead of setting DONE on its last content chunk. */
  readonly endWithNone: boolean
}

const nothing = ReplyFlags(0)
const done = ReplyFlags(ReplyFlags.DONE)

/**
 * The reply to a request that was carried out; a READ is carried out here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const success = (rules: ReplyRules, target: FakeExport, header: RequestHeader): ReadonlyArray<Uint8Array> => {
  const { command, cookie, length, offset } = header
  if (command !== commandCode.READ) {
    return rules.replyStyle === "Structured" && rules.acknowledgements === "Structured"
      ? encodeChunk(cookie, done, { _tag: "None" })
      : [encodeSimpleReply({ error: 0, cookie })]
  }
  if (rules.replyStyle === "Simple") return [encodeSimpleReply({ error: 0, cookie }), target.read(offset, length)]
  const chunks = contentOf(rules, target, header, length)
  return encodeAll(cookie, rules.endWithNone || chunks.length === 0 ? [...chunks, { _tag: "None" }] : chunks)
}

/**
 * The reply to a request that failed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failure = (
  rules: ReplyRules,
  target: FakeExport,
  header: RequestHeader,
  { errno: error, message = "", offset }: Failure
): ReadonlyArray<Uint8Array> => {
  const value = typeof error === "number" ? error : errno[error]
  const { cookie } = header
  const isRead = header.command === commandCode.READ
  if (rules.replyStyle === "Simple" || (!isRead && rules.acknowledgements === "Simple")) {
    return [encodeSimpleReply({ error: value, cookie })]
  }
  if (offset === undefined || !mayPointInside(header, offset)) {
    return encodeAll(cookie, [{ _tag: "ErrorChunk", error: value, message }])
  }
  // What lies before the error is sent, as a disk with one bad sector would do.
  const before = isRead ? contentOf(rules, target, header, Number(offset - header.offset)) : []
  return encodeAll(cookie, [...before, { _tag: "ErrorOffsetChunk", error: value, message, offset }])
}

/** An error's offset lies inside the request (S-080), and only commands with a range have one. */
const mayPointInside = ({ command, length, offset }: RequestHeader, at: bigint): boolean =>
  command !== commandCode.FLUSH && at >= offset && at < offset + BigInt(length)

const encodeAll = (cookie: bigint, chunks: ReadonlyArray<Chunk>): ReadonlyArray<Uint8Array> =>
  chunks.flatMap((chunk, index) => encodeChunk(cookie, index === chunks.length - 1 ? done : nothing, chunk))

/** The content of the first `length` bytes of a READ: holes as holes, data cut to size (S-075, S-078). */
const contentOf = (
  rules: ReplyRules,
  target: FakeExport,
  { flags, offset }: RequestHeader,
  length: number
): ReadonlyArray<Chunk> => {
  const extents = runs(target, offset, length)
  const data = (at: bigint, count: number): Chunk => ({ _tag: "OffsetData", offset: at, data: target.read(at, count) })
  if ((flags & CommandFlags.DF) !== 0 && extents.some(({ zero }) => !zero)) return [data(offset, length)]
  const chunks = extents.flatMap((extent): ReadonlyArray<Chunk> =>
    extent.zero
      ? [{ _tag: "OffsetHole", offset: extent.offset, length: extent.length }]
      : cuts(extent.length, rules.chunkSize).map(([at, count]) => data(extent.offset + BigInt(at), count))
  )
  return rules.chunkOrder === "Ascending" ? chunks : chunks.toReversed()
}

/** Extents told apart by their content alone: whether a hole is allocated does not matter to a READ. */
const runs = (target: FakeExport, offset: bigint, length: number): ReadonlyArray<ContentRun> => {
  const found: Array<ContentRun> = []
  for (const extent of target.extents(offset, length)) {
    const last = found.at(-1)
    if (last !== undefined && last.zero === extent.zero) last.length += extent.length
    else found.push({ offset: extent.offset, length: extent.length, zero: extent.zero })
  }
  return found
}

interface ContentRun {
  readonly offset: bigint
  length: number
  readonly zero: boolean
}

const cuts = (length: number, size: number | undefined): ReadonlyArray<readonly [at: number, count: number]> => {
  const step = Math.max(1, size ?? length)
  const found: Array<readonly [number, number]> = []
  for (let at = 0; at < length; at += step) found.push([at, Math.min(step, length - at)])
  return found
}
