/**
 * What the numbers were measured on and with. No names and no paths of the machine.
 */
import { readFileSync } from "node:fs"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { run } from "./process.mjs"

/** The number in what a program says of its version. */
const programVersion = (program) =>
  run([program, "--version"]).then(({ stdout }) => /\d+(\.\d+)+/.exec(stdout)?.[0], () => undefined)

const manifestVersion = (file) => {
  try {
    return JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")).version
  } catch {
    return undefined
  }
}

/** The commit that was measured, marked where files differ from it. */
const commit = () =>
  run(["git", "describe", "--always", "--dirty", "--exclude=*"], { cwd: fileURLToPath(new URL(".", import.meta.url)) })
    .then(({ stdout }) => stdout.trim(), () => undefined)

export const describeMachine = async () => ({
  date: new Date().toISOString(),
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  system: `${os.type()} ${os.release()}`,
  loadAverage: os.loadavg()[0],
  versions: {
    "effect-nbd": await commit(),
    node: process.versions.node,
    effect: manifestVersion("../../node_modules/effect/package.json"),
    nbdkit: await programVersion("nbdkit"),
    nbdcopy: await programVersion("nbdcopy"),
    fio: await programVersion("fio"),
    "qemu-img": await programVersion("qemu-img"),
    "@vates/nbd-client": manifestVersion("../node_modules/@vates/nbd-client/package.json")
  }
})

/** The same in two lines. */
export const inWords = ({ cores, cpu, date, loadAverage, memoryGiB, system, versions }) =>
  [
    [
      date.slice(0, 10),
      cpu,
      `${cores} cores`,
      `${memoryGiB} GiB`,
      system,
      `load average ${loadAverage.toFixed(2)} at the start`
    ],
    Object.entries(versions).map(([name, version]) => `${name} ${version ?? "–"}`)
  ].map((facts) => facts.join(" · ")).join("\n")
