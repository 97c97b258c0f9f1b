/**
 * NBD_OPT_STRUCTURED_REPLY: replies in chunks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ReplyStyle } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { replyType } from "../wire/OptionReply.ts"
import { haggle, refused } from "./Haggling.ts"
import type { HagglingFault, OptionRefusedError, TlsRequiredError } from "./HandshakeError.ts"

/**
 * A refusal is not a failure: the connection goes on with simple replies (C-105). Only from a server that is shutting
 * down nothing more is to be had (C-037).
 *
 * @since 0.1.0
 * @category haggling
 */
export const structuredReply = (
  reader: FrameReader
): Effect.Effect<ReplyStyle, OptionRefusedError | TlsRequiredError | HagglingFault> =>
  haggle(reader, optionCode.STRUCTURED_REPLY, new Uint8Array(0), () => undefined).pipe(
    Effect.flatMap(({ final }) => {
      if (final._tag === "Ack") return Effect.succeed<ReplyStyle>("Structured")
      return final.type === replyType.ERR_SHUTDOWN
        ? Effect.fail(refused(optionCode.STRUCTURED_REPLY, final))
        : Effect.succeed<ReplyStyle>("Simple")
    })
  )
