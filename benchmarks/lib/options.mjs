/**
 * The command line of the benchmark.
 */
import { parseArgs } from "node:util"
import { clients } from "./clients.mjs"
import { workloads } from "./workloads.mjs"

export const usage = `Usage: npm run bench -- [options]

  --quick        small sizes, one round: shows that everything works, its numbers mean nothing
  --runs N       counted rounds after the warm-up round (default 5)
  --only NAME    only this workload or client; may be given more than once
  --json FILE    save every run, the medians and what they were measured on
  --help

Workloads: ${workloads({ quick: false }).map(({ name }) => name).join(", ")}
Clients: ${[...new Set(clients.map(({ name }) => name))].join(", ")}`

/** The options, or throws with what is wrong. */
export const readOptions = (args) => {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      runs: { type: "string", default: "5" },
      only: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      help: { type: "boolean", default: false }
    }
  })
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: expected a whole number from 1`)
  const all = workloads(values)
  const isAsked = ({ name }) => values.only.includes(name)
  const stranger = values.only.find((name) => ![...all, ...clients].some((one) => one.name === name))
  if (stranger !== undefined) throw new Error(`--only ${stranger}: no such workload or client\n\n${usage}`)
  return {
    help: values.help,
    json: values.json,
    quick: values.quick,
    rounds: values.quick ? 1 : runs,
    workloads: all.some(isAsked) ? all.filter(isAsked) : all,
    clients: clients.some(isAsked) ? clients.filter(isAsked) : clients
  }
}
