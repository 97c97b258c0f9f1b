import assert from "node:assert/strict"
import { test } from "node:test"
import { checkImports } from "./check-imports.mjs"
import { packagesOf, repositoryRoot } from "./lib/sources.mjs"
import { withTree } from "./lib/temporaryTree.mjs"

/** Checks a tree made of these files, whose paths are relative to packages/. */
const violationsIn = (files) =>
  withTree(Object.fromEntries(Object.entries(files).map(([path, text]) => [`packages/${path}`, text])), checkImports)

const allowed = {
  "core/src/index.ts": `export * as Handle from "./Handle.ts"`,
  "core/src/Handle.ts":
    `import "./handshake/Greet.ts"\nimport "./transmission/Cookie.ts"\nimport * as Effect from "effect/Effect"`,
  "core/src/Export.ts": `import "./wire/Flags.ts"`,
  "core/src/Transport.ts": `import type { Effect } from "effect"\nimport "./TransportError.ts"`,
  "core/src/TransportError.ts": `export {}`,
  "core/src/wire/Flags.ts": `export {}`,
  "core/src/wire/Info.ts": `import "./Flags.ts"`,
  "core/src/framing/FrameReader.ts": `import "../wire/Info.ts"\nimport "../Transport.ts"`,
  "core/src/handshake/Greet.ts": `import "../framing/FrameReader.ts"\nimport "../Export.ts"`,
  "core/src/transmission/Cookie.ts": `import "../wire/Flags.ts"\nimport "../Export.ts"`,
  "core/test/Handle.test.ts":
    `import "../src/index.ts"\nimport "@effect-nbd/testing"\nimport "node:fs"\nimport "vitest"`,
  "node/src/Tcp.ts": `import "node:net"\nimport "@effect-nbd/core"\nimport "@effect/platform/Command"`,
  "testing/src/index.ts": `import "@effect-nbd/core/wire/Info"\nimport "effect/Layer"`,
  "cli/src/main.ts": `import "@effect/cli"\nimport "@effect-nbd/node"\nimport "node:fs"`,
  "cli/src/commands/info.ts": `import "@effect/cli/Command"`
}

test("accepts imports that point the right way", () => {
  assert.deepEqual(violationsIn(allowed), [])
})

const barrelMessage = "value import of the effect barrel: import effect/X"

/** Each case: what is wrong, the file and the import that offends, and the message. */
const offences = [
  ["another package in core", "core/src/A.ts", `import "@effect/platform"`, "core may not import @effect/platform"],
  ["node: in core", "core/src/A.ts", `import "node:net"`, "core may not import node:net"],
  ["a sibling of core", "core/src/A.ts", `import "@effect-nbd/testing"`, "core may not import @effect-nbd/testing"],
  ["effect's internals", "core/src/A.ts", `import "effect/internal/core"`, "core may not import effect/internal/core"],
  ["a dynamic import", "core/src/A.ts", `await import("node:net")`, "core may not import node:net"],
  ["an import type", "core/src/A.ts", `type A = import("node:net").Socket`, "core may not import node:net"],
  ["a re-export", "core/src/A.ts", `export * from "node:net"`, "core may not import node:net"],
  ["a type-only import", "core/src/A.ts", `import type { Socket } from "node:net"`, "core may not import node:net"],
  ["node: in testing", "testing/src/A.ts", `import "node:net"`, "testing may not import node:net"],
  ["node in testing", "testing/src/A.ts", `import "@effect-nbd/node"`, "testing may not import @effect-nbd/node"],
  ["testing in node", "node/src/A.ts", `import "@effect-nbd/testing"`, "node may not import @effect-nbd/testing"],
  ["another package in node", "node/src/A.ts", `import "@effect/rpc"`, "node may not import @effect/rpc"],
  ["a path out of a package", "node/src/A.ts", `import "../test/B.ts"`, "../test/B.ts leads out of packages/node/src"],
  ["wire to framing", "core/src/wire/A.ts", `import "../framing/B.ts"`, "wire/ may not import framing/B.ts"],
  ["wire to the top level", "core/src/wire/A.ts", `import "../Export.ts"`, "wire/ may not import Export.ts"],
  [
    "framing to handshake",
    "core/src/framing/A.ts",
    `import "../handshake/B.ts"`,
    "framing/ may not import handshake/B.ts"
  ],
  ["framing to Export", "core/src/framing/A.ts", `import "../Export.ts"`, "framing/ may not import Export.ts"],
  [
    "handshake to transmission",
    "core/src/handshake/A.ts",
    `import "../transmission/B.ts"`,
    "handshake/ may not import transmission/B.ts"
  ],
  ["handshake to Handle", "core/src/handshake/A.ts", `import "../Handle.ts"`, "handshake/ may not import Handle.ts"],
  [
    "transmission to handshake",
    "core/src/transmission/A.ts",
    `import "../handshake/B.ts"`,
    "transmission/ may not import handshake/B.ts"
  ],
  [
    "transmission to framing",
    "core/src/transmission/A.ts",
    `import "../framing/B.ts"`,
    "transmission/ may not import framing/B.ts"
  ],
  ["Export upwards", "core/src/Export.ts", `import "./handshake/B.ts"`, "Export.ts may not import handshake/B.ts"],
  ["the barrel in core", "core/src/A.ts", `import "./index.ts"`, "nothing inside core imports its barrel index.ts"],
  ["a folder without a rule", "core/src/misc/A.ts", `import "./B.ts"`, "no import rule for the folder of misc/A.ts"],
  [
    "@effect/cli outside its corner",
    "cli/src/A.ts",
    `import "@effect/cli/Command"`,
    "@effect/cli belongs in packages/cli/src/main.ts and packages/cli/src/commands"
  ],
  ...packagesOf(repositoryRoot).flatMap((name) => [
    [`effect's barrel in ${name}`, `${name}/src/A.ts`, `import { Effect } from "effect"`, barrelMessage],
    [`inline types of the barrel in ${name}`, `${name}/src/A.ts`, `import { type Effect } from "effect"`, barrelMessage]
  ])
]

for (const [what, path, text, message] of offences) {
  test(`reports ${what}`, () => {
    assert.deepEqual(violationsIn({ ...allowed, [path]: `// a comment\n${text}` }), [`packages/${path}:2 ${message}`])
  })
}

test("reports a cycle once, with the way round", () => {
  const way = ["A", "B", "C", "A"].map((name) => `packages/node/src/${name}.ts`).join(" -> ")
  assert.deepEqual(
    violationsIn({
      "node/src/A.ts": `export {}\nimport "./B.ts"`,
      "node/src/B.ts": `import type { C } from "./C.ts"`,
      "node/src/C.ts": `export * from "./A.ts"`
    }),
    [`packages/node/src/A.ts:2 import cycle: ${way}`]
  )
})

test("reports a cycle through a package name", () => {
  const found = violationsIn({
    "core/test/a.ts": `import "./b.ts"`,
    "core/test/b.ts": `import "./a.ts"`,
    "cli/src/A.ts": `import "@effect-nbd/cli/B"`,
    "cli/src/B.ts": `import "./A.ts"`
  })
  assert.deepEqual(found.map((line) => line.split(" ")[0]), ["packages/core/test/a.ts:1", "packages/cli/src/A.ts:1"])
})
