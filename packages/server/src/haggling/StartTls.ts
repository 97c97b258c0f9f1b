/**
 * NBD_OPT_STARTTLS: whether there is TLS, and the change to it (S-026, S-041 to S-049).
 *
 * It does not encrypt: that is the connection's part.
 *
 * @since 0.1.0
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { type ClientMisbehavedError, misbehaved } from "../session/SessionContext.ts"
import type { Haggling } from "./Haggling.ts"
import type { Settled } from "./Rules.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const startTls = (
  haggling: Haggling,
  data: Uint8Array
): Effect.Effect<Settled | undefined, ClientMisbehavedError> => {
  const option = optionCode.STARTTLS
  const { context, progress, rules } = haggling
  if (rules.tls === undefined) return haggling.error(option, "ERR_UNSUP", "this server has no TLS")
  if (progress.encrypted) {
    return haggling.invalid(option, new WireError("NBD_OPT_STARTTLS once", "a second one", "C-068, S-045"))
  }
  const stray = haggling.strayData(option, data)
  if (stray !== undefined) return stray
  const { settings } = rules.tls
  const { connection } = context.reader
  const accept = connection.acceptTls?.bind(connection, settings)
  if (accept === undefined) return haggling.error(option, "ERR_PLATFORM", "this connection cannot be encrypted")
  if (context.reader.buffered > 0) {
    const error = new WireError("nothing between NBD_OPT_STARTTLS and its reply", "plaintext", "C-070, S-049")
    return misbehaved(context, error)
  }
  return Effect.match(agree(haggling, accept), {
    onFailure: (error): Settled => ({ _tag: "TlsFailed", error }),
    onSuccess: (encrypted) => {
      if (encrypted === undefined) return undefined
      context.replace(encrypted)
      haggling.progress = { encrypted: true, replyStyle: "Simple", selection: undefined }
      return undefined
    }
  })
}

/**
 * Sends the reply and waits for TLS, unless the server misbehaves in either. A fiber that has just yielded goes on without
 * a pause, so that the client's first bytes cannot come before somebody waits for them.
 */
const agree = <E>(
  haggling: Haggling,
  accept: () => Effect.Effect<Connection, E>
): Effect.Effect<Connection | undefined, E> =>
  Effect.gen(function*() {
    const { context } = haggling
    const { session } = context
    yield* Effect.yieldNow()
    if (!(yield* haggling.grant(optionCode.STARTTLS, [{ _tag: "Ack" }]))) return undefined
    const instead = yield* context.say([], () => ({ _tag: "TlsHandshake", session }))
    return instead === undefined ? yield* accept() : undefined
  })
