/** The examples in this package's README are files that compile and run. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { server as ofDevice } from "./readme/device.ts"
import { server as withPorts } from "./readme/ports.ts"

const textOf = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8")

it("README.md has the examples as they are tested", () => {
  const blocks = [...textOf("../README.md").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code)
  expect(blocks).toEqual(["device.ts", "ports.ts"].map((file) => textOf(`readme/${file}`)))
})

it.effect("the servers can be made", () =>
  Effect.gen(function*() {
    expect([...(yield* ofDevice).exports.keys()]).toEqual(["disk"])
    expect([...(yield* withPorts(() => {})).exports.keys()]).toEqual(["disk"])
  }))
