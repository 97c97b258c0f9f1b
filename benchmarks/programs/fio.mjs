/**
 * libnbd, driven by fio's nbd engine.
 */
import { dirname, join } from "node:path"

export const fio = {
  name: "fio",
  label: "libnbd (fio)",
  needs: ["fio"],
  isFor: ({ kind }) => kind === "requests",
  cannot: ({ server }) => server.transport === "command" ? "fio has no stdin/stdout" : undefined,
  // --thread: one process, so that its processor time and memory are all there is.
  command: ({ blockBytes, depth, direction, exportBytes, measured, order, warmUp }, { uri }) => [
    "fio",
    "--thread",
    "--name=benchmark",
    "--ioengine=nbd",
    `--uri=${uri}`,
    `--rw=${order === "random" ? "rand" : ""}${direction}`,
    `--bs=${blockBytes}`,
    `--iodepth=${depth}`,
    // Without it every write would change its bytes first, which no other client does.
    "--scramble_buffers=0",
    ...(measured.seconds === undefined
      ? [`--size=${exportBytes}`]
      : [
        "--norandommap",
        "--time_based",
        `--ramp_time=${warmUp.seconds * 1000}ms`,
        `--runtime=${measured.seconds * 1000}ms`
      ]),
    "--percentile_list=50:99",
    "--output-format=json"
  ],
  // It does not let its URI name files, but libnbd looks for certificates at home.
  env: ({ tls }) => tls === undefined ? process.env : { ...process.env, HOME: join(dirname(tls.folder), "home") },
  read: ({ direction }, { maxRssBytes, stdout }) => {
    const job = JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs[0]
    const { clat_ns: latency, runtime, total_ios: operations } = job[direction]
    // fio tells processor time as a share of the job's time.
    const cpuMicros = (job.usr_cpu + job.sys_cpu) / 100 * job.job_runtime * 1000
    return {
      operations,
      seconds: runtime / 1000,
      cpuMicros: cpuMicros / operations,
      p50Micros: latency.percentile["50.000000"] / 1000,
      p99Micros: latency.percentile["99.000000"] / 1000,
      maxRssBytes
    }
  }
}
