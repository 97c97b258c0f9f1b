/**
 * What checks have found: check by check, and rule by rule.
 *
 * @since 0.1.0
 */
import type { RuleId } from "./Check.ts"
import { ruleTable } from "./RuleTable.ts"

/**
 * What came of a check, or of all checks of a rule. `Skipped`: there was nothing to look at, since the server does not
 * offer it. `Unclear`: it was not over in time, although the server did answer. `reason` is in words; `error` is what the
 * check failed with, a `ConformanceError` where it saw something else than it expected, and `rules` are those that are
 * broken: all of the check's where the failure does not tell.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | { readonly _tag: "Passed" }
  | { readonly _tag: "Failed"; readonly error: unknown; readonly reason: string; readonly rules: ReadonlyArray<RuleId> }
  | { readonly _tag: "Unclear"; readonly reason: string }
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
 * A rule has failed where a check has because of it, is unclear where one of its checks is, and was skipped where all of
 * them were, or failed because of another rule.
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
 * After this check the server did not answer any more (`Silent`), or let no client enter (`Refuses`): `left` other
 * checks were not run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stopped {
  readonly after: string
  readonly left: number
  readonly why: "Silent" | "Refuses"
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** In the order in which they were run. */
  readonly checks: ReadonlyArray<CheckResult>
  /** Where the run stopped before its end; `undefined` if all checks were run. */
  readonly stopped: Stopped | undefined
  /** By their numbers; those that no check was about are not in it. */
  readonly rules: ReadonlyArray<RuleResult>
  /** How many checks passed, failed, stayed unclear and were skipped. */
  readonly passed: number
  readonly failed: number
  readonly unclear: number
  readonly skipped: number
}

/**
 * Puts the results together, of all checks or up to where the run stopped.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reportOf = (checks: ReadonlyArray<CheckResult>, stopped?: Stopped): Report => {
  const count = (tag: Verdict["_tag"]) => checks.filter(({ verdict }) => verdict._tag === tag).length
  const rules = [...new Set(checks.flatMap((result) => [...result.rules, ...brokenBy(result)]))].toSorted()
  return {
    checks,
    stopped,
    rules: rules.map((rule) => {
      const [level, words] = ruleTable[rule]
      return { rule, level, words, verdict: together(checks.flatMap((result) => aboutRule(result, rule))) }
    }),
    passed: count("Passed"),
    failed: count("Failed"),
    unclear: count("Unclear"),
    skipped: count("Skipped")
  }
}

const brokenBy = ({ verdict }: CheckResult): ReadonlyArray<RuleId> => verdict._tag === "Failed" ? verdict.rules : []

/** What a check has to say of a rule. */
const aboutRule = (result: CheckResult, rule: RuleId): ReadonlyArray<Verdict> => {
  const { name, rules, verdict } = result
  if (brokenBy(result).includes(rule)) return [verdict]
  if (!rules.includes(rule)) return []
  return verdict._tag === "Failed"
    ? [{ _tag: "Skipped", reason: `"${name}" failed because of ${verdict.rules.join(" and ")}` }]
    : [verdict]
}

const together = (verdicts: ReadonlyArray<Verdict>): Verdict => {
  const first = (tag: Verdict["_tag"]) => verdicts.find(({ _tag }) => _tag === tag)
  return first("Failed") ?? first("Unclear") ?? first("Passed") ?? verdicts[0] ?? { _tag: "Passed" }
}

/**
 * The report as text: what failed and why, with the rules that are broken, what is unclear, each rule with its verdict,
 * after which check the server did not answer any more, and a last line that counts.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (report: Report): string => {
  const { checks, failed, passed, rules, skipped, stopped, unclear } = report
  const failures = checks.flatMap(({ name, verdict }) =>
    verdict._tag === "Failed" ? [`FAILED  ${titleOf(name, verdict.rules)}`, `        ${verdict.reason}`] : []
  )
  const late = checks.flatMap(({ name, rules, verdict }) =>
    verdict._tag === "Unclear" ? [`unclear ${titleOf(name, rules)}`, `        ${verdict.reason}`] : []
  )
  const skips = checks.flatMap(({ name, rules, verdict }) =>
    verdict._tag === "Skipped" ? [`skipped ${titleOf(name, rules)}: ${verdict.reason}`] : []
  )
  const table = rules.map(({ level, rule, verdict, words }) =>
    `${verdictWords[verdict._tag].padEnd(7)} ${rule}  ${level.padEnd(14)} ${words}`
  )
  const notClear = unclear > 0 ? `, ${unclear} unclear` : ""
  const counted = `${passed} passed, ${failed} failed${notClear}, ${skipped} skipped`
  const silence = stopped === undefined
    ? []
    : [`STOPPED after "${stopped.after}": the server ${stopWords[stopped.why]}; ${stopped.left} checks were not made`]
  const sections = [failures, late, skips, table, silence, [counted]]
  return `${sections.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n")}\n`
}

const stopWords = { Silent: "answers no more", Refuses: "lets nobody in any more" } as const

const verdictWords = { Passed: "passed", Failed: "FAILED", Unclear: "unclear", Skipped: "skipped" } as const

const titleOf = (name: string, rules: ReadonlyArray<RuleId>): string =>
  rules.length === 0 ? name : `${name} (${rules.join(", ")})`

/**
 * The report as data without classes, for JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = ({ checks, failed, passed, rules, skipped, stopped, unclear }: Report) => ({
  passed,
  failed,
  unclear,
  skipped,
  stopped: stopped === undefined ? null : { ...stopped },
  checks: checks.map(({ name, rules, verdict }) => ({
    name,
    rules,
    ...plain(verdict),
    ...verdict._tag === "Failed" ? { broken: verdict.rules } : {}
  })),
  rules: rules.map(({ level, rule, verdict, words }) => ({ rule, level, words, ...plain(verdict) }))
})

const plain = (verdict: Verdict) => ({
  verdict: verdictWords[verdict._tag].toLowerCase(),
  ...verdict._tag === "Passed" ? {} : { reason: verdict.reason }
})
