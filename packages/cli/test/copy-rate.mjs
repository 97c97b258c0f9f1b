/**
 * Prints how long copies of 1 GiB take, side by side with nbdcopy: from nbdkit to null:, to a file, and back. Needs
 * nbdkit and nbdcopy. Each is run three times and the best is taken; files and memory are there before, so that the
 * system's first touch of a page is not what is measured.
 *
 *   node packages/cli/test/copy-rate.mjs
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../bin/effect-nbd.js", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "effect-nbd-"))
const socket = join(folder, "socket")
const file = join(folder, "file")
const uri = `nbd+unix:///?socket=${socket}`

const accepts = async () => {
  const client = connect(socket)
  try {
    await once(client, "connect")
    return true
  } catch {
    return false
  } finally {
    client.destroy()
  }
}

const seconds = (command, ...args) => {
  const start = performance.now()
  const { status } = spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}`)
  return (performance.now() - start) / 1000
}

const best = (command, ...args) => Math.min(...[1, 2, 3].map(() => seconds(command, ...args)))

const server = spawn("nbdkit", ["-f", "-U", socket, "memory", "1G"], { stdio: "inherit" })
try {
  while (!await accepts()) await setTimeout(10)
  spawnSync("dd", ["if=/dev/urandom", `of=${file}`, "bs=1M", "count=1024", "status=none"])
  seconds("nbdcopy", file, uri)
  for (const [from, to] of [[uri, "null:"], [uri, file], [file, uri]]) {
    const ours = best(process.execPath, bin, "copy", from, to)
    const theirs = best("nbdcopy", from, to)
    const start = best(process.execPath, bin, "--version")
    const name = [from, to].map((end) => end === uri ? "export" : end === file ? "file" : end).join(" -> ")
    console.log(
      `${name}: effect-nbd ${ours.toFixed(2)} s (${start.toFixed(2)} s of it to start), nbdcopy ${
        theirs.toFixed(2)
      } s, ` +
        `rate ${(theirs / ours).toFixed(2)} of nbdcopy's, ${(theirs / (ours - start)).toFixed(2)} without the start`
    )
  }
} finally {
  server.kill()
  rmSync(folder, { recursive: true })
}
