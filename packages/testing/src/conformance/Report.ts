/**
 * What checks have found: check by check, and rule by rule.
 *
 * @since 0.1.0
 */
import type { RuleId } from "./Check.ts"
import { ruleTable } from "./RuleTable.ts"

/**
 * What came of a check, or of all checks of a rule. `Skipped`: there was nothing to look at, since the server does not
 * offer it. `reason` is in words; `error` is what the check failed with, a `ConformanceError` where it saw something else
 * than it expected.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | { readonly _tag: "Passed" }
  | { readonly _tag: "Failed"; readonly error: unknown; readonly reason: string }
  | { readonly _tag: "Skipped"; readonly reason: string }

/**
 * @since 0.1.0
 * @category models
 */
export interface CheckResult {
  readonly name: string
  readonly rules: ReadonlyArray<RuleId>
  readonly verdict: Verdict
}

/**
 * A rule has failed where one of its checks has, and was skipped where all of them were.
 *
 * @since 0.1.0
 * @category models
 */
export interface RuleResult {
  readonly rule: RuleId
  /** The specification's keyword, such as `MUST`, or IMPL for what follows from the wire format. */
  readonly level: string
  readonly words: string
  readonly verdict: Verdict
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** In the order in which they were run. */
  readonly checks: ReadonlyArray<CheckResult>
  /** By their numbers; those that no check was about are not in it. */
  readonly rules: ReadonlyArray<RuleResult>
  /** How many checks passed, failed and were skipped. */
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/**
 * Puts the results together.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reportOf = (checks: ReadonlyArray<CheckResult>): Report => {
  const count = (tag: Verdict["_tag"]) => checks.filter(({ verdict }) => verdict._tag === tag).length
  const rules = [...new Set(checks.flatMap(({ rules }) => rules))].toSorted()
  return {
    checks,
    rules: rules.map((rule) => {
      const [level, words] = ruleTable[rule]
      return { rule, level, words, verdict: together(checks.filter(({ rules }) => rules.includes(rule))) }
    }),
    passed: count("Passed"),
    failed: count("Failed"),
    skipped: count("Skipped")
  }
}

const together = (checks: ReadonlyArray<CheckResult>): Verdict => {
  const verdicts = checks.map(({ verdict }) => verdict)
  return verdicts.find(({ _tag }) => _tag === "Failed") ?? verdicts.find(({ _tag }) => _tag === "Passed") ??
    verdicts[0] ?? { _tag: "Passed" }
}

/**
 * The report as text: what failed and why, each rule with its verdict, and a last line that counts.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (report: Report): string => {
  const { checks, failed, passed, rules, skipped } = report
  const failures = checks.flatMap(({ name, rules, verdict }) =>
    verdict._tag === "Failed" ? [`FAILED  ${titleOf(name, rules)}`, `        ${verdict.reason}`] : []
  )
  const skips = checks.flatMap(({ name, rules, verdict }) =>
    verdict._tag === "Skipped" ? [`skipped ${titleOf(name, rules)}: ${verdict.reason}`] : []
  )
  const table = rules.map(({ level, rule, verdict, words }) =>
    `${verdictWords[verdict._tag].padEnd(7)} ${rule}  ${level.padEnd(14)} ${words}`
  )
  const sections = [failures, skips, table, [`${passed} passed, ${failed} failed, ${skipped} skipped`]]
  return `${sections.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n")}\n`
}

const verdictWords = { Passed: "passed", Failed: "FAILED", Skipped: "skipped" } as const

const titleOf = (name: string, rules: ReadonlyArray<RuleId>): string =>
  rules.length === 0 ? name : `${name} (${rules.join(", ")})`

/**
 * The report as data without classes, for JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = ({ checks, failed, passed, rules, skipped }: Report) => ({
  passed,
  failed,
  skipped,
  checks: checks.map(({ name, rules, verdict }) => ({ name, rules, ...plain(verdict) })),
  rules: rules.map(({ level, rule, verdict, words }) => ({ rule, level, words, ...plain(verdict) }))
})

const plain = (verdict: Verdict) => ({
  verdict: verdictWords[verdict._tag].toLowerCase(),
  ...verdict._tag === "Passed" ? {} : { reason: verdict.reason }
})
