/**
 * Writes every file that is derived from another. With `--check` it writes nothing and fails when one of them is not
 * what it would write.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { barrel } from "./generate/barrel.mjs"
import { conformance } from "./generate/conformance.mjs"
import { errorsPage } from "./generate/errors.mjs"
import { handleStates } from "./generate/handleStates.mjs"
import { libnbdParity } from "./generate/libnbdParity.mjs"
import { misbehaviours } from "./generate/misbehaviours.mjs"
import { mutantsPage } from "./generate/mutants.mjs"
import { performancePage } from "./generate/performance.mjs"
import { ruleTable } from "./generate/ruleTable.mjs"
import { isMain, librariesOf, report, repositoryRoot, shown } from "./lib/sources.mjs"

/** Brings `file` up to date, or with `check` says why it is not. */
const settle = (root, check, file, text) => {
  const found = existsSync(file) ? readFileSync(file, "utf8") : undefined
  if (found === text) return []
  if (check) return [`${shown(root, file)}:1 ${found === undefined ? "missing" : "stale"}: run npm run generate`]
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  console.log(`wrote ${shown(root, file)}`)
  return []
}

/**
 * Builds testing, and core below it, whose tables are read from their JavaScript; nothing to do takes no time.
 */
const buildTables = (root) => {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc")
  const built = spawnSync(process.execPath, [tsc, "-b", join(root, "packages/testing/tsconfig.src.json")], {
    stdio: "inherit"
  })
  return built.status === 0
}

/** Violations, one line each. */
export const generate = async (root, { check }) => {
  const violations = []
  // Barrels first: packages do not build without their own, and the last steps need core and testing built.
  for (const name of librariesOf(root)) {
    const source = join(root, "packages", name, "src")
    const { text, violations: found } = barrel(root, source)
    violations.push(...found)
    if (found.length === 0) violations.push(...settle(root, check, join(source, "index.ts"), text))
  }
  const rules = conformance(root)
  violations.push(...rules.violations)
  if (rules.violations.length === 0) {
    violations.push(...settle(root, check, join(root, "docs/conformance.md"), rules.text))
    const table = join(root, "packages/conformance/src/checks/RuleTable.ts")
    violations.push(...settle(root, check, table, ruleTable(root)))
  }
  if (!buildTables(root)) return [...violations, "packages/core or packages/testing does not build"]
  const handleState = join(root, "packages/core/dist/HandleState.js")
  const testing = join(root, "packages/testing")
  const pages = {
    "errors.md": errorsPage(join(root, "packages/core")),
    "handle-states.md": handleStates(handleState),
    "libnbd-parity.md": libnbdParity(root, handleState),
    "misbehaviours.md": misbehaviours(join(testing, "src"), join(testing, "dist/Misbehaviour.js"))
  }
  for (const [page, rendering] of Object.entries(pages)) {
    const { text, violations: found } = await rendering
    violations.push(...found)
    if (found.length === 0) violations.push(...settle(root, check, join(root, "docs", page), text))
  }
  const faults = mutantsPage(root)
  violations.push(...faults.violations)
  if (faults.violations.length === 0) {
    violations.push(...settle(root, check, join(root, "docs/mutants.md"), faults.text))
  }
  return [...violations, ...settlePerformance(root, check)]
}

/** The page about the last full run of the benchmark, and its picture. */
const settlePerformance = (root, check) => {
  const page = join(root, "docs/performance.md")
  const picture = join(root, "docs/performance.svg")
  const texts = performancePage({ page, results: join(root, "benchmarks/results/latest.json") })
  if (texts.violations.length > 0) return texts.violations
  return [...settle(root, check, page, texts.page), ...settle(root, check, picture, texts.chart)]
}

if (isMain(import.meta)) {
  report("generate", await generate(repositoryRoot, { check: process.argv.includes("--check") }))
}
