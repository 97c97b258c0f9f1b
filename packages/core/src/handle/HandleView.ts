/**
 * Narrow views of a handle: what makes sense in one state, and the refusals that can still be met there.
 *
 * A handle never goes back, so the refusals of the states behind a view would be defects of this library, and are
 * treated as such, by name.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Adjustment } from "../HandleConfig.ts"
import type {
  AlreadyConnectedError,
  HandleDeadError,
  NotConnectedError,
  ShutDownError,
  StillConnectingError
} from "../HandleError.ts"
import type { TlsSettings } from "../Tls.ts"
import type { Transmission } from "../transmission/Transmission.ts"
import * as ExportOptions from "./ExportOptions.ts"
import { admit, type Established } from "./HandleCell.ts"
import { commandsOf, type Core, observe } from "./HandleOperations.ts"

/**
 * What a view of a negotiating handle can meet later: somebody else's `go`, an end, or a death.
 *
 * @since 0.1.0
 * @category errors
 */
export type NegotiatingRefusal = AlreadyConnectedError | ShutDownError | HandleDeadError

/**
 * @since 0.1.0
 * @category constructors
 */
export const connectedView = (
  core: Core,
  { state, transmission }: Extract<Established, { readonly _tag: "Connected" }>
) => ({
  ...observe(core),
  ...commandsOf((operation): Transmission | ShutDownError | HandleDeadError => {
    const admission = admit(core.cell, operation)
    if (admission._tag === "Admitted") return admission.live.transmission
    const { refusal } = admission
    if (refusal._tag === "NbdShutDownError" || refusal._tag === "NbdHandleDeadError") return refusal
    throw refusal
  }, core.configuration),
  peer: state.peer,
  agreed: state.agreed,
  export: state.export,
  uri: neverBack(core.operations.uri),
  inFlight: Effect.sync(() => transmission.requestsInFlight),
  shutdown: neverBack(core.operations.shutdown)
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const negotiatingView = (
  core: Core,
  { state: { peer } }: Extract<Established, { readonly _tag: "Negotiating" }>
) => {
  const { operations } = core
  return {
    ...observe(core),
    peer,
    // A handle that has negotiated has agreed on something, and knows it until it dies.
    agreed: Effect.catchTag(neverBack(operations.agreed), "NbdExportNotKnownError", Effect.die),
    uri: neverBack(operations.uri),
    configure: (adjustment: Adjustment) => neverBack(operations.configure(adjustment)),
    go: (exportName?: string) =>
      Effect.map(
        neverBack(ExportOptions.go(core, exportName)),
        (established) => connectedView(core, established)
      ),
    info: (exportName?: string) => neverBack(operations.info(exportName)),
    list: neverBack(operations.list),
    listMetaContexts: (options?: ExportOptions.ListMetaContextsOptions) =>
      neverBack(operations.listMetaContexts(options)),
    setMetaContexts: (options?: ExportOptions.SetMetaContextsOptions) => neverBack(operations.setMetaContexts(options)),
    structuredReplies: neverBack(operations.structuredReplies),
    extendedHeaders: neverBack(operations.extendedHeaders),
    option: (code: number, data?: Uint8Array) => neverBack(operations.option(code, data)),
    startTls: (tls?: Omit<TlsSettings, "mode">) => neverBack(operations.startTls(tls)),
    abort: neverBack(operations.abort)
  }
}

type Behind = NotConnectedError | StillConnectingError

const isBehind = <E extends { readonly _tag: string }>(error: E): error is Extract<E, Behind> =>
  error._tag === "NbdNotConnectedError" || error._tag === "NbdStillConnectingError"

const neverBack = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.catchIf(effect, isBehind<E>, Effect.die)
