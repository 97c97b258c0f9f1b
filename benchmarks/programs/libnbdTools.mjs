/**
 * libnbd's own programs. They have no clock of their own: the whole process counts, some milliseconds of start included.
 */
import { uriFor } from "../lib/server.mjs"

const wholeProcess = (operations) => ({ cpuSeconds, maxRssBytes, seconds }) => ({
  operations,
  seconds,
  cpuMicros: cpuSeconds * 1e6 / operations,
  maxRssBytes
})

/** One pass over the export: to null:, or from a file in memory. */
export const nbdcopyPass = {
  name: "nbdcopy",
  label: "libnbd (nbdcopy)",
  needs: ["nbdcopy"],
  isFor: ({ order }) => order === "sequential",
  cannot: () => undefined,
  command: ({ blockBytes, depth, direction }, target) => {
    // It runs a program by socket activation: what is in between is a Unix socket then, and no pipe.
    const end = target.command === undefined
      ? [uriFor(target)]
      : ["[", ...target.command.filter((word) => word !== "-s"), "]"]
    return [
      "nbdcopy",
      "--no-extents",
      "--sparse=0",
      "--connections=1",
      `--requests=${depth}`,
      `--request-size=${blockBytes}`,
      `--queue-size=${blockBytes * depth}`,
      "--",
      ...(direction === "read" ? [...end, "null:"] : [target.content, ...end])
    ]
  },
  read: ({ blockBytes, exportBytes }, timing) => wholeProcess(exportBytes / blockBytes)(timing)
}

export const nbdcopy = {
  name: "nbdcopy",
  label: "nbdcopy",
  needs: ["nbdcopy"],
  isFor: ({ kind }) => kind === "copy",
  cannot: () => undefined,
  command: (_workload, { destination, source }) => ["nbdcopy", "--", source, destination],
  read: (_workload, timing) => wholeProcess(1)(timing)
}

/** Asks for the whole map, and adds it up. */
export const nbdinfo = {
  name: "nbdinfo",
  label: "libnbd (nbdinfo)",
  needs: ["nbdinfo"],
  isFor: ({ kind }) => kind === "extents",
  cannot: () => undefined,
  command: (_workload, target) => ["nbdinfo", "--map", "--totals", uriFor(target)],
  read: (_workload, timing, { extents }) => wholeProcess(extents)(timing)
}
