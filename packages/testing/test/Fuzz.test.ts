/**
 * A short campaign of what `npm run fuzz` does for as long as one likes, always the same one; and every case that a long
 * one has ever found.
 */
import { Transcript } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { campaign, caseOf, printCase } from "./fuzz/Campaign.ts"
import { run } from "./fuzz/Cases.ts"
import { mutate } from "./fuzz/Mutation.ts"
import { Random } from "./fuzz/Random.ts"
import { signatureOf } from "./fuzz/Reduction.ts"
import { seeds } from "./fuzz/Seeds.ts"
import { Watch } from "./fuzz/Watch.ts"

const goldens = new URL("../../core/test/fixtures/goldens/", import.meta.url)
const found = new URL("fuzz/found/", import.meta.url)
const foundCases = existsSync(found) ? readdirSync(found).toSorted() : []

const uncaught: Array<unknown> = []
process.on("uncaughtException", (thrown) => uncaught.push(thrown))
process.on("unhandledRejection", (thrown) => uncaught.push(thrown))

describe("whatever a peer says", () => {
  it("nothing throws, hangs, stays behind, or tells what was never said", { timeout: 60_000 }, async () => {
    const summary = await campaign({ seed: 20_261_121, seeds: await seeds(goldens), goesOn: (runs) => runs < 150 })
    expect(summary.findings).toEqual([])
    expect(summary.runs).toBe(150)
    expect(summary.ways).toBeGreaterThan(50)
    expect(uncaught).toEqual([])
  })

  it("what was found once is not found again", async () => {
    for (const name of foundCases) {
      const one = caseOf(Either.getOrThrow(Transcript.parse(readFileSync(new URL(name, found), "utf8"))))
      for (const seed of new Set([one.seed, 0, 1, 7])) {
        expect([name, seed, (await run({ ...one, seed })).faults]).toEqual([name, seed, []])
      }
    }
  })
})

describe("the fuzzer", () => {
  it("does the same for the same seed, and comes through its seeds as they are without a fault", async () => {
    const all = await seeds(goldens)
    const bent = () => {
      const random = new Random(5)
      return all.map((transcript) => Transcript.print(mutate(random, transcript, "server", transcript)))
    }
    expect(bent()).toEqual(bent())
    const unchanged = await Promise.all(
      Array.from(new Set(all), (transcript) => run({ side: "server", transcript, seed: 2 }))
    )
    expect(unchanged.flatMap(({ faults }) => faults)).toEqual([])
    // Most steps succeed: a campaign gets to the end of a conversation, if its changes let it.
    const outcomes = unchanged.flatMap(({ outcomes }) => outcomes)
    expect(outcomes.filter((outcome) => outcome === "ok").length).toBeGreaterThan(outcomes.length * 0.7)
  })

  it("writes a case as a transcript that is played in the same way", async () => {
    const [transcript] = await seeds(goldens)
    if (transcript === undefined) return expect.unreachable()
    const plain = { side: "client", seed: 17, transcript } as const
    for (const one of [plain, { ...plain, side: "server", misbehaviours: ["a", "b"] }] as const) {
      const again = caseOf(Either.getOrThrow(Transcript.parse(printCase(one, ["about"]))))
      expect({ ...again, transcript: again.transcript.events }).toEqual({ ...one, transcript: transcript.events })
    }
  })

  it("sees what throws, what hangs, what stays behind, and a defect", async () => {
    const faultsOf = async (effect: Effect.Effect<unknown, unknown>, hasEnded = false) => {
      const watch = new Watch()
      watch.peerEnded = hasEnded
      await watch.settle(effect)
      return watch.faults.map(signatureOf)
    }
    expect(await faultsOf(Effect.sleep("1 hour"))).toEqual([])
    expect(await faultsOf(Effect.never)).toEqual([])
    expect(await faultsOf(Effect.never, true)).toEqual(["it waits for a peer that has ended"])
    expect(await faultsOf(Effect.uninterruptible(Effect.never))).toEqual(["it does not end when it is interrupted"])
    expect(await faultsOf(Effect.forkDaemon(Effect.never))).toEqual(["fibers are left"])
    expect(await faultsOf(Effect.forkDaemon(Effect.die("no")))).toEqual(["defect: 'no'"])
    expect(await faultsOf(Effect.fail("yes"))).toEqual([])
  })
})
