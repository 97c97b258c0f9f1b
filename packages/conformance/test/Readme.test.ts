/** The examples in this package's README are files that compile and run. */
import { expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const textOf = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8")

it("README.md has the examples as they are tested", () => {
  const blocks = [...textOf("../README.md").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code)
  expect(blocks).toEqual(["report.ts", "conformance.test.ts"].map((file) => textOf(`readme/${file}`)))
})
