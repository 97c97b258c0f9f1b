/**
 * Who is measured. A client is either a module that a worker process loads, or a program of another language with
 * a way to read its answer. Every answer has the same fields; those a client cannot tell are left out.
 */

const uriOf = ({ path, host, port }) => path === undefined ? `nbd://${host}:${port}` : `nbd+unix:///?socket=${path}`

const fio = {
  name: "libnbd",
  label: "libnbd (fio)",
  program: "fio",
  supports: ({ order }) => order === "random",
  // --thread: one process, so that its processor time and memory are all there is. Not prepared for a sequential
  // workload, where nbdcopy is what people use.
  command: ({ blockBytes, depth, direction, measured, warmUp }, target) => [
    "fio",
    "--thread",
    "--name=benchmark",
    "--ioengine=nbd",
    `--uri=${uriOf(target)}`,
    `--rw=rand${direction}`,
    `--bs=${blockBytes}`,
    `--iodepth=${depth}`,
    "--norandommap",
    "--time_based",
    `--ramp_time=${warmUp.seconds * 1000}ms`,
    `--runtime=${measured.seconds * 1000}ms`,
    "--percentile_list=50:99",
    "--output-format=json"
  ],
  read: ({ direction }, { stdout }) => {
    const job = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs[0]
    const { clat_ns: latency, runtime, total_ios: operations } = job[direction]
    // fio tells processor time as a share of the job's time.
    const cpuMicros = (job.usr_cpu + job.sys_cpu) / 100 * job.job_runtime * 1000
    return {
      operations,
      seconds: runtime / 1000,
      cpuMicros: cpuMicros / operations,
      p50Micros: latency.percentile["50.000000"] / 1000,
      p99Micros: latency.percentile["99.000000"] / 1000
    }
  }
}

const nbdcopy = {
  name: "libnbd",
  label: "libnbd (nbdcopy)",
  program: "nbdcopy",
  supports: ({ direction, order }) => order === "sequential" && direction === "read",
  command: ({ blockBytes, depth }, target) => [
    "nbdcopy",
    "--no-extents",
    "--connections=1",
    `--requests=${depth}`,
    `--request-size=${blockBytes}`,
    uriOf(target),
    "null:"
  ],
  // The whole process counts: it has no other clock, and starts in a few milliseconds.
  read: ({ blockBytes, exportBytes }, { cpuSeconds, seconds }) => {
    const operations = exportBytes / blockBytes
    return { operations, seconds, cpuMicros: cpuSeconds * 1e6 / operations }
  }
}

const reads = ({ direction }) => direction === "read"

/** In the order in which they take turns. Ratios are to the clients named `libnbd` and `floor`. */
export const clients = [
  { name: "ours", label: "effect-nbd read", module: "ours.mjs", entry: "read", supports: reads },
  { name: "ours-into", label: "effect-nbd readInto", module: "ours.mjs", entry: "readInto", supports: reads },
  { name: "floor", label: "bare Node loop (floor)", module: "floor.mjs", entry: "read", supports: reads },
  fio,
  nbdcopy,
  { name: "vates", label: "@vates/nbd-client", module: "vates.mjs", entry: "read", supports: reads }
]
