/**
 * Every export of the libraries has a doc comment directly above it, apart from the header of its module.
 *
 * A comment that drifted on to the private declaration before the export, or one shared with the module header, leaves
 * the export without documentation in editors, and nothing else notices.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { isMain, librariesOf, lineOf, report, repositoryRoot, shown, typescriptFiles } from "./lib/sources.mjs"

const isExported = (statement) =>
  ts.isExportAssignment(statement) || ts.isExportDeclaration(statement) ||
  (ts.canHaveModifiers(statement) &&
    ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true)

/** The names that a statement exports; none for `export {}`, which only says that the file is a module. */
const namesOf = (statement) => {
  if (ts.isExportAssignment(statement)) return ["default"]
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText())
  if (!ts.isExportDeclaration(statement)) return [statement.name?.getText() ?? "default"]
  if (statement.exportClause === undefined) return ["*"]
  if (ts.isNamespaceExport(statement.exportClause)) return [statement.exportClause.name.text]
  // What is passed on under its own name has its comment where it is declared, and editors show that one.
  const passesOn = statement.moduleSpecifier !== undefined
  return statement.exportClause.elements.filter(({ propertyName }) => !passesOn || propertyName !== undefined)
    .map(({ name }) => name.text)
}

/** The doc comment directly above a statement: no blank line between, though `// oxlint-…` lines may be. */
const docAbove = (text, statement) => {
  let below = statement.getStart()
  for (const range of (ts.getLeadingCommentRanges(text, statement.getFullStart()) ?? []).toReversed()) {
    if (/\n\s*\n/.test(text.slice(range.end, below))) return undefined
    if (text.startsWith("/**", range.pos)) return range
    if (range.kind !== ts.SyntaxKind.SingleLineCommentTrivia) return undefined
    below = range.pos
  }
  return undefined
}

/** A line for each export of `file` without its own doc comment. */
export const undocumented = (root, file) => {
  const text = readFileSync(file, "utf8")
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const violations = []
  let overloaded
  for (const statement of source.statements) {
    // The overloads of a function share the comment of the first.
    const name = ts.isFunctionDeclaration(statement) ? statement.name?.text : undefined
    const isFurtherOverload = name !== undefined && name === overloaded
    overloaded = name
    if (isFurtherOverload || !isExported(statement)) continue
    const doc = docAbove(text, statement)
    if (doc !== undefined && text.slice(0, doc.pos).trim() !== "") continue
    const line = lineOf(source, statement.getStart())
    const why = doc === undefined
      ? "has no doc comment directly above it"
      : "has the module header above it and no doc comment of its own"
    for (const exported of namesOf(statement)) violations.push(`${shown(root, file)}:${line} ${exported} ${why}`)
  }
  return violations
}

/** A line for each undocumented export of the packages that are libraries. */
export const checkDocs = (root) =>
  librariesOf(root).flatMap((name) =>
    typescriptFiles(join(root, "packages", name, "src")).flatMap((file) => undocumented(root, file))
  )

if (isMain(import.meta)) report("check-docs", checkDocs(repositoryRoot))
