/**
 * The `effect-nbd` program: the whole process counts, Node's start included.
 */
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("../../packages/cli/bin/effect-nbd.js", import.meta.url))

export const effectNbd = {
  name: "effect-nbd",
  label: "effect-nbd copy",
  needs: [],
  isFor: ({ kind }) => kind === "copy",
  cannot: () => undefined,
  command: (_workload, { destination, source }) => [process.execPath, program, "copy", source, destination],
  read: (_workload, { cpuSeconds, maxRssBytes, seconds }) => ({
    operations: 1,
    seconds,
    cpuMicros: cpuSeconds * 1e6,
    maxRssBytes
  })
}
