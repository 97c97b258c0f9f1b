/**
 * The folders of a run: one for sockets and keys, one for files. Both are private, and gone when the run is over.
 *
 * Files are kept in memory where the system offers that (/dev/shm), since it is clients that are compared, not disks.
 */
import { accessSync, closeSync, constants, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeCertificates } from "./certificates.mjs"
import { pattern } from "./pattern.mjs"
import { run } from "./process.mjs"

const chunkBytes = 1_048_576

export const withPlaces = async (use) => {
  const sockets = mkdtempSync(join(tmpdir(), "nbd-bench-"))
  const files = mkdtempSync(join(isWritable("/dev/shm") ? "/dev/shm" : tmpdir(), "nbd-bench-"))
  const made = new Map()
  let certificates
  const clear = () => {
    for (const folder of [sockets, files]) rmSync(folder, { recursive: true, force: true })
  }
  process.once("exit", clear)
  try {
    return await use({
      sockets,
      files,
      certificates: () => certificates ??= makeCertificates(sockets),
      /** The path of a file with content; made when it is first asked for. */
      disk: (shape) => {
        const name = join(files, `${shape.kind}-${shape.bytes}`)
        if (!made.has(name)) made.set(name, makers[shape.kind](name, shape))
        return made.get(name)
      }
    })
  } finally {
    process.removeListener("exit", clear)
    clear()
  }
}

const isWritable = (folder) => {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Files that hold the pattern, everywhere or in `chunks` pieces of 1 MiB at equal distances. */
const makers = {
  dense: async (name, { bytes }) => {
    await run(["nbdcopy", "--", "[", "nbdkit", "--exit-with-parent", "pattern", `${bytes}`, "]", name])
    return name
  },
  sparse: async (name, { bytes, chunks }) => {
    const file = openSync(name, "w")
    ftruncateSync(file, bytes)
    const chunk = Buffer.alloc(chunkBytes)
    for (let at = 0; at < bytes; at += bytes / chunks) writeSync(file, pattern(chunk, at), 0, chunkBytes, at)
    closeSync(file)
    return name
  }
}
