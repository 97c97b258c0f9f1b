/**
 * What the chunks of one cookie add up to.
 *
 * Each function takes what a reply says about one command and either accepts it, or says which rule it breaks. A
 * `WireError` is a breach that ends the connection. A wrong reply fails only its command if two conditions hold: the
 * header gives the end of the message, within its limit, and the command fails because of the message in any case. This
 * applies to errors of every form, and to values that contradict the request. Content that makes no sense ends the
 * connection. There is no I/O and no time here: everything can be tested with plain calls.
 *
 * @since 0.1.0
 */
import type { GrantedContext } from "../Export.ts"
import type { Descriptors } from "../wire/BlockStatus.ts"
import { errnoName } from "../wire/Errno.ts"
import { CommandFlags } from "../wire/Flags.ts"
import { decodeErrorPayload, type ErrorPayload } from "../wire/Reply.ts"
import { isWireError, WireError } from "../wire/WireError.ts"
import { CommandError, ReplyInvalidError } from "./CommandError.ts"
import { ContextStatus, measure, measureOne } from "./ContextStatus.ts"
import { maxFragments } from "./Coverage.ts"
import type { PendingCommand, ReportedErrors } from "./InFlight.ts"
import { addPiece, type Piece } from "./Piece.ts"

/**
 * The largest number of error chunks in one reply. A server that sends more is not answering properly, and might never
 * end the reply.
 */
const maxErrors = 65_536

/**
 * The largest number of error positions that are stored for one reply. Each chunk of content is compared with all of
 * them. If a position is not stored, content at that position is not detected, but its command has failed already.
 */
const maxErrorPositions = 64

/**
 * A piece of content, data or hole, for a read. Returns where in the range it goes.
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptContent = (
  pending: PendingCommand,
  kind: Piece["_tag"],
  offset: bigint,
  length: number
): number | WireError => {
  const { command } = pending
  const rule = "Structured reply types, C-173"
  if (command.name !== "read") {
    return new WireError(`no content in a reply to ${command.name}`, "a content chunk", "C-168")
  }
  // By subtraction, in 64 bits: an offset near 2^64 must not wrap into the range (H-102).
  const before = offset < command.offset
  const position = before ? 0 : Number(offset - command.offset)
  if (before || position > command.length || length > command.length - position) {
    const inside = `content inside ${command.length} bytes at ${command.offset}`
    return new WireError(inside, `${length} bytes at ${offset}`, rule)
  }
  if (pending.errors?.positions.some((error) => error >= position && error - position < length) === true) {
    return new WireError("no content where an error was reported", `${length} bytes at ${offset}`, "H-106")
  }
  const { coverage } = pending
  if ((command.flags & CommandFlags.DF) !== 0 && coverage.fragments > 0) {
    return new WireError(
      "one chunk of content in answer to NBD_CMD_FLAG_DF",
      "another",
      "Structured reply types, C-179"
    )
  }
  if (!coverage.add(position, length)) {
    return new WireError("every byte once", `${length} bytes at ${offset} again`, "NBD_CMD_READ, C-176")
  }
  if (command.detail?._tag === "Pieces") addPiece(pending.pieces ??= [], kind, offset, length)
  return coverage.fragments > maxFragments || (pending.pieces?.length ?? 0) > maxFragments
    ? new WireError(`at most ${maxFragments} separate pieces`, "more", "NBD_CMD_READ")
    : position
}

/**
 * The head of an answer to a block status: the number of contexts whose answers are kept for this request, this one
 * included, or 0 if this answer is not needed. An answer for a context that was not asked about, or was answered
 * before, is a breach (C-188). So there are no more answers than contexts that were asked about.
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptContext = (pending: PendingCommand, contextId: number): number | WireError => {
  const rule = "NBD_REPLY_TYPE_BLOCK_STATUS, C-188"
  const { detail } = pending.command
  const context = detail?._tag === "Status" ? detail.asked.get(contextId) : undefined
  if (context === undefined || detail?._tag !== "Status") {
    return new WireError("the id of a context that was asked about", `${contextId}`, rule)
  }
  const status = pending.status ??= new Map()
  if (status.has(contextId)) {
    return new WireError("one answer of each context", `another of ${JSON.stringify(context.name)}`, rule)
  }
  status.set(contextId, undefined)
  return detail.kept.has(contextId) ? detail.kept.size : 0
}

/**
 * The answer for one context. If the answer is framed correctly but makes no sense, only its command fails.
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptStatus = (
  pending: PendingCommand,
  descriptors: Descriptors,
  exportSize: bigint
): WireError | undefined => {
  const { command } = pending
  const { contextId } = descriptors
  const context = command.detail?._tag === "Status" ? command.detail.kept.get(contextId)?.name : undefined
  const { offset } = command
  const available = exportSize > offset ? exportSize - offset : 0n
  const one = (command.flags & CommandFlags.REQ_ONE) !== 0
  const requested = BigInt(command.length)
  // What goes beyond the one extent, or its range, is more than was asked for, and cut off (H-139).
  const extent = one ? measureOne(descriptors, requested) : measure(descriptors, requested, available)
  if (extent === "an extent of no bytes") {
    return new WireError("extents of at least one byte", extent, "NBD_REPLY_TYPE_BLOCK_STATUS, C-189")
  }
  if (typeof extent === "string") {
    pending.failure ??= invalid(pending, "extents that fit the request", extent, "NBD_REPLY_TYPE_BLOCK_STATUS, C-190")
  } else if (context !== undefined) {
    pending.status?.set(contextId, new ContextStatus({ context, offset, descriptors, extent }))
  }
  return undefined
}

/** An error chunk. The caller gets the first one. */
const acceptError = (pending: PendingCommand, errors: ReportedErrors, payload: ErrorPayload): void => {
  const { command } = pending
  if (payload.error === 0) {
    // It claims to be an error, so it is never a success (H-125).
    pending.failure ??= invalid(pending, "an error value in an error chunk", "0", "Structured reply types, C-180")
    return
  }
  const position = payload.offset === undefined || payload.offset < command.offset
    ? undefined
    : Number(payload.offset - command.offset)
  const inside = position !== undefined && position < command.length
  if (inside && errors.positions.length < maxErrorPositions) errors.positions.push(position)
  pending.failure ??= commandError(pending, payload.error, payload.message, inside ? payload.offset : undefined)
}

