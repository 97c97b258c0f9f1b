/** Before any test of this package: brings the built program up to date with its sources. */
import { execFileSync } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc")
const project = fileURLToPath(new URL("../../tsconfig.src.json", import.meta.url))
const bundler = fileURLToPath(new URL("../../../../scripts/bundle.mjs", import.meta.url))

export const setup = (): void => {
  execFileSync(process.execPath, [compiler, "-b", project], { stdio: "inherit" })
  execFileSync(process.execPath, [bundler], { stdio: "inherit" })
}
