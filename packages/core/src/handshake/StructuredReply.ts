/**
 * NBD_OPT_STRUCTURED_REPLY: replies in chunks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ReplyStyle } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { haggle } from "./Haggling.ts"
import type { HagglingFault } from "./HandshakeError.ts"

/**
 * A refusal is not a failure: the connection goes on with simple replies (C-105).
 *
 * @since 0.1.0
 * @category haggling
 */
export const structuredReply = (reader: FrameReader): Effect.Effect<ReplyStyle, HagglingFault> =>
  haggle(reader, optionCode.STRUCTURED_REPLY, new Uint8Array(0), () => undefined).pipe(
    Effect.map(({ final }) => final._tag === "Ack" ? "Structured" : "Simple")
  )
