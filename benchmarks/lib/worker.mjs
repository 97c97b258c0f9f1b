/**
 * The process of one run of a JavaScript client: connects, warms up, measures, and prints one line of JSON.
 */
import { writeFileSync } from "node:fs"
import { Session } from "node:inspector"
import { clients } from "./clients.mjs"
import { Phase } from "./phase.mjs"

const { client: name, profile, target, workload } = JSON.parse(process.argv[2])
const { entry, module } = clients.find((client) => client.name === name && client.isFor(workload))

const isChecked = workload.kind === "requests" && workload.server.isFilled !== false
const warmUp = new Phase(workload, workload.warmUp, { isChecked })
const measured = new Phase(workload, workload.measured, { isChecked: false })

/** Has V8 look on from the beginning of what is measured to its end. */
const profiled = (phase, file) => {
  const session = new Session()
  session.connect()
  const post = (method, onResult = () => {}) =>
    session.post(method, (error, result) => {
      if (error !== null) throw error
      onResult(result)
    })
  post("Profiler.enable")
  const { begin, end } = phase
  phase.begin = () => {
    post("Profiler.start")
    begin.call(phase)
  }
  phase.end = () => {
    end.call(phase)
    post("Profiler.stop", (result) => writeFileSync(file, JSON.stringify(result.profile)))
  }
}

if (profile !== undefined) profiled(measured, profile)

const client = await import(new URL(`../clients/${module}`, import.meta.url).href)
await client[entry(workload)]({ ...workload, target, phases: [warmUp, measured] })
console.log(JSON.stringify(measured.result))
