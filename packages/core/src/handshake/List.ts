/**
 * NBD_OPT_LIST: the exports a server shows.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { haggle, refused } from "./Haggling.ts"
import type { HagglingFault, OptionRefusedError, TlsRequiredError } from "./HandshakeError.ts"

/**
 * One export of a list. Both texts are the server's and for display: never use a name as a path (H-028). An export
 * that is not listed may still exist (C-040).
 *
 * @since 0.1.0
 * @category models
 */
export interface ListedExport {
  readonly name: string
  /** Empty where the server gave none. */
  readonly description: string
}

/**
 * The exports as they were listed, in the server's order, duplicates included.
 *
 * @since 0.1.0
 * @category haggling
 */
export const list = (
  reader: FrameReader
): Effect.Effect<ReadonlyArray<ListedExport>, OptionRefusedError | TlsRequiredError | HagglingFault> =>
  haggle(
    reader,
    optionCode.LIST,
    new Uint8Array(0),
    (reply) => reply._tag === "Server" ? { name: reply.name, description: reply.description } : undefined
  ).pipe(
    Effect.flatMap(({ final, replies }) =>
      final._tag === "Ack" ? Effect.succeed(replies) : Effect.fail(refused(optionCode.LIST, final))
    )
  )
