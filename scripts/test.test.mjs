import assert from "node:assert/strict"
import { test } from "node:test"
import { inWords, summarize } from "./test.mjs"

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
