import { defineConfig } from "vitest/config"

/** Tests run on the TypeScript sources: no build has to come first. */
export const project = (name: string) =>
  defineConfig({
    resolve: { conditions: ["@effect-nbd/source"] },
    ssr: { resolve: { conditions: ["@effect-nbd/source"] } },
    test: { name, include: ["test/**/*.test.ts"], sequence: { concurrent: false }, testTimeout: 30_000 }
  })
