/**
 * Makes one file of the `effect-nbd` program and everything that it uses: of a start of 0.45 s, 0.32 s went into finding
 * and loading 500 modules. What it is made of is named beside it, with the licences.
 */
import { build } from "esbuild"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve, sep } from "node:path"
import { isMain, repositoryRoot } from "./lib/sources.mjs"

/** The package that a bundled file is from: its folder. */
const packageOf = (file) => {
  let folder = dirname(file)
  while (!existsSync(join(folder, "package.json")) || manifestOf(folder).name === undefined) folder = dirname(folder)
  return folder
}

const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))

/** Name, version and licence of a package of others. */
const notice = (folder) => {
  const { license, name, version } = manifestOf(folder)
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
  if (file === undefined) throw new Error(`${name} has no licence file`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`
}

/** Bundles `dist/main.js` of a package, which is there already, into one script beside it. */
const bundle = async (folder) => {
  const { metafile } = await build({
    absWorkingDir: folder,
    entryPoints: [join(folder, "dist", "main.js")],
    outfile: join(folder, "dist", "effect-nbd.cjs"),
    bundle: true,
    platform: "node",
    target: "node20.19",
    format: "cjs",
    // A function of what it needs, so that it can be run by whoever has its compiled code.
    banner: {
      js: `(function (require, filename) { const moduleUrl = require("node:url").pathToFileURL(filename).href;`
    },
    footer: { js: "})" },
    define: { "import.meta.url": "moduleUrl" },
    // Names are kept, for what is told of a defect.
    minifySyntax: true,
    minifyWhitespace: true,
    metafile: true,
    logLevel: "warning"
  })
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file)
  )
  const packages = new Set(used.map((file) => packageOf(resolve(folder, file))))
  const foreign = [...packages].filter((folder) => folder.split(sep).includes("node_modules")).toSorted()
  writeFileSync(join(folder, "dist", "effect-nbd.licences.txt"), foreign.map(notice).join(`\n${"-".repeat(72)}\n\n`))
}

/** Has the bundle's code compiled and kept, as far as a copy needs it. */
const compile = (folder) => {
  const workplace = mkdtempSync(join(tmpdir(), "effect-nbd-"))
  try {
    const file = join(workplace, "file")
    writeFileSync(file, randomBytes(65_536))
    const compiler = join(repositoryRoot, "scripts", "lib", "compile.mjs")
    const program = join(folder, "bin", "program.js")
    execFileSync(process.execPath, [compiler, program, "copy", file, "null:"], { stdio: "inherit" })
  } finally {
    rmSync(workplace, { recursive: true })
  }
}

if (isMain(import.meta)) {
  const folder = join(repositoryRoot, "packages", "cli")
  // V8 knows code that belongs to another bundle by its length alone.
  rmSync(join(folder, "dist", "effect-nbd.compiled"), { force: true })
  await bundle(folder)
  compile(folder)
}
