/**
 * `npm run mutants`: plants each fault of mutants/mutants.mjs in a copy of the sources and has the tests run until one
 * of them fails. Prints which one that was, and with `--write` saves it for docs/mutants.md. A fault that no test
 * notices fails the run. `--only WORDS` takes those faults alone whose rule or description has the words; what is saved of
 * the others stays.
 *
 * The tests that cite the rule run first, then those of core and of the fake server; a test has noticed a fault if it
 * fails twice with it, and not without. Tests of whole programs and against
 * real servers are left out: they would notice more, and later.
 */
import { spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { findCitations } from "./generate/conformance.mjs"
import { isMain, repositoryRoot, shown } from "./lib/sources.mjs"
import { mutants } from "./mutants/mutants.mjs"

export const resultsFile = "scripts/mutants/results.json"

/** The text with the fault in it. Throws unless what it replaces is there, once. */
export const planted = (text, { fault, file, find, replace }) => {
  const at = text.indexOf(find)
  if (at < 0 || text.includes(find, at + 1)) {
    throw new Error(`${file}: ${fault}: ${at < 0 ? "not found" : "found twice"}: ${find}`)
  }
  return text.slice(0, at) + replace + text.slice(at + find.length)
}

const isBuilt = (path) => ["dist", "build", "node_modules", ".git"].includes(basename(path))

/** A copy of the sources whose packages find each other, and everything else where it is installed. */
const copyOf = (root) => {
  const copy = mkdtempSync(join(tmpdir(), "effect-nbd-mutants-"))
  for (const name of readdirSync(root)) {
    if (!isBuilt(name)) {
      cpSync(join(root, name), join(copy, name), {
        recursive: true,
        filter: (path) => !isBuilt(path)
      })
    }
  }
  const modules = join(copy, "node_modules")
  mkdirSync(join(modules, "@effect-nbd"), { recursive: true })
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@effect-nbd") symlinkSync(join(root, "node_modules", name), join(modules, name))
  }
  for (const name of readdirSync(join(copy, "packages"))) {
    symlinkSync(join(copy, "packages", name), join(modules, "@effect-nbd", name))
  }
  return copy
}

/** Runs tests until one fails: that one, or undefined. Throws when none ran. */
const firstFailure = (root, args) => {
  const report = join(root, "report.json")
  rmSync(report, { force: true })
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  const options = [
    "--bail=1",
    "--reporter=json",
    `--outputFile.json=${report}`,
    "--project=core",
    "--project=server",
    "--project=testing",
    "--project=conformance"
  ]
  spawnSync(process.execPath, [vitest, "run", ...options, ...args], { cwd: root, stdio: "ignore", timeout: 600_000 })
  if (!existsSync(report)) throw new Error(`no report of ${args.join(" ")}`)
  const files = JSON.parse(readFileSync(report, "utf8")).testResults
  for (const { assertionResults, message, name, status } of files) {
    const failed = assertionResults.find((test) => test.status === "failed")
    if (failed !== undefined) {
      return { file: shown(root, name), test: failed.fullName.trim() }
    }
    if (status === "failed" && assertionResults.length === 0) throw new Error(`${name}: ${message}`)
  }
  return undefined
}

/** The tests of core and of the fake server that cite the rule. */
const citing = (citations, rule) => [
  ...new Set(
    citations
      .filter(({ file, rules }) =>
        rules.includes(rule) && /^packages\/(?:core|server|testing|conformance)\/test\//.test(file)
      )
      .map(({ file }) => file)
  )
]

/** Does something while the fault is in the copy. */
const whilePlanted = (root, mutant, look) => {
  const file = join(root, mutant.file)
  const text = readFileSync(file, "utf8")
  writeFileSync(file, planted(text, mutant))
  try {
    return look()
  } finally {
    writeFileSync(file, text)
  }
}

/** A busy machine makes tests fail as well: only one that fails again, and without the fault does not, has noticed it. */
const isToBlame = (root, mutant, { file, test }) =>
  whilePlanted(root, mutant, () => firstFailure(root, [file]))?.test === test &&
  firstFailure(root, [file]) === undefined

const attempts = 3

const noticed = (root, citations, mutant) => {
  const near = citing(citations, mutant.rule).map((file) => [file])
  for (const args of [...near, ...Array.from({ length: attempts }, () => [])]) {
    const found = whilePlanted(root, mutant, () => firstFailure(root, args))
    if (found === undefined && args.length === 0) return undefined
    if (found !== undefined && isToBlame(root, mutant, found)) return found
  }
  throw new Error(`${mutant.fault}: tests fail, and not for this: the machine is too busy`)
}

const main = () => {
  const { values } = parseArgs({
    options: { write: { type: "boolean", default: false }, only: { type: "string", default: "" } }
  })
  const chosen = mutants.filter(({ fault, rule }) => `${rule} ${fault}`.includes(values.only))
  const citations = findCitations(repositoryRoot)
  const copy = copyOf(repositoryRoot)
  const results = []
  try {
    const without = firstFailure(copy, [])
    if (without !== undefined) throw new Error(`fails without any fault: ${without.file}: ${without.test}`)
    for (const mutant of chosen) {
      const by = noticed(copy, citations, mutant)
      const { fault, rule } = mutant
      results.push({ rule, fault, by })
      console.log(`${by === undefined ? "NOT NOTICED" : "noticed"}: ${rule}, ${fault}`)
      if (by !== undefined) console.log(`  ${by.file}: ${by.test}`)
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
  const missed = results.filter(({ by }) => by === undefined)
  console.log(`${results.length - missed.length} noticed, ${missed.length} not noticed`)
  if (values.write) {
    const file = join(repositoryRoot, resultsFile)
    const saved = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : []
    const known = new Map([...saved, ...results].map((result) => [result.fault, result]))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify(mutants.flatMap(({ fault }) => known.get(fault) ?? []), undefined, 2)}\n`)
  }
  return missed.length === 0 ? 0 : 1
}

if (isMain(import.meta)) process.exitCode = main()
