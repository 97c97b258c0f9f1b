/**
 * The content of a reply to NBD_CMD_BLOCK_STATUS: one chunk for each meta context (S-081, S-082, S-097).
 *
 * @since 0.1.0
 */
import { maxDescriptors, type StatusDescriptor, statusSize, type StatusWidth } from "@effect-nbd/core/wire/BlockStatus"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import type { Chunk } from "@effect-nbd/core/wire/Reply"
import * as Effect from "effect/Effect"
import type { Failure } from "../Decider.ts"
import { maxPayload, type Request } from "../ServerRequest.ts"
import type { SelectedContext, Terms } from "./Terms.ts"

/** Bounds of one chunk. */
interface Bounds {
  readonly width: StatusWidth
  /** Bytes that were asked for, at least 1. */
  readonly asked: bigint
  /** Bytes up to the end of the export. */
  readonly rest: bigint
  readonly isOne: boolean
  readonly most: number
}

/** The longest extent that fits into 32 bits and is aligned to every block size there can be. */
const longestCompact = 0xffff_0000n

/**
 * A chunk for each context that was asked for, in the order of their ids. `most` is how many descriptors one may have.
 *
 * @since 0.1.0
 * @category constructors
 */
export const statusChunks = (
  terms: Terms,
  { contextIds, flags, length, offset }: Request,
  most: number
): Effect.Effect<ReadonlyArray<Chunk>, Failure> => {
  const width = terms.replyStyle === "Extended" ? "extended" : "compact"
  const { descriptor, head } = statusSize[width]
  const chosen = contextIds && new Set(contextIds)
  const asked = terms.contexts.filter(({ id }) => chosen === undefined || chosen.has(id))
  // One chunk stays within the export's limit, and all chunks within the memory that a reply may use.
  const largest = Math.min(terms.export.limits.maximum, Math.floor(maxPayload / Math.max(1, asked.length)))
  const fitting = Math.floor((largest - head) / descriptor)
  const bounds: Bounds = {
    width,
    asked: length,
    rest: terms.export.size - offset,
    isOne: (flags & CommandFlags.REQ_ONE) !== 0,
    most: Math.max(1, Math.min(most, fitting, maxDescriptors))
  }
  return Effect.forEach(asked, ({ context, id }) =>
    Effect.flatMap(context.status(offset, length), (found) => {
      const descriptors = bounded(bounds, widthOf(bounds, { context, id }), found)
      return descriptors.length === 0
        ? Effect.fail<Failure>({ errno: "EIO", message: `${context.name} has nothing to say here` })
        : Effect.succeed<Chunk>({ _tag: "BlockStatus", contextId: id, descriptors })
    }))
}

const widthOf = ({ width }: Bounds, { context }: SelectedContext): number =>
  width === "extended" && context.wide === true ? 64 : 32

/**
 * What of the descriptors may be sent: equal neighbours joined, nothing beyond the first that reaches the end of the
 * request, and nothing outside the export. An empty descriptor ends the list.
 */
const bounded = (
  { asked, isOne, most, rest, width }: Bounds,
  bits: number,
  found: Iterable<StatusDescriptor>
): ReadonlyArray<StatusDescriptor> => {
  const descriptors: Array<StatusDescriptor> = []
  const end = isOne ? asked : rest
  let last: StatusDescriptor | undefined
  let at = 0n
  for (const { flags: wide, length } of found) {
    if (length <= 0n || at >= end) break
    const flags = BigInt.asUintN(bits, wide)
    const isNew = last?.flags !== flags
    // The one before ends where this one begins: if that is at the end of the request, there may be no further one.
    if (isNew && (at >= asked || (last !== undefined && (isOne || descriptors.length + 1 === most)))) break
    const counted = length < end - at ? length : end - at
    at += counted
    if (last !== undefined && isNew) descriptors.push(last)
    last = { flags, length: isNew || last === undefined ? counted : last.length + counted }
  }
  if (last !== undefined) descriptors.push(last)
  return width === "extended" ? descriptors : shortened(descriptors)
}

/** What comes after an extent that is too long for 32 bits is left out: an answer may be shorter than the question. */
const shortened = (descriptors: ReadonlyArray<StatusDescriptor>): ReadonlyArray<StatusDescriptor> => {
  const long = descriptors.findIndex(({ length }) => length > 0xffff_ffffn)
  return long === -1
    ? descriptors
    : descriptors.slice(0, long + 1).map((each, index) => index === long ? { ...each, length: longestCompact } : each)
}
