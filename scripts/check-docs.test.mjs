import assert from "node:assert/strict"
import { test } from "node:test"
import { checkDocs } from "./check-docs.mjs"
import { withTree } from "./lib/temporaryTree.mjs"

const root = JSON.stringify({ workspaces: ["packages/core"] })
const violationsIn = (text) => withTree({ "package.json": root, "packages/core/src/A.ts": text }, checkDocs)
const header = "/** A module. */\nimport * as Effect from \"effect/Effect\"\n\n"
const missing = "has no doc comment directly above it"

const accepted = {
  "a documented export": "/** A. */\nexport const a = 1",
  "a linter's line between": "/** A. */\n// oxlint-disable-next-line no-x\nexport const a = 1",
  "overloads":
    "/** F. */\nexport function f(a: string): void\nexport function f(a: number): void\nexport function f() {}",
  "an undocumented private": "const a = 1",
  "an empty export": "export {}",
  "a documented list": "/** Both. */\nexport { a, b }"
}
for (const [what, text] of Object.entries(accepted)) {
  test(`accepts ${what}`, () => assert.deepEqual(violationsIn(header + text), []))
}

const refused = {
  "a constant": ["export const a = 1", "a"],
  "a type": ["export type A = 1", "A"],
  "an interface": ["export interface A {}", "A"],
  "a class": ["export class A {}", "A"],
  "a function": ["export function f() {}", "f"],
  "a namespace": ["export * as N from \"./N.ts\"", "N"],
  "a default": ["export default 1", "default"],
  "a plain comment": ["/* A. */ export const a = 1", "a"],
  "a line comment": ["// A.\nexport const a = 1", "a"],
  "a doc comment above a blank line": ["/** A. */\n\nexport const a = 1", "a"],
  "a doc comment on the declaration before": ["/** A. */\nconst b = 1\nexport const a = b", "a"]
}
for (const [what, [text, name]] of Object.entries(refused)) {
  test(`reports ${what}`, () => {
    const line = 3 + text.split("\n").length
    assert.deepEqual(violationsIn(header + text), [`packages/core/src/A.ts:${line} ${name} ${missing}`])
  })
}

test("reports an export that has only the module header above it", () => {
  assert.deepEqual(violationsIn("/** A module. */\nexport const a = 1"), [
    "packages/core/src/A.ts:2 a has the module header above it and no doc comment of its own"
  ])
})
