/**
 * What effect-nbd aims at, as data, and what the results say of it.
 *
 * An aim has checks; a check has the clients of ours that it is about and those beside them, a measured value for each
 * of ours, and a limit.
 */
import { clientOf, cpuRatio, middle, rateRatio } from "./summary.mjs"

const mebibyte = 1_048_576

/** What is allowed to something that should not grow at all, since two measurements are never the same. */
const flat = 1.25

const reads = ["read", "read-into", "read-borrowed", "service"]
const writes = ["write", "service"]
const copyEnds = ["null", "file", "from-file", "nbd"]

const times = (value) => `${value.toFixed(2)} ×`

const atLeast = (workload, ours, to, limit, words = "") => ({
  isOfRates: true,
  workloads: [workload],
  ours,
  beside: [to],
  value: ([result], name) => rateRatio(result, name, to),
  holds: (value) => value >= limit,
  limit: `≥ ${limit.toFixed(1)} × ${nameOf[to]}${words}`,
  show: times
})

const cpuAtMost = (workload, ours, to, limit, words) => ({
  workloads: [workload],
  ours,
  beside: [to],
  value: ([result], name) => cpuRatio(result, name, to),
  holds: (value) => value <= limit,
  limit: `≤ ${limit.toFixed(1)} × ${nameOf[to]}${words}`,
  show: times
})

const grows = (words, from, to, ours, { beside = [], field = "cpuMicros" } = {}) => ({
  workloads: [from, to],
  ours,
  beside,
  value: ([before, after], name) => quotient(fieldOf(after, name, field), fieldOf(before, name, field)),
  holds: (value) => value <= flat,
  limit: `${words}: ≤ ${flat} ×`,
  show: times
})

const fieldOf = (result, name, field) => {
  const client = clientOf(result, name)
  return client && middle(client, field)
}

const quotient = (one, other) => one === undefined || other === undefined ? undefined : one / other

const memoryAtMost = (workload, ours, limit) => ({
  workloads: [workload],
  ours,
  beside: [],
  value: ([result], name) => fieldOf(result, name, "maxRssBytes"),
  holds: (value) => value <= limit * mebibyte,
  limit: `${endsIn(workload)}: ≤ ${limit} MiB`,
  show: (bytes) => `${(bytes / mebibyte).toFixed(0)} MiB`
})

const endsIn = (workload) =>
  `to ${
    { null: "null", file: "a file", "from-file": "nbd from a file", nbd: "nbd" }[
      workload.replace(/^copy-(dense|sparse)-/, "")
    ]
  }`

const loadsWithin = (name, limit) => ({
  workloads: ["import"],
  ours: [name],
  beside: ["effect"],
  value: ([result]) => {
    const [ours, effect] = [fieldOf(result, name, "seconds"), fieldOf(result, "effect", "seconds")]
    return ours === undefined || effect === undefined ? undefined : (ours - effect) * 1000
  },
  holds: (value) => value < limit,
  limit: `< ${limit} ms more`,
  show: (value) => `${value.toFixed(0)} ms`
})

const nameOf = { fio: "libnbd (fio)", nbdcopy: "nbdcopy", floor: "floor", vates: "@vates" }

