/** Case after case: each a seed or an earlier one that led somewhere new, changed a little. */
import { Misbehaviour, Transcript } from "@effect-nbd/testing"
import { type Case, run } from "./Cases.ts"
import { decode } from "./Decoders.ts"
import { mutate } from "./Mutation.ts"
import { Random } from "./Random.ts"
import { reduce, signatureOf } from "./Reduction.ts"

export interface Finding {
  /** What is wrong, in a line. */
  readonly signature: string
  readonly fault: string
  /** Reduced; none for a decoder, whose bytes are in the fault. */
  readonly found: Case | undefined
}

export interface Options {
  readonly seed: number
  readonly seeds: ReadonlyArray<Transcript.Transcript>
  /** Asked before each case, with the number of cases so far. */
  readonly goesOn: (runs: number) => boolean
  /** Told of each case that led somewhere new. */
  readonly onNovelty?: (one: Case, title: string) => void
  readonly onFinding?: (finding: Finding) => void
}

export interface Summary {
  readonly runs: number
  /** Ways through the code that were told apart by what became of each step. */
  readonly ways: number
  readonly findings: ReadonlyArray<Finding>
}

/** Cases kept to go on from; the oldest are forgotten. */
const kept = 2000

export const campaign = async ({ goesOn, onFinding, onNovelty, seed, seeds }: Options): Promise<Summary> => {
  const random = new Random(seed)
  const ways = new Set<string>()
  const corpus: Array<Case> = []
  const findings = new Map<string, Finding>()
  const report = (finding: Finding): void => {
    findings.set(finding.signature, finding)
    onFinding?.(finding)
  }
  const material = seeds.map((transcript) => Transcript.bytesFrom(random.chance(0.5) ? "client" : "server", transcript))
  let runs = 0
  for (; goesOn(runs); runs++) {
    if (random.chance(0.3)) {
      for (let count = 0; count < 20; count++) {
        for (const fault of decode(random, random.pick(material) ?? new Uint8Array(0))) {
          const signature = signatureOf(fault.replace(/, on .*/, ""))
          if (!findings.has(signature)) report({ signature, fault, found: undefined })
        }
      }
    }
    const origin = random.chance(0.3) ? random.pick(corpus) : undefined
    const start = origin?.transcript ?? random.pick(seeds)
    const other = random.pick(seeds)
    if (start === undefined || other === undefined) break
    const side = origin?.side ?? (random.chance(0.7) ? "server" : "client")
    const one = random.chance(0.4) ? misbehaving(random, seeds) : {
      side,
      transcript: mutate(random, start, side, other),
      seed: seedOf(random)
    }
    const { faults, outcomes } = await run(one)
    const way = `${one.misbehaviours === undefined ? side : "misbehaviours"}: ${outcomes.join(", ")}`
    if (!ways.has(way)) {
      ways.add(way)
      // What misbehaves by name is not changed further.
      if (one.misbehaviours === undefined) {
        corpus[corpus.length < kept ? corpus.length : random.below(kept)] = one
        onNovelty?.(one, way)
      }
    }
    for (const fault of faults) {
      const signature = signatureOf(fault)
      if (!findings.has(signature)) report({ signature, fault, found: await reduce(one, signature) })
    }
  }
  return { runs, ways: ways.size, findings: [...findings.values()] }
}

const seedOf = (random: Random): number => random.chance(0.2) ? random.below(2) : random.below(1_000_000)

/** What one of the clients did, with a server that has up to three kinds of bad manners, all the time or at some time. */
const misbehaving = (random: Random, seeds: ReadonlyArray<Transcript.Transcript>): Case => ({
  side: "server",
  transcript: random.pick(seeds) ?? Transcript.make([]),
  seed: seedOf(random),
  misbehaviours: Array.from({ length: 1 + random.below(3) }, () => {
    const name = random.pick(Misbehaviour.all)?.name ?? ""
    return random.chance(0.5) ? name : `${name}@${1 + random.below(4)}`
  })
})

/** A case as a file: its transcript, and in its remarks how it is played. */
export const printCase = ({ misbehaviours, seed, side, transcript }: Case, about: ReadonlyArray<string>): string => {
  const manners = misbehaviours === undefined ? "" : `, misbehaviours ${misbehaviours.join(" ")}`
  return Transcript.print(
    Transcript.make(transcript.events, [...about, `played as ${side}, delivery ${seed}${manners}`])
  )
}

/** What `printCase` has written. */
export const caseOf = (transcript: Transcript.Transcript): Case => {
  const pattern = /^played as (client|server), delivery (\d+)(?:, misbehaviours (.*))?$/
  const [, side, seed = "0", misbehaviours] = pattern.exec(transcript.remarks.at(-1) ?? "") ?? []
  return {
    side: side === "client" ? "client" : "server",
    seed: Number(seed),
    transcript,
    ...(misbehaviours === undefined ? {} : { misbehaviours: misbehaviours.split(" ") })
  }
}
