/**
 * Saved results: JSON with a line for each client, so that two of them can be compared by eye and by diff.
 */
import { readFileSync, writeFileSync } from "node:fs"

/** Four figures are more than these measurements have. */
const rounded = (value) => typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value

const line = (value) => JSON.stringify(value, (_key, field) => rounded(field))

const list = (items, indent) =>
  items.length === 0 ? "[]" : `[\n${items.map((item) => `${indent}  ${item}`).join(",\n")}\n${indent}]`

const resultText = ({ absent, clients, workload }) =>
  `{
      "workload": ${line(workload)},
      "absent": ${line(absent)},
      "clients": ${list(clients.map(line), "      ")}
    }`

export const writeResults = (file, { machine, quick, results }) =>
  writeFileSync(
    file,
    `{
  "machine": ${line(machine)},
  "quick": ${quick},
  "results": ${list(results.map(resultText), "  ")}
}
`
  )

export const readResults = (file) => JSON.parse(readFileSync(file, "utf8"))
