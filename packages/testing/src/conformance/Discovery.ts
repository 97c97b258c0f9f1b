/**
 * Finds out of a server what the suite has to know of it.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { ConnectError } from "@effect-nbd/core/handshake/ConnectError"
import type { Transport } from "@effect-nbd/core/Transport"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Target } from "./Check.ts"

/** Nobody calls an export so. */
const unlikely = "effect-nbd-conformance-no-such-export"

/**
 * The target that an export of a server is: how the server shakes hands, whether the export is read-only and listed, and
 * whether there are names that the server refuses. It fails where the export cannot be entered. Whether connections find what those before
 * them have written cannot be seen from outside; it is taken to be so.
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
  const names = Effect.scoped(Effect.gen(function*() {
    const negotiating = yield* Handle.negotiate({ handshakeTimeout })
    const listed = yield* Effect.orElseSucceed(negotiating.list, () => [])
    const refused = yield* Effect.either(negotiating.info(unlikely))
    yield* Effect.ignore(negotiating.abort)
    const isRefused = refused._tag === "Left" && refused.left._tag === "NbdExportUnknownError"
    return { lists: listed.some(({ name }) => name === exportName), ...isRefused ? { unknownExport: unlikely } : {} }
  }))
  return Effect.flatMap(entered, (entered) =>
    entered.protocol === "newstyle-fixed"
      ? Effect.map(names, (names): Target => ({ exportName, ...entered, ...names }))
      : Effect.succeed({ exportName, ...entered, lists: false }))
}
