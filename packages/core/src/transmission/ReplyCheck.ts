/**
 * What is wrong with a reply, judged by its magic number and by a chunk's header alone: before anything of its payload is
 * waited for or kept.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "../Export.ts"
import { isStatusLength, type StatusWidth } from "../wire/BlockStatus.ts"
import { magic } from "../wire/Magic.ts"
import { chunkType, isErrorChunk, payloadHead } from "../wire/Reply.ts"
import { hex, WireError } from "../wire/WireError.ts"
import type { PendingCommand } from "./InFlight.ts"

/**
 * Bytes of a magic number: as many as it takes to know a message that is no reply, however much of it is still to come.
 *
 * @since 0.1.0
 * @category constants
 */
export const magicBytes = 4

/** As the reply style that was agreed on has it (C-153, C-158, C-219). */
const magics: { readonly [Style in ReplyStyle]: ReadonlyArray<number> } = {
  Simple: [magic.SIMPLE_REPLY],
  Structured: [magic.SIMPLE_REPLY, magic.STRUCTURED_REPLY],
  Extended: [magic.EXTENDED_REPLY]
}

/**
 * What is wrong with the start of a reply; `undefined` for one that may come.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkMagic = (style: ReplyStyle, found: number): WireError | undefined => {
  const expected = magics[style]
  return expected.includes(found)
    ? undefined
    : new WireError(
      `reply magic ${expected.map((each) => hex(each, magicBytes)).join(" or ")}`,
      hex(found, magicBytes),
      "C-153, C-158, C-219"
    )
}

/**
 * What was expected, what came, and which rule says so.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = readonly [expected: string, received: string, rule: string]

const rule = "Structured reply types, C-169"

/**
 * `undefined` for a chunk whose payload may be read.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkChunk = (
  type: number,
  length: number,
  isLast: boolean,
  { command }: PendingCommand,
  width: StatusWidth
): Fault | undefined => {
  switch (type) {
    case chunkType.NONE:
      if (length !== 0) return ["no payload in NBD_REPLY_TYPE_NONE", `${length} bytes`, rule]
      return isLast ? undefined : ["NBD_REPLY_FLAG_DONE on NBD_REPLY_TYPE_NONE", "a chunk without it", "C-172"]
    case chunkType.OFFSET_DATA: {
      const longest = payloadHead.OFFSET_DATA + (command.name === "read" ? command.length : 0)
      return length > payloadHead.OFFSET_DATA && length <= longest
        ? undefined
        : [
          `${payloadHead.OFFSET_DATA + 1} to ${longest} bytes in a data chunk for ${command.name}`,
          `${length} bytes`,
          "C-173"
        ]
    }
    case chunkType.OFFSET_HOLE:
      return length === payloadHead.OFFSET_HOLE ? undefined : ["12 bytes in a hole chunk", `${length} bytes`, "C-174"]
    case chunkType.BLOCK_STATUS:
    case chunkType.BLOCK_STATUS_EXT:
      return checkStatus(type, length, command.name, width)
    default: {
      if (!isErrorChunk(type)) {
        return ["a chunk type that fits the command", hex(type, 2), "Structured reply types, C-167"]
      }
      // A message has at most 4096 bytes; a future error type may carry a limited number of further bytes. Too few
      // bytes do not end the connection here: the header gives the end of the error chunk, and its request has failed
      // in any case.
      return length <= 65_536 + payloadHead.ERROR_OFFSET
        ? undefined
        : ["at most 65550 bytes in an error chunk", `${length} bytes`, "Structured reply types, C-180"]
    }
  }
}

/** Each header mode has its own type of status chunk (H-146), and neither belongs to another command (H-118). */
const checkStatus = (type: number, length: number, name: string, width: StatusWidth): Fault | undefined => {
  if (name !== "blockStatus") return [`no block status in a reply to ${name}`, "a status chunk", "C-168"]
  const own = width === "extended" ? chunkType.BLOCK_STATUS_EXT : chunkType.BLOCK_STATUS
  if (type !== own) return [`a status chunk of type ${hex(own, 2)}`, `one of type ${hex(type, 2)}`, "C-228"]
  return isStatusLength(width, length)
    ? undefined
    : ["the length of 1 to 1048576 extents", `${length} bytes`, width === "extended" ? "C-228" : "C-187"]
}
