/**
 * Replies as the bytes of one write: simple, or structured or extended reply chunks.
 *
 * A whole reply goes out in one write, so replies are never mixed up with each other. It keeps to the server's rules
 * for replies (S-067 to S-082, S-095 to S-097); to break them is not its job.
 *
 * @since 0.1.0
 */
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags, ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { type Chunk, encodeChunk, encodeExtendedChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import * as Effect from "effect/Effect"
import type { Failure } from "../Decider.ts"
import type { ServedExport } from "../ServedExport.ts"
import type { Request } from "../ServerRequest.ts"
import { safely } from "./Execution.ts"
import { statusChunks } from "./StatusReply.ts"
import type { Terms } from "./Terms.ts"

/**
 * How replies are made where there is a choice.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplyRules {
  /** Structured style: how anything but a READ is answered. Simple replies carry no error text. */
  readonly acknowledgements: "Simple" | "Structured"
  /** Most bytes of data in one chunk; `undefined` sends each extent in one. A READ with DF is never cut. */
  readonly chunkSize: number | undefined
  /** Whether the chunks of a READ come from its start or from its end. */
  readonly chunkOrder: "Ascending" | "Descending"
  /** End a reply with a NONE chunk, instead of setting DONE on its last content chunk. */
  readonly endWithNone: boolean
  /** Most descriptors in one chunk of block status. */
  readonly maxDescriptors: number
}

/**
 * The bytes of one reply.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = ReadonlyArray<Uint8Array>

const nothing = ReplyFlags(0)
const done = ReplyFlags(ReplyFlags.DONE)

/**
 * The reply to a request that was carried out; a READ and a BLOCK_STATUS are carried out here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const success = (rules: ReplyRules, terms: Terms, request: Request): Effect.Effect<Reply, Failure> => {
  const { command, cookie, length, offset } = request
  switch (command) {
    case commandCode.READ:
      // It has passed the check of its request: no longer than the longest payload, 64 MiB at most.
      return terms.replyStyle === "Simple"
        ? Effect.map(
          terms.export.read(offset, Number(length)),
          (data) => [encodeSimpleReply({ error: 0, cookie }), data]
        )
        : Effect.map(
          contentOf(rules, terms.export, request, Number(length)),
          (chunks) => whole(rules, terms, request, chunks)
        )
    case commandCode.BLOCK_STATUS:
      return Effect.map(
        statusChunks(terms, request, rules.maxDescriptors),
        (chunks) => whole(rules, terms, request, chunks)
      )
    default:
      return Effect.succeed(
        isSimple(rules, terms, request)
          ? [encodeSimpleReply({ error: 0, cookie })]
          : encodeAll(terms, request, [{ _tag: "None" }])
      )
  }
}

/**
 * The reply to a request that failed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failure = (
  rules: ReplyRules,
  terms: Terms,
  request: Request,
  { errno: error, message = "", offset }: Failure
): Reply => {
  const value = typeof error === "number" ? error : errno[error]
  if (isSimple(rules, terms, request)) return [encodeSimpleReply({ error: value, cookie: request.cookie })]
  return encodeAll(terms, request, [
    offset === undefined || !mayPointInside(request, offset)
      ? { _tag: "ErrorChunk", error: value, message }
      : { _tag: "ErrorOffsetChunk", error: value, message, offset }
  ])
}

/**
 * The same, after what lies before the error in a READ: as a disk with one bad sector would do (S-076).
 *
 * @since 0.1.0
 * @category constructors
 */
export const failureInside = (
  rules: ReplyRules,
  terms: Terms,
  request: Request,
  failed: Failure
): Effect.Effect<Reply> => {
  const { offset } = failed
  const alone = failure(rules, terms, request, failed)
  const isInside = offset !== undefined && mayPointInside(request, offset)
  if (terms.replyStyle === "Simple" || request.command !== commandCode.READ || !isInside) return Effect.succeed(alone)
  return Effect.match(safely(contentOf(rules, terms.export, request, Number(offset - request.offset))), {
    onFailure: () => alone,
    onSuccess: (before) => [...before.flatMap((chunk) => encode(terms, request, nothing, chunk)), ...alone]
  })
}

/** Whether the reply has no chunks: to a READ it has them wherever there are any (S-069). */
const isSimple = ({ acknowledgements }: ReplyRules, { replyStyle }: Terms, { command }: Request): boolean =>
  replyStyle === "Simple" ||
  replyStyle === "Structured" && acknowledgements === "Simple" && command !== commandCode.READ

/** An error's offset lies inside the request (S-080), and only commands with a range have one. */
const mayPointInside = ({ command, length, offset }: Request, at: bigint): boolean =>
  command !== commandCode.FLUSH && at >= offset && at < offset + length

const whole = (rules: ReplyRules, terms: Terms, request: Request, chunks: ReadonlyArray<Chunk>): Reply =>
  encodeAll(terms, request, rules.endWithNone || chunks.length === 0 ? [...chunks, { _tag: "None" }] : chunks)

const encodeAll = (terms: Terms, request: Request, chunks: ReadonlyArray<Chunk>): Reply =>
  chunks.flatMap((chunk, index) => encode(terms, request, index === chunks.length - 1 ? done : nothing, chunk))

/** The offset of an extended reply is the request's, whatever the chunk says itself (S-095). */
const encode = ({ replyStyle }: Terms, { cookie, offset }: Request, flags: ReplyFlags, chunk: Chunk): Reply =>
  replyStyle === "Extended" ? encodeExtendedChunk(cookie, flags, offset, chunk) : encodeChunk(cookie, flags, chunk)

/** The content of the first `length` bytes of a READ: holes as holes, data cut to size (S-075, S-078). */
const contentOf = Effect.fnUntraced(
  function*(rules: ReplyRules, target: ServedExport, { flags, offset }: Request, length: number) {
    const found = yield* runs(target, offset, length)
    const isWhole = (flags & CommandFlags.DF) !== 0 && found.some(({ zero }) => !zero)
    const parts: ReadonlyArray<ContentRun> = isWhole ? [{ offset, length, zero: false }] : found
    const chunks: Array<Chunk> = []
    for (const { length, offset, zero } of parts) {
      if (zero) {
        chunks.push({ _tag: "OffsetHole", offset, length })
        continue
      }
      const data = yield* target.read(offset, length)
      for (const [at, count] of cuts(length, isWhole ? undefined : rules.chunkSize)) {
        chunks.push({ _tag: "OffsetData", offset: offset + BigInt(at), data: data.subarray(at, at + count) })
      }
    }
    return rules.chunkOrder === "Ascending" ? chunks : chunks.toReversed()
  }
)

/** Extents told apart by their content alone: whether a hole is allocated does not matter to a READ. */
const runs = (
  target: ServedExport,
  offset: bigint,
  length: number
): Effect.Effect<ReadonlyArray<ContentRun>, Failure> =>
  Effect.map(target.extents(offset, BigInt(length)), (extents) => {
    const found: Array<ContentRun> = []
    let left = length
    const add = (count: number, zero: boolean): void => {
      const last = found.at(-1)
      if (last?.zero === zero) last.length += count
      else if (count > 0) found.push({ offset: offset + BigInt(length - left), length: count, zero })
      left -= count
    }
    for (const extent of extents) {
      if (extent.length <= 0n || left === 0) break
      add(extent.length < BigInt(left) ? Number(extent.length) : left, extent.zero)
    }
    // What nothing is known of is read.
    add(left, false)
    return found
  })

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
