/**
 * Circles in a graph of files, by a depth-first search that remembers the way it came.
 */

/**
 * One circle for each import that closes one, as the files in order, the first repeated at the end, and the line of
 * the first file's import.
 *
 * @param graph a Map from each file to its imports, `{ to, line }`
 */
export const findCycles = (graph) => {
  const cycles = []
  const done = new Set()
  const way = []
  const visit = (file) => {
    const at = way.findIndex((step) => step.file === file)
    if (at !== -1) {
      const circle = way.slice(at)
      cycles.push({ path: [...circle.map((step) => step.file), file], line: circle[0].line })
      return
    }
    if (done.has(file)) return
    const step = { file, line: 0 }
    way.push(step)
    for (const { line, to } of graph.get(file) ?? []) {
      step.line = line
      visit(to)
    }
    way.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return cycles
}
