/**
 * The peer as a client of `effect-nbd serve`, where it is installed, which `npm test` does if it can. It enters an
 * export by NBD_OPT_EXPORT_NAME, reads, and verifies no certificate.
 */
import { describe, expect, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeCertificates } from "../lib/certificates.mjs"

const program = fileURLToPath(new URL("../../packages/cli/bin/effect-nbd.js", import.meta.url))
const installed = new URL("../node_modules/@vates/nbd-client/package.json", import.meta.url)

/** Serves for as long as `use` takes; it is given the URI. */
const serving = async (args, use) => {
  const server = spawn(process.execPath, [program, "serve", "--size=1M", "--export=disk", ...args])
  try {
    const [line] = await once(server.stdout, "data")
    return await use(String(line).trim())
  } finally {
    server.kill("SIGTERM")
    if (server.exitCode === null) await once(server, "exit")
  }
}

/** Everything in the export, in blocks of 64 KiB, 16 at a time. */
const readAll = async (options) => {
  const { default: NbdClient } = await import("@vates/nbd-client")
  const client = new NbdClient({ exportname: "disk", ...options })
  await client.connect()
  const blocks = await Promise.all(Array.from({ length: 16 }, (_, index) => client.readBlock(index, 65_536)))
  const { exportSize } = client
  await client.disconnect()
  return { bytes: Buffer.concat(blocks), exportSize }
}

describe.skipIf(!existsSync(installed))("@vates/nbd-client", () => {
  for (const way of ["TCP", "a Unix socket", "TLS"]) {
    it(`reads what was written, over ${way}`, { timeout: 30_000 }, async () => {
      const folder = mkdtempSync(join(tmpdir(), "vates-"))
      try {
        const path = join(folder, "socket")
        const image = join(folder, "image")
        const bytes = randomBytes(1_048_576)
        writeFileSync(image, bytes)
        const certificates = way === "TLS" ? await makeCertificates(folder) : undefined
        const where = way === "a Unix socket" ? [`--unix=${path}`] : ["--port=0"]
        const tls = certificates === undefined ? [] : ["--tls=allow", `--tls-certificates=${certificates.folder}`]
        await serving([...where, ...tls], async (uri) => {
          execFileSync(process.execPath, [program, "copy", image, uri])
          const port = way === "a Unix socket" ? path : Number(new URL(uri).port)
          const cert = certificates === undefined ? {} : { cert: readFileSync(certificates.authority, "utf8") }
          const read = await readAll({ address: "127.0.0.1", port, ...cert })
          expect(read.exportSize).toBe(1_048_576n)
          expect(read.bytes.equals(bytes)).toBe(true)
        })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  }
})
