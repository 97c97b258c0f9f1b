/**
 * What every operation of one handle works on.
 *
 * @since 0.1.0
 */
import type * as Scope from "effect/Scope"
import {
  type Adjustment,
  checkNames,
  type HandleConfig,
  type Settings,
  settingsOf,
  wantedContext
} from "../HandleConfig.ts"
import type { ExportNameInvalidError, MetaContextInvalidError } from "../handshake/HandshakeError.ts"
import type { Strictness } from "../transmission/Strictness.ts"
import type { HandleCell } from "./HandleCell.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface HandleContext {
  /** Its state, and what is alive in it. */
  readonly cell: HandleCell
  /** Its settings as they are now. */
  readonly configuration: Configuration
  /** Its own scope, in which it connects. */
  readonly scope: Scope.Scope
}

/**
 * The settings of a handle as they are now, and the changes to them that its states allow.
 *
 * @since 0.1.0
 * @category models
 */
export class Configuration {
  private settings: Settings

  constructor(config: HandleConfig) {
    this.settings = settingsOf(config)
  }

  /** As they are now; what is under way keeps to those it began with. */
  get current(): Settings {
    return this.settings
  }

  /** Read by every command anew. */
  get strictness(): Strictness {
    return this.settings.strictness
  }

  /** Changes all of what is given, or nothing if there is a fault in it. */
  adjust(adjustment: Adjustment): ExportNameInvalidError | MetaContextInvalidError | undefined {
    const { metaContexts = this.settings.metaContexts, ...rest } = adjustment
    const next = { ...this.settings, ...rest, metaContexts: metaContexts.map(wantedContext) }
    const fault = checkNames(next.exportName ?? "", next.metaContexts.map(({ name }) => name))
    if (fault === undefined) this.settings = next
    return fault
  }

  setStrictness(change: Partial<Strictness>): void {
    this.settings = { ...this.settings, strictness: { ...this.settings.strictness, ...change } }
  }
}
