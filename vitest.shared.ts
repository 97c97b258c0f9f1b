import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

/** Tests run on the TypeScript sources: no build has to come first. */
export const project = (name: string) =>
  defineConfig({
    resolve: { conditions: ["@effect-nbd/source"] },
    ssr: { resolve: { conditions: ["@effect-nbd/source"] } },
    test: {
      name,
      include: ["test/**/*.test.ts"],
      setupFiles: [fileURLToPath(new URL("vitest.setup.ts", import.meta.url))],
      sequence: { concurrent: false },
      // Where bytes come one by one, a whole suite of checks takes its time.
      testTimeout: process.env["EFFECT_NBD_DELIVERY"] === undefined ? 30_000 : 120_000
    }
  })
