/**
 * Whether a request may be carried out, and the error it is answered with where it may not (S-084, S-085).
 *
 * It looks at the header, and at the payload of a request for block status. It does not act on the export.
 *
 * @since 0.1.0
 */
import { decodeStatusFilter } from "@effect-nbd/core/wire/BlockStatus"
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { hex, isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import type { Failure } from "../Decider.ts"
import { hasPayload, maxPayload, type Request } from "../ServerRequest.ts"
import type { Terms } from "./Terms.ts"

/**
 * Why a request is refused. `violation` is there where no client that keeps the rules would have sent it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  readonly failure: Failure
  readonly violation?: WireError
}

interface CommandRule {
  /** The transmission flag that offers the command; 0 where none is needed. */
  readonly offeredBy: number
  readonly writes: boolean
  /** Command flags that belong to it, each with the transmission flag that offers it, 0 where none is needed. */
  readonly flags: ReadonlyArray<readonly [flag: number, offeredBy: number]>
}

const fua = [CommandFlags.FUA, TransmissionFlags.SEND_FUA] as const

/** FUA goes with every command (S-086). */
const rules: ReadonlyMap<number, CommandRule> = new Map([
  [commandCode.READ, { offeredBy: 0, writes: false, flags: [fua, [CommandFlags.DF, TransmissionFlags.SEND_DF]] }],
  [commandCode.WRITE, { offeredBy: 0, writes: true, flags: [fua] }],
  [commandCode.DISC, { offeredBy: 0, writes: false, flags: [fua] }],
  [commandCode.FLUSH, { offeredBy: TransmissionFlags.SEND_FLUSH, writes: false, flags: [fua] }],
  [commandCode.TRIM, { offeredBy: TransmissionFlags.SEND_TRIM, writes: true, flags: [fua] }],
  [commandCode.CACHE, { offeredBy: TransmissionFlags.SEND_CACHE, writes: false, flags: [fua] }],
  [commandCode.WRITE_ZEROES, {
    offeredBy: TransmissionFlags.SEND_WRITE_ZEROES,
    writes: true,
    flags: [
      fua,
      [CommandFlags.NO_HOLE, TransmissionFlags.SEND_WRITE_ZEROES],
      [CommandFlags.FAST_ZERO, TransmissionFlags.SEND_FAST_ZERO]
    ]
  }],
  [commandCode.BLOCK_STATUS, {
    offeredBy: 0,
    writes: false,
    flags: [
      fua,
      [CommandFlags.REQ_ONE, 0],
      [CommandFlags.PAYLOAD_LEN, TransmissionFlags.BLOCK_STATUS_PAYLOAD]
    ]
  }]
])

const refuse = (errno: Failure["errno"], message: string, violation?: WireError): Refusal =>
  violation === undefined ? { failure: { errno, message } } : { failure: { errno, message }, violation }

/**
 * What a client should not have done, but is not refused for: a WRITE with extended headers that does not say that it has
 * a payload (C-222).
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkManners = (request: Request, { replyStyle }: Terms): WireError | undefined =>
  replyStyle === "Extended" && request.command === commandCode.WRITE && !hasPayload(request)
    ? new WireError("NBD_CMD_FLAG_PAYLOAD_LEN", hex(request.flags, 2), "C-222")
    : undefined

/**
 * The first rule that a request's header breaks, or `undefined` where it breaks none. The range of a request whose
 * payload tells it is not looked at here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (request: Request, terms: Terms): Refusal | undefined =>
  checkCommand(request, terms) ?? (isFiltered(request) ? undefined : checkRange(request, terms))

/**
 * Whether the request's payload says what its range is.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFiltered = (request: Request): boolean =>
  request.command === commandCode.BLOCK_STATUS && hasPayload(request)

/**
 * Longest payload that a request for block status can need, in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const longestFilter = ({ contexts }: Terms): number => 8 + 4 * contexts.length

/**
 * The request with the range and the contexts that its payload tells, or why it is refused (C-224, S-099).
 *
 * @since 0.1.0
 * @category constructors
 */
