import { describe, expect, it } from "@effect/vitest"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { aims, judge } from "../lib/aims.mjs"
import { chart } from "../lib/chart.mjs"
import { clients } from "../lib/clients.mjs"
import { readOptions } from "../lib/options.mjs"
import { readResults, writeResults } from "../lib/results.mjs"
import { cpuRatio, median, rateRatio, summarize } from "../lib/summary.mjs"
import { table } from "../lib/tables.mjs"
import { workloads } from "../lib/workloads.mjs"

const run = (operations, seconds = 1, more = {}) => ({ operations, seconds, cpuMicros: 2, ...more })

/** Results of one workload; `runs` by the names of clients. */
const resultOf = (name, runs, more = {}) => ({
  workload: { ...workloads({ quick: false }).find((one) => one.name === name), ...more },
  clients: Object.entries(runs).map(([name, runs]) => ({ name, label: `the ${name}`, runs })),
  absent: []
})

const judged = (limit, results) => judge(results).find((row) => row.limit === limit)

describe("what runs come to", () => {
  it("takes the middle one, or the middle of the two in the middle", () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  it("compares within each round, then takes the middle ratio", () => {
    const result = resultOf("random-read-64", {
      read: [run(100), run(10), run(30)],
      floor: [run(200), run(10), run(10)]
    })
    expect(rateRatio(result, "read", "floor")).toBe(1)
    expect(cpuRatio(result, "read", "floor")).toBe(1)
    expect(rateRatio(result, "read", "fio")).toBeUndefined()
  })

  it("leaves out what a client cannot tell", () => {
    const result = resultOf("random-read-64", { fio: [run(10, 1, { p50Micros: 5 }), run(10)] })
    const { maxRssBytes, p50Micros, toFloor, toLibnbd } = summarize(result, result.clients[0])
    expect({ maxRssBytes, p50Micros, toFloor, toLibnbd }).toEqual({
      maxRssBytes: undefined,
      p50Micros: undefined,
      toFloor: undefined,
      toLibnbd: 1
    })
  })

  it("shows times from the best to the worst, and who is missing", () => {
    const result = resultOf("import", { core: [run(1, 0.3), run(1, 0.1), run(1, 0.2)] }, { rounds: 3 })
    result.absent.push({ name: "effect", label: "effect", reason: "lost" })
    const text = table(result)
    expect(text).toContain("| the core | 200 | 100–300 |")
    expect(text).toContain("\n3 rounds, without effect (lost).\n")
    expect(text).not.toContain("× libnbd")
  })
})

describe("the aims", () => {
  it("speak of workloads and clients that exist, and of clients that take part in them", () => {
    const all = workloads({ quick: false })
    for (const { checks } of aims) {
      for (const check of checks) {
        for (const name of check.workloads) {
          const workload = all.find((one) => one.name === name)
          expect(workload?.isAim, name).toBe(true)
          for (const wanted of [...check.ours, ...check.beside]) {
            expect(workload.clients, name).toContain(wanted)
            expect(clients.some((client) => client.name === wanted && client.isFor(workload)), `${name} ${wanted}`)
              .toBe(true)
          }
        }
      }
    }
  })

  it("are reached by all of ours, by some, by none, or not measured", () => {
    const limit = "≥ 1.0 × libnbd (fio)"
    const verdict = (read, readInto) =>
      judged(limit, [resultOf("random-read-64", { read: [run(read)], "read-into": [run(readInto)], fio: [run(100)] })])
    expect(verdict(100, 120)).toMatchObject({ measured: ["read 1.00 ×", "readInto 1.20 ×"], verdict: "reached" })
    expect(verdict(99, 120).verdict).toBe("readInto only")
    expect(verdict(99, 98).verdict).toBe("not reached")
    expect(judged(limit, [])).toMatchObject({ measured: [], verdict: "not measured" })
  })

  it("are not reached by a client that took too long", () => {
    const result = resultOf("copy-sparse-from-file", { nbdcopy: [run(1, 10)] })
    result.absent.push({ name: "effect-nbd", label: "effect-nbd copy", reason: "more than 60 s", isTooSlow: true })
    expect(judge([result]).find(({ measured }) => measured.length > 0))
      .toMatchObject({ measured: ["more than 60 s"], verdict: "not reached" })
  })

  it("compare what should not grow with itself a thousand times as large", () => {
    const of = (name, cpuMicros) => resultOf(name, { ours: [run(10, 1, { cpuMicros })] })
    const verdict = (million) =>
      judged("thousand → million extents: ≤ 1.25 ×", [of("extents-thousand", 4), of("extents-million", million)])
    expect(verdict(5)).toMatchObject({ measured: ["1.25 ×"], verdict: "reached" })
    expect(verdict(5.1).verdict).toBe("not reached")
  })

  it("take the time of effect itself from that of core", () => {
    const result = resultOf("import", { effect: [run(1, 0.2)], "effect-core": [run(1, 0.29)] })
    expect(judged("< 100 ms more", [result])).toMatchObject({ measured: ["90 ms"], verdict: "reached" })
  })
})

describe("saved results", () => {
  it("are what was measured, to four figures", () => {
    const folder = mkdtempSync(join(tmpdir(), "bench-test-"))
    try {
      const file = join(folder, "results.json")
      const results = [resultOf("random-read-64", { read: [run(123_456, 1.234_56)] })]
      writeResults(file, { machine: { date: "2026-01-01" }, quick: false, results })
      const saved = readResults(file)
      expect(saved.machine).toEqual({ date: "2026-01-01" })
      expect(saved.results[0].clients).toEqual([
        { name: "read", label: "the read", runs: [{ operations: 123_456, seconds: 1.235, cpuMicros: 2 }] }
      ])
      expect(saved.results[0].workload.name).toBe("random-read-64")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("are drawn with a bar for each client, words escaped", () => {
    const text = chart(
      [resultOf("random-read-64", { read: [run(10)], floor: [run(20)] }, { title: "a < b" })],
      "of & on"
    )
    expect(text.match(/<rect /g)).toHaveLength(3)
    expect(text).toContain("a &#60; b")
    expect(text).toContain("of &#38; on")
    expect(text).not.toMatch(/NaN|undefined/)
  })
})

describe("the command line", () => {
  it("takes one workload by its name, several by how they begin, and clients", () => {
    const only = (...names) => readOptions(names.flatMap((name) => ["--only", name]))
    expect(only("random-read-64").workloads.map(({ name }) => name)).toEqual(["random-read-64"])
    expect(only("copy-sparse").workloads).toHaveLength(4)
    expect(only("vates").clients.map(({ name }) => name)).toEqual(["vates"])
    expect(only("vates").workloads).toHaveLength(workloads({ quick: false }).length)
  })

  it("has rounds by workload, unless it is told how many", () => {
    const aim = readOptions([]).workloads.find(({ name }) => name === "random-read-64")
    expect(readOptions([]).roundsOf(aim)).toBe(5)
    expect(readOptions(["--runs", "7"]).roundsOf(aim)).toBe(7)
    expect(readOptions(["--quick", "--runs", "7"]).roundsOf(aim)).toBe(1)
  })

  it.each([["--runs", "0"], ["--runs", "x"], ["--only", "nobody"], ["--faster"]])("refuses %s %s", (...args) => {
    expect(() => readOptions(args)).toThrow(args[0])
  })

  it("has the workloads and clients of the aims alone", () => {
    const chosen = readOptions(["--aims"]).workloads
    expect(chosen.every(({ isAim }) => isAim)).toBe(true)
    expect(new Set(chosen.map(({ name }) => name))).toEqual(
      new Set(aims.flatMap(({ checks }) => checks.flatMap((check) => check.workloads)))
    )
    expect(chosen.find(({ name }) => name === "copy-dense-file").clients).toEqual(["effect-nbd", "nbdcopy"])
  })
})
