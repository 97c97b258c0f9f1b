/**
 * Renders what docs/performance.md and its picture have of the last full run of the benchmark, from its saved numbers.
 * The rest of the page is written by hand, around the marked blocks.
 */
import { existsSync, readFileSync } from "node:fs"
import { judge } from "../../benchmarks/lib/aims.mjs"
import { chart } from "../../benchmarks/lib/chart.mjs"
import { inWords } from "../../benchmarks/lib/machine.mjs"
import { readResults } from "../../benchmarks/lib/results.mjs"
import { aimsTable, table } from "../../benchmarks/lib/tables.mjs"

/** What the marked blocks have to hold, by their names. */
const blocksOf = ({ machine, results }) => ({
  machine: inWords(machine).split("\n").join("\\\n"),
  aims: aimsTable(judge(results)),
  tables: results.map(table).join("\n").trim()
})

const begin = (name) => `<!-- generated: ${name} -->`
const end = "<!-- end of generated -->"

/** The page with its blocks filled in. Throws when one of them is not in it. */
export const filled = (page, blocks) =>
  Object.entries(blocks).reduce((text, [name, block]) => {
    const from = text.indexOf(begin(name))
    const to = text.indexOf(end, from)
    if (from < 0 || to < 0) throw new Error(`no block ${begin(name)} … ${end}`)
    return `${text.slice(0, from)}${begin(name)}\n\n${block}\n\n${text.slice(to)}`
  }, page)

/** The texts of the page and of the picture, or why there are none. */
export const performancePage = ({ page, results }) => {
  for (const file of [page, results]) {
    if (!existsSync(file)) return { violations: [`${file} is missing`] }
  }
  const saved = readResults(results)
  if (saved.quick) return { violations: [`${results} is of a quick run, whose numbers mean nothing`] }
  try {
    return {
      page: filled(readFileSync(page, "utf8"), blocksOf(saved)),
      chart: chart(saved.results, `effect-nbd, ${inWords(saved.machine).split("\n")[0]}`),
      violations: []
    }
  } catch (error) {
    return { violations: [`${page}: ${error.message}`] }
  }
}
