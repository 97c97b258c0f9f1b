/**
 * The command line of the benchmark.
 */
import { parseArgs } from "node:util"
import { clientsForAims } from "./aims.mjs"
import { clients } from "./clients.mjs"
import { workloads } from "./workloads.mjs"

const names = (list) => [...new Set(list.map(({ name }) => name))]

/** In lines of some 100 columns. */
const wrapped = (words) =>
  words.reduce((lines, word) => {
    const line = `${lines.at(-1)}${word}, `
    return line.length > 100 ? [...lines, `  ${word}, `] : [...lines.slice(0, -1), line]
  }, ["  "]).join("\n").replace(/, $/, "")

export const usage = `Usage: npm run bench -- [options]

  --aims         only the workloads and clients that the aims are about
  --only NAME    only this workload, or those whose names begin so; only this client. May be given more than once
  --runs N       counted rounds (default: 5 of what the aims are about, 3 of the rest and of copies)
  --quick        small sizes, one round, only as many workloads as it takes to run all of the code: shows that
                 everything works, its numbers mean nothing
  --json FILE    save every run and what it was measured on
  --profile DIR  have V8 profile the JavaScript clients; benchmarks/profile.mjs reads what they write there
  --built        do not build first
  --help

Workloads:
${wrapped(names(workloads({ quick: false })))}
Clients:
${wrapped(names(clients))}`

/** The options, or throws with what is wrong. */
export const readOptions = (args) => {
  const { values } = parseArgs({
    args,
    options: {
      aims: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      runs: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      profile: { type: "string" },
      built: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  const runs = values.runs === undefined ? undefined : Number(values.runs)
  if (runs !== undefined && (!Number.isInteger(runs) || runs < 1)) {
    throw new Error(`--runs ${values.runs}: expected a whole number from 1`)
  }
  const all = workloads(values)
  const asked = values.only.map((name) => ({ name, workloads: named(all, name), clients: clientsNamed(name) }))
  const stranger = asked.find(({ clients, workloads }) => clients.length + workloads.length === 0)
  if (stranger !== undefined) throw new Error(`--only ${stranger.name}: no such workload or client\n\n${usage}`)
  const someWorkloads = new Set(asked.flatMap(({ workloads }) => workloads))
  const someClients = new Set(asked.flatMap(({ clients }) => clients))
  return {
    help: values.help,
    json: values.json,
    profile: values.profile,
    isBuilt: values.built,
    quick: values.quick,
    roundsOf: ({ isAim, rounds }) => values.quick ? 1 : runs ?? rounds ?? (isAim ? 5 : 3),
    workloads: chosen(all, someWorkloads, values),
    clients: clients.filter((one) => someClients.size === 0 || someClients.has(one))
  }
}

const chosen = (all, asked, { aims, quick }) => {
  const needed = clientsForAims()
  const some = asked.size > 0 ? all.filter((one) => asked.has(one)) : all.filter((one) => !(quick && one.isVariant))
  return aims
    ? some.filter(({ name }) => needed.has(name)).map((one) => ({
      ...one,
      clients: one.clients.filter((client) => needed.get(one.name).has(client))
    }))
    : some
}

/** The one of that name, or else those whose names begin with it. */
const named = (all, name) => {
  const exact = all.filter((one) => one.name === name)
  return exact.length > 0 ? exact : all.filter((one) => one.name.startsWith(`${name}-`))
}

const clientsNamed = (name) => clients.filter((one) => one.name === name)
