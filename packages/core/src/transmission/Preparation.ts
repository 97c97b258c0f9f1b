/**
 * From a call to the command that is sent for it, or to the reason why nothing is.
 *
 * Pure, and in one step with the check of the handle's state: what it says holds until the command is registered.
 *
 * @since 0.1.0
 */
import type { Export, GrantedContext } from "../Export.ts"
import { encodeStatusFilter } from "../wire/BlockStatus.ts"
import { CommandFlags } from "../wire/Flags.ts"
import { commandCode } from "../wire/RequestHeader.ts"
import { checkFlags, checkOffered, checkRange, checkWritable, longestEffect } from "./CommandCheck.ts"
import {
  CommandFlagsError,
  NoMetaContextError,
  type RangeRefusal,
  type ReadOnlyError,
  RequestTooLargeError,
  type UnsupportedError
} from "./CommandError.ts"
import type {
  BlockStatusOptions,
  CommandOptions,
  RawCommand,
  StructuredReadOptions,
  WriteOptions,
  WriteZeroesOptions
} from "./CommandOptions.ts"
import { contextTable, idMap } from "./ContextTable.ts"
import type { CommandDetail, CommandName, NbdCommand } from "./NbdCommand.ts"
import type { Strictness } from "./Strictness.ts"

type FlagsRefusal = CommandFlagsError | UnsupportedError

const bit = (set: boolean | undefined, flag: number): number => set === true ? flag : 0

const command = (
  name: CommandName,
  flags: number,
  offset: bigint,
  length: number | bigint,
  rest: Partial<NbdCommand> = {}
): NbdCommand => ({
  name,
  flags,
  offset,
  length: Number(length),
  payload: rest.payload,
  destination: rest.destination,
  detail: rest.detail
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const read = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number,
  destination: Uint8Array | undefined
): NbdCommand | RangeRefusal =>
  checkRange(target, "read", offset, length, strictness) ??
    { name: "read", flags: 0, offset, length, payload: undefined, destination, detail: undefined }

const toLent: CommandDetail = { _tag: "Lent" }

/**
 * @since 0.1.0
 * @category constructors
 */
export const readBorrowed = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number
): NbdCommand | RangeRefusal =>
  checkRange(target, "read", offset, length, strictness) ??
    { name: "read", flags: 0, offset, length, payload: undefined, destination: undefined, detail: toLent }

/**
 * @since 0.1.0
 * @category constructors
 */
export const readStructured = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number,
  options: StructuredReadOptions | undefined
): NbdCommand | FlagsRefusal | RangeRefusal => {
  const flags = (options?.flags ?? 0) | bit(options?.df, CommandFlags.DF)
  return checkFlags(target, "read", flags, CommandFlags.DF, strictness) ??
    checkRange(target, "read", offset, length, strictness) ??
    checkUndivided(target, flags, offset, length, strictness) ??
    command("read", flags, offset, length, { detail: { _tag: "Pieces" } })
}

/** One chunk cannot be the answer to several requests. */
const checkUndivided = (
  { maximumPayload: maximum }: Export,
  flags: number,
  offset: bigint,
  length: number,
  { payload }: Strictness
): RequestTooLargeError | undefined =>
  payload && (flags & CommandFlags.DF) !== 0 && length > maximum
    ? new RequestTooLargeError({ command: "read", offset, length, maximum })
    : undefined

/**
 * @since 0.1.0
 * @category constructors
 */
export const write = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  payload: Uint8Array,
  options: WriteOptions | undefined
): NbdCommand | ReadOnlyError | FlagsRefusal | RangeRefusal => {
  const given = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA)
  const flags = withPayloadFlag(target, strictness, given)
  return checkWritable(target, "write", strictness) ??
    checkFlags(target, "write", flags, CommandFlags.FUA | payloadFlag(target), strictness) ??
    checkPayloadFlag(target, strictness, "write", flags) ??
    checkRange(target, "write", offset, payload.byteLength, strictness) ??
    { name: "write", flags, offset, length: payload.byteLength, payload, destination: undefined, detail: undefined }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const flush = (
  target: Export,
  strictness: Strictness
): NbdCommand | UnsupportedError =>
  checkOffered(target.canFlush, "flush", "NBD_FLAG_SEND_FLUSH", strictness) ?? command("flush", 0, 0n, 0)

/**
 * @since 0.1.0
 * @category constructors
 */
export const trim = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number | bigint,
  options: WriteOptions | undefined
): NbdCommand | ReadOnlyError | FlagsRefusal | RangeRefusal => {
  const flags = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA)
  return checkWritable(target, "trim", strictness) ??
    checkOffered(target.canTrim, "trim", "NBD_FLAG_SEND_TRIM", strictness) ??
    checkFlags(target, "trim", flags, CommandFlags.FUA, strictness) ??
    checkRange(target, "trim", offset, length, strictness) ??
    command("trim", flags, offset, length)
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const cache = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number | bigint,
  options: CommandOptions | undefined
): NbdCommand | FlagsRefusal | RangeRefusal =>
  checkOffered(target.canCache, "cache", "NBD_FLAG_SEND_CACHE", strictness) ??
    checkFlags(target, "cache", options?.flags ?? 0, 0, strictness) ??
    checkRange(target, "cache", offset, length, strictness) ??
    command("cache", options?.flags ?? 0, offset, length)

