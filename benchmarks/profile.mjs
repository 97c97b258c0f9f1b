/**
 * Where the time of a run goes: `node benchmarks/profile.mjs FILE.cpuprofile …` prints the share of each module and of
 * the functions that take most, from what `npm run bench -- --profile FOLDER` wrote.
 */
import { readFileSync } from "node:fs"

const functionsShown = 25

/** The part of the program that a function is from. */
const partOf = ({ functionName, url }) =>
  functionName.startsWith("(")
    ? functionName
    : url === ""
    ? "native"
    : url.startsWith("node:")
    ? "node"
    : /node_modules\/(@[^/]+\/[^/]+|[^/]+)/.exec(url)?.[1] ?? /packages\/([^/]+)/.exec(url)?.[1] ?? "benchmark"

/** Waiting, and what the profiler itself does to begin. */
const isNobodys = ({ functionName, url }) => url === "" && (functionName === "(idle)" || functionName === "dispatch")

const add = (sums, key, micros) => sums.set(key, (sums.get(key) ?? 0) + micros)

const sorted = (sums) => [...sums].toSorted(([, one], [, other]) => other - one)

const report = (file) => {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, "utf8"))
  const frames = new Map(nodes.map(({ callFrame, id }) => [id, callFrame]))
  const [parts, functions] = [new Map(), new Map()]
  for (const [at, id] of samples.entries()) {
    const frame = frames.get(id)
    if (isNobodys(frame)) continue
    add(parts, partOf(frame), timeDeltas[at])
    const place = frame.url === "" ? "" : `  ${frame.url.split("/").slice(-2).join("/")}:${frame.lineNumber + 1}`
    add(functions, `${frame.functionName || "(anonymous)"}${place}`, timeDeltas[at])
  }
  const busy = [...parts.values()].reduce((sum, micros) => sum + micros, 0)
  const line = ([what, micros]) => `${(micros / busy * 100).toFixed(1).padStart(6)} %  ${what}`
  console.log(`${file}: ${(busy / 1e6).toFixed(2)} s of work\n`)
  console.log(sorted(parts).map(line).join("\n"))
  console.log(`\n${sorted(functions).slice(0, functionsShown).map(line).join("\n")}\n`)
}

for (const file of process.argv.slice(2)) report(file)
