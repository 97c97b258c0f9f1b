/**
 * `npm test`: runs vitest with the arguments it was given, says which peers are missing, and ends with one line that says
 * how many tests passed and failed. It installs nothing: `npm run peers` does. Under CI=true nothing may be missing and
 * nothing skipped.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism } from "node:os"
import { delimiter, join, relative } from "node:path"
import { folders, hasNpmPeer, missingPeers, newerFolder, newerSuite, npmPeer } from "./lib/peers.mjs"
import { isMain, repositoryRoot } from "./lib/sources.mjs"

/**
 * What vitest's JSON report comes to. A file that could not be loaded counts as one failed test, since the report has
 * none of its tests.
 */
export const summarize = (report) => {
  const tests = report.testResults.flatMap((file) =>
    file.assertionResults.map((test) => ({ ...test, file: file.name }))
  )
  const withStatus = (...statuses) => tests.filter(({ status }) => statuses.includes(status))
  const unloaded = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)
  return {
    passed: withStatus("passed").length,
    failed: withStatus("failed").length + unloaded.length,
    skipped: withStatus("skipped", "pending", "todo", "disabled")
  }
}

/** The closing line. */
export const inWords = ({ failed, passed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped.length === 0 ? "" : `, ${skipped.length} skipped`}`

/**
 * What is run together. Files share the processes and the modules that were loaded: where each loaded them anew, that was
 * two thirds of the processor time of core's tests. The second half waits for servers and programs much of the time, so it
 * has a process more than there are processors: all of them to the end, since the pool may give one that it lets go because
 * it is idle a file to run, and then fails.
 */
const waiting = availableParallelism() + 1
const runs = [
  { projects: ["block", "core", "client", "server", "testing", "conformance"], options: ["--no-isolate"] },
  {
    projects: ["node", "cli", "benchmarks"],
    options: ["--no-isolate", `--minWorkers=${waiting}`, `--maxWorkers=${waiting}`]
  }
]

/** The arguments of each run of vitest; a choice of files may leave one without any. */
export const runsFor = (args) =>
  args.some((arg) => arg.startsWith("--project"))
    ? [args]
    : runs.map(({ options, projects }) => [
      ...projects.map((project) => `--project=${project}`),
      ...options,
      "--passWithNoTests",
      ...args
    ])

const runVitest = (root, args) => {
  const file = join(root, "build", "test-report.json")
  mkdirSync(join(root, "build"), { recursive: true })
  rmSync(file, { force: true })
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`]
  const { status } = spawnSync(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: root,
    env: { ...process.env, PATH: folders.join(delimiter) },
    stdio: ["ignore", "inherit", "inherit"]
  })
  return { succeeded: status === 0, report: existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : noTests }
}

const noTests = { testResults: [] }

const main = (root, args) => {
  const ci = process.env.CI === "true"
  const missing = missingPeers().map(({ debian, program }) => `${program} (Debian package ${debian})`)
  if (!hasNpmPeer(root)) missing.push(`${npmPeer.program} (npm package)`)
  if (!existsSync(newerFolder(root, newerSuite))) missing.push(`the peers of Debian's ${newerSuite}`)
  if (missing.length > 0) {
    console.log(`not here, and tests against them are skipped: ${missing.join(", ")}`)
    console.log("npm run peers installs the former, npm run peers -- --newer unpacks those of the newer Debian")
  }
  if (ci && missing.length > 0) {
    console.error("CI=true: nothing may be skipped, so nothing was run")
    console.log(inWords(summarize(noTests)))
    return 1
  }
  const ended = runsFor(args).map((each) => runVitest(root, each))
  const succeeded = ended.every((run) => run.succeeded)
  const summary = summarize({ testResults: ended.flatMap(({ report }) => report.testResults) })
  const none = summary.passed + summary.failed === 0
  const skippedInCi = ci && summary.skipped.length > 0
  if (skippedInCi) {
    console.error("CI=true, but skipped:")
    for (const { file, fullName } of summary.skipped) console.error(`  ${relative(root, file)}: ${fullName.trim()}`)
  }
  if (none) console.error("no test ran")
  else if (!succeeded && summary.failed === 0) console.error("every test passed, but the run failed: see above")
  console.log(inWords(summary))
  return succeeded && summary.failed === 0 && !none && !skippedInCi ? 0 : 1
}

if (isMain(import.meta)) process.exitCode = main(repositoryRoot, process.argv.slice(2))
