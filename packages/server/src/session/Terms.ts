/**
 * What a handshake has settled for the transmission phase.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import type { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import type { Failure } from "../Decider.ts"
import type { ServedContext } from "../ServedContext.ts"
import type { ServedExport } from "../ServedExport.ts"

/**
 * A meta context that a client has selected, under the id that it was given for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectedContext {
  readonly id: number
  readonly context: ServedContext<Failure>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Terms {
  readonly export: ServedExport
  /** `Extended`: by extended headers in both directions. */
  readonly replyStyle: ReplyStyle
  /** The meta contexts of the export that were selected, in the order of their ids. */
  readonly contexts: ReadonlyArray<SelectedContext>
  /** What the client was told that the export can do. */
  readonly flags: TransmissionFlags
}
