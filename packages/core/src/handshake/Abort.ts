/**
 * NBD_OPT_ABORT: leaving in order while haggling.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { encodeOption, optionCode } from "../wire/NbdOption.ts"
import { nextReply } from "./Haggling.ts"

/**
 * Sends the option and waits, for a second at most, for the server's answer or for its end of the stream. Neither its
 * answer nor the lack of one is a failure (C-034, C-036, H-060).
 *
 * @since 0.1.0
 * @category haggling
 */
export const abort = (reader: FrameReader): Effect.Effect<void> =>
  sendAbort(reader).pipe(
    Effect.zipRight(nextReply(reader, optionCode.ABORT)),
    Effect.timeoutOption("1 second"),
    Effect.ignore
  )

/**
 * Sends the option and waits for nothing: the last word before the connection is closed.
 *
 * @since 0.1.0
 * @category haggling
 */
export const sendAbort = (reader: FrameReader): Effect.Effect<void> =>
  Effect.sync(() => {
    reader.connection.write([encodeOption(optionCode.ABORT, new Uint8Array(0))])
    reader.connection.endWrites()
  })
