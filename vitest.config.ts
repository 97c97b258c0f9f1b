import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import projects from "./vitest.workspace.ts"

// Vitest leaves one processor to itself, which on a machine of two is half of the time: most tests wait for a server.
const workers = Math.max(2, availableParallelism() - 1)

/** What takes longest. */
const longest = [
  "node/test/RealServers",
  "cli/test/Copy",
  "cli/test/Info",
  "cli/test/Check",
  "cli/test/Serve",
  "cli/test/Conformance",
  "cli/test/NewerPeers",
  "testing/test/Conformance",
  "testing/test/ServerConformance",
  "testing/test/Pairs",
  "core/test/handshake/Goldens"
]

/**
 * The longest files first, so that at the end no worker is left alone with one of them. Vitest knows how long they took
 * only where they have run before, and goes by their size otherwise.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      longest.some((name) => moduleId.endsWith(`/${name}.test.ts`))
    // oxlint-disable-next-line unicorn/no-array-sort -- it is not that of an array
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: { projects, maxWorkers: workers, minWorkers: workers, sequence: { sequencer: LongestFirst } }
})