/**
 * @since 0.1.0
 * @category constructors
 */
export const writeZeroes = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number | bigint,
  options: WriteZeroesOptions | undefined
): NbdCommand | ReadOnlyError | FlagsRefusal | RangeRefusal => {
  const flags = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA) |
    bit(options?.noHole, CommandFlags.NO_HOLE) | bit(options?.fastZero, CommandFlags.FAST_ZERO)
  const known = CommandFlags.FUA | CommandFlags.NO_HOLE | CommandFlags.FAST_ZERO
  return checkWritable(target, "writeZeroes", strictness) ??
    checkOffered(target.canWriteZeroes, "writeZeroes", "NBD_FLAG_SEND_WRITE_ZEROES", strictness) ??
    checkFlags(target, "writeZeroes", flags, known, strictness) ??
    checkRange(target, "writeZeroes", offset, length, strictness) ??
    command("writeZeroes", flags, offset, length)
}

/**
 * All granted contexts are asked about unless fewer are wanted. If the server accepts a filter, the filter is sent.
 * Otherwise the answers for the other contexts are ignored.
 *
 * @since 0.1.0
 * @category constructors
 */
export const blockStatus = (
  target: Export,
  strictness: Strictness,
  offset: bigint,
  length: number | bigint,
  options: BlockStatusOptions | undefined
): NbdCommand | NoMetaContextError | FlagsRefusal | RangeRefusal => {
  const name = "blockStatus"
  const wanted = chosen(target, options?.contexts)
  if (wanted instanceof NoMetaContextError) return wanted
  if (strictness.commands && wanted.length === 0) {
    return new NoMetaContextError({ command: name, context: undefined, granted: [] })
  }
  const { byId } = contextTable(target.contexts)
  const kept = options?.contexts === undefined ? byId : idMap(wanted)
  const isFiltered = kept.size < target.contexts.length && target.canBlockStatusPayload
  const asked = isFiltered ? kept : byId
  const given = (options?.flags ?? 0) | bit(options?.reqOne, CommandFlags.REQ_ONE)
  const flags = strictness.autoFlag
    ? (given & ~CommandFlags.PAYLOAD_LEN) | bit(isFiltered, CommandFlags.PAYLOAD_LEN)
    : given
  const known = CommandFlags.REQ_ONE | bit(isFiltered, CommandFlags.PAYLOAD_LEN)
  const refusal = checkFlags(target, name, flags, known, strictness) ??
    checkRange(target, name, offset, length, strictness)
  if (refusal !== undefined) return refusal
  // The answer may cover less than was asked for, so the request may be shortened.
  const about = strictness.payload ? Math.min(Number(length), longestEffect(target)) : Number(length)
  const payload = isFiltered
    ? encodeStatusFilter({ length: BigInt(about), contextIds: [...asked.keys()] })
    : undefined
  return command(name, flags, offset, about, { payload, detail: { _tag: "Status", asked, kept, wanted } })
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const raw = (options: RawCommand): NbdCommand | CommandFlagsError => {
  const { code, flags = 0, payload } = options
  const fits = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff
  if (!fits(flags) || !fits(code) || code === commandCode.READ || code === commandCode.DISC) {
    return new CommandFlagsError({ command: "command", flags, known: 0xffff })
  }
  const length = options.length ?? payload?.byteLength ?? 0
  return command("command", flags, options.offset ?? 0n, length, { payload, detail: { _tag: "Raw", code } })
}

const chosen = (
  { contexts }: Export,
  names: ReadonlyArray<string> | undefined
): ReadonlyArray<GrantedContext> | NoMetaContextError => {
  if (names === undefined) return contexts
  const { byName } = contextTable(contexts)
  const chosen: Array<GrantedContext> = []
  for (const name of names) {
    const context = byName.get(name)
    if (context === undefined) {
      const granted = contexts.map((granted) => granted.name)
      return new NoMetaContextError({ command: "blockStatus", context: name, granted })
    }
    chosen.push(context)
  }
  return chosen
}

/** Under extended headers, and only there, every payload is announced (C-222, C-223). */
const payloadFlag = ({ replyStyle }: Export): number => bit(replyStyle === "Extended", CommandFlags.PAYLOAD_LEN)

const withPayloadFlag = (target: Export, { autoFlag }: Strictness, flags: number): number =>
  autoFlag ? (flags & ~CommandFlags.PAYLOAD_LEN) | payloadFlag(target) : flags

const checkPayloadFlag = (
  target: Export,
  { commands }: Strictness,
  name: CommandName,
  flags: number
): CommandFlagsError | undefined =>
  commands && (flags & CommandFlags.PAYLOAD_LEN) !== payloadFlag(target)
    ? new CommandFlagsError({ command: name, flags, known: flags ^ CommandFlags.PAYLOAD_LEN })
    : undefined
