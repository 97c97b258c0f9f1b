/**
 * Whether a request may be carried out, and the error it is answered with where it may not (S-084, S-085).
 *
 * It looks at the header alone. It does not act on the export.
 *
 * @since 0.1.0
 */
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode, type RequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { hex, WireError } from "@effect-nbd/core/wire/WireError"
import type { FakeExport } from "../FakeExport.ts"
import type { Failure } from "../Steering.ts"

/**
 * Largest payload of a request or reply in bytes, whatever an export advertises.
 *
 * @since 0.1.0
 * @category models
 */
export const maxPayload = 67_108_864

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
  /** Command flags that belong to it, each with the transmission flag that offers it. */
  readonly flags: ReadonlyArray<readonly [flag: number, offeredBy: number]>
}

const fua = [CommandFlags.FUA, TransmissionFlags.SEND_FUA] as const

/** FUA goes with every command (S-086). BLOCK_STATUS is not here: no metadata context can be selected (S-065). */
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
  }]
])

const refuse = (errno: Failure["errno"], message: string, violation?: WireError): Refusal =>
  violation === undefined ? { failure: { errno, message } } : { failure: { errno, message }, violation }

/**
 * The first rule that a request breaks, or `undefined` where it may be carried out. `flags` are the transmission flags
 * that this client was told.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (header: RequestHeader, target: FakeExport, flags: TransmissionFlags): Refusal | undefined =>
  checkCommand(header, flags) ?? checkRange(header, target)

const checkCommand = (header: RequestHeader, flags: TransmissionFlags): Refusal | undefined => {
  const rule = rules.get(header.command)
  if (rule === undefined) {
    const violation = new WireError("a command the server knows", hex(header.command, 2), "S-065, S-085")
    return refuse("EINVAL", "unknown command, or no metadata context was selected", violation)
  }
  if (rule.writes && (flags & TransmissionFlags.READ_ONLY) !== 0) {
    return refuse("EPERM", "the export is read-only")
  }
  if (rule.offeredBy !== 0 && (flags & rule.offeredBy) === 0) {
    const violation = new WireError("a command the export offers", hex(header.command, 2), "C-121")
    return refuse("EINVAL", "the export does not offer this command", violation)
  }
  let allowed = 0
  for (const [flag, offeredBy] of rule.flags) {
    if ((flags & offeredBy) !== 0) allowed |= flag
  }
  if ((header.flags & ~allowed) !== 0) {
    const violation = new WireError(`command flags within ${hex(allowed, 2)}`, hex(header.flags, 2), "C-124, S-085")
    return refuse("EINVAL", "command flags that are unknown, not offered or not for this command", violation)
  }
  const isRanged = header.command !== commandCode.FLUSH && header.command !== commandCode.DISC
  if (!isRanged && (header.offset !== 0n || header.length !== 0)) {
    const violation = new WireError("offset 0 and length 0", `${header.offset} and ${header.length}`, "C-141")
    return refuse("EINVAL", "offset and length must be zero", violation)
  }
  return undefined
}

const checkRange = (header: RequestHeader, target: FakeExport): Refusal | undefined => {
  const { command, length, offset } = header
  const { maximum, minimum } = target.limits
  const largest = Math.min(maximum, maxPayload)
  if (command === commandCode.READ && length > largest) {
    return refuse("EOVERFLOW", `reads are limited to ${largest} bytes`)
  }
  if (command === commandCode.WRITE && length > largest) {
    return refuse("EINVAL", `writes are limited to ${largest} bytes`)
  }
  const end = offset + BigInt(length)
  if (end > target.size) {
    const fills = command === commandCode.WRITE || command === commandCode.WRITE_ZEROES
    return refuse(fills ? "ENOSPC" : "EINVAL", `past the end of the export at ${target.size}`)
  }
  if (minimum > 1) {
    // The end of the export counts as aligned: its size need not be a multiple of the block size.
    const isAligned = offset % BigInt(minimum) === 0n && (length % minimum === 0 || end === target.size)
    if (!isAligned) return refuse("EINVAL", `offset and length must be multiples of ${minimum}`)
  }
  return undefined
}
