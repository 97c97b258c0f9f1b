/** `npm run fuzz`: goes on for as long as it is told to, and writes down what it finds. */
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { campaign, type Finding, printCase } from "./Campaign.ts"
import type { Case } from "./Cases.ts"
import { allPairs, Atlas, type Figures, playAll } from "./Pairs.ts"
import { seeds, transcriptsIn } from "./Seeds.ts"

const usage = `usage: npm run fuzz -- [--minutes N] [--runs N] [--seed N] [--corpus FOLDER]
       npm run fuzz -- --pairs [--minutes N] [--runs N] [--seed N]

  --minutes N      how long; 1 by default, unless --runs is given
  --runs N         how many cases
  --seed N         where randomness begins; the time by default
  --corpus FOLDER  cases that led somewhere new, of this run and others; build/fuzz by default
  --pairs          each two misbehaviours of the fake server together, in both orders, and nothing else: all of them,
                   which takes some ten minutes, unless --minutes or --runs (of pairs) is given`

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    runs: { type: "string" },
    seed: { type: "string" },
    corpus: { type: "string" },
    pairs: { type: "boolean" },
    help: { type: "boolean" }
  }
})

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const root = process.cwd()
const found = join(root, "packages/testing/test/fuzz/found")
const nameOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12)

const write = (folder: string, name: string, text: string): string => {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${name}.txt`)
  writeFileSync(file, text)
  return file
}

const keep = ({ fault, found: one, signature }: Finding): void => {
  say(`FOUND ${signature}\n${fault}`)
  if (one !== undefined) say(write(found, nameOf(signature), printCase(one, [signature])))
}

const main = async (): Promise<number> => {
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
  const most = values.runs === undefined ? Infinity : Number(values.runs)
  const minutes = Number(values.minutes ?? (values.runs === undefined ? "1" : "Infinity"))
  const corpus = values.corpus ?? join(root, "build/fuzz")
  mkdirSync(corpus, { recursive: true })
  const started = Date.now()
  let heap = 0
  let told = started
  say(`seed ${seed}`)

  const goesOn = (runs: number): boolean => {
    if (runs === 2000) heap = used()
    const now = Date.now()
    if (now - told > 10_000) {
      told = now
      say(`${runs} cases, ${Math.round(1000 * runs / (now - started))} a second, heap ${mebibytes(used())} MiB`)
    }
    return runs < most && now - started < minutes * 60_000
  }
  const onNovelty = (one: Case, title: string): void => {
    const text = printCase(one, [title])
    write(corpus, nameOf(title), text)
  }
  const all = [...await seeds(join(root, "packages/core/test/fixtures/goldens")), ...transcriptsIn(corpus)]
  const { findings, runs, ways } = await campaign({ seed, seeds: all, goesOn, onNovelty, onFinding: keep })
  const seconds = (Date.now() - started) / 1000
  say(
    `${runs} cases in ${Math.round(seconds)} s, ${
      Math.round(runs / seconds)
    } a second, ${ways} ways; ${findings.length} found`
  )
  const grown = heap === 0 ? 0 : used() - heap
  say(`heap grew by ${mebibytes(grown)} MiB after the first 2000 cases`)
  // The corpus itself is kept in memory.
  const leaks = grown > 200 * 1_048_576
  if (leaks) say("FOUND memory that is not given back")
  return findings.length > 0 || leaks ? 1 : 0
}

/** What it finds is two names, for the list in the test. */
const pairs = async (): Promise<number> => {
  const seed = Number(values.seed ?? 1)
  const most = Number(values.runs ?? "Infinity")
  const minutes = Number(values.minutes ?? "Infinity")
  const started = Date.now()
  let told = started
  let heap = 0
  const tell = ({ findings, meetings: { Apart, Both, Same }, pairs, sessions }: Figures): void =>
    say(
      `${pairs} pairs in ${sessions} sessions and ${
        Math.round((Date.now() - started) / 1000)
      } s: ${Same} changed the same ` +
        `thing, ${Both} others one session, ${Apart} could not; ${findings.size} found; heap ${mebibytes(used())} MiB`
    )
  const figures = await playAll(await Atlas.make(), allPairs(seed), (figures) => {
    if (figures.pairs === 2000) heap = used()
    const now = Date.now()
    if (now - told > 10_000) {
      told = now
      tell(figures)
    }
    return figures.pairs < most && now - started < minutes * 60_000
  })
  tell(figures)
  if (heap > 0) say(`heap grew by ${mebibytes(used() - heap)} MiB after the first 2000 pairs`)
  for (const [signature, fault] of figures.findings) say(`FOUND ${signature}\n${fault}`)
  return figures.findings.size > 0 ? 1 : 0
}

const used = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const mebibytes = (bytes: number): string => (bytes / 1_048_576).toFixed(1)

process.on("uncaughtException", (thrown) => {
  say(`FOUND an uncaught exception: ${thrown.stack ?? thrown.message}`)
  process.exitCode = 1
})
process.on("unhandledRejection", (thrown) => {
  say(`FOUND an unhandled rejection: ${String(thrown)}`)
  process.exitCode = 1
})
if (values.help === true) say(usage)
else process.exitCode = Math.max(await (values.pairs === true ? pairs() : main()), Number(process.exitCode ?? 0))
