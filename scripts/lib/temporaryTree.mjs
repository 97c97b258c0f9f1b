/**
 * Trees of files for the tests of the scripts.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

/** Calls `use` with the folder of a tree made of these files (path to text), and removes it afterwards. */
export const withTree = (files, use) => {
  const root = mkdtempSync(join(tmpdir(), "effect-nbd-scripts-"))
  try {
    for (const [path, text] of Object.entries(files)) {
      const file = join(root, path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    return use(root)
  } finally {
    rmSync(root, { recursive: true })
  }
}
