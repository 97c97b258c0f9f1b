import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import projects from "./vitest.workspace.ts"

// Vitest leaves one processor to itself, which on a machine of two is half of the time: most tests wait for a server.
const workers = Math.max(2, availableParallelism() - 1)

export default defineConfig({ test: { projects, maxWorkers: workers, minWorkers: 1 } })
