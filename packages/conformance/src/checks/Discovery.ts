/**
 * Finds out of a server what the suite has to know of it.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { ConnectError } from "@effect-nbd/core/handshake/ConnectError"
import { Transport } from "@effect-nbd/core/Transport"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import { decodeGreetingStart, size } from "@effect-nbd/core/wire/Greeting"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { open } from "../RawClient.ts"
import type { Target } from "./Check.ts"
import { Patience } from "./Patience.ts"

/** No export has this name. */
const unlikely = "effect-nbd-conformance-no-such-export"

/**
 * The target that an export of a server is: how the server shakes hands, whether the export is read-only and listed,
 * and whether there are names that the server refuses. It fails where the export cannot be entered; where that is
 * because the server breaks a rule after the first words of its greeting, the target is one that is not `enterable`. A
 * client cannot test whether a connection reads what earlier connections have written; this is assumed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const targetOf = (
  exportName: string,
  options: { readonly timeout?: Duration.DurationInput } = {}
): Effect.Effect<Target, ConnectError, Transport> => {
  const handshakeTimeout = Duration.decode(options.timeout ?? "30 seconds")
  const entered = Effect.scoped(
    Effect.flatMap(
      Handle.connect({ exportName, handshakeTimeout }),
      ({ agreed: { protocol }, export: { isReadOnly }, shutdown }) =>
        Effect.as(Effect.ignore(shutdown), { protocol, ...isReadOnly ? { readOnly: true } : {} })
    )
  )
  // Other checks report what the server does wrong here.
  const unknown = { lists: false }
  const names = Effect.scoped(Effect.gen(function*() {
    const negotiating = yield* Handle.negotiate({ handshakeTimeout })
    const listed = yield* Effect.orElseSucceed(negotiating.list, () => [])
    const refused = yield* Effect.either(negotiating.info(unlikely))
    yield* Effect.ignore(negotiating.abort)
    const isRefused = refused._tag === "Left" && refused.left._tag === "NbdExportUnknownError"
    return { lists: listed.some(({ name }) => name === exportName), ...isRefused ? { unknownExport: unlikely } : {} }
  }))
  const known = Effect.flatMap(entered, (entered) =>
    entered.protocol === "newstyle-fixed"
      ? Effect.map(
        Effect.orElseSucceed(names, () => unknown),
        (names): Target => ({ exportName, ...entered, ...names })
      )
      : Effect.succeed({ exportName, ...entered, lists: false }))
  const found = Effect.catchAll(known, (error) =>
    isBreach(error)
      ? Effect.flatMap(protocol, (protocol) =>
        protocol === undefined
          ? Effect.fail(error)
          : Effect.succeed<Target>({ exportName, protocol, lists: false, enterable: false }))
      : Effect.fail(error))
  return Effect.updateService(found, Transport, (transport) => new Patience().watch(transport))
}

/** The server sent something, and its answer is not one of the ways in which a server may refuse. */
const isBreach = (error: ConnectError): boolean =>
  error._tag === "NbdProtocolError" || error._tag === "NbdServerDisconnectedError"

/** The greeting style of the server, as far as its first bytes show it. */
const protocol: Effect.Effect<Target["protocol"], never, Transport> = Effect.gen(function*() {
  const client = yield* open
  const style = decodeGreetingStart(yield* client.take(size.start))
  if (style === "OldstyleGreeting") return "oldstyle"
  if (style !== "NewstyleGreeting") return undefined
  const flags = viewOf(yield* client.take(size.newstyleRest)).getUint16(0)
  return (flags & HandshakeFlags.FIXED_NEWSTYLE) === 0 ? "newstyle" : "newstyle-fixed"
}).pipe(
  Effect.scoped,
  Effect.timeout("5 seconds"),
  Effect.orElseSucceed(() => undefined)
)
