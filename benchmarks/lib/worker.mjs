/**
 * The process of one run of a JavaScript client: connects, warms up, measures, and prints one line of JSON.
 */
import { clients } from "./clients.mjs"
import { Phase } from "./phase.mjs"

const { client: name, target, workload } = JSON.parse(process.argv[2])
const { entry, module } = clients.find((client) => client.name === name && client.isFor(workload))

const isChecked = workload.kind === "requests" && workload.server.isFilled !== false
const warmUp = new Phase(workload, workload.warmUp, { isChecked })
const measured = new Phase(workload, workload.measured, { isChecked: false })

const client = await import(new URL(`../clients/${module}`, import.meta.url).href)
await client[entry(workload)]({ ...workload, target, phases: [warmUp, measured] })
console.log(JSON.stringify(measured.result))
