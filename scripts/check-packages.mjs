/**
 * Looks at each package as its users will get it: packs it, then runs publint on the tarball and, over every module
 * that the package exports, "are the types wrong".
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { isMain, packagesOf, report, repositoryRoot } from "./lib/sources.mjs"

const require = createRequire(import.meta.url)

/** The file that a tool's command starts. */
const binOf = (tool, command) => {
  const manifest = join(repositoryRoot, "node_modules", tool, "package.json")
  const { bin } = JSON.parse(readFileSync(manifest, "utf8"))
  return require.resolve(join(dirname(manifest), typeof bin === "string" ? bin : bin[command]))
}

/** Runs a command and answers with what it printed; undefined when it succeeded. */
const failureOf = (command, args, cwd) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
  return status === 0 ? undefined : `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trim()
}

/** Packs a package into `folder`, with no script run, and answers with the tarball and the files in it. */
const pack = (directory, folder) => {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder]
  const { error, status, stderr, stdout } = spawnSync("npm", args, { cwd: directory, encoding: "utf8" })
  if (status !== 0) throw new Error(`npm pack failed in ${directory}: ${stderr ?? error?.message}`)
  const answer = JSON.parse(stdout)
  const [{ filename, files }] = Array.isArray(answer) ? answer : Object.values(answer)
  return { tarball: join(folder, filename), files: files.map(({ path }) => path) }
}

/** The entry points that a package exports: by name, or behind "./*", since attw does not expand the star. */
const entryPoints = (manifest, files) => {
  const types = files.filter((file) => /^dist\/.*\.d\.ts$/.test(file)).map((file) => file.slice("dist/".length, -5))
  const named = Object.keys(manifest.exports)
    .filter((name) => name.startsWith("./") && name !== "./package.json" && !name.includes("*"))
    .map((name) => name.slice(2))
  const modules = manifest.exports["./*"] === undefined ? named : types.filter((name) => name !== "index")
  return [...(manifest.exports["."] === undefined ? [] : ["."]), ...modules]
}

/** A line, or what the tool said, for each thing that is wrong with a package. */
const checkPackage = (root, name, folder) => {
  const directory = join(root, "packages", name)
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))
  const { files, tarball } = pack(directory, folder)
  const violations = ["README.md", "LICENSE"].filter((file) => !files.includes(file))
    .map((file) => `packages/${name}/${file} is missing from the package`)
  if (!files.some((file) => file.startsWith("dist/"))) {
    return [...violations, `packages/${name}/dist is missing: run npm run build first`]
  }
  const node = (args) => failureOf(process.execPath, args, folder)
  const publint = node([binOf("publint", "publint"), "run", tarball, "--strict"])
  if (publint !== undefined) violations.push(`packages/${name}: publint\n${publint}`)
  const entries = entryPoints(manifest, files)
  if (entries.length > 0) {
    const options = ["--profile", "esm-only", "--no-color", "--no-emoji", "--format", "ascii", "--entrypoints"]
    const attw = node([binOf("@arethetypeswrong/cli", "attw"), tarball, ...options, ...entries])
    if (attw !== undefined) violations.push(`packages/${name}: attw\n${attw}`)
  }
  return violations
}

export const checkPackages = (root) => {
  const folder = join(root, "build", "packages")
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return packagesOf(root).flatMap((name) => checkPackage(root, name, folder))
}

if (isMain(import.meta)) report("check-packages", checkPackages(repositoryRoot))
