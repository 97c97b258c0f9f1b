import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { conformance, parseRules, renderConformance } from "./generate/conformance.mjs"
import { citedIn, citingTitles } from "./lib/citations.mjs"
import { withTree } from "./lib/temporaryTree.mjs"

const titlesOf = (text, options) =>
  withTree(
    { "a.test.ts": text },
    (root) => citingTitles(join(root, "a.test.ts"), options).map(({ rules, title }) => `${title}: ${rules.join()}`)
  )

const head = "rule\tlevel\tsection\tin words\twhy no test can prove it\n"
const list = (...rules) => `${head}# First\n${rules.map((rule) => rule.join("\t")).join("\n")}\n`
const first = ["C-001", "MUST", "Conv", "does one thing"]
const conformanceOf = (rules, files) =>
  withTree({ "scripts/generate/rules.tsv": rules, ...files }, (root) => conformance(root))

test("numbers, lists of them and ranges are citations, once each", () => {
  assert.deepEqual(citedIn("H-063 is not crossed (C-021 to C-023, C-022, CVE-2021-3716, C-05, T-10, C-1234)"), [
    "H-063",
    "C-021",
    "C-022",
    "C-023"
  ])
})

test("titles of it, of describe and of what they give are read; other texts are not", () => {
  assert.deepEqual(
    titlesOf(`
      // C-001
      describe("outer (C-002)", () => {
        it("inner (C-003)", () => expect(x).toBe("C-004"))
        it.scoped(\`built \${of} pieces (C-005)\`, () => {})
        it.layer(some)("C-006 " + name, () => {})
        expect("C-007").toBe(true)
      })
      it("cites nothing", () => {})`),
    [
      "outer (C-002): C-002",
      "outer (C-002) › inner (C-003): C-003",
      "outer (C-002) › built … pieces (C-005): C-005",
      "outer (C-002) › C-006 …: C-006"
    ]
  )
})

test("rows are put into their title, in place or as a constant of the file", () => {
  assert.deepEqual(
    titlesOf(`
      const cases = [{ name: "third (C-003)", of: 1 }, { name, of: "C-009" }] as const
      it.each([["first (C-001)", 1, "C-009"], ["second", 2]] as const)("is %s of %i (C-002)", () => {})
      describe.each(cases)("is $name", () => {})`),
    ["is %s of %i (C-002): C-002", "is first (C-001) of 1 (C-002): C-001", "is third (C-003): C-003"]
  )
})

test("a function that passes its parameter on as a title has titles too", () => {
  assert.deepEqual(
    titlesOf(`
      const refuses = (bytes: Uint8Array, title: string) => { it(title, () => {}) }
      refuses(one, "refuses (C-001)")
      other(one, "is none (C-002)")`),
    ["refuses (C-001): C-001"]
  )
})

test("in the conformance suite every text that cites is a title", () => {
  assert.deepEqual(titlesOf(`export const check = { name: "reads (C-001)" }`, { everyText: true }), [
    "reads (C-001): C-001"
  ])
})

test("in the conformance suite a list of rules belongs to the text before it", () => {
  const text = `const checks = [
    check("reads", ["C-001", "S-002"], body),
    { name: "writes", rules: ["C-003"], run: other(["C-004 is not a list"]) }
  ]`
  assert.deepEqual(titlesOf(text, { everyText: true }), [
    "reads: C-001,S-002",
    "writes: C-003",
    "C-004 is not a list: C-004"
  ])
})

test("the page has a table for each section, with each rule's tests, its reason, or that there is none", () => {
  const sections = parseRules(
    list(first, ["C-002", "MAY", "Size", "another", "it never happens"], ["C-003", "", "", "x"])
  )
  const page = renderConformance(sections, [
    { file: "packages/core/test/a.test.ts", title: "a › does it_ all | (C-001)", rules: ["C-001"] },
    { file: "packages/core/test/a.test.ts", title: "a › NBD_OPT_GO (C-001)", rules: ["C-001"] },
    { file: "packages/core/test/a.test.ts", title: "H-001 b (%s, C-001 to C-002)", rules: ["H-001", "C-001"] }
  ])
  assert.ok(page.includes("3 rules: 1 with tests, 1 that no test can prove, with the reason, 1 without a test yet.\n"))
  assert.ok(page.endsWith(`### First

| rule | level | section | in words | tests |
| --- | --- | --- | --- | --- |
| C-001 | MUST | Conv | does one thing | [a.test.ts](../packages/core/test/a.test.ts): a › does it\\_ all \\|; › NBD_OPT_GO; b (%s) |
| C-002 | MAY | Size | another | no test: it never happens |
| C-003 |  |  | x | **no test yet** |
`))
})

test("each kind of rule has a part of its own, with what it counts", () => {
  const server = [{
    heading: "Of servers",
    rules: [{ number: "S-001", level: "MUST", where: "Conv", words: "serves" }]
  }]
  const hostile = [{ heading: "Of foes", rules: [{ number: "H-001", level: "CONN", where: "", words: "lies" }] }]
  const page = renderConformance([...parseRules(list(first)), ...server, ...hostile], [])
  const at = ["## Clients", "### First", "## Servers", "| S-001 | MUST | Conv | serves |", "## Hostile servers"]
    .map((text) => page.indexOf(text))
  assert.ok(at.every((position, index) => position > (at[index - 1] ?? 0)))
  assert.ok(page.endsWith("| H-001 | CONN | lies | **no test yet** |\n"))
})

test("what the fake server's tests say of a client's rule does not count", () => {
  const cites = "it(\"C-001\", () => {})"
  const one = (file) => conformanceOf(list(first), { [file]: cites }).text.includes("1 rules: 1 with tests")
  assert.ok(!one("packages/testing/test/Session.test.ts"))
  assert.ok(one("packages/testing/test/Conformance.test.ts"))
  assert.ok(one("packages/core/test/Session.test.ts"))
})

test("a citation of a rule that there is not is reported, wherever it stands", () => {
  const { violations } = conformanceOf(list(first), {
    "packages/core/test/a.test.ts": "it(\"C-001 to C-002\", () => {})",
    "packages/core/src/A.ts": "\n// C-999, H-001"
  })
  assert.deepEqual(violations, [
    "packages/core/src/A.ts:2 cites C-999, which scripts/generate/rules.tsv does not have",
    "packages/core/test/a.test.ts:1 cites C-002, which scripts/generate/rules.tsv does not have"
  ])
})

test("a client's rule with neither a test nor a reason is reported, another's is not", () => {
  const { violations } = conformanceOf(list(first, ["S-001", "MUST", "Conv", "does another"]), {})
  assert.deepEqual(violations, [
    "scripts/generate/rules.tsv:1 C-001 has neither a test nor a reason why no test can prove it"
  ])
})

test("a rule that is there twice, is not complete, or has a reason beside its tests is reported", () => {
  const { violations } = conformanceOf(list(first, first, ["C-002", "MAY"], ["C-003", "MAY", "", "x", "no way"]), {
    "packages/core/test/a.test.ts": "it(\"C-001, C-002, C-003\", () => {})"
  })
  assert.deepEqual(violations, [
    "scripts/generate/rules.tsv:1 a rule stands in it twice",
    "scripts/generate/rules.tsv:1 C-002 is not complete",
    "scripts/generate/rules.tsv:1 C-003 has a reason, and tests as well"
  ])
})
