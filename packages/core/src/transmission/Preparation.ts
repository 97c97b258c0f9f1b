/**
 * From a request to the command that is sent for it, or to the reason why nothing is.
 *
 * Pure, and in one step with the check of the handle's state: what it says holds until the command is registered.
 *
 * @since 0.1.0
 */
import type { Export, GrantedContext } from "../Export.ts"
import type {
  BlockStatus,
  Cache,
  Command,
  CommandName,
  ReadStructured,
  Request,
  Trim,
  Write,
  WriteZeroes
} from "../Request.ts"
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
import { contextTable, idMap } from "./ContextTable.ts"
import type { CommandDetail, NbdCommand } from "./NbdCommand.ts"
import type { Strictness } from "./Strictness.ts"

/**
 * What is refused before anything is sent.
 *
 * @since 0.1.0
 * @category errors
 */
export type CommandRefusal =
  | RangeRefusal
  | ReadOnlyError
  | UnsupportedError
  | CommandFlagsError
  | NoMetaContextError

/**
 * The command for a request, or its refusal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prepare = (target: Export, strictness: Strictness, request: Request): NbdCommand | CommandRefusal => {
  switch (request._tag) {
    case "Read":
      return checkRange(target, "read", request.offset, request.length, strictness) ??
        read(request, request.offset, request.length, undefined, undefined)
    case "ReadInto":
      return checkRange(target, "read", request.offset, request.length, strictness) ??
        read(request, request.offset, request.length, request.destination, undefined)
    case "ReadBorrowed":
      return checkRange(target, "read", request.offset, request.length, strictness) ??
        read(request, request.offset, request.length, undefined, toLent)
    case "ReadStructured":
      return readStructured(target, strictness, request)
    case "Write":
      return write(target, strictness, request)
    case "Flush":
      return checkOffered(target.canFlush, "flush", "NBD_FLAG_SEND_FLUSH", strictness) ??
        command(request, "flush", 0, 0n, 0)
    case "Trim":
      return trim(target, strictness, request)
    case "Cache":
      return cache(target, strictness, request)
    case "WriteZeroes":
      return writeZeroes(target, strictness, request)
    case "BlockStatus":
      return blockStatus(target, strictness, request)
    case "Command":
      return raw(request)
  }
}

const toLent: CommandDetail = { _tag: "Lent" }

// A literal of its own, as for a write: these are most of what is sent.
const read = (
  request: Request,
  offset: bigint,
  length: number,
  destination: Uint8Array | undefined,
  detail: CommandDetail | undefined
): NbdCommand => ({ request, name: "read", flags: 0, offset, length, payload: undefined, destination, detail })

const bit = (set: boolean | undefined, flag: number): number => set === true ? flag : 0

const command = (
  request: Request,
  name: CommandName,
  flags: number,
  offset: bigint,
  length: number | bigint,
  rest: Partial<NbdCommand> = {}
): NbdCommand => ({
  request,
  name,
  flags,
  offset,
  // Below 2^53 behind `checkRange`.
  length: Number(length),
  payload: rest.payload,
  destination: undefined,
  detail: rest.detail
})

const readStructured = (
  target: Export,
  strictness: Strictness,
  request: ReadStructured
): NbdCommand | CommandRefusal => {
  const { length, offset, options } = request
  const flags = (options?.flags ?? 0) | bit(options?.df, CommandFlags.DF)
  return checkFlags(target, "read", flags, CommandFlags.DF, strictness) ??
    checkRange(target, "read", offset, length, strictness) ??
    checkUndivided(target, flags, offset, length, strictness) ??
    command(request, "read", flags, offset, length, { detail: { _tag: "Pieces" } })
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

const write = (target: Export, strictness: Strictness, request: Write): NbdCommand | CommandRefusal => {
  const { bytes: payload, offset, options } = request
  const length = payload.byteLength
  const given = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA)
  const flags = withPayloadFlag(target, strictness, given)
  return checkWritable(target, "write", strictness) ??
    checkFlags(target, "write", flags, CommandFlags.FUA | payloadFlag(target), strictness) ??
    checkPayloadFlag(target, strictness, "write", flags) ??
    checkRange(target, "write", offset, length, strictness) ??
    { request, name: "write", flags, offset, length, payload, destination: undefined, detail: undefined }
}

const trim = (target: Export, strictness: Strictness, request: Trim): NbdCommand | CommandRefusal => {
  const { length, offset, options } = request
  const flags = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA)
  return checkWritable(target, "trim", strictness) ??
    checkOffered(target.canTrim, "trim", "NBD_FLAG_SEND_TRIM", strictness) ??
    checkFlags(target, "trim", flags, CommandFlags.FUA, strictness) ??
    checkRange(target, "trim", offset, length, strictness) ??
    command(request, "trim", flags, offset, length)
}

const cache = (target: Export, strictness: Strictness, request: Cache): NbdCommand | CommandRefusal => {
  const { length, offset, options } = request
  const flags = options?.flags ?? 0
  return checkOffered(target.canCache, "cache", "NBD_FLAG_SEND_CACHE", strictness) ??
    checkFlags(target, "cache", flags, 0, strictness) ??
    checkRange(target, "cache", offset, length, strictness) ??
    command(request, "cache", flags, offset, length)
}

const writeZeroes = (target: Export, strictness: Strictness, request: WriteZeroes): NbdCommand | CommandRefusal => {
  const { length, offset, options } = request
  const flags = (options?.flags ?? 0) | bit(options?.fua, CommandFlags.FUA) |
    bit(options?.noHole, CommandFlags.NO_HOLE) | bit(options?.fastZero, CommandFlags.FAST_ZERO)
  const known = CommandFlags.FUA | CommandFlags.NO_HOLE | CommandFlags.FAST_ZERO
  return checkWritable(target, "writeZeroes", strictness) ??
    checkOffered(target.canWriteZeroes, "writeZeroes", "NBD_FLAG_SEND_WRITE_ZEROES", strictness) ??
    checkFlags(target, "writeZeroes", flags, known, strictness) ??
    checkRange(target, "writeZeroes", offset, length, strictness) ??
    command(request, "writeZeroes", flags, offset, length)
}

/**
 * All granted contexts are asked about unless fewer are wanted. If the server accepts a filter, the filter is sent.
 * Otherwise the answers for the other contexts are ignored.
 */
const blockStatus = (target: Export, strictness: Strictness, request: BlockStatus): NbdCommand | CommandRefusal => {
  const { length, offset, options } = request
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
  // The answer may cover less than was asked for, so the request may be shortened. Below 2^53 behind `checkRange`.
  const about = strictness.payload ? Math.min(Number(length), longestEffect(target)) : Number(length)
  const payload = isFiltered
    ? encodeStatusFilter({ length: BigInt(about), contextIds: [...asked.keys()] })
    : undefined
  return command(request, name, flags, offset, about, { payload, detail: { _tag: "Status", asked, kept, wanted } })
}

const raw = (request: Command): NbdCommand | CommandFlagsError => {
  const { code, flags = 0, payload } = request.raw
  const fits = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff
  if (!fits(flags) || !fits(code) || code === commandCode.READ || code === commandCode.DISC) {
    return new CommandFlagsError({ command: "command", flags, known: 0xffff })
  }
  const { length, offset } = request
  return command(request, "command", flags, offset, length, { payload, detail: { _tag: "Raw", code } })
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
