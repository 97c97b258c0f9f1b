/**
 * The ends of a copy: a file in memory, served or not, and an empty one of the same size, or none.
 */
import { closeSync, openSync, readSync, rmSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { check } from "./pattern.mjs"
import { withServer } from "./server.mjs"

/** The target of a copy is `{ source, destination }`, as every client's command line takes them. */
export const withCopy = async ({ disk, from, to }, places, use) => {
  const original = await places.disk(disk)
  const copied = join(places.files, "copy")
  const withSource = from === "file" ? (next) => next(original) : (next) => served(original, places, next)
  try {
    return await withSource((source) => {
      if (to === "null") {
        return use({ target: { source, destination: "null:" }, reset: () => {}, verify: () => {} })
      }
      const verify = () => verifyCopy(copied, disk)
      if (to === "file") {
        return use({
          target: { source, destination: copied },
          reset: () => rmSync(copied, { force: true }),
          verify
        })
      }
      const reset = () => {
        truncateSync(copied, 0)
        truncateSync(copied, disk.bytes)
      }
      closeSync(openSync(copied, "w"))
      reset()
      return served(copied, places, (destination) => use({ target: { source, destination }, reset, verify }))
    })
  } finally {
    rmSync(copied, { force: true })
  }
}

const served = (file, places, use) => withServer({ transport: "unix", file }, places, ({ uri }) => use(uri))

const probes = 64
const probeBytes = 4096

/** Looks at the copy in some places, and that what has to be empty was left so. */
const verifyCopy = (copied, { bytes, chunks, kind }) => {
  const { blocks, size } = statSync(copied)
  if (size !== bytes) throw new Error(`the copy has ${size} bytes, not ${bytes}`)
  const file = openSync(copied, "r")
  try {
    const probe = Buffer.alloc(probeBytes)
    const distance = bytes / (kind === "sparse" ? chunks : probes)
    for (let at = 0; at < bytes; at += distance) {
      readSync(file, probe, 0, probeBytes, at)
      check(probe, at, probeBytes)
    }
  } finally {
    closeSync(file)
  }
  // In blocks of 512 bytes, whatever the file system's are. A sparse copy may keep more than the data, but not all.
  if (kind === "sparse" && blocks * 512 > bytes / 2) throw new Error("the copy of a sparse disk is not sparse")
}
