/**
 * NBD_OPT_STRUCTURED_REPLY: replies in chunks. NBD_OPT_EXTENDED_HEADERS: headers with 64 bits for every length, and replies in
 * chunks with them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ReplyStyle } from "../Export.ts"
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

/**
 * Whether requests and replies have extended headers from now on; otherwise they stay as they were (C-217, C-218).
 *
 * @since 0.1.0
 * @category haggling
 */
export const extendedHeaders = (reader: FrameReader): Effect.Effect<boolean, OptionRefusedError | HagglingFault> =>
  agreesTo(reader, optionCode.EXTENDED_HEADERS)

/**
 * The best style of replies that both sides know. Extended headers are asked for first, since a server that has agreed
 * to them has nothing more to agree to (C-230); without structured replies they are not asked for at all.
 *
 * @since 0.1.0
 * @category haggling
 */
export const bestReplyStyle = (
  reader: FrameReader,
  willing: { readonly extended: boolean; readonly structured: boolean }
): Effect.Effect<ReplyStyle, OptionRefusedError | HagglingFault> =>
  Effect.gen(function*() {
    if (!willing.structured) return "Simple"
    if (willing.extended && (yield* extendedHeaders(reader))) return "Extended"
    return (yield* structuredReply(reader)) ? "Structured" : "Simple"
  })
