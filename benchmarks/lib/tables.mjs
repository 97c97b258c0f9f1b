/**
 * Results as Markdown.
 */
import { summarize } from "./summary.mjs"

const known = (value, show) => value === undefined ? "–" : show(value)
const fixed = (digits) => (value) => value.toFixed(digits)

/** Three figures, or all before the point. */
export const figures = (value) => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3)

/** How a rate of operations is shown, by the workload's unit. */
export const rateIn = ({ blockBytes, unit }) =>
  ({
    "thousand/s": (rate) => figures(rate / 1000),
    "million/s": (rate) => figures(rate / 1e6),
    "/s": (rate) => fixed(0)(rate),
    "GB/s": (rate) => fixed(2)(rate * blockBytes / 1e9),
    "s": (rate) => figures(1 / rate),
    "ms": (rate) => fixed(0)(1000 / rate)
  })[unit]

/** Units of time: less is better, and the quickest is the one with the highest rate. */
export const isTime = ({ unit }) => unit === "s" || unit === "ms"

/** Processor time of one operation: of a whole process in seconds. */
const cpuColumn = ({ kind }) =>
  kind === "copy" || kind === "import"
    ? { head: "CPU s", show: (micros) => fixed(2)(micros / 1e6) }
    : { head: `CPU µs/${{ requests: "request", connect: "connection", extents: "extent" }[kind]}`, show: figures }

/** Lines of a table, padded: the first column to the left, numbers to the right. */
export const aligned = (rows, isText = (column) => column === 0) => {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)))
  const line = (row) =>
    `| ${row.map((cell, at) => isText(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at])).join(" | ")} |`
  const rule = widths.map((width, at) => isText(at) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)
  return [line(rows[0]), `| ${rule.join(" | ")} |`, ...rows.slice(1).map(line)].join("\n")
}

const rounds = (count) => count === 1 ? "1 round" : `${count} rounds`

/** One workload: a row for each client, and a line for those that are not among them. */
export const table = (result) => {
  const { workload } = result
  const show = rateIn(workload)
  const cpu = cpuColumn(workload)
  const summaries = result.clients.map((client) => summarize(result, client))
  const columns = [
    ["client", ({ label }) => label],
    [workload.unit, ({ rate }) => show(rate.median)],
    ["range", ({ rate }) => {
      const ends = [show(rate.least), show(rate.most)]
      return (isTime(workload) ? ends.toReversed() : ends).join("–")
    }],
    ["× libnbd", ({ toLibnbd }) => known(toLibnbd, fixed(2)), workload.libnbd],
    ["× floor", ({ toFloor }) => known(toFloor, fixed(2)), workload.floor],
    [cpu.head, ({ cpuMicros }) => known(cpuMicros, cpu.show)],
    ["p50 µs", ({ p50Micros }) => known(p50Micros, figures)],
    ["p99 µs", ({ p99Micros }) => known(p99Micros, figures)],
    ["RSS MiB", ({ maxRssBytes }) => known(maxRssBytes, (bytes) => fixed(0)(bytes / 1_048_576))]
  ].filter((column) => column.length < 3 || column[2] !== undefined).filter(([head, cell]) =>
    !/^p\d/.test(head) || summaries.some((summary) => cell(summary) !== "–")
  )
  const rows = [columns.map(([head]) => head), ...summaries.map((summary) => columns.map(([, cell]) => cell(summary)))]
  const absent = result.absent.map(({ label, reason }) => `${label} (${reason})`)
  return [
    `### ${workload.title}`,
    "",
    ...(summaries.length === 0 ? ["Nobody could be measured."] : [aligned(rows)]),
    "",
    `${rounds(workload.rounds)}${absent.length === 0 ? "" : `, without ${absent.join(", ")}`}.`,
    ""
  ].join("\n")
}

/** The aims beside what was measured. An aim with several checks is named in the first of its rows. */
export const aimsTable = (rows) =>
  aligned([
    ["aim", "at least or at most", "measured", "verdict"],
    ...rows.map(({ aim, limit, measured, verdict }, at) => [
      rows[at - 1]?.aim === aim ? "" : aim,
      limit,
      measured.join(", ") || "–",
      verdict
    ])
  ], () => true)
