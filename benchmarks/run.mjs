/**
 * `npm run bench`: effect-nbd beside the bare-Node floor, libnbd, QEMU and @vates/nbd-client, in one run.
 */
import { existsSync, mkdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { judge } from "./lib/aims.mjs"
import { describeMachine, inWords } from "./lib/machine.mjs"
import { measureAll } from "./lib/measure.mjs"
import { readOptions, usage } from "./lib/options.mjs"
import { withPlaces } from "./lib/places.mjs"
import { endAll, isInstalled, run } from "./lib/process.mjs"
import { writeResults } from "./lib/results.mjs"
import { aimsTable, table } from "./lib/tables.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What has to be there before anything can be measured: the server, what fills it, and our own packages, built. */
const prepare = async ({ isBuilt }) => {
  for (const program of ["nbdkit", "nbdcopy"]) {
    if (!await isInstalled(program)) throw new Error(`${program} is missing; ${advice}`)
  }
  if (!isBuilt) await run(["npm", "run", "--silent", "build"], { cwd: root })
}

const advice = "on Debian: apt-get install nbdkit libnbd-bin fio qemu-utils gnutls-bin"

/** Why each program or peer that is not there is missing. */
const missing = async (clients, workloads, { quick }) => {
  const wanted = [...new Set(clients.flatMap(({ needs }) => needs))]
  const found = new Map()
  for (const name of [...wanted, ...workloads.some(needsTls) ? ["certtool"] : []]) {
    if (!await isInstalled(name)) found.set(name, `${name} is missing`)
  }
  if (process.env.CI === "true" && found.size > 0) throw new Error(`${[...found.values()].join(", ")}; ${advice}`)
  const peer = clients.some(({ name }) => name === "vates") ? await peerFailure(quick) : undefined
  if (peer !== undefined) found.set("vates", peer)
  return found
}

const needsTls = ({ server }) => server?.transport === "tls"

/** The peer is nobody's dependency but the benchmark's, so it is installed here, when it is asked for. */
const peerFailure = async (quick) => {
  if (existsSync(new URL("node_modules/@vates/nbd-client", import.meta.url))) return undefined
  if (quick) return "not installed, and a quick run installs nothing"
  const args = ["ci", "--prefix", "benchmarks", "--ignore-scripts", "--no-audit", "--no-fund"]
  return run(["npm", ...args], { cwd: root }).then(() => undefined, (error) => error.message)
}

/** Who of the workload's clients takes part, and why the others do not. */
const castOf = (workload, clients, gone) => {
  const meant = clients.filter((client) => workload.clients.includes(client.name) && client.isFor(workload))
  const cast = meant.map((client) => ({
    client,
    reason: (needsTls(workload) ? gone.get("certtool") : undefined) ??
      [client.name, ...client.needs].map((name) => gone.get(name)).find((reason) => reason !== undefined) ??
      client.cannot(workload)
  }))
  return {
    able: cast.filter(({ reason }) => reason === undefined).map(({ client }) => client),
    absent: cast.filter(({ reason }) => reason !== undefined).map(({ client: { label, name }, reason }) => ({
      name,
      label,
      reason
    }))
  }
}

const report = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

const minutes = (since) => `${((performance.now() - since) / 60_000).toFixed(1)} min`

const main = async () => {
  const options = readOptions(process.argv.slice(2))
  if (options.help) return console.log(usage)
  if (options.profile !== undefined) mkdirSync(options.profile, { recursive: true })
  await prepare(options)
  const gone = await missing(options.clients, options.workloads, options)
  for (const reason of gone.values()) console.error(`skipped: ${reason}`)
  const machine = await describeMachine()
  console.log(`${inWords(machine)}\n`)

  const began = performance.now()
  const results = []
  await withPlaces(async (places) => {
    for (const [at, workload] of options.workloads.entries()) {
      const { able, absent } = castOf(workload, options.clients, gone)
      const rounds = options.roundsOf(workload)
      const measured = able.length === 0
        ? { clients: [], absent: [] }
        : await measureAll(workload, able, { ...options, places, report, rounds })
      const result = {
        workload: { ...workload, rounds },
        clients: measured.clients,
        absent: [...absent, ...measured.absent]
      }
      results.push(result)
      report("")
      console.log(table(result))
      console.error(`${at + 1} of ${options.workloads.length} workloads, ${minutes(began)}`)
      if (options.json !== undefined) writeResults(options.json, { machine, quick: options.quick, results })
    }
  })
  if (options.quick) console.log("Every client works. A quick run is too short for its numbers to mean anything.")
  else {
    const rows = judge(results).filter(({ measured }) => measured.length > 0)
    if (rows.length > 0) console.log(`### The aims\n\n${aimsTable(rows)}`)
  }
}

for (const event of ["SIGINT", "SIGTERM", "exit"]) process.once(event, endAll)

main().catch((error) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
