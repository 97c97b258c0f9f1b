/**
 * Results as an SVG: a panel for each of some workloads, a bar for each client, a thin line for its range.
 */
import { summarize } from "./summary.mjs"
import { isTime, rateIn } from "./tables.mjs"

/** What the picture shows, in its order; the tables have everything. */
const shown = [
  "random-read-64",
  "random-read-1",
  "random-write-64",
  "sequential-read-256k",
  "sequential-write-256k",
  "sequential-read-256k-tls",
  "random-read-64-away",
  "connect-unix",
  "extents-million",
  "copy-dense-file",
  "copy-dense-nbd",
  "copy-sparse-file"
]

const size = { columns: 2, panel: 460, gap: 20, label: 150, value: 70, head: 40, bar: 16, pitch: 22, margin: 16 }

const colours = { ours: "#2563eb", floor: "#94a3b8", libnbd: "#ea580c", qemu: "#16a34a", vates: "#9333ea" }

const colourOf = ({ name }) =>
  ({
    floor: colours.floor,
    fio: colours.libnbd,
    nbdcopy: colours.libnbd,
    nbdinfo: colours.libnbd,
    "qemu-img": colours.qemu,
    vates: colours.vates
  })[name] ?? colours.ours

const escaped = (text) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)

const text = (x, y, words, more = "") => `<text x="${x}" y="${y}"${more && ` ${more}`}>${escaped(words)}</text>`

const tenth = (value) => Number(value.toFixed(1))

/** The panel's lines of SVG from `y` on. Bars are as long as a rate is high, or a time is long. */
const panel = (result, x, y) => {
  const { workload } = result
  const show = rateIn(workload)
  const amount = (rate) => isTime(workload) ? 1 / rate : rate
  const rows = result.clients.map((client) => ({ client, rate: summarize(result, client).rate }))
  const most = Math.max(...rows.flatMap(({ rate }) => [rate.least, rate.median, rate.most].map(amount)))
  const room = size.panel - size.label - size.value
  const length = (rate) => tenth(amount(rate) / most * room)
  const unit = `${workload.unit}, ${isTime(workload) ? "less" : "more"} is better`
  return [
    text(x, y + 12, workload.title, "class=\"title\""),
    text(x, y + 27, unit, "class=\"unit\""),
    ...rows.flatMap(({ client, rate }, at) => {
      const top = y + size.head + at * size.pitch
      const middle = top + size.bar / 2
      const left = x + size.label
      return [
        text(left - 6, middle + 4, client.label, "text-anchor=\"end\""),
        `<rect x="${left}" y="${top}" width="${length(rate.median)}" height="${size.bar}" fill="${colourOf(client)}"/>`,
        `<line x1="${tenth(left + length(rate.least))}" x2="${
          tenth(left + length(rate.most))
        }" y1="${middle}" y2="${middle}" stroke="#0f172a"/>`,
        text(
          tenth(left + Math.max(length(rate.median), length(rate.least), length(rate.most)) + 6),
          middle + 4,
          show(rate.median)
        )
      ]
    })
  ]
}

const heightOf = (result) => size.head + result.clients.length * size.pitch + size.gap

/** The picture of the results; panels of workloads that were not measured are left out. */
export const chart = (results, caption) => {
  const found = shown.flatMap((name) =>
    results.filter(({ clients, workload }) => workload.name === name && clients.length > 0)
  )
  const bottoms = Array.from({ length: size.columns }, () => size.margin + 24)
  const lines = found.flatMap((result) => {
    const column = bottoms.indexOf(Math.min(...bottoms))
    const top = bottoms[column]
    bottoms[column] = top + heightOf(result)
    return panel(result, size.margin + column * (size.panel + size.gap), top)
  })
  const width = 2 * size.margin + size.columns * size.panel + (size.columns - 1) * size.gap
  const height = Math.max(...bottoms)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    "<style>.title { font-weight: bold; font-size: 12px } .unit { fill: #64748b }</style>",
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(size.margin, size.margin + 4, caption, "class=\"unit\""),
    ...lines,
    "</svg>",
    ""
  ].join("\n")
}
