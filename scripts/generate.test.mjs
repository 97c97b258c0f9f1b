import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { barrel } from "./generate/barrel.mjs"
import { errorClasses, renderErrors } from "./generate/errors.mjs"
import { renderHandleStates } from "./generate/handleStates.mjs"
import { misdescribed, renderMisbehaviours } from "./generate/misbehaviours.mjs"
import { filled, performancePage } from "./generate/performance.mjs"
import { withTree } from "./lib/temporaryTree.mjs"

const barrelOf = (files) => withTree(files, (root) => barrel(root, root))

test("a barrel has a namespace for each public top-level module, described by its header", () => {
  const { text, violations } = barrelOf({
    "index.ts": "stale",
    "B.ts": "/**\n * Does b, e.g.\n * twice. Not c.\n *\n * @since 0.2.0\n */\nexport {}",
    "A.ts": "/** Does a */\nexport {}",
    "Hidden.ts": "/**\n * Private.\n *\n * @internal\n */\nexport {}",
    "wire/C.ts": "export {}"
  })
  assert.deepEqual(violations, [])
  assert.equal(
    text.slice(text.indexOf("*/") + 4),
    `/**
 * Does a
 */
export * as A from "./A.ts"

/**
 * Does b, e.g. twice.
 *
 * @since 0.2.0
 */
export * as B from "./B.ts"
`
  )
})

test("a module without a header is reported", () => {
  const { violations } = barrelOf({ "A.ts": "import \"x\"\n/** A. */\nexport const a = 1" })
  assert.deepEqual(violations, ["A.ts:1 no module header to describe A with"])
})

test("a barrel without modules is still a module", () => {
  assert.match(barrelOf({}).text, /\nexport \{\}\n$/)
})

test("a long sentence is wrapped at 120 columns", () => {
  const { text } = barrelOf({ "A.ts": `/** ${"word ".repeat(60)}end. */\nexport {}` })
  assert.ok(text.split("\n").every((line) => line.length <= 120))
  assert.ok(text.includes("end."))
})

const states = ["Created", "Connecting", "Negotiating", "Connected", "ShutDown", "Dead"]

test("the page of handle states has an overview and libnbd's six lines for each operation", () => {
  const page = renderHandleStates({
    states,
    permitted: { connect: ["Created"], shutdown: ["Negotiating", "Connected"] }
  })
  assert.ok(page.includes("| shutdown | ❌ | ❌ | ✅ | ✅ | ❌ | ❌ |"))
  assert.ok(page.endsWith(`## shutdown

| HANDLE STATE | shutdown | fails with |
| --- | --- | --- |
| Handle created, before connecting | ❌ error | \`NbdNotConnectedError\` |
| Connecting | ❌ error | \`NbdStillConnectingError\` |
| Connecting & handshaking (opt_mode) | ✅ allowed |  |
| Connected to the server | ✅ allowed |  |
| Connection shut down | ❌ error | \`NbdShutDownError\` |
| Handle dead | ❌ error | \`NbdHandleDeadError\` |
`))
  assert.ok(page.includes("`NbdStillNegotiatingError`"))
  assert.ok(page.includes("`NbdAlreadyConnectedError`"))
})

test("a table that does not speak of the six states is refused", () => {
  assert.throws(() => renderHandleStates({ states: states.slice(1), permitted: {} }), /HandleState.states/)
  assert.throws(
    () => renderHandleStates({ states, permitted: { read: ["Closed"] } }),
    /permitted.read names unknown Closed/
  )
})

const gone = { outcome: "Unknown", connection: "Gone", retry: "Reconnect" }
const errors = (classes, errorTable) =>
  renderErrors({ advice: { NbdA: "Do it." }, classes, errorTable, retryByErrno: { EIO: "Again" }, retryByReply: {} })

test("the page of errors says what happened by the comment of the class, and what it means by the table", () => {
  const source = `/** Errors. */
/**
 * It broke
 * badly.
 *
 * - \`x\`: one
 *   thing.
 *
 * @since 0.1.0
 */
export class A extends TaggedError("NbdA")<{}> {}
/** Not one. */
export class B extends Other("NbdB")<{}> {}
`
  const classes = withTree({ "Some.ts": source }, (root) => errorClasses(root))
  assert.deepEqual([...classes], [["NbdA", { name: "Some.A", prose: "It broke badly.\n\n- `x`: one thing." }]])
  const page = errors(classes, { NbdA: gone })
  assert.ok(page.endsWith(`### NbdA

\`Some.A\`. It broke badly.

- \`x\`: one thing.

| outcome | connection | may succeed if tried again |
| --- | --- | --- |
| unknown | gone | on another connection |

Do it.
`))
  assert.ok(page.includes("| EIO | again, on the same connection |"))
})

test("an error without a class or a row is reported", () => {
  const classes = new Map([["NbdA", { name: "Some.A", prose: "It broke." }]])
  assert.throws(() => errors(classes, {}), /NbdA has no row/)
  assert.throws(() => errors(new Map(), { NbdA: gone }), /NbdA has no class/)
})

test("a page keeps what is around its marked blocks, and is the same when it is filled again", () => {
  const page = "before\n\n<!-- generated: a -->\nold\n<!-- end of generated -->\n\nafter\n"
  const text = filled(page, { a: "new" })
  assert.equal(text, "before\n\n<!-- generated: a -->\n\nnew\n\n<!-- end of generated -->\n\nafter\n")
  assert.equal(filled(text, { a: "new" }), text)
})

test("a page without a block is reported", () => {
  assert.throws(() => filled("<!-- generated: a -->", { a: "new" }), /no block <!-- generated: a -->/)
})

test("a missing file and the results of a quick run are reported", () => {
  withTree({ "page.md": "", "quick.json": "{ \"quick\": true }" }, (root) => {
    const violation = (name) =>
      performancePage({ page: join(root, "page.md"), results: join(root, name) }).violations.join()
    assert.match(violation("none.json"), /none\.json is missing/)
    assert.match(violation("quick.json"), /numbers mean nothing/)
  })
})

test("the page of misbehaviours has them in their sections, and their comments say the same", () => {
  const all = [
    { name: "early", rule: "H-014", sentence: "Too early.", reaction: "Connection" },
    { name: "late", rule: "H-090", sentence: "Too late.", reaction: "Tolerated" }
  ]
  const text = renderMisbehaviours({ all, elsewhere: [{ rule: "H-068", why: "takes more than this" }] })
  assert.match(text, /## The greeting\n\n.*\n.*\n\| H-014 \| `early` \| Too early\. \| the connection is lost \|\n/)
  assert.match(text, /## Replies\n\n.*\n.*\n\| H-090 \| `late` \| Too late\. \| nothing fails \|\n/)
  assert.match(text, /\| H-068 \| takes more than this \|\n$/)
  const source =
    "/**\n * Too\n * early. And more.\n */\nexport const early = 1\n\n/**\n * Late.\n */\nexport const late = 2\n"
  assert.deepEqual(withTree({ "A.ts": source }, (root) => misdescribed(root, all)), [
    "A.ts:1 the comment of late does not begin with its sentence"
  ])
})
