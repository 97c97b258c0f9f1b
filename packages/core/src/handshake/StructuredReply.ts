/**
 * NBD_OPT_STRUCTURED_REPLY: replies in chunks.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { agreesTo } from "./Haggling.ts"
import type { HagglingFault, OptionRefusedError } from "./HandshakeError.ts"

/**
 * Whether replies come in chunks from now on; otherwise they stay simple (C-104, C-105).
 *
 * @since 0.1.0
 * @category haggling
 */
export const structuredReply = (reader: FrameReader): Effect.Effect<boolean, OptionRefusedError | HagglingFault> =>
  agreesTo(reader, optionCode.STRUCTURED_REPLY)
