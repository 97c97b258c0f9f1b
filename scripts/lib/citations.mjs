/**
 * The rules that tests cite in their titles: `C-071`, `C-105, C-106`, `C-021 to C-024`.
 *
 * A title is the first argument of `it`, `describe` or `test`, of what these give (`it.effect`, `it.each(rows)`), and of
 * a function of the file that passes its parameter on as one. The rows of `it.each` are put into their title as vitest
 * does it. In the conformance suite, which is not a test but becomes several, every text that cites is a title.
 */
import { readFileSync } from "node:fs"
import ts from "typescript"

const citation = /\b([CHS])-(\d{3})(?:\s+to\s+\1-(\d{3}))?\b/g

/** The rules that a text cites, each once, in order of appearance. */
export const citedIn = (text) => {
  const rules = new Set()
  for (const [, kind, first, last = first] of text.matchAll(citation)) {
    for (let number = Number(first); number <= Number(last); number++) {
      rules.add(`${kind}-${String(number).padStart(3, "0")}`)
    }
  }
  return [...rules]
}

/** A text as it stands in the source, with "…" for what is only known when it runs; undefined for anything else. */
const textOf = (node) => {
  if (node === undefined) return undefined
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join("")
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const [left, right] = [textOf(node.left), textOf(node.right)]
    return left === undefined && right === undefined ? undefined : `${left ?? "…"}${right ?? "…"}`
  }
  return undefined
}

/** The identifier that a callee begins with: `it` of `it.scoped.each(rows)`. */
const rootOf = (callee) => {
  let node = callee
  while (ts.isCallExpression(node) || ts.isPropertyAccessExpression(node)) node = node.expression
  return ts.isIdentifier(node) ? node.text : undefined
}

const runners = new Set(["it", "describe", "test"])
const isRunner = (node) => ts.isCallExpression(node) && runners.has(rootOf(node.expression))

const withoutAssertion = (node) =>
  node !== undefined &&
    (ts.isAsExpression(node) || ts.isSatisfiesExpression(node) || ts.isParenthesizedExpression(node))
    ? withoutAssertion(node.expression)
    : node

/** The rows of `each(rows)(title)`, where they stand in the source: in place, or as a constant of the file. */
const rowsOf = (call, constants) => {
  const each = call.expression
  if (!ts.isCallExpression(each) || !each.expression.getText().endsWith(".each")) return []
  const given = withoutAssertion(each.arguments[0])
  const rows = given !== undefined && ts.isIdentifier(given) ? constants.get(given.text) : given
  return rows !== undefined && ts.isArrayLiteralExpression(rows) ? rows.elements.map(withoutAssertion) : []
}

const valueOf = (node) => textOf(node) ?? (node !== undefined && ts.isLiteralExpression(node) ? node.getText() : "…")

/** The title of one row, as vitest puts it together. */
const titleOfRow = (title, row) => {
  if (ts.isObjectLiteralExpression(row)) {
    return title.replaceAll(/\$([A-Za-z]\w*)/g, (_, name) => {
      const property = row.properties.find((each) => each.name?.getText() === name)
      return property !== undefined && ts.isPropertyAssignment(property) ? valueOf(property.initializer) : "…"
    })
  }
  const values = ts.isArrayLiteralExpression(row) ? [...row.elements] : [row]
  return title.replaceAll(/%[sdifjo]/g, () => valueOf(values.shift()))
}

/** Constants of the file that are array literals, and functions that pass a parameter on as a title: name to position. */
const declarationsOf = (source) => {
  const constants = new Map()
  const wrappers = new Map()
  const passesOn = (name, parameters, body) => {
    const names = parameters.map((parameter) => parameter.name.getText())
    const search = (node) => {
      if (isRunner(node) && node.arguments[0] !== undefined && ts.isIdentifier(node.arguments[0])) {
        const at = names.indexOf(node.arguments[0].text)
        if (at !== -1) wrappers.set(name, at)
      }
      ts.forEachChild(node, search)
    }
    if (body !== undefined) search(body)
  }
  const visit = (node) => {
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
      const value = withoutAssertion(node.initializer)
      if (ts.isArrayLiteralExpression(value)) constants.set(node.name.getText(), value)
      if (ts.isArrowFunction(value)) passesOn(node.name.getText(), value.parameters, value.body)
    }
    if (ts.isFunctionDeclaration(node) && node.name !== undefined) passesOn(node.name.text, node.parameters, node.body)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { constants, wrappers }
}

/** The rules that an array of nothing else lists; undefined for any other node. */
const listedIn = (node) => {
  if (!ts.isArrayLiteralExpression(node) || node.elements.length === 0) return undefined
  const texts = node.elements.map((element) => textOf(element) ?? "")
  return texts.every((text) => /^[CHS]-\d{3}$/.test(text)) ? texts : undefined
}

/** The text beside a list of rules: the first argument of the call, or the `name` of the object, that it stands in. */
const titleBeside = (list) => {
  const { parent } = list
  if (ts.isCallExpression(parent)) return textOf(parent.arguments[0])
  if (!ts.isPropertyAssignment(parent)) return undefined
  const name = parent.parent.properties.find((each) => each.name?.getText() === "name")
  return name !== undefined && ts.isPropertyAssignment(name) ? textOf(name.initializer) : undefined
}

/**
 * Every title of a test file that cites a rule, as `{ title, rules }`, the titles of the `describe`s around it before its
 * own. With `everyText` it is every text that cites.
 */
export const citingTitles = (file, { everyText = false } = {}) => {
  const text = readFileSync(file, "utf8")
  if (citedIn(text).length === 0) return []
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const { constants, wrappers } = declarationsOf(source)
  const titles = []
  const cite = (path, title, rules) => {
    if (rules.length > 0) titles.push({ title: [...path, title].join(" › "), rules })
  }
  const titleOf = (node) => {
    if (isRunner(node)) return textOf(node.arguments[0])
    if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return undefined
    const at = wrappers.get(node.expression.text)
    return at === undefined ? undefined : textOf(node.arguments[at])
  }
  const visit = (node, path) => {
    if (everyText) {
      const listed = listedIn(node)
      if (listed !== undefined) return cite(path, titleBeside(node) ?? "…", listed)
      const own = textOf(node)
      if (own === undefined) ts.forEachChild(node, (child) => visit(child, path))
      else cite(path, own, citedIn(own))
      return
    }
    const title = titleOf(node)
    if (title === undefined) {
      ts.forEachChild(node, (child) => visit(child, path))
      return
    }
    const inAllRows = citedIn(title)
    cite(path, title, inAllRows)
    for (const row of rowsOf(node, constants)) {
      const ofRow = titleOfRow(title, row)
      cite(path, ofRow, citedIn(ofRow).filter((rule) => !inAllRows.includes(rule)))
    }
    const within = rootOf(node.expression) === "describe" ? [...path, title] : path
    ts.forEachChild(node, (child) => visit(child, within))
  }
  visit(source, [])
  return titles
}
