/**
 * `npm run bench`: effect-nbd beside the bare-Node floor, libnbd and @vates/nbd-client, in one run.
 *
 * Every client has a process of its own, and they take turns: A B C, A B C. A round has one server, started and filled
 * for it. The first round warms the machine up and is not counted.
 */
import { existsSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describeMachine, inWords } from "./lib/machine.mjs"
import { readOptions, usage } from "./lib/options.mjs"
import { isInstalled, run, timed } from "./lib/process.mjs"
import { summarize, table } from "./lib/report.mjs"
import { withServer } from "./lib/server.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const worker = fileURLToPath(new URL("lib/worker.mjs", import.meta.url))

/** What has to be there before anything can be measured: the server, what fills it, and our own packages, built. */
const prepare = async () => {
  for (const program of ["nbdkit", "nbdcopy"]) {
    if (!await isInstalled(program)) {
      throw new Error(`${program} is missing; on Debian: apt-get install nbdkit libnbd-bin fio`)
    }
  }
  await run(["npx", "tsc", "-b", "packages/node/tsconfig.src.json"], { cwd: root })
}

/** The clients that can run here, and a line for each that cannot. */
const available = async (wanted) => {
  const found = []
  for (const client of wanted) {
    const failure = client.name === "vates"
      ? await installPeer()
      : client.program !== undefined && !await isInstalled(client.program)
      ? `${client.program} is missing`
      : undefined
    if (failure === undefined) found.push(client)
    else if (process.env.CI === "true") throw new Error(`${client.label}: ${failure}`)
    else console.error(`skipped ${client.label}: ${failure}`)
  }
  return found
}

/** The peer is nobody's dependency but the benchmark's, so it is installed here, when it is asked for. */
const installPeer = async () => {
  if (existsSync(new URL("node_modules/@vates/nbd-client", import.meta.url))) return undefined
  const args = ["ci", "--prefix", "benchmarks", "--ignore-scripts", "--no-audit", "--no-fund"]
  return run(["npm", ...args], { cwd: root }).then(() => undefined, (error) => error.message)
}

/** One run of one client: what it measured of itself. */
const measure = async (client, workload, target) => {
  if (client.command !== undefined) {
    const timing = await timed(client.command(workload, target))
    const { maxRssBytes } = timing
    return { ...client.read(workload, timing), ...(maxRssBytes && { maxRssBytes }) }
  }
  const job = JSON.stringify({ client: client.name, target, workload })
  const { stdout } = await run([process.execPath, worker, job])
  return JSON.parse(stdout)
}

/** All rounds of one workload; the warm-up round is number 0. */
const measureAll = async (workload, clients, { quick, rounds }) => {
  const runs = []
  for (let round = quick ? 1 : 0; round <= rounds; round++) {
    await withServer(workload, async (target) => {
      for (const client of clients) {
        progress(`${workload.name}: round ${round} of ${rounds}, ${client.label}`)
        const result = await measure(client, workload, target)
        if (!(result.operations > 0 && result.seconds > 0)) throw new Error(`${client.label} did nothing`)
        if (round > 0) runs.push({ workload: workload.name, client: client.name, round, ...result })
      }
    })
  }
  progress("")
  return runs
}

const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

const main = async () => {
  const options = readOptions(process.argv.slice(2))
  if (options.help) return console.log(usage)
  await prepare()
  const clients = await available(options.clients)
  const machine = await describeMachine()
  console.log(`${inWords(machine)}\n`)

  const runs = []
  const results = []
  for (const workload of options.workloads) {
    const able = clients.filter((client) => client.supports(workload))
    const own = await measureAll(workload, able, options)
    const summaries = able.map((client) => summarize(workload, client, own))
    runs.push(...own)
    results.push({ workload, summaries })
    console.log(table(workload, summaries))
  }
  if (options.quick) console.log("Every client works. A quick run is too short for its numbers to mean anything.")
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ machine, quick: options.quick, results, runs }, undefined, 2)}\n`)
  }
}

main().catch((error) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
