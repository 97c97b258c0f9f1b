/**
 * What it takes to load modules, by the clock of a new process: from before the first `import` to after the last.
 */
import { fileURLToPath } from "node:url"

const loader = fileURLToPath(new URL("../lib/load.mjs", import.meta.url))

const loading = (name, label, modules) => ({
  name,
  label,
  needs: [],
  isFor: ({ kind }) => kind === "import",
  cannot: () => undefined,
  command: () => [process.execPath, loader, ...modules],
  read: (_workload, { cpuSeconds, maxRssBytes, stdout }) => ({
    operations: 1,
    seconds: JSON.parse(stdout).seconds,
    cpuMicros: cpuSeconds * 1e6,
    maxRssBytes
  })
})

export const imports = [
  loading("effect", "effect", ["effect"]),
  loading("core", "@effect-nbd/core", ["@effect-nbd/core"]),
  loading("effect-core", "effect, then @effect-nbd/core", ["effect", "@effect-nbd/core"])
]
