/**
 * The server of one round: nbdkit with the export in memory, filled before anything is measured. An export that was
 * never written would be a hole, which some clients are told of and others have to receive as zeroes.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { run } from "./process.mjs"

/** Its default of 16 threads would be the limit of everything with more requests than that in flight. */
const threads = 64

export const withServer = async ({ exportBytes, transport }, use) => {
  const folder = mkdtempSync(join(tmpdir(), "nbd-bench-"))
  const target = transport === "tcp" ? { host: "127.0.0.1", port: await freePort() } : { path: join(folder, "socket") }
  const listen = target.path === undefined ? ["-i", target.host, "-p", `${target.port}`] : ["-U", target.path]
  const pidFile = join(folder, "pid")
  const args = ["-f", "--exit-with-parent", "-t", `${threads}`, "-P", pidFile, ...listen, "memory", `${exportBytes}`]
  const server = spawn("nbdkit", args, { stdio: ["ignore", "ignore", "pipe"] })
  const ended = new Promise((resolve) => server.once("close", resolve).once("error", resolve))
  let said = ""
  server.stderr.setEncoding("utf8").on("data", (text) => said += text)
  try {
    await isReady(pidFile, server, () => said)
    await fill(target, exportBytes)
    return await use(target)
  } finally {
    server.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

/** nbdkit writes the file once it listens. */
const isReady = async (pidFile, server, said) => {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (server.exitCode !== null || server.signalCode !== null) break
    if (readable(pidFile)) return
    await sleep(10)
  }
  throw new Error(`nbdkit did not start: ${said().trim()}`)
}

const readable = (file) => {
  try {
    return readFileSync(file, "utf8").endsWith("\n")
  } catch {
    return false
  }
}

/** Every eight bytes become their own offset, so that a client's warm-up can check what it was given. */
const fill = (target, exportBytes) => {
  const uri = target.path === undefined ? `nbd://${target.host}:${target.port}` : `nbd+unix:///?socket=${target.path}`
  return run([
    "nbdcopy",
    "--no-extents",
    "--",
    "[",
    "nbdkit",
    "--exit-with-parent",
    "pattern",
    `${exportBytes}`,
    "]",
    uri
  ])
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
