/**
 * The checks before a cookie is given: what fails here never reaches the wire.
 *
 * They come in libnbd's order, so that a request with several faults is refused for the same one: capability, flags, empty
 * range, bounds, alignment, length. One exception: on a read-only export a trim is refused for that, and not for the
 * flag that such an export has no reason to offer.
 *
 * @since 0.1.0
 */
import { type Export, maximumRequestPayload } from "../Export.ts"
import type { CommandName } from "../Request.ts"
import { CommandFlags } from "../wire/Flags.ts"
import {
  CommandFlagsError,
  OutOfBoundsError,
  type RangeRefusal,
  ReadOnlyError,
  RequestTooLargeError,
  UnalignedError,
  UnsupportedError,
  ZeroLengthError
} from "./CommandError.ts"
import type { Strictness } from "./Strictness.ts"

/**
 * Longest effect in bytes: 32 bits of it, or under extended headers what is exact in a number, 8 PiB.
 *
 * @since 0.1.0
 * @category constants
 */
export const maximumEffectLength = (target: Export): number =>
  target.replyStyle === "Extended" ? Number.MAX_SAFE_INTEGER : 0xffff_ffff

/**
 * The same, rounded down to a multiple of every block size: the longest piece of a longer request without payload.
 *
 * @since 0.1.0
 * @category constants
 */
export const longestEffect = (target: Export): number =>
  target.replyStyle === "Extended" ? Number.MAX_SAFE_INTEGER : 0xffff_0000

const maximumOffset = 0xffff_ffff_ffff_ffffn

/**
 * The export takes writes.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkWritable = (
  target: Export,
  command: CommandName,
  strictness: Strictness
): ReadOnlyError | undefined => strictness.commands && target.isReadOnly ? new ReadOnlyError({ command }) : undefined

/**
 * The server advertised what the command needs.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkOffered = (
  offered: boolean,
  command: CommandName,
  missing: UnsupportedError["missing"],
  strictness: Strictness
): UnsupportedError | undefined =>
  strictness.commands && !offered ? new UnsupportedError({ command, missing }) : undefined

/**
 * The command knows the flags it is sent with (`known`), and the server advertised what they need (C-124, C-128).
 *
 * @since 0.1.0
 * @category guards
 */
export const checkFlags = (
  target: Export,
  command: CommandName,
  flags: number,
  known: number,
  strictness: Strictness
): CommandFlagsError | UnsupportedError | undefined => {
  if (flags === 0) return undefined
  const has = (flag: number): boolean => (flags & flag) !== 0
  const fits = Number.isInteger(flags) && flags >= 0 && flags <= 0xffff
  if (!fits || (strictness.flags && (flags & ~known) !== 0)) return new CommandFlagsError({ command, flags, known })
  return checkOffered(!has(CommandFlags.FUA) || target.canFua, command, "NBD_FLAG_SEND_FUA", strictness) ??
    checkOffered(!has(CommandFlags.DF) || target.canDf, command, "NBD_FLAG_SEND_DF", strictness) ??
    checkOffered(!has(CommandFlags.FAST_ZERO) || target.canFastZero, command, "NBD_FLAG_SEND_FAST_ZERO", strictness)
}

/**
 * The range is one, lies inside the export, is aligned and is not too long.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkRange = (
  target: Export,
  command: CommandName,
  offset: bigint,
  length: number | bigint,
  strictness: Strictness
): RangeRefusal | undefined => {
  const bytes = Number(length)
  const outOfBounds = () => new OutOfBoundsError({ command, offset, length, exportSize: target.size })
  if (!(bytes >= 0) || offset < 0n || offset > maximumOffset) return outOfBounds()
  if (strictness.zeroSize && bytes === 0) return new ZeroLengthError({ command, offset })
  if (!Number.isInteger(bytes)) return outOfBounds()
  // By subtraction, and on the exact length: neither sum nor rounding can bring a range back inside.
  if (strictness.bounds && (offset > target.size || BigInt(length) > target.size - offset)) return outOfBounds()
  // If a request is sent in pieces, the offset of each piece must fit into 64 bits.
  const isDivided = strictness.payload && bytes > target.maximumPayload
  if (!strictness.bounds && isDivided && BigInt(length) > maximumOffset - offset) return outOfBounds()
  const minimumBlockSize = target.minimumBlockSize
  if (
    strictness.align && minimumBlockSize > 1 && !(isAligned(offset, minimumBlockSize) && bytes % minimumBlockSize === 0)
  ) {
    return new UnalignedError({ command, offset, length, minimumBlockSize })
  }
  const maximum = longest(target, command, strictness)
  return bytes > maximum ? new RequestTooLargeError({ command, offset, length, maximum }) : undefined
}

const isAligned = (offset: bigint, block: number): boolean => offset % BigInt(block) === 0n

/**
 * A request that is longer than the server accepts is sent in pieces, or asks about less, unless that is switched off:
 * see Division. Reads and writes still have the limit that memory sets.
 */
const longest = (target: Export, command: CommandName, strictness: Strictness): number => {
  if (command === "read" || command === "write") return maximumRequestPayload
  return strictness.payload ? Number.MAX_SAFE_INTEGER : maximumEffectLength(target)
}
