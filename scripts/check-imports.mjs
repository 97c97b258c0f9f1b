/**
 * Enforces which way imports point: between packages, between the layers of core, and never in a circle.
 *
 * Layers are kept apart by a check and not by packages, so that an import in the wrong direction fails here with its
 * line instead of being found years later when the layers can no longer be separated.
 */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve, sep } from "node:path"
import ts from "typescript"
import { findCycles } from "./lib/cycles.mjs"
import { isMain, lineOf, report, repositoryRoot, shown, typescriptFiles } from "./lib/sources.mjs"

const isEffect = (specifier) => specifier === "effect" || /^effect\/[A-Z][A-Za-z]*$/.test(specifier)
const isOurs = (name) => (specifier) =>
  specifier === `@effect-nbd/${name}` || specifier.startsWith(`@effect-nbd/${name}/`)
const isNode = (specifier) => specifier.startsWith("node:")
const isFrom = (name) => (specifier) => specifier === name || specifier.startsWith(`${name}/`)

/** What each package may import besides its own files. */
const packages = {
  block: [isEffect],
  core: [isEffect],
  client: [isEffect, isOurs("block"), isOurs("core")],
  node: [isEffect, isOurs("block"), isOurs("core"), isFrom("@effect/platform"), isNode],
  server: [isEffect, isOurs("block"), isOurs("core")],
  testing: [isEffect, isOurs("block"), isOurs("core"), isOurs("server")],
  conformance: [isEffect, isOurs("core")],
  cli: [() => true]
}

/** The top-level modules of core that its layers stand on. They may look down to wire/ and errors/, and nowhere else. */
const foundation = [
  "Export.ts",
  "ProtocolError.ts",
  "Request.ts",
  "Tls.ts",
  "TlsError.ts",
  "Traffic.ts",
  "Transport.ts",
  "TransportError.ts"
]

/** What each layer of core may import: a folder ends with a slash, and the empty one is all of core. */
const layers = {
  "wire/": ["wire/"],
  "errors/": ["wire/", "errors/"],
  "framing/": [
    "wire/",
    "errors/",
    "framing/",
    "Tls.ts",
    "TlsError.ts",
    "Traffic.ts",
    "Transport.ts",
    "TransportError.ts"
  ],
  "handshake/": ["wire/", "errors/", "framing/", "handshake/", ...foundation],
  "uri/": ["wire/", "errors/", "uri/"],
  "transmission/": ["wire/", "errors/", "transmission/", ...foundation],
  "handle/": [""]
}
for (const module of foundation) layers[module] = ["wire/", "errors/", "uri/UriModel.ts", ...foundation]
layers["Request.ts"] = ["errors/", "transmission/CommandOptions.ts"]

/** Every import, re-export, dynamic import and import type of a file. */
const importsOf = (file) => {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true)
  const found = []
  const add = (node, specifier, typeOnly) => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
      found.push({ specifier: specifier.text, line: lineOf(source, node.getStart()), typeOnly })
    }
  }
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) {
      // `import { type A }` counts as a value import: verbatimModuleSyntax keeps it as `import {}`.
      add(node, node.moduleSpecifier, node.importClause?.isTypeOnly === true)
    } else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node)) add(node, node.argument.literal, true)
    else if (ts.isExternalModuleReference(node)) add(node, node.expression, false)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const isBelow = (path, place) => place === "" || place.endsWith("/") ? path.startsWith(place) : path === place

/** Why `from` may not import `to`, both relative to packages/core/src; undefined when it may. */
const layerViolation = (from, to) => {
  if (to === "index.ts") return "nothing inside core imports its barrel index.ts"
  if (from === "index.ts") return undefined
  const layer = Object.keys(layers).find((place) => isBelow(from, place))
  if (layer === undefined) return from.includes("/") ? `no import rule for the folder of ${from}` : undefined
  return layers[layer].some((place) => isBelow(to, place)) ? undefined : `${layer} may not import ${to}`
}

/** Why a package's source file may not import what is not a relative path; undefined when it may. */
const packageViolation = (name, from, { specifier, typeOnly }) => {
  if (specifier === "effect" && !typeOnly) return "value import of the effect barrel: import effect/X"
  if (!packages[name].some((allowed) => allowed(specifier))) return `${name} may not import ${specifier}`
  const confined = name === "cli" && isFrom("@effect/cli")(specifier)
  if (confined && from !== "main.ts" && !from.startsWith("commands/")) {
    return "@effect/cli belongs in packages/cli/src/main.ts and packages/cli/src/commands"
  }
  return undefined
}

/** The file behind a specifier that leads into this repository. */
const targetOf = (root, file, specifier) => {
  if (specifier.startsWith(".")) return resolve(dirname(file), specifier)
  const ours = /^@effect-nbd\/([^/]+)(?:\/(.+))?$/.exec(specifier)
  return ours === null ? undefined : join(root, "packages", ours[1], "src", `${ours[2] ?? "index"}.ts`)
}

/** Why the source file `from` of a package may not have this import; undefined when it may. */
const violation = (name, source, file, found) => {
  const from = shown(source, file)
  if (!found.specifier.startsWith(".")) return packageViolation(name, from, found)
  const target = resolve(dirname(file), found.specifier)
  if (!target.startsWith(source + sep)) return `${found.specifier} leads out of packages/${name}/src`
  return name === "core" ? layerViolation(from, shown(source, target)) : undefined
}

/** All violations below `root`, one line each. */
export const checkImports = (root) => {
  const violations = []
  const graph = new Map()
  for (const name of Object.keys(packages)) {
    const source = join(root, "packages", name, "src")
    for (const file of [...typescriptFiles(source), ...typescriptFiles(join(root, "packages", name, "test"))]) {
      const edges = []
      graph.set(file, edges)
      for (const found of importsOf(file)) {
        const target = targetOf(root, file, found.specifier)
        if (target !== undefined && existsSync(target)) edges.push({ to: target, line: found.line })
        // Tests may import what they like; they only take part in the search for circles.
        const why = file.startsWith(source + sep) ? violation(name, source, file, found) : undefined
        if (why !== undefined) violations.push(`${shown(root, file)}:${found.line} ${why}`)
      }
    }
  }
  for (const { path, line } of findCycles(graph)) {
    violations.push(
      `${shown(root, path[0])}:${line} import cycle: ${path.map((file) => shown(root, file)).join(" -> ")}`
    )
  }
  return violations
}

if (isMain(import.meta)) report("check-imports", checkImports(repositoryRoot))
