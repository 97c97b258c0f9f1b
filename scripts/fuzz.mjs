/**
 * `npm run fuzz`: makes one file of packages/testing/test/fuzz and runs it, from the sources, with the arguments it was
 * given. See CONTRIBUTING.md.
 */
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { repositoryRoot } from "./lib/sources.mjs"

const outfile = join(repositoryRoot, "build", "fuzz.mjs")
await build({
  absWorkingDir: repositoryRoot,
  entryPoints: ["packages/testing/test/fuzz/main.ts"],
  outfile,
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "esm",
  conditions: ["@effect-nbd/source"],
  sourcemap: "inline",
  logLevel: "warning"
})
const args = ["--enable-source-maps", "--expose-gc", outfile, ...process.argv.slice(2)]
process.exitCode = spawnSync(process.execPath, args, { cwd: repositoryRoot, stdio: "inherit" }).status ?? 1