export const filtered = (request: Request, payload: Uint8Array, terms: Terms): Request | Refusal => {
  const filter = decodeStatusFilter(payload)
  if (isWireError(filter)) return refuse("EINVAL", "the payload is not a list of meta contexts", filter)
  const { contextIds, length } = filter
  const asked = new Set(contextIds)
  const known = terms.contexts.filter(({ id }) => asked.has(id)).length
  if (contextIds.length === 0 || known !== contextIds.length) {
    const violation = new WireError("ids that were selected, each once", contextIds.join(", "), "C-224, S-099")
    return refuse("EINVAL", "meta contexts that are unknown, twice there or none", violation)
  }
  const whole = { ...request, length, contextIds }
  return checkRange(whole, terms) ?? whole
}

const checkCommand = (request: Request, { contexts, flags, replyStyle }: Terms): Refusal | undefined => {
  const { command, length, offset } = request
  const rule = rules.get(command)
  if (rule === undefined) {
    const violation = new WireError("a command the server knows", hex(command, 2), "S-085")
    return refuse("EINVAL", "unknown command", violation)
  }
  if (command === commandCode.BLOCK_STATUS && contexts.length === 0) {
    const violation = new WireError("a meta context to be selected first", "NBD_CMD_BLOCK_STATUS", "C-149, S-065")
    return refuse("EINVAL", "no meta context was selected", violation)
  }
  if (rule.writes && (flags & TransmissionFlags.READ_ONLY) !== 0) {
    return refuse("EPERM", "the export is read-only")
  }
  if (rule.offeredBy !== 0 && (flags & rule.offeredBy) === 0) {
    const violation = new WireError("a command the export offers", hex(command, 2), "C-121")
    return refuse("EINVAL", "the export does not offer this command", violation)
  }
  let allowed = command === commandCode.WRITE && replyStyle === "Extended" ? CommandFlags.PAYLOAD_LEN : 0
  for (const [flag, offeredBy] of rule.flags) {
    if (offeredBy === 0 || (flags & offeredBy) !== 0) allowed |= flag
  }
  if ((request.flags & ~allowed) !== 0) {
    const violation = new WireError(`command flags within ${hex(allowed, 2)}`, hex(request.flags, 2), "C-124, S-085")
    return refuse("EINVAL", "command flags that are unknown, not offered or not for this command", violation)
  }
  const isRanged = command !== commandCode.FLUSH && command !== commandCode.DISC
  if (!isRanged && (offset !== 0n || length !== 0n)) {
    const violation = new WireError("offset 0 and length 0", `${offset} and ${length}`, "C-141")
    return refuse("EINVAL", "offset and length must be zero", violation)
  }
  return undefined
}

const checkRange = ({ command, length, offset }: Request, { export: target }: Terms): Refusal | undefined => {
  const { maximum, minimum } = target.limits
  const largest = Math.min(maximum, maxPayload)
  if (command === commandCode.READ && length > BigInt(largest)) {
    return refuse("EOVERFLOW", `reads are limited to ${largest} bytes`)
  }
  if (command === commandCode.WRITE && length > BigInt(largest)) {
    return refuse("EINVAL", `writes are limited to ${largest} bytes`)
  }
  if (command === commandCode.BLOCK_STATUS && length === 0n) {
    return refuse("EINVAL", "there is no status of no bytes")
  }
  const end = offset + length
  if (end > target.size) {
    const fills = command === commandCode.WRITE || command === commandCode.WRITE_ZEROES
    return refuse(fills ? "ENOSPC" : "EINVAL", `past the end of the export at ${target.size}`)
  }
  if (minimum > 1) {
    const block = BigInt(minimum)
    // The end of the export counts as aligned: its size need not be a multiple of the block size.
    const isAligned = offset % block === 0n && (length % block === 0n || end === target.size)
    if (!isAligned) return refuse("EINVAL", `offset and length must be multiples of ${minimum}`)
  }
  return undefined
}
