/**
 * `npm run test:delivery`: the tests of core, server, testing and conformance once for each way in which bytes can arrive, with the arguments
 * it was given. A test that names a delivery of its own keeps it.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { isMain, repositoryRoot } from "./lib/sources.mjs"

/** The policies of `MemoryPipe.policies` that need no clock, and one more seed. */
const policies = ["whole", "bytes", "coalesced", "random", "random:7"]

const projects = ["core", "server", "testing", "conformance"]

const main = (root, args) => {
  const failed = []
  for (const policy of policies) {
    const from = performance.now()
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
    const { status } = spawnSync(
      process.execPath,
      [vitest, "run", "--no-isolate", ...projects.map((name) => `--project=${name}`), ...args],
      { cwd: root, env: { ...process.env, EFFECT_NBD_DELIVERY: policy }, stdio: ["ignore", "inherit", "inherit"] }
    )
    const seconds = Math.round((performance.now() - from) / 1000)
    console.log(`delivered ${policy}: ${status === 0 ? "passed" : "failed"}, ${seconds} s`)
    if (status !== 0) failed.push(policy)
  }
  console.log(failed.length === 0 ? "every delivery passed" : `failed: ${failed.join(", ")}`)
  return failed.length === 0 ? 0 : 1
}

if (isMain(import.meta)) process.exitCode = main(repositoryRoot, process.argv.slice(2))
