/**
 * Any option, with any data: for those who test servers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { optionCode, optionName } from "../wire/NbdOption.ts"
import { isErrorType, replyType, replyTypeName } from "../wire/OptionReply.ts"
import { endlessness, nextRawReply, type RawReply, sendOption } from "./Haggling.ts"
import { type HagglingFault, OptionForbiddenError } from "./HandshakeError.ts"

/**
 * Sends the option and gives all replies, unread, up to the acknowledgement or error that is the final one.
 *
 * @since 0.1.0
 * @category haggling
 */
export const rawOption = (
  reader: FrameReader,
  option: number,
  data: Uint8Array
): Effect.Effect<ReadonlyArray<RawReply>, HagglingFault> =>
  Effect.gen(function*() {
    yield* sendOption(reader, option, data)
    const replies: Array<RawReply> = []
    const endless = endlessness(option)
    // Bounded as in `haggle`.
    while (true) {
      const reply = yield* nextRawReply(reader, option)
      replies.push(reply)
      if (reply.type === replyType.ACK || isErrorType(reply.type)) {
        yield* Effect.logDebug(reply.type === replyType.ACK ? "accepted" : `refused with ${replyTypeName(reply.type)}`)
        return replies
      }
      const fault = endless(reply.payload.byteLength)
      if (fault !== undefined) return yield* fault
    }
  }).pipe(
    Effect.annotateLogs("nbd.option", optionName(option)),
    Effect.withSpan(`nbd.${optionName(option)}`, { kind: "client", captureStackTrace: false })
  )

/**
 * Refuses what the wire cannot carry, and the one option whose answer is not an option reply.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkRawOption = (option: number): OptionForbiddenError | undefined => {
  if (!Number.isInteger(option) || option < 0 || option > 0xffff_ffff) {
    return new OptionForbiddenError({
      option: `option ${option}`,
      why: "its number is not one of 32 bits",
      rule: "Newstyle negotiation"
    })
  }
  return option === optionCode.EXPORT_NAME
    ? new OptionForbiddenError({
      option: optionName(option),
      why: "its answer is no option reply; forceExportName enters an export by it",
      rule: "Newstyle negotiation, C-063"
    })
    : undefined
}
