import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { repositoryRoot } from "./lib/sources.mjs"
import { planted } from "./mutants.mjs"
import { mutants } from "./mutants/mutants.mjs"

const mutant = { rule: "C-001", fault: "wrong", file: "A.ts", find: "a < b", replace: "a <= b" }

test("a fault replaces what it names", () => assert.equal(planted("if (a < b) c", mutant), "if (a <= b) c"))
test("a fault has to be found", () => assert.throws(() => planted("if (a > b) c", mutant), /not found/))
test("a fault has to be found once", () => assert.throws(() => planted("a < b, a < b", mutant), /found twice/))

test("every fault of the list can be planted, and has a name of its own", () => {
  for (const each of mutants) planted(readFileSync(join(repositoryRoot, each.file), "utf8"), each)
  assert.equal(new Set(mutants.map(({ fault }) => fault)).size, mutants.length)
})
