import { mergeConfig } from "vitest/config"
import { project } from "../../vitest.shared.ts"

/** The program itself is tested as it is installed, so it is built first. */
export default mergeConfig(project("cli"), {
  test: { globalSetup: ["test/support/build.ts"], testTimeout: 30_000 }
})
