/**
 * `npm run soak`: many client processes hammer one `effect-nbd serve` for a while. Each writes and verifies a range of its
 * own, and reads one that all share. It fails on any error, on any byte that is wrong, and when the server's memory grows.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { ownBytes, sharedByte, sharedBytes } from "./soak/layout.mjs"

const usage = `Usage: npm run soak -- [options]

  --clients N   client processes (default: 24)
  --seconds N   how long they go on (default: 60)
  --growth MIB  how much the server's resident memory may grow in the second half (default: 40): V8 takes some more for
                a while, though its heap does not grow
  --tcp         over TCP in place of a Unix socket
  --help

npm run soak builds first; node scripts/soak.mjs runs what there is.`

const program = fileURLToPath(new URL("../packages/cli/bin/effect-nbd.js", import.meta.url))
const client = fileURLToPath(new URL("soak/client.mjs", import.meta.url))
const mebibyte = 1_048_576

const numberOf = (name, text, least) => {
  const number = Number(text)
  if (!Number.isInteger(number) || number < least) throw new Error(`--${name} ${text}: expected a number from ${least}`)
  return number
}

const readOptions = (args) => {
  const { values } = parseArgs({
    args,
    options: {
      clients: { type: "string", default: "24" },
      seconds: { type: "string", default: "60" },
      growth: { type: "string", default: "40" },
      tcp: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  return {
    clients: numberOf("clients", values.clients, 1),
    seconds: numberOf("seconds", values.seconds, 1),
    growth: numberOf("growth", values.growth, -1024),
    tcp: values.tcp,
    help: values.help
  }
}

/** Resident memory of a process in MiB, as Linux tells it. */
const residentOf = (pid) => {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Math.round(Number(kilobytes) / 1024)
}

const serve = async ({ clients, tcp }, folder) => {
  const size = sharedBytes + clients * ownBytes
  const where = tcp ? "--port=0" : `--unix=${join(folder, "socket")}`
  const server = spawn(process.execPath, [program, "serve", where, `--size=${size}`], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const [line] = await once(server.stdout, "data")
  return { server, uri: String(line).trim(), size }
}

/** The shared range, and zeroes behind it: written, so that what the export holds does not grow any more. */
const fill = (uri, size, folder) => {
  const image = join(folder, "image")
  writeFileSync(image, Uint8Array.from({ length: size }, (_, at) => at < sharedBytes ? sharedByte(at) : 0))
  execFileSync(process.execPath, [program, "copy", "--allocated", image, uri])
}

/** A client: `ready` once it can begin, and what it says when it ends, which it may do by dying. */
const hammer = (uri, index, seconds) => {
  const child = spawn(process.execPath, [client, uri, String(index), String(seconds)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  let said = ""
  child.stdout.setEncoding("utf8").on("data", (text) => said += text)
  const ready = Promise.race([once(child.stdout, "data"), once(child, "close")])
  return { child, ready, ended: once(child, "close").then(([code]) => reportOf(index, code, said)) }
}

const reportOf = (index, code, said) =>
  code === 0
    ? JSON.parse(said.slice(said.indexOf("{")))
    : { requests: 0, sessions: 0, bytes: 0, mismatches: [], errors: [`client ${index} ended with ${code}`] }

const sum = (reports, field) => reports.reduce((total, report) => total + report[field], 0)

const soak = async (options) => {
  const { clients, growth, seconds } = options
  const folder = mkdtempSync(join(tmpdir(), "nbd-soak-"))
  const { server, size, uri } = await serve(options, folder)
  const hammers = []
  try {
    fill(uri, size, folder)
    for (let index = 0; index < clients; index++) hammers.push(hammer(uri, index, seconds))
    await Promise.all(hammers.map(({ ready }) => ready))
    for (const { child } of hammers) child.stdin.on("error", () => {}).end("go")
    const first = Math.min(5, seconds / 2)
    await sleep(first * 1000)
    const early = residentOf(server.pid)
    await sleep((seconds / 2 - first) * 1000)
    const middle = residentOf(server.pid)
    await sleep(seconds * 500)
    const late = residentOf(server.pid)
    const reports = await Promise.all(hammers.map(({ ended }) => ended))
    const errors = reports.flatMap(({ errors }) => errors)
    const mismatches = reports.flatMap(({ mismatches }) => mismatches)
    const isServing = server.exitCode === null && server.signalCode === null
    const failures = [
      ...errors,
      ...mismatches.map((one) => `wrong byte: ${JSON.stringify(one)}`),
      ...late - middle > growth ? [`the server's memory grew by ${late - middle} MiB`] : [],
      ...isServing ? [] : ["the server has ended"],
      ...reports.filter(({ requests }) => requests === 0).map(() => "a client did nothing")
    ]
    const result = {
      clients,
      seconds,
      requests: sum(reports, "requests"),
      sessions: sum(reports, "sessions"),
      mebibytes: Math.round(sum(reports, "bytes") / mebibyte),
      errors: errors.length,
      mismatches: mismatches.length,
      residentMebibytes: { early, middle, late }
    }
    console.log(JSON.stringify(result))
    for (const failure of failures) console.error(failure)
    return failures.length === 0 ? 0 : 1
  } finally {
    for (const { child } of hammers) child.kill("SIGKILL")
    server.kill("SIGTERM")
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit")
    rmSync(folder, { recursive: true, force: true })
  }
}

const main = async (args) => {
  try {
    const options = readOptions(args)
    if (options.help) return console.log(usage)
    process.exitCode = await soak(options)
  } catch (error) {
    console.error(`soak: ${error.message}`)
    process.exitCode = 1
  }
}

await main(process.argv.slice(2))
