/**
 * From runs to medians, and from medians to a table.
 */

export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What a client's runs come to. Fields that it could not tell stay away. */
export const summarize = (workload, client, runs) => {
  const own = runs.filter((run) => run.workload === workload.name && run.client === client.name)
  const rates = own.map(rateOf)
  const middle = (field) =>
    own.every((run) => run[field] !== undefined) ? median(own.map((run) => run[field])) : undefined
  return {
    client: client.name,
    label: client.label,
    rate: { median: median(rates), least: Math.min(...rates), most: Math.max(...rates) },
    bytesPerSecond: median(rates) * workload.blockBytes,
    ratios: Object.fromEntries(
      ["libnbd", "floor", "vates"].flatMap((to) => {
        const ratio = ratioTo(to, own, runs)
        return ratio === undefined ? [] : [[to, ratio]]
      })
    ),
    cpuMicros: middle("cpuMicros"),
    p50Micros: middle("p50Micros"),
    p99Micros: middle("p99Micros"),
    maxRssBytes: middle("maxRssBytes")
  }
}

const rateOf = ({ operations, seconds }) => operations / seconds

/** Of the same round each time, since the machine has good minutes and bad ones; then the middle of those ratios. */
const ratioTo = (to, own, runs) => {
  const ratios = own.flatMap((run) => {
    const other = runs.find((one) => one.client === to && one.round === run.round && one.workload === run.workload)
    return other === undefined ? [] : [rateOf(run) / rateOf(other)]
  })
  return ratios.length === 0 ? undefined : median(ratios)
}

const known = (value, show) => value === undefined ? "–" : show(value)
const fixed = (digits) => (value) => value.toFixed(digits)
const thousands = (rate) => (rate / 1000).toFixed(rate < 100_000 ? 1 : 0)
const gigabytes = (bytes) => (bytes / 1e9).toFixed(2)

/** Small requests are counted, large ones weighed. */
const rateColumn = ({ blockBytes, order }) =>
  order === "random"
    ? { unit: "thousand/s", show: thousands }
    : { unit: "GB/s", show: (rate) => gigabytes(rate * blockBytes) }

export const table = (workload, summaries) => {
  const { show, unit } = rateColumn(workload)
  const micros = (value) => known(value, fixed(value < 100 ? 1 : 0))
  const rows = [
    ["client", unit, "range", "× libnbd", "× floor", "CPU µs/read", "p50 µs", "p99 µs", "RSS MiB"],
    ...summaries.map(({ cpuMicros, label, maxRssBytes, p50Micros, p99Micros, rate, ratios }) => [
      label,
      show(rate.median),
      `${show(rate.least)}–${show(rate.most)}`,
      known(ratios.libnbd, fixed(2)),
      known(ratios.floor, fixed(2)),
      micros(cpuMicros),
      micros(p50Micros),
      micros(p99Micros),
      known(maxRssBytes, (bytes) => fixed(0)(bytes / 1_048_576))
    ])
  ]
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const line = (row) =>
    `| ${row.map((cell, at) => at === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[at])).join(" | ")} |`
  const rule = `| ${
    widths.map((width, at) => at === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`).join(" | ")
  } |`
  return [`### ${workload.title}`, "", line(rows[0]), rule, ...rows.slice(1).map(line), ""].join("\n")
}
