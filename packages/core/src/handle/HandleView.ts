/**
 * Narrow views of a handle: what makes sense in one state, and the refusals that can still be met there.
 *
 * A handle never goes back, so the refusals of the states behind a view would be defects of this library, and are
 * treated as such, by name.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { AlreadyConnectedError, HandleDeadError, ShutDownError } from "../HandleError.ts"
import type { TlsSettings } from "../Tls.ts"
import type { Transmission } from "../transmission/Transmission.ts"
import { admit, type Established } from "./HandleCell.ts"
import { commandsOf, type Core, observe } from "./HandleOperations.ts"
import * as Negotiation from "./Negotiation.ts"

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
  { cell, operations, settings }: Core,
  { state, transmission }: Extract<Established, { readonly _tag: "Connected" }>
) => ({
  ...observe(cell),
  ...commandsOf((operation): Transmission | ShutDownError | HandleDeadError => {
    const admission = admit(cell, operation)
    if (admission._tag === "Admitted") return admission.live.transmission
    const { refusal } = admission
    if (refusal._tag === "NbdShutDownError" || refusal._tag === "NbdHandleDeadError") return refusal
    throw refusal
  }, settings),
  peer: state.peer,
  agreed: state.agreed,
  export: state.export,
  inFlight: Effect.sync(() => transmission.requestsInFlight),
  shutdown: Effect.catchTags(operations.shutdown, {
    NbdNotConnectedError: Effect.die,
    NbdStillConnectingError: Effect.die
  })
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const negotiatingView = (
  core: Core,
  { state: { peer } }: Extract<Established, { readonly _tag: "Negotiating" }>
) => {
  const { cell, operations, settings } = core
  return {
    ...observe(cell),
    peer,
    agreed: operations.agreed.pipe(
      // Whoever has negotiated has agreed on something, and knows it until the handle dies.
      Effect.catchTags({
        NbdNotConnectedError: Effect.die,
        NbdStillConnectingError: Effect.die,
        NbdExportNotKnownError: Effect.die
      })
    ),
    go: (exportName?: string) =>
      Negotiation.go(cell, settings, exportName).pipe(
        Effect.map((established) => connectedView(core, established)),
        Effect.catchTags({ NbdNotConnectedError: Effect.die, NbdStillConnectingError: Effect.die })
      ),
    info: (exportName?: string) =>
      operations.info(exportName).pipe(
        Effect.catchTags({ NbdNotConnectedError: Effect.die, NbdStillConnectingError: Effect.die })
      ),
    list: operations.list.pipe(
      Effect.catchTags({ NbdNotConnectedError: Effect.die, NbdStillConnectingError: Effect.die })
    ),
    startTls: (tls?: Omit<TlsSettings, "mode">) =>
      operations.startTls(tls).pipe(
        Effect.catchTags({ NbdNotConnectedError: Effect.die, NbdStillConnectingError: Effect.die })
      ),
    abort: operations.abort.pipe(
      Effect.catchTags({ NbdNotConnectedError: Effect.die, NbdStillConnectingError: Effect.die })
    )
  }
}
