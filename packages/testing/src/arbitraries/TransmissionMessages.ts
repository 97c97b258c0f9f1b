/**
 * The messages of the transmission phase: requests, and replies of the three styles.
 *
 * @since 0.1.0
 */
import type { StatusDescriptor, StatusFilter, StatusWidth } from "@effect-nbd/core/wire/BlockStatus"
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags, ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { type Chunk, type ChunkHeader, chunkType, type ExtendedChunkHeader } from "@effect-nbd/core/wire/Reply"
import { commandCode, type ExtendedRequestHeader, type RequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import * as FastCheck from "effect/FastCheck"
import { displayText, exact, flagsOf, u16, u32, u64 } from "./Fields.ts"

const command = {
  flags: flagsOf(CommandFlags, 0xffff).map((flags) => CommandFlags(flags)),
  command: FastCheck.oneof(FastCheck.constantFrom(...Object.values(commandCode)), u16),
  cookie: exact,
  offset: u64
}

/**
 * A compact request header of any command.
 *
 * @since 0.1.0
 * @category constructors
 */
export const requestHeader: FastCheck.Arbitrary<RequestHeader> = FastCheck.record({ ...command, length: u32 })

/**
 * An extended request header of any command, with a length up to 2^53 - 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const extendedRequestHeader: FastCheck.Arbitrary<ExtendedRequestHeader> = FastCheck.record({
  ...command,
  length: exact
})

/** No error twice as often as one. */
const error = FastCheck.oneof(FastCheck.constant(0), FastCheck.constantFrom(...Object.values(errno)), u32)

/**
 * @since 0.1.0
 * @category constructors
 */
export const simpleReply: FastCheck.Arbitrary<{ readonly error: number; readonly cookie: bigint }> = FastCheck.record({
  error,
  cookie: u64
})

const header = {
  flags: FastCheck.oneof(FastCheck.constantFrom(0, ReplyFlags.DONE), u16).map((flags) => ReplyFlags(flags)),
  type: FastCheck.oneof(FastCheck.constantFrom(...Object.values(chunkType)), u16),
  cookie: u64,
  length: u32
}

/**
 * The head of a structured reply chunk of any type.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chunkHeader: FastCheck.Arbitrary<ChunkHeader> = FastCheck.record(header)

/**
 * The head of an extended reply chunk of any type.
 *
 * @since 0.1.0
 * @category constructors
 */
export const extendedChunkHeader: FastCheck.Arbitrary<ExtendedChunkHeader> = FastCheck.record({
  ...header,
  offset: u64
})

/**
 * A run of bytes of one status, whose fields fit the width.
 *
 * @since 0.1.0
 * @category constructors
 */
export const statusDescriptor = (width: StatusWidth): FastCheck.Arbitrary<StatusDescriptor> => {
  const max = width === "compact" ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn
  const flags = FastCheck.oneof(FastCheck.bigInt({ min: 0n, max: 3n }), FastCheck.bigInt({ min: 0n, max }))
  return FastCheck.record({ length: FastCheck.bigInt({ min: 1n, max }), flags })
}

/**
 * What one chunk of block status says: one descriptor at least, and nine at most.
 *
 * @since 0.1.0
 * @category constructors
 */
export const blockStatus = (width: StatusWidth): FastCheck.Arbitrary<{
  readonly contextId: number
  readonly descriptors: ReadonlyArray<StatusDescriptor>
}> =>
  FastCheck.record({
    contextId: u32,
    descriptors: FastCheck.array(statusDescriptor(width), { minLength: 1, maxLength: 9 })
  })

/**
 * The payload of a request for the status of some contexts only.
 *
 * @since 0.1.0
 * @category constructors
 */
export const statusFilter: FastCheck.Arbitrary<StatusFilter> = FastCheck.record({
  length: u64,
  contextIds: FastCheck.array(u32, { maxLength: 9 })
})

const known = FastCheck.constantFrom(...Object.values(errno))

/**
 * A chunk of every type, with up to 64 bytes of data; `width` is that of block status in it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chunk = (width: StatusWidth): FastCheck.Arbitrary<Chunk> =>
  FastCheck.oneof(
    FastCheck.constant({ _tag: "None" as const }),
    FastCheck.record({
      _tag: FastCheck.constant("OffsetData" as const),
      offset: u64,
      data: FastCheck.uint8Array({ minLength: 1, maxLength: 64 })
    }),
    FastCheck.record({ _tag: FastCheck.constant("OffsetHole" as const), offset: u64, length: u32 }),
    blockStatus(width).map((status) => ({ _tag: "BlockStatus" as const, ...status })),
    FastCheck.record({
      _tag: FastCheck.constant("ErrorChunk" as const),
      error: FastCheck.oneof(known, u32),
      message: displayText
    }),
    FastCheck.record({
      _tag: FastCheck.constant("ErrorOffsetChunk" as const),
      error: FastCheck.oneof(known, u32),
      message: displayText,
      offset: u64
    })
  )
