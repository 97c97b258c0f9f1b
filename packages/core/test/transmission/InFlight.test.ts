/**
 * Where commands wait, for their reply or for their turn: beside the collections of JavaScript that do the same.
 */
import { CookieTable } from "@effect-nbd/core/transmission/CookieTable"
import { type Place, WaitingLine } from "@effect-nbd/core/transmission/WaitingLine"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"

/** What is taken out: one of those that are there, by its place among them, or all. */
const steps = FastCheck.array(
  FastCheck.oneof(
    { weight: 6, arbitrary: FastCheck.record({ add: FastCheck.integer({ min: 1, max: 90 }) }) },
    { weight: 6, arbitrary: FastCheck.record({ remove: FastCheck.array(FastCheck.nat(), { maxLength: 60 }) }) },
    { weight: 3, arbitrary: FastCheck.record({ first: FastCheck.integer({ min: 1, max: 120 }) }) },
    { weight: 1, arbitrary: FastCheck.constant("clear" as const) }
  ),
  { maxLength: 60 }
)

describe("CookieTable", () => {
  it("holds what a Map would hold, whatever goes first and whatever stays behind", () => {
    FastCheck.assert(FastCheck.property(steps, (program) => {
      const [table, model] = [new CookieTable<{ readonly cookie: number }>(), new Map<number, { cookie: number }>()]
      let last = 0
      const remove = (entry: { readonly cookie: number } | undefined) => {
        if (entry === undefined) return
        expect(table.delete(entry)).toBe(true)
        expect(table.delete(entry)).toBe(false)
        expect(table.get(entry.cookie)).toBeUndefined()
        model.delete(entry.cookie)
      }
      for (const step of program) {
        if (step === "clear") {
          expect(table.clear()).toStrictEqual([...model.values()])
          model.clear()
        } else if ("add" in step) {
          for (let count = 0; count < step.add; count++) {
            const entry = { cookie: ++last }
            table.add(entry)
            model.set(entry.cookie, entry)
          }
        } else if ("first" in step) {
          for (const entry of [...model.values()].slice(0, step.first)) remove(entry)
        } else {
          for (const which of step.remove) remove([...model.values()][which % Math.max(1, model.size)])
        }
        expect(table.size).toBe(model.size)
        for (const [cookie, entry] of model) expect(table.get(cookie)).toBe(entry)
        for (const absent of [0, last + 1, last + 64, -1, 2 ** 52]) expect(table.get(absent)).toBeUndefined()
      }
      expect(table.clear()).toStrictEqual([...model.values()])
    }))
  })

  it("keeps one that waits for ever while many come and go", () => {
    const table = new CookieTable<{ readonly cookie: number }>()
    const patient = { cookie: 1 }
    table.add(patient)
    for (let cookie = 2; cookie < 10_000; cookie++) {
      const entry = { cookie }
      table.add(entry)
      expect(table.delete(entry)).toBe(true)
    }
    expect(table.get(1)).toBe(patient)
    expect(table.clear()).toStrictEqual([patient])
    expect(table.size).toBe(0)
  })
})

describe("WaitingLine", () => {
  it("serves in the order of joining, whoever leaves", () => {
    FastCheck.assert(FastCheck.property(steps, (program) => {
      const line = new WaitingLine<string>()
      let model: ReadonlyArray<{ readonly name: string; readonly place: Place<string> }> = []
      let gone: ReadonlyArray<Place<string>> = []
      const leave = ({ place }: { readonly place: Place<string> }) => {
        expect(line.leave(place)).toBe(true)
        model = model.filter((other) => other.place !== place)
        gone = [...gone.slice(-5), place]
      }
      for (const step of program) {
        if (step === "clear") {
          expect(line.clear()).toStrictEqual(model.map(({ name }) => name))
          gone = [...gone, ...model.map(({ place }) => place)]
          model = []
        } else if ("add" in step) {
          const joined = Array.from({ length: step.add * 9 }, (_, at) => `${at}`)
          model = [...model, ...joined.map((name) => ({ name, place: line.join(name) }))]
        } else if ("first" in step) {
          for (const first of model.slice(0, step.first * 9)) {
            expect(line.first).toBe(first.name)
            leave(first)
          }
        } else {
          for (const which of step.remove) {
            const one = model[which % Math.max(1, model.length)]
            if (one !== undefined) leave(one)
          }
        }
        for (const place of gone) expect(line.leave(place)).toBe(false)
        expect(line.size).toBe(model.length)
        expect(line.first).toBe(model[0]?.name)
      }
    }))
  })

  it("keeps nothing of those that gave up behind one that never moves on", () => {
    const line = new WaitingLine<object>()
    const first = { name: "stuck" }
    line.join(first)
    const before = reachable(line)
    const left = Array.from({ length: 5000 }, () => line.join({}))
    const last = line.join({ name: "behind them" })
    // From the middle, from both ends, and all: none refers to another any more.
    for (const place of [...left.slice(2500), ...left.slice(0, 2500)]) expect(line.leave(place)).toBe(true)
    expect(Math.max(...left.map((place) => reachable(place)))).toBe(2)
    expect(line.leave(last)).toBe(true)
    expect(reachable(line)).toBe(before)
    expect(line.first).toBe(first)
  })
})

/** Objects, and places in lists, that are reached from something. */
const reachable = (from: object): number => {
  const seen = new Set<object>([from])
  let places = 0
  for (const each of seen) {
    if (Array.isArray(each)) places += each.length
    for (const value of Object.values(each)) if (typeof value === "object" && value !== null) seen.add(value)
  }
  return seen.size + places
}
