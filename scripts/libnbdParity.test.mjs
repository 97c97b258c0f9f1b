import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { calls, parse, render, violationsOf } from "./generate/libnbdParity.mjs"

const rows = parse(readFileSync(new URL("./generate/libnbd-parity.tsv", import.meta.url), "utf8"))

const sources = new Map([
  ["Export", ["export class Export {\n  readonly size: bigint\n  get canFlush(): boolean {}\n}"]],
  ["Layer", ["export const layer = 1"]]
])
const permitted = { read: ["Connected"], info: ["Negotiating"] }
const wrong = (row) =>
  violationsOf([{ call: "call", since: "1.0", states: "R", ours: [], note: "", ...row }], { permitted, sources })
    .filter((line) => !line.includes("expected 165"))
    .map((line) => line.replace(/^\S+ /, ""))

test("the list has each of libnbd's calls once", () => {
  assert.equal(calls, 165)
  assert.equal(rows.length, calls)
  assert.equal(new Set(rows.map(({ call }) => call)).size, calls)
  assert.ok(violationsOf(rows.slice(1), { permitted, sources }).some((line) => line.includes("164 calls")))
  assert.ok(violationsOf([...rows, rows[0]], { permitted, sources }).some((line) => line.includes("is there twice")))
})

test("a name is an operation of the handle, or declared in the module it names", () => {
  for (const name of ["Handle.read", "Export.size", "Export.canFlush", "Layer.layer"]) {
    assert.deepEqual(wrong({ ours: [name] }), [])
  }
  for (const name of ["Handle.peek", "Export.siz", "Export.flush", "Nowhere.layer"]) {
    assert.deepEqual(wrong({ ours: [name] }), [`call: nothing is called ${name}`])
  }
})

test("an operation is allowed where libnbd's call is, or a note says why not", () => {
  assert.match(wrong({ ours: ["Handle.info"] })[0], /Handle.info is allowed in N, libnbd's call in R/)
  assert.deepEqual(wrong({ ours: ["Handle.info"], note: "because" }), [])
})

test("a call without a counterpart has a reason", () => {
  assert.deepEqual(wrong({}), ["call has neither a counterpart nor a reason"])
  assert.deepEqual(wrong({ note: "no need" }), [])
})

test("the page has a line for each call, and counts the counterparts", () => {
  const page = render(rows)
  for (const { call } of rows) assert.ok(page.includes(`| \`${call}\` |`), call)
  assert.ok(page.includes(`${rows.filter(({ ours }) => ours.length > 0).length} of 165 have a counterpart`))
})
