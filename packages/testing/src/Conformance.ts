/**
 * The behaviour that every transport and every server must show, as checks that take a Transport from a Layer.
 *
 * A check is an Effect that succeeds, or fails with what it expected and what it saw: it is bound to no test runner.
 * The checks adapt to what the server offers: where a capability is missing, they check that the command which needs
 * it is refused before it is sent. They write to the export.
 *
 * @since 0.1.0
 */
import type { Check, Target } from "./conformance/Check.ts"
import { commandChecks } from "./conformance/CommandChecks.ts"
import { concurrencyChecks } from "./conformance/ConcurrencyChecks.ts"
import { endChecks } from "./conformance/EndChecks.ts"
import { negotiationChecks } from "./conformance/NegotiationChecks.ts"
import { statusChecks } from "./conformance/StatusChecks.ts"

export { type Check, ConformanceError, type Target } from "./conformance/Check.ts"

/**
 * All checks for a target, in an order that makes the first failure the most telling one. Each connects for itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checks = (target: Target): ReadonlyArray<Check> => [
  ...negotiationChecks(target),
  ...commandChecks(target),
  ...statusChecks(target),
  ...concurrencyChecks(target),
  ...endChecks(target)
]
