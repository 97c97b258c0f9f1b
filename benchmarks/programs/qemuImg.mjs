/**
 * QEMU's block layer, by `qemu-img bench` and `qemu-img convert`. Its NBD driver has at most 16 requests in flight.
 */

/** A prime number of blocks: bench strides over the export, in place of drawing offsets. */
const strideBlocks = 9973

/** About half a second, and not less than a thousand. */
const requestsOf = ({ blockBytes, depth, exportBytes, order, server }, isBrief) =>
  order === "sequential" ?
    exportBytes / blockBytes :
    isBrief ?
    1000 :
    server.delayMillis !== undefined || depth === 1
    ? 5000
    : 25_000

export const qemuBench = {
  name: "qemu-img",
  label: "qemu-img bench",
  needs: ["qemu-img"],
  isFor: ({ kind }) => kind === "requests",
  cannot: ({ server: { transport } }) =>
    transport === "command" || transport === "tls" ? `qemu-img bench is not driven over ${transport}` : undefined,
  command: (workload, { uri }) => [
    "qemu-img",
    "bench",
    "-f",
    "raw",
    "-t",
    "none",
    ...(workload.direction === "write" ? ["-w"] : []),
    "-c",
    `${requestsOf(workload, workload.isBrief)}`,
    "-d",
    `${workload.depth}`,
    "-s",
    `${workload.blockBytes}`,
    ...(workload.order === "random" ? ["-S", `${workload.blockBytes * strideBlocks}`] : []),
    uri
  ],
  read: (workload, { cpuSeconds, maxRssBytes, stdout }) => {
    const operations = requestsOf(workload, workload.isBrief)
    const seconds = Number(/completed in ([\d.]+) seconds/.exec(stdout)?.[1])
    return { operations, seconds, cpuMicros: cpuSeconds * 1e6 / operations, maxRssBytes }
  }
}

export const qemuConvert = {
  name: "qemu-img",
  label: "qemu-img convert",
  needs: ["qemu-img"],
  isFor: ({ kind }) => kind === "copy",
  cannot: ({ to }) => to === "null" ? "qemu-img convert has no null:" : undefined,
  // -n: the destination is there already, where it is an export.
  command: ({ to }, { destination, source }) => [
    "qemu-img",
    "convert",
    "-f",
    "raw",
    "-O",
    "raw",
    ...(to === "nbd" ? ["-n"] : []),
    source,
    destination
  ],
  read: (_workload, { cpuSeconds, maxRssBytes, seconds }) => ({
    operations: 1,
    seconds,
    cpuMicros: cpuSeconds * 1e6,
    maxRssBytes
  })
}