/**
 * The payload of an error chunk: `head` is the beginning of its `length` bytes. An error chunk that contradicts itself
 * also fails its command, and only that: its header gives its end, and it contains no content (C-170, H-120 to H-122).
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptErrorPayload = (
  pending: PendingCommand,
  chunk: number,
  head: Uint8Array,
  length: number
): WireError | undefined => {
  const errors = pending.errors ??= { count: 0, positions: [] }
  errors.count += 1
  if (errors.count > maxErrors) return new WireError(`at most ${maxErrors} errors`, "more", "NBD_REPLY_TYPE_ERROR")
  const payload = decodeErrorPayload(chunk, head, length)
  if (!isWireError(payload)) {
    acceptError(pending, errors, payload)
    return undefined
  }
  const value = head.byteLength < 4 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(0)
  pending.failure ??= invalid(pending, payload.expected, payload.received, payload.rule, value)
  return undefined
}

/**
 * A simple reply to a read, although replies were agreed to come in chunks. An error ends with its header, and fails
 * only that read. After a success the client cannot know whether data follows, so the connection ends (C-159, H-083).
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptSimpleRead = (pending: PendingCommand, error: number): WireError | undefined => {
  const wrong = ["a structured reply to a read", "a simple one", "Simple reply message, C-159"] as const
  if (error === 0) return new WireError(...wrong)
  pending.failure ??= invalid(pending, ...wrong, error)
  return undefined
}

/**
 * The error of a simple reply.
 *
 * @since 0.1.0
 * @category decoding
 */
export const commandError = (
  { command }: PendingCommand,
  value: number,
  serverMessage: string,
  errorOffset: bigint | undefined
): CommandError =>
  new CommandError({
    command: command.name,
    offset: command.offset,
    length: command.length,
    request: command.request,
    errno: errnoName(value),
    value,
    serverMessage,
    errorOffset
  })

/**
 * The last chunk has come: a read that failed nowhere must have brought every byte, and a block status an answer of
 * every context (C-171, C-176, C-186, H-105, H-136).
 *
 * @since 0.1.0
 * @category decoding
 */
export const complete = (pending: PendingCommand): void => {
  const { command } = pending
  if (pending.failure !== undefined) return
  if (command.detail?._tag === "Status") return completeStatus(pending, command.detail.asked)
  if (command.name !== "read" || pending.coverage.isComplete(command.length)) return
  const gap = pending.coverage.firstGap(command.length)
  pending.failure = invalid(
    pending,
    `all of ${command.length} bytes`,
    `none for offset ${command.offset + BigInt(gap)}`,
    "NBD_CMD_READ, C-176"
  )
}

const completeStatus = (pending: PendingCommand, asked: ReadonlyMap<number, GrantedContext>): void => {
  if (pending.status?.size === asked.size) return
  const missing = [...asked.values()].find(({ id }) => pending.status?.has(id) !== true)
  if (missing === undefined) return
  pending.failure = invalid(
    pending,
    "the status of every context",
    `none of ${JSON.stringify(missing.name)}`,
    "NBD_CMD_BLOCK_STATUS, C-186"
  )
}

/**
 * Where a read goes, as long as anybody waits for it; `arriving` bytes come for it in one piece. Memory that its owner
 * has transferred or resized since then fails that read, and no other; and so does memory that there is not.
 *
 * @since 0.1.0
 * @category decoding
 */
export const destinationOf = (pending: PendingCommand | undefined, arriving: number): Uint8Array | undefined => {
  if (pending === undefined) return undefined
  if (pending.caller?.isGone() === true) {
    pending.abandon()
    return undefined
  }
  const destination = pending.destination ?? borrowed(pending, arriving)
  if (destination === undefined || destination.byteLength === pending.command.length) return destination
  pending.destination = undefined
  pending.failure ??= invalid(
    pending,
    `memory of ${pending.command.length} bytes to read into`,
    `memory of ${destination.byteLength} bytes, transferred or resized since`,
    "readInto"
  )
  return undefined
}

const borrowed = (pending: PendingCommand, arriving: number): Uint8Array | undefined => {
  try {
    return pending.borrow(arriving)
  } catch (error) {
    pending.failure ??= invalid(pending, `memory of ${pending.command.length} bytes`, String(error), "readBorrowed")
    return undefined
  }
}

/**
 * A reply that makes no sense, but whose end is known: the command fails, and the connection goes on. `error` is the
 * error value that the reply contains; 0 means none.
 *
 * @since 0.1.0
 * @category decoding
 */
export const invalid = (
  { command }: PendingCommand,
  expected: string,
  received: string,
  rule: string,
  error: number = 0
): ReplyInvalidError =>
  new ReplyInvalidError({
    command: command.name,
    offset: command.offset,
    length: command.length,
    request: command.request,
    expected,
    received,
    rule,
    errno: error === 0 ? undefined : errnoName(error)
  })
