/**
 * The nbdkit of one workload, and how to reach it.
 *
 * Exports in memory are filled before anything is measured: one that was never written would be a hole, which some
 * clients are told of and others have to receive as zeroes.
 */
import { readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { run, start } from "./process.mjs"

/** Its default of 16 threads would be the limit of everything with more requests than that in flight. */
const usualThreads = 64

/** Calls `use` with the target: how to reach an export as the workload's `server` describes it. */
export const withServer = async (server, places, use) => {
  const plugin = await pluginOf(server, places)
  const filters = server.delayMillis === undefined ? [] : ["--filter=delay"]
  const parameters = server.delayMillis === undefined ? [] : ["rdelay", "wdelay"].map(
    (name) => `${name}=${server.delayMillis}ms`
  )
  const options = [
    "--exit-with-parent",
    "-t",
    `${server.threads ?? usualThreads}`,
    ...(server.replies === "simple" ? ["--no-sr"] : []),
    ...filters
  ]
  const transport = server.transport
  // Every client runs it for itself.
  if (transport === "command") {
    return use({ transport, command: ["nbdkit", "-s", ...options, ...plugin, ...parameters] })
  }
  const target = await addressOf(server, places)
  const listen = transport === "unix" ? ["-U", target.path] : ["-i", "127.0.0.1", "-p", `${target.port}`]
  const tls = transport === "tls" ? ["--tls=require", `--tls-certificates=${target.tls.folder}`] : []
  const pidFile = join(places.sockets, "pid")
  const child = start(["nbdkit", "-f", "-P", pidFile, ...listen, ...tls, ...options, ...plugin, ...parameters])
  try {
    await isReady(pidFile, child)
    if (server.isFilled) await fill(target, server.bytes)
    return await use(target)
  } finally {
    await child.stop()
    for (const file of [pidFile, target.path]) if (file !== undefined) rmSync(file, { force: true })
  }
}

/** nbdkit's plugin and its parameters. */
const pluginOf = async ({ bytes, disk, file, plugin, seed }, places) => {
  if (file !== undefined) return ["file", file]
  if (disk !== undefined) return ["file", await places.disk(disk)]
  // Random, but the same every time: data and holes in turn, half of it each, 64 KiB long on average.
  if (plugin === "sparse-random") return [plugin, `${bytes}`, `seed=${seed}`, "percent=50", "runlength=65536"]
  return [plugin, `${bytes}`]
}

let sockets = 0

const addressOf = async ({ transport }, places) => {
  if (transport === "unix") {
    const path = join(places.sockets, `socket${++sockets}`)
    return { transport, path, uri: `nbd+unix:///?socket=${path}` }
  }
  const port = await freePort()
  if (transport === "tcp") return { transport, host: "127.0.0.1", port, uri: `nbd://127.0.0.1:${port}` }
  const { authority, folder } = await places.certificates()
  return {
    transport,
    host: "localhost",
    port,
    uri: `nbds://localhost:${port}`,
    tls: { authority, folder }
  }
}

/** nbdkit writes the file once it listens. */
const isReady = async (pidFile, child) => {
  for (let attempt = 0; attempt < 1000 && child.isRunning(); attempt++) {
    if (readable(pidFile)) return
    await sleep(10)
  }
  throw new Error(`nbdkit did not start: ${child.said()}`)
}

const readable = (file) => {
  try {
    return readFileSync(file, "utf8").endsWith("\n")
  } catch {
    return false
  }
}

const fill = (target, bytes) =>
  run([
    "nbdcopy",
    "--no-extents",
    "--",
    "[",
    "nbdkit",
    "--exit-with-parent",
    "pattern",
    `${bytes}`,
    "]",
    uriFor(target)
  ])

/** The URI with what libnbd's own tools want to be told in it. */
export const uriFor = ({ tls, uri }) => tls === undefined ? uri : `${uri}/?tls-certificates=${tls.folder}`

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
