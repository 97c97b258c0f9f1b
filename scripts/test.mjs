/**
 * `npm test`: gets the servers to test against where it can, runs vitest with the arguments it was given, and ends
 * with one line that says how many tests passed and failed. Under CI=true nothing may be missing and nothing skipped.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { delimiter, join, relative } from "node:path"
import { isMain, repositoryRoot } from "./lib/sources.mjs"

/** The real servers and clients that tests run against: the program, and the Debian package it is in. */
const peers = [
  { program: "nbdkit", debian: "nbdkit" },
  { program: "qemu-nbd", debian: "qemu-utils" },
  { program: "nbd-server", debian: "nbd-server" },
  { program: "nbd-client", debian: "nbd-client" },
  { program: "qemu-img", debian: "qemu-utils" },
  { program: "qemu-io", debian: "qemu-utils" },
  { program: "nbdinfo", debian: "libnbd-bin" },
  { program: "nbdcopy", debian: "libnbd-bin" },
  { program: "nbdsh", debian: "python3-libnbd" },
  { program: "fio", debian: "fio" },
  { program: "certtool", debian: "gnutls-bin" }
]

// nbd-client lies in /usr/sbin, which the PATH of most users leaves out.
const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]
const isInstalled = (program) => folders.some((folder) => existsSync(join(folder, program)))
const missingPeers = () => peers.filter(({ program }) => !isInstalled(program))

const canInstall = () => process.platform === "linux" && process.getuid?.() === 0 && isInstalled("apt-get")

/** Installs Debian packages without a word; what apt-get said, when it failed. */
const install = (packages) => {
  const options = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]
  const said = []
  // One unreachable source fails the update, though the packages may come from another: install all the same.
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
    const { error, status, stderr } = spawnSync("apt-get", [...options, ...args], {
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 600_000
    })
    if (status !== 0) said.push(`apt-get ${args[0]}: ${(stderr || error?.message || "failed").trim()}`)
  }
  return said
}

/** The one client that is an npm package. The benchmark has it, apart from everything else, and fixes its version. */
const npmPeer = { program: "@vates/nbd-client", folder: "benchmarks" }

const hasNpmPeer = (root) => existsSync(join(root, npmPeer.folder, "node_modules", npmPeer.program))

/** Installs it where it is missing, and says what went wrong. */
const obtainNpmPeer = (root) => {
  if (hasNpmPeer(root)) return undefined
  console.log(`installing ${npmPeer.program}`)
  const args = ["ci", "--prefix", npmPeer.folder, "--ignore-scripts", "--no-audit", "--no-fund"]
  const { error, stderr } = spawnSync("npm", args, { cwd: root, encoding: "utf8", timeout: 600_000 })
  return hasNpmPeer(root) ? undefined : (stderr || error?.message || "npm failed").trim()
}

/** The peers that are still missing after trying to install them. */
const obtainPeers = () => {
  const missing = missingPeers()
  if (missing.length === 0 || !canInstall()) return missing
  const packages = [...new Set(missing.map(({ debian }) => debian))]
  console.log(`installing ${packages.join(", ")}`)
  const said = install(packages)
  const missingStill = missingPeers()
  if (missingStill.length > 0) { for (const line of said) console.error(line) }
  return missingStill
}

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
 * What is run together. Where every file loads the modules anew, that is two thirds of the processor time of core's tests
 * and half of those of the fake server. The others look at what their process holds, and start from nothing.
 */
const runs = [
  { projects: ["core", "testing"], options: ["--no-isolate"] },
  { projects: ["node", "cli", "benchmarks"], options: [] }
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
  const missing = obtainPeers()
  for (const { debian, program } of missing) {
    console.log(`${program} is not installed (Debian package ${debian}): tests against it are skipped`)
  }
  const npmFailure = obtainNpmPeer(root)
  if (npmFailure !== undefined) {
    console.log(`${npmPeer.program} is not installed: tests of it are skipped\n${npmFailure}`)
  }
  if (ci && (missing.length > 0 || npmFailure !== undefined)) {
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
