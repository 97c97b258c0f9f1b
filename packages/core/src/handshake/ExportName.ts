/**
 * NBD_OPT_EXPORT_NAME: the old way to an export, without a reply that could say no.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { fromWireError } from "../ProtocolError.ts"
import { encodeText, maxStringBytes } from "../wire/Bytes.ts"
import { decodeExportNameReply, type ExportNameReply, replySize } from "../wire/ExportName.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { isWireError } from "../wire/WireError.ts"
import { disconnected, sendOption } from "./Haggling.ts"
import { ExportNameInvalidError, ExportRefusedError, type HagglingFault, type TextFault } from "./HandshakeError.ts"

/**
 * A close before the first byte of the answer, by a reset too, is the server's refusal (C-064); one in its middle is a
 * fault.
 *
 * @since 0.1.0
 * @category haggling
 */
export const enterByName = (
  reader: FrameReader,
  exportName: string,
  noZeroes: boolean
): Effect.Effect<ExportNameReply, ExportRefusedError | HagglingFault> =>
  Effect.gen(function*() {
    yield* sendOption(reader, optionCode.EXPORT_NAME, encodeText(exportName))
    const reply = decodeExportNameReply(yield* reader.take(replySize(noZeroes)))
    return isWireError(reply) ? yield* fromWireError("haggling", reply) : reply
  }).pipe(
    Effect.mapError((error) => {
      if (error._tag !== "NbdStreamEnded") return error
      const fault = disconnected(reader, "haggling")(error)
      // The last words of a program or of TLS say more than this guess would.
      const silent = fault._tag === "NbdServerDisconnectedError" || fault._tag === "NbdTransportLostError"
      return silent && error.received.byteLength === 0 ? new ExportRefusedError({ exportName }) : fault
    })
  )

/**
 * Refuses, before anything is sent, a name that no string of the protocol can carry (C-002, C-003, C-005).
 *
 * @since 0.1.0
 * @category guards
 */
export const checkExportName = (exportName: string): ExportNameInvalidError | undefined => {
  const reason = textFault(exportName)
  return reason === undefined ? undefined : new ExportNameInvalidError({ exportName, reason })
}

/**
 * Why no string of the protocol can carry the text, if none can.
 *
 * @since 0.1.0
 * @category guards
 */
export const textFault = (text: string): TextFault | undefined => {
  if (text.includes("\0")) return "contains a NUL"
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)) {
    return "contains an unpaired surrogate"
  }
  return encodeText(text).byteLength > maxStringBytes ? "longer than 4096 bytes" : undefined
}
