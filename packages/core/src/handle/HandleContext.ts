/**
 * What every operation of one handle works on.
 *
 * @since 0.1.0
 */
import type * as Scope from "effect/Scope"
import type { Configuration } from "./Configuration.ts"
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
