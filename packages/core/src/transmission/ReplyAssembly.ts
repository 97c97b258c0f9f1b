/**
 * What the chunks of one cookie add up to.
 *
 * Each function takes what a reply says about one command and either accepts it, or says which rule it breaks. A
 * `WireError` is a breach that ends the connection; a doubt about values alone only fails the command. No I/O and no
 * time: the whole of it can be tested with plain calls.
 *
 * @since 0.1.0
 */
import { errnoName } from "../wire/Errno.ts"
import type { ErrorPayload } from "../wire/Reply.ts"
import { WireError } from "../wire/WireError.ts"
import { CommandError, ReplyInvalidError } from "./CommandError.ts"
import { maxFragments } from "./Coverage.ts"
import type { PendingCommand } from "./InFlight.ts"

/** Positions of errors that are remembered for one reply; a server that reports more has reported enough. */
const maxErrorPositions = 1024

/**
 * A piece of content, data or hole, for a read. Returns where in the range it goes.
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptContent = (
  pending: PendingCommand,
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
  if (pending.errorPositions?.some((error) => error >= position && error - position < length) === true) {
    return new WireError("no content where an error was reported", `${length} bytes at ${offset}`, "H-106")
  }
  const { coverage } = pending
  if (!coverage.add(position, length)) {
    return new WireError("every byte once", `${length} bytes at ${offset} again`, "NBD_CMD_READ, C-176")
  }
  return coverage.fragments > maxFragments
    ? new WireError(`at most ${maxFragments} separate pieces`, `${coverage.fragments}`, "NBD_CMD_READ")
    : position
}

/**
 * An error chunk. The first one is what the caller hears of.
 *
 * @since 0.1.0
 * @category decoding
 */
export const acceptError = (pending: PendingCommand, payload: ErrorPayload): void => {
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
  if (inside) {
    const positions = pending.errorPositions ??= []
    if (positions.length < maxErrorPositions) positions.push(position)
  }
  pending.failure ??= commandError(pending, payload.error, payload.message, inside ? payload.offset : undefined)
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
    errno: errnoName(value),
    value,
    serverMessage,
    errorOffset
  })

/**
 * The last chunk has come: a read that failed nowhere must have brought every byte (C-171, C-176, H-105).
 *
 * @since 0.1.0
 * @category decoding
 */
export const complete = (pending: PendingCommand): void => {
  const { command } = pending
  if (pending.failure !== undefined || command.name !== "read" || pending.coverage.isComplete(command.length)) return
  const gap = pending.coverage.firstGap(command.length)
  pending.failure = invalid(
    pending,
    `all of ${command.length} bytes`,
    `none for offset ${command.offset + BigInt(gap)}`,
    "NBD_CMD_READ, C-176"
  )
}

/**
 * Where a read goes, as long as anybody waits for it. Memory that its owner has transferred or resized meanwhile fails
 * that read, and no other.
 *
 * @since 0.1.0
 * @category decoding
 */
export const destinationOf = (pending: PendingCommand | undefined): Uint8Array | undefined => {
  const destination = pending?.destination
  if (pending === undefined || destination === undefined) return undefined
  if (destination.byteLength === pending.command.length) return destination
  pending.destination = undefined
  pending.failure ??= invalid(
    pending,
    `memory of ${pending.command.length} bytes to read into`,
    `memory of ${destination.byteLength} bytes, transferred or resized since`,
    "readInto"
  )
  return undefined
}

const invalid = (
  { command }: PendingCommand,
  expected: string,
  received: string,
  rule: string
): ReplyInvalidError =>
  new ReplyInvalidError({
    command: command.name,
    offset: command.offset,
    length: command.length,
    expected,
    received,
    rule
  })
