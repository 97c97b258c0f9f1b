import { defineConfig } from "vitest/config"

/** The program runs what is built, so that is built first. */
export default defineConfig({
  test: {
    name: "benchmarks",
    include: ["test/**/*.test.mjs"],
    globalSetup: ["../packages/cli/test/support/build.ts"]
  }
})
