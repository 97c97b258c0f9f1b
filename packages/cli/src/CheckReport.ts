/**
 * What `check` prints, as text and as JSON.
 *
 * @since 0.1.0
 */
import * as Conformance from "@effect-nbd/conformance/Conformance"
import { oneLine } from "./Failure.ts"
import * as Json from "./Json.ts"

/**
 * The text, rule by rule. What a server said may be in what is wrong: it stays on its line, and can make up no other.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toText = (report: Conformance.Report): string =>
  Conformance.format({
    ...report,
    checks: report.checks.map(({ verdict, ...check }) => ({
      ...check,
      verdict: verdict._tag === "Passed" ? verdict : { ...verdict, reason: oneLine(verdict.reason) }
    }))
  })

/**
 * The same as JSON, with the texts as they are.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = (report: Conformance.Report): string => `${Json.format(Conformance.toJson(report))}\n`
