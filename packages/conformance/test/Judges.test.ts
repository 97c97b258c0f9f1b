/**
 * The checks of servers against servers that break one rule each: a judge that cannot condemn is worth nothing, nor is one
 * that condemns an honest server.
 */
import { Conformance } from "@effect-nbd/conformance"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Breaker, type Breakers, type Setting, targetAmong, verdictOf } from "./judges/Breaker.ts"
import { chunkBreakers } from "./judges/ChunkBreakers.ts"
import { contextBreakers } from "./judges/ContextBreakers.ts"
import { exportBreakers } from "./judges/ExportBreakers.ts"
import { extendedBreakers } from "./judges/ExtendedBreakers.ts"
import { greetingBreakers } from "./judges/GreetingBreakers.ts"
import { optionBreakers } from "./judges/OptionBreakers.ts"
import { rangeBreakers } from "./judges/RangeBreakers.ts"
import { replyBreakers } from "./judges/ReplyBreakers.ts"
import { requestBreakers } from "./judges/RequestBreakers.ts"
import { tlsBreakers } from "./judges/TlsBreakers.ts"
import { zeroBreakers } from "./judges/ZeroBreakers.ts"

const kinds: ReadonlyArray<readonly [kind: string, breakers: Breakers]> = [
  ["the greeting", greetingBreakers],
  ["options", optionBreakers],
  ["TLS", tlsBreakers],
  ["exports", exportBreakers],
  ["meta contexts", contextBreakers],
  ["requests", { ...requestBreakers, ...rangeBreakers }],
  ["replies", { ...replyBreakers, ...chunkBreakers }],
  ["long zeroes", zeroBreakers],
  ["extended headers", extendedBreakers]
]

const checksAmong = (among?: Setting): ReadonlyMap<string, Conformance.Check> =>
  new Map(Conformance.serverChecks(targetAmong(among)).map((check) => [check.name, check]))

const ofName = (name: string, among?: Setting): Conformance.Check => {
  const found = checksAmong(among).get(name)
  return found ?? expect.fail(`no check is called ${name}`)
}

/** Once is enough. */
const dear: ReadonlySet<string> = new Set(["a payload of 32 MiB is no abuse"])

/** Rules that ask for the same, some of the time: they fall together. */
const twins: ReadonlyArray<ReadonlyArray<string>> = [
  ["S-011", "S-029"],
  ["S-029", "S-099"],
  ["S-032", "S-054"],
  ["S-055", "S-084"],
  ["S-067", "S-095"]
]

const same = (one: string, other: string): boolean =>
  one === other || twins.some((rules) => rules.includes(one) && rules.includes(other))

const brokenBy = (verdict: Conformance.Verdict) => verdict._tag === "Failed" ? verdict.rules : []

describe("the checks of servers", () => {
  const checks = Conformance.serverChecks(targetAmong())

  it("are all judged here, each with every rule that it names", () => {
    const judged = kinds.flatMap(([, breakers]) =>
      Object.entries(breakers).map((
        [name, all]
      ): [string, ReadonlyArray<string>] => [name, [...new Set(all.map(({ rule }) => rule))].toSorted()])
    )
    expect(judged.length).toBe(checks.length)
    expect(new Map(judged)).toEqual(new Map(checks.map(({ name, rules }) => [name, rules.toSorted()])))
  })

  it("each have a breaker that hurts few others, which it names", () => {
    const rows = kinds.flatMap(([, breakers]) => Object.entries(breakers))
    expect(rows.filter(([, all]) => all.every(({ others }) => others === undefined)).map(([name]) => name)).toEqual([])
  })

  it("are about every rule for servers, but for those that none can be about", () => {
    const rules = Object.keys(Conformance.ruleTable).filter((rule) => rule.startsWith("S-"))
    const found = [...new Set(checks.flatMap(({ rules }) => rules)), ...Conformance.elsewhere.map(({ rule }) => rule)]
    expect(found.toSorted()).toEqual(rules)
  })
})

describe.each(kinds)("about %s, a check", (_, breakers) => {
  const names = Object.keys(breakers)

  it.scopedLive.each(names)("acquits honest servers: %s", (name) =>
    Effect.gen(function*() {
      for (const among of new Set(breakers[name]?.map(({ among }) => among))) {
        expect(yield* verdictOf(ofName(name, among), among)).toEqual({ _tag: "Passed" })
      }
    }))

  const rows = Object.entries(breakers).flatMap(([name, all]) =>
    all.map((breaker): readonly [string, string, Breaker] => [breaker.rule, name, breaker])
  )

  it.scopedLive.each(rows)("condemns what breaks %s: %s", ([rule, name, breaker]) =>
    Effect.gen(function*() {
      const { among, found } = breaker
      const check = ofName(name, among)
      expect(check.rules).toContain(rule)
      const verdict = yield* verdictOf(check, among, breaker)
      expect(verdict).toMatchObject({
        _tag: "Failed",
        reason: expect.stringMatching(found),
        rules: expect.arrayContaining([rule])
      })
      // Nothing tells for which reason a server is silent.
      if (breaker.timeout === undefined) expect(brokenBy(verdict).filter((other) => !same(rule, other))).toEqual([])
      if (breaker.others === undefined) return
      const failed: Array<string> = []
      for (const other of names.filter((each) => each !== name && !dear.has(each))) {
        const { _tag } = yield* verdictOf(ofName(other, among), among, breaker)
        if (_tag === "Failed") failed.push(other)
      }
      expect(failed).toEqual(breaker.others)
    }))
})
