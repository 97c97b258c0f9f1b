import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { readOptions } from "../lib/options.mjs"
import { isInstalled } from "../lib/process.mjs"

const program = fileURLToPath(new URL("../run.mjs", import.meta.url))
const programs = ["nbdkit", "nbdcopy", "nbdinfo", "fio", "qemu-img", "certtool"]
const missing = (await Promise.all(programs.map(async (name) => await isInstalled(name) ? [] : [name]))).flat()

/** Runs the benchmark with its folders in one of our own. `onOutput` sees everything that it has said. */
const benchmark = (folder, args, onOutput = () => {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, "--built", ...args], { env: { ...process.env, TMPDIR: folder } })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        said += text
        onOutput(said, child)
      })
    }
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, said }))
  })

describe.skipIf(missing.length > 0 && process.env.CI !== "true")("the benchmark", () => {
  let folder

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bench-test-"))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it("runs every client of every workload, and says why one cannot", { timeout: 240_000 }, async () => {
    const file = join(folder, "results.json")
    const { code, said } = await benchmark(folder, ["--quick", "--json", file])
    expect(code, said).toBe(0)
    const { results } = JSON.parse(readFileSync(file, "utf8"))
    const wanted = readOptions(["--quick"]).workloads
    expect(results.map(({ workload }) => workload.name)).toEqual(wanted.map(({ name }) => name))
    for (const { absent, clients, workload } of results) {
      const ran = clients.filter(({ runs }) => runs.length === 1 && runs[0].operations > 0 && runs[0].seconds > 0)
      const explained = absent.filter(({ reason }) => reason !== "")
      expect(ran.length, workload.name).toBe(clients.length)
      expect(clients.length, workload.name).toBeGreaterThan(0)
      expect(said).toContain(`### ${workload.title}`)
      for (const { label, reason } of explained) expect(said).toContain(`${label} (${reason})`)
    }
    expect(readdirSync(folder)).toEqual(["results.json"])
  })

  it("leaves nothing behind when it is interrupted", { timeout: 60_000 }, async () => {
    let isInterrupted = false
    const { code, said } = await benchmark(folder, ["--quick", "--only", "random-read"], (said, child) => {
      if (!isInterrupted && said.includes("1 of ")) isInterrupted = child.kill("SIGINT")
    })
    expect(code, said).toBe(1)
    expect(isInterrupted).toBe(true)
    expect(readdirSync(folder)).toEqual([])
  })
})