export const aims = [
  {
    aim: "4 KiB random reads, 64 in flight, Unix socket",
    checks: [
      atLeast("random-read-64", reads, "fio", 1),
      atLeast("random-read-64", reads, "floor", 0.8),
      atLeast("random-read-64", reads, "vates", 3)
    ]
  },
  { aim: "the same, 1 in flight", checks: [atLeast("random-read-1", reads, "fio", 0.8)] },
  { aim: "4 KiB random writes, 64 in flight", checks: [atLeast("random-write-64", writes, "fio", 1)] },
  {
    aim: "256 KiB sequential, one connection",
    checks: [
      atLeast("sequential-read-256k", reads, "nbdcopy", 1, " (read)"),
      atLeast("sequential-read-256k", reads, "floor", 0.9, " (read)"),
      atLeast("sequential-write-256k", writes, "nbdcopy", 1, " (write)"),
      atLeast("sequential-write-256k", writes, "floor", 0.9, " (write)")
    ]
  },
  {
    aim: "copy, dense, 4 GiB, whole process",
    checks: copyEnds.map((end) =>
      atLeast(`copy-dense-${end}`, ["effect-nbd"], "nbdcopy", 1, ` ${endsIn(`copy-dense-${end}`)}`)
    )
  },
  {
    aim: "copy, sparse, 1 TiB with 1 GiB of data",
    checks: copyEnds.map((end) =>
      atLeast(`copy-sparse-${end}`, ["effect-nbd"], "nbdcopy", 1, ` ${endsIn(`copy-sparse-${end}`)}`)
    )
  },
  {
    aim: "256 KiB sequential over TLS",
    checks: [
      atLeast("sequential-read-256k-tls", ["read", "read-into", "read-borrowed"], "nbdcopy", 0.8, " (read)"),
      atLeast("sequential-write-256k-tls", ["write"], "nbdcopy", 0.8, " (write)")
    ]
  },
  {
    aim: "processor time of a 4 KiB read",
    checks: [
      cpuAtMost("random-read-64", reads, "floor", 1.3, " (64 in flight)"),
      cpuAtMost("random-read-1", reads, "floor", 1.3, " (1 in flight)")
    ]
  },
  {
    aim: "processor time of a request or an extent, ×1000",
    checks: [
      grows("1 → 1024 in flight", "random-read-1", "random-read-1024", ["read", "read-into", "read-borrowed"], {
        beside: ["floor"]
      }),
      grows("64 → 1024 in flight", "random-read-64", "random-read-1024", ["read", "read-into", "read-borrowed"], {
        beside: ["floor"]
      }),
      grows("export of 1 GiB → 1 TiB", "random-read-64-gib", "random-read-64-tib", ["read-into"]),
      grows("thousand → million extents", "extents-thousand", "extents-million", ["ours"])
    ]
  },
  {
    aim: "resident memory of a copy of 1 TiB",
    checks: [
      ...copyEnds.map((end) => memoryAtMost(`copy-sparse-${end}`, ["effect-nbd"], 150)),
      grows("4 GiB dense → 1 TiB sparse", "copy-dense-file", "copy-sparse-file", ["effect-nbd"], {
        field: "maxRssBytes"
      })
    ]
  },
  {
    aim: "`import` of core, beside `effect` itself",
    checks: [loadsWithin("effect-core", 100)]
  }
]

/** The clients that the checks about a workload need, by its name. */
export const clientsForAims = () => {
  const needed = new Map()
  for (const { beside, ours, workloads } of aims.flatMap(({ checks }) => checks)) {
    for (const name of workloads) needed.set(name, new Set([...needed.get(name) ?? [], ...ours, ...beside]))
  }
  return needed
}

/** A row for each check: in words, what was measured of each client of ours, and whether that is enough. */
export const judge = (results) =>
  aims.flatMap(({ aim, checks }) =>
    checks.map((check) => {
      const found = check.workloads.map((name) => results.find(({ workload }) => workload.name === name))
      const measured = found.includes(undefined) ? [] : check.ours.flatMap((name) => measuredOf(check, found, name))
      return {
        aim,
        limit: check.limit,
        measured: measured.map(({ name, words }) => check.ours.length > 1 ? `${spoken(name)} ${words}` : words),
        verdict: verdictOf(measured)
      }
    })
  )

/** Whoever took too long has not reached a rate, even if nobody knows by how much. */
const measuredOf = (check, results, name) => {
  const tooSlow = results.flatMap(({ absent }) => absent).find((one) => one.name === name && one.isTooSlow)
  if (tooSlow !== undefined && check.isOfRates) return [{ name, words: tooSlow.reason, holds: false }]
  const value = check.value(results, name)
  return value === undefined ? [] : [{ name, words: check.show(value), holds: check.holds(value) }]
}

const spoken = (name) => ({ "read-into": "readInto", "read-borrowed": "readBorrowed" })[name] ?? name

const verdictOf = (measured) => {
  const reached = measured.filter(({ holds }) => holds)
  if (measured.length === 0) return "not measured"
  if (reached.length === measured.length) return "reached"
  if (reached.length === 0) return "not reached"
  return `${reached.map(({ name }) => spoken(name)).join(", ")} only`
}
