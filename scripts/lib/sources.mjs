/**
 * What the checks share: where the sources are, and how a script reports.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { basename, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"

export const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url))

/** The names of the packages' folders: the workspaces of the root. */
export const packagesOf = (root) =>
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")).workspaces.map((folder) => basename(folder))

/** Those that are libraries: all but the program. */
export const librariesOf = (root) => packagesOf(root).filter((name) => name !== "cli")

/** A path below `root` with forward slashes, as it is printed. */
export const shown = (root, file) => relative(root, file).split(sep).join("/")

/** Every TypeScript file below `folder`, sorted, declarations excepted; none when the folder is not there. */
export const typescriptFiles = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /(?<!\.d)\.ts$/.test(entry.name))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .filter((file) => !file.split(sep).includes("node_modules"))
      .toSorted()
    : []

export const lineOf = (sourceFile, position) => sourceFile.getLineAndCharacterOfPosition(position).line + 1

/** Whether the module was started by `node`, and not imported, by its test for example. */
export const isMain = (meta) =>
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(meta.url)

/** Prints a line for each violation and makes the process fail if there is one. */
export const report = (name, violations) => {
  for (const violation of violations) console.error(violation)
  if (violations.length > 0) process.exitCode = 1
  else console.log(`${name}: ok`)
}
