/**
 * What a handle may be told while it waits to connect or negotiates, and what it is connected to.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Adjustment } from "../HandleConfig.ts"
import type { StateError } from "../HandleError.ts"
import type { HandleState } from "../HandleState.ts"
import type { ExportNameInvalidError, MetaContextInvalidError } from "../handshake/HandshakeError.ts"
import * as NbdUri from "../NbdUri.ts"
import { admit, guard } from "./HandleCell.ts"
import type { HandleContext } from "./HandleContext.ts"
import { updateNegotiating } from "./OptionRun.ts"

/**
 * Changes settings: all that is given, or nothing if there is a fault in it. What was learned of one export is forgotten
 * when another is meant, as in libnbd.
 *
 * @since 0.1.0
 * @category transitions
 */
export const configure = (
  handle: HandleContext,
  adjustment: Adjustment
): Effect.Effect<void, StateError<"configure"> | ExportNameInvalidError | MetaContextInvalidError> =>
  Effect.suspend((): Effect.Effect<
    void,
    StateError<"configure"> | ExportNameInvalidError | MetaContextInvalidError
  > => {
    const admission = admit(handle.cell, "configure")
    if (admission._tag === "Refused") return Effect.fail(admission.refusal)
    const before = exportMeant(handle)
    const fault = handle.configuration.adjust(adjustment)
    if (fault !== undefined) return Effect.fail(fault)
    return before === exportMeant(handle)
      ? Effect.void
      : updateNegotiating(handle, { export: Option.none(), contexts: Option.none() })
  })

/**
 * The export that is meant where an operation names none: the configured one, or else the transport's, or else the
 * server's default.
 *
 * @since 0.1.0
 * @category getters
 */
export const exportMeant = (handle: HandleContext): string =>
  handle.configuration.current.exportName ?? handle.cell.transport?.exportName ?? ""

/**
 * A URI of what the handle is connected to, with the export that it has entered or means, and `nbds` where it came to
 * be encrypted.
 *
 * @since 0.1.0
 * @category getters
 */
export const uri = (
  handle: HandleContext
): Effect.Effect<string, StateError<"uri"> | NbdUri.NoUriError | NbdUri.UriUnwritableError> =>
  Effect.flatMap(guard(handle.cell, "uri"), ({ state }): Effect.Effect<
    string,
    NbdUri.NoUriError | NbdUri.UriUnwritableError
  > => {
    const { transport } = handle.cell
    if (transport?.uri === undefined) return Effect.fail(new NbdUri.NoUriError({ target: transport?.target }))
    const { exportName = exportMeant(handle), required = transport.uri.tls.required } = connectedTo(state)
    return NbdUri.format({ ...transport.uri, exportName, tls: { ...transport.uri.tls, required } })
  })

/** What a URI says of the connection, as far as the handle has come. */
const connectedTo = (state: HandleState): { readonly exportName?: string; readonly required?: boolean } => {
  switch (state._tag) {
    case "Negotiating":
      return { required: state.agreed.tls }
    case "Connected":
      return { exportName: state.export.name, required: state.agreed.tls }
    case "ShutDown":
      return {
        ...Option.getOrUndefined(Option.map(state.export, ({ name }) => ({ exportName: name }))),
        ...Option.getOrUndefined(Option.map(state.agreed, ({ tls }) => ({ required: tls })))
      }
    default:
      return {}
  }
}
