/**
 * The server's side of the handshake: the greeting, and option haggling until an export is agreed on.
 *
 * It offers what its rules say and keeps to the server's part of the specification (S-003 to S-064, S-095 to S-100). How
 * each option is answered stands in haggling/.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { ClientFlags, HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import {
  decodeClientFlags,
  encodeNewstyleGreeting,
  encodeOldstyleGreeting,
  size as greetingSize
} from "@effect-nbd/core/wire/Greeting"
import { decodeOptionHeader, headerSize, optionCode, optionName } from "@effect-nbd/core/wire/NbdOption"
import { hex, isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { Haggling } from "../haggling/Haggling.ts"
import { answer } from "../haggling/Options.ts"
import type { HandshakeRules, Settled } from "../haggling/Rules.ts"
import { type ClientMisbehavedError, misbehaved, type SessionContext, takeRest, takeStart } from "./SessionContext.ts"
import type { Terms } from "./Terms.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type ErrorReplyName,
  /**
   * @since 0.1.0
   * @category models
   */
  type HandshakeRules,
  /**
   * @since 0.1.0
   * @category models
   */
  type Protocol,
  /**
   * @since 0.1.0
   * @category models
   */
  type Refusals,
  /**
   * @since 0.1.0
   * @category models
   */
  type Settled,
  /**
   * @since 0.1.0
   * @category models
   */
  type TlsRules
} from "../haggling/Rules.ts"

/**
 * Most bytes of option data that are read. The longest INFO request there can be has 135,172; anything above this is
 * taken for an attempt to exhaust memory and ends the connection (S-018).
 *
 * @since 0.1.0
 * @category models
 */
export const maxOptionBytes = 262_144

/**
 * Most options of one session, and most bytes of data in all of them together: enough to ask for 5000 exports and their
 * contexts one by one. Who asks for more is taken for one that never means to enter an export (S-018).
 *
 * @since 0.1.0
 * @category models
 */
export const maxOptions = 16_384

/**
 * @since 0.1.0
 * @category models
 */
export const maxAllOptionBytes = 16_777_216

/**
 * Runs the handshake on a fresh connection until an export is agreed on or the client is turned away.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (
  context: SessionContext,
  rules: HandshakeRules
): Effect.Effect<Settled, StreamEnded | ClientMisbehavedError> =>
  rules.protocol === "oldstyle" ? oldstyle(context, rules) : newstyle(context, rules)

const oldstyle = (context: SessionContext, rules: HandshakeRules): Effect.Effect<Settled> => {
  const only = rules.exports[0]
  // There is no TLS to be had here: a server or an export that requires it has to stay closed.
  if (only === undefined || only.tlsOnly || rules.tls?.mode === "Require") {
    return Effect.succeed({ _tag: "ExportRefused", exportName: "" })
  }
  const flags = only.flags("Simple")
  const { session } = context
  const greeting = encodeOldstyleGreeting({ exportSize: only.size, flags })
  const terms: Terms = { export: only, replyStyle: "Simple", contexts: [], flags }
  return Effect.as(context.say([greeting], () => ({ _tag: "Greeting", session, handshake: "Oldstyle" })), {
    _tag: "Agreed",
    terms
  })
}

const newstyle = Effect.fnUntraced(function*(context: SessionContext, rules: HandshakeRules) {
  const offered = (rules.protocol === "newstyle-fixed" ? HandshakeFlags.FIXED_NEWSTYLE : 0) |
    (rules.noZeroes ? HandshakeFlags.NO_ZEROES : 0)
  const { session } = context
  const greeting = encodeNewstyleGreeting(HandshakeFlags(offered))
  yield* context.say([greeting], () => ({ _tag: "Greeting", session, handshake: "Newstyle" }))

  const flags = decodeClientFlags(yield* takeStart(context, greetingSize.clientFlags, "Client flags, S-007"))
  if (isWireError(flags)) return yield* misbehaved(context, flags)
  context.observer.clientFlags(context.session, flags)
  // The client's bits have the numbers of the server's, so what was not offered may not be set.
  const unknown = (flags & ~offered) >>> 0
  if (unknown !== 0) {
    const received = hex(flags, 4)
    return yield* misbehaved(context, new WireError(`client flags within ${hex(offered, 4)}`, received, "S-007"))
  }
  const fixed = (flags & ClientFlags.FIXED_NEWSTYLE) !== 0
  const noZeroes = (flags & ClientFlags.NO_ZEROES) !== 0
  return yield* haggle(new Haggling(context, rules, noZeroes), fixed)
})

const haggle = Effect.fnUntraced(function*(haggling: Haggling, fixed: boolean) {
  const { context } = haggling
  let bytes = 0
  // How long all of it may take is bounded by the session's time limit.
  for (let count = 1; true; count++) {
    const header = decodeOptionHeader(yield* takeStart(context, headerSize, "Option request, C-022"))
    const later = context.place.turn
    if (later !== undefined) yield* later
    if (isWireError(header)) return yield* misbehaved(context, header)
    const name = optionName(header.option)
    const longest = header.option === optionCode.EXPORT_NAME ? maxStringBytes : maxOptionBytes
    if (header.length > longest) {
      const error = new WireError(`at most ${longest} bytes of data in ${name}`, `${header.length}`, "S-018")
      return yield* misbehaved(context, error)
    }
    if (!fixed && header.option !== optionCode.EXPORT_NAME) {
      return yield* misbehaved(context, new WireError("NBD_OPT_EXPORT_NAME", name, "Newstyle, not fixed, C-019"))
    }
    bytes += header.length
    if (count > maxOptions || bytes > maxAllOptionBytes) {
      const most = `at most ${maxOptions} options with ${maxAllOptionBytes} bytes`
      return yield* misbehaved(context, new WireError(most, `${count} with ${bytes}`, "S-018"))
    }
    const data = yield* takeRest(context, header.length, `${name}, C-022`)
    const settled = yield* answer(haggling, header.option, data)
    if (settled !== undefined) return settled
  }
})
