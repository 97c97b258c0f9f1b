/**
 * What is measured, as data. A new workload is a new row; a client says itself which rows it can do.
 */

const mebibyte = 1_048_576

/**
 * `measured` and `warmUp` end by `seconds` or by `operations`, whichever is given. A sequential workload is measured
 * over exactly one pass, so that nbdcopy, which cannot do anything else, does the same work.
 */
const random = (depth, { quick }) => ({
  direction: "read",
  order: "random",
  transport: "unix",
  depth,
  blockBytes: 4096,
  exportBytes: (quick ? 64 : 1024) * mebibyte,
  warmUp: { seconds: quick ? 0.1 : 0.5 },
  measured: { seconds: quick ? 0.2 : 2 }
})

const sequential = (transport, { quick }) => {
  const blockBytes = 262_144
  const operations = (quick ? 64 : 1024) * mebibyte / blockBytes
  return {
    direction: "read",
    order: "sequential",
    transport,
    depth: 16,
    blockBytes,
    exportBytes: operations * blockBytes,
    warmUp: { operations },
    measured: { operations }
  }
}

export const workloads = (size) => [
  { name: "random-64", title: "4 KiB random reads, 64 in flight, Unix socket", ...random(64, size) },
  { name: "random-1", title: "4 KiB random reads, 1 in flight, Unix socket", ...random(1, size) },
  {
    name: "sequential-unix",
    title: "256 KiB sequential reads, 16 in flight, Unix socket",
    ...sequential("unix", size)
  },
  { name: "sequential-tcp", title: "256 KiB sequential reads, 16 in flight, TCP", ...sequential("tcp", size) }
]
