import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { repositoryRoot } from "./lib/sources.mjs"
import { inWords, runsFor, summarize } from "./test.mjs"

const report = (...files) => ({
  testResults: files.map(([status, ...tests]) => ({
    name: "a.test.ts",
    status,
    assertionResults: tests.map((of) => ({ status: of, fullName: of }))
  }))
})
const line = (...files) => inWords(summarize(report(...files)))

test("counts what passed and failed", () => {
  assert.equal(line(["failed", "passed", "failed"], ["passed", "passed"]), "2 passed, 1 failed")
})

test("names the skipped only when there are some", () => {
  assert.equal(line(["passed", "passed", "skipped", "pending", "todo"]), "1 passed, 0 failed, 3 skipped")
})

test("a file that could not be loaded is a failure", () => {
  assert.equal(line(["failed"], ["passed", "passed"]), "1 passed, 1 failed")
})

test("every project is in one run, and only one", () => {
  const projects = runsFor([]).flatMap((args) => args.filter((arg) => arg.startsWith("--project=")))
  const named = [...readdirSync(join(repositoryRoot, "packages")), "benchmarks"].map((name) => `--project=${name}`)
  assert.equal(projects.length, named.length)
  assert.deepEqual(new Set(projects), new Set(named))
})

test("a chosen project is run alone, and other arguments are everybody's", () => {
  assert.deepEqual(runsFor(["--project", "core"]), [["--project", "core"]])
  for (const args of runsFor(["-t", "greets"])) assert.deepEqual(args.slice(-2), ["-t", "greets"])
})
