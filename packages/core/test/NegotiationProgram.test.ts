/**
 * Random programs of haggling against a model of what holds: what was agreed on, which export is meant, what was learned
 * of it, and which meta contexts it is entered with (C-112, C-149).
 */
import { Handle, type HandleConfig } from "@effect-nbd/core"
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import { contextRequest } from "./fixtures/HandWritten.ts"

const base = "base:allocation"
const offered = new Set([base, "x-test:one"])
const exported = new Set(["a", "b"])

type Contexts = NonNullable<HandleConfig.HandleConfig["metaContexts"]>

type Step =
  | { readonly op: "structuredReplies" | "extendedHeaders" | "list" }
  | { readonly op: "info" | "go"; readonly name: string | undefined }
  | { readonly op: "setMetaContexts"; readonly name: string | undefined; readonly contexts: Contexts | undefined }
  | { readonly op: "configure"; readonly adjustment: HandleConfig.Adjustment }
  | { readonly op: "option"; readonly code: number; readonly data: Uint8Array }

const name = FastCheck.constantFrom("a", "a", "b", "none")
const maybe = FastCheck.option(name, { nil: undefined })
const contexts: FastCheck.Arbitrary<Contexts> = FastCheck.constantFrom(
  [],
  [base],
  [base, "x-test:one"],
  [{ name: "x-test:two", optional: true }, base],
  ["x-test:two", base],
  ["no namespace"]
)

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  FastCheck.record({
    op: FastCheck.constantFrom("structuredReplies" as const, "extendedHeaders" as const, "list" as const)
  }),
  FastCheck.record({ op: FastCheck.constant("info" as const), name: maybe }),
  FastCheck.record({
    op: FastCheck.constant("setMetaContexts" as const),
    name: maybe,
    contexts: FastCheck.option(contexts, { nil: undefined })
  }),
  FastCheck.record({
    op: FastCheck.constant("configure" as const),
    adjustment: FastCheck.record(
      { exportName: name, metaContexts: contexts, requestMetaContexts: FastCheck.boolean() },
      { requiredKeys: [] }
    )
  }),
  FastCheck.record({
    op: FastCheck.constant("option" as const),
    code: FastCheck.constantFrom(8, 10, 11, 4),
    data: FastCheck.constant(contextRequest("a", base))
  }).map((each): Step => each.code === 10 ? each : { ...each, data: new Uint8Array(0) })
)

type Style = "Simple" | "Structured" | "Extended"

/** What should hold. */
class Model {
  style: Style = "Simple"
  meant = "a"
  wanted: Contexts = []
  requests = true
  known: string | undefined
  selected: { readonly name: string; readonly contexts: ReadonlyArray<string> } | undefined

  restyle(style: Style): void {
    if (this.style === style || this.style === "Extended") return
    this.style = style
    this.known = undefined
    this.selected = undefined
  }

  /** Selects, and says what is missing. */
  select(target: string, wanted: Contexts): "Granted" | "Missing" | "NotSent" | "Unknown" {
    const all = wanted.map((each) => typeof each === "string" ? { name: each, optional: false } : each)
    if (all.some((each) => !each.name.includes(":")) || this.style === "Simple") return "NotSent"
    this.selected = undefined
    if (!exported.has(target)) return "Unknown"
    const granted = all.map((each) => each.name).filter((each) => offered.has(each))
    this.selected = { name: target, contexts: granted }
    return all.every((each) => each.optional || granted.includes(each.name)) ? "Granted" : "Missing"
  }

  /** What an export would be entered with; `undefined` if it would not be. */
  enter(target: string): ReadonlyArray<string> | undefined {
    this.known = undefined
    const wanted = this.requests ? this.wanted : []
    if (wanted.length > 0) {
      const needed = wanted.some((each) => typeof each === "string" || !each.optional)
      if (this.style === "Simple") return needed || !exported.has(target) ? undefined : []
      if (this.select(target, wanted) !== "Granted") return undefined
    }
    if (!exported.has(target)) return undefined
    return this.selected?.name === target ? this.selected.contexts : []
  }
}

const sorted = (names: ReadonlyArray<string>): ReadonlyArray<string> => names.toSorted()

/** One step on both sides, and whether it was a success. */
const perform = (handle: Handle.Handle, model: Model, each: Step): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    switch (each.op) {
      case "list":
        return (yield* Effect.either(handle.list))._tag === "Right"
      case "structuredReplies":
      case "extendedHeaders": {
        const answer = yield* Effect.orDie(handle[each.op])
        if (answer) model.restyle(each.op === "extendedHeaders" ? "Extended" : "Structured")
        return answer
      }
      case "option": {
        const replies = yield* Effect.orDie(handle.option(each.code, each.data))
        const agreed = replies.at(-1)?.type === 1
        if (each.code === 10) model.selected = undefined
        if (agreed && each.code === 8) model.restyle("Structured")
        if (agreed && each.code === 11) model.restyle("Extended")
        return agreed
      }
      case "configure": {
        const { exportName = model.meant, metaContexts = model.wanted, requestMetaContexts = model.requests } =
          each.adjustment
        const isValid = !metaContexts.includes("no namespace")
        expect((yield* Effect.either(handle.configure(each.adjustment)))._tag).toBe(isValid ? "Right" : "Left")
        if (!isValid) return false
        if (exportName !== model.meant) model.known = model.selected = undefined
        model.meant = exportName
        model.wanted = metaContexts
        model.requests = requestMetaContexts
        return true
      }
      case "setMetaContexts": {
        const outcome = yield* Effect.either(handle.setMetaContexts({
          ...(each.name === undefined ? {} : { exportName: each.name }),
          ...(each.contexts === undefined ? {} : { contexts: each.contexts })
        }))
        const expected = model.select(each.name ?? model.meant, each.contexts ?? model.wanted)
        expect(outcome._tag).toBe(expected === "Granted" ? "Right" : "Left")
        return outcome._tag === "Right"
      }
      case "info":
      case "go": {
        const target = each.name ?? model.meant
        const outcome = yield* Effect.either(each.op === "go" ? handle.go(each.name) : handle.info(each.name))
        const entered = model.enter(target)
        expect(outcome._tag).toBe(entered === undefined ? "Left" : "Right")
        if (entered === undefined) return false
        model.known = target
        const { contexts, name, replyStyle } = yield* Effect.orDie(handle.exportInfo)
        expect([name, replyStyle]).toStrictEqual([target, model.style])
        expect(sorted(contexts.map((context) => context.name))).toStrictEqual(sorted(entered))
        return true
      }
    }
  })

const visited = new Set<string>()

const run = (delivery: MemoryPipe.Delivery, steps: ReadonlyArray<Step>, last: Step) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    const handle = yield* Handle.make({ optMode: true, exportName: "a", requestStructuredReplies: false })
    yield* handle.connect
    const model = new Model()
    for (const each of [...steps, last]) {
      const succeeded = yield* perform(handle, model, each)
      visited.add(`${each.op} ${succeeded}`)
      const state = yield* handle.state
      if (state._tag !== "Negotiating") break
      visited.add(state.agreed.replyStyle)
      expect(state.agreed.replyStyle).toBe(model.style)
      expect(Option.getOrUndefined(Option.map(state.export, (known) => known.name))).toBe(model.known)
      expect(Option.getOrUndefined(Option.map(state.contexts, ({ contexts, exportName }) => ({
        name: exportName,
        contexts: sorted(contexts.map((context) => context.name))
      })))).toStrictEqual(
        model.selected === undefined ? undefined : { ...model.selected, contexts: sorted(model.selected.contexts) }
      )
    }
    // What is sent keeps to the specification, but for the raw options.
    const isRaw = steps.some(({ op }) => op === "option")
    if (!isRaw) expect(yield* server.violations).toStrictEqual([])
  }).pipe(
    Effect.scoped,
    Effect.provide(FakeServer.layer({
      delivery,
      exports: ["a", "b"].map((each) => ({
        name: each,
        size: 4096,
        contexts: [{ name: "x-test:one", status: () => Effect.succeed([]) }]
      }))
    }))
  )

it("every program of haggling leaves what the model says", async () => {
  await FastCheck.assert(
    FastCheck.asyncProperty(
      FastCheck.oneof(
        { weight: 7, arbitrary: FastCheck.constantFrom(MemoryPipe.whole, MemoryPipe.coalesced, MemoryPipe.random(7)) },
        // Dear, and rarely different.
        { weight: 1, arbitrary: FastCheck.constant(MemoryPipe.bytes) }
      ),
      FastCheck.array(step, { maxLength: 12, size: "max" }),
      FastCheck.record({ op: FastCheck.constant("go" as const), name: maybe }),
      (delivery, steps, last) => Effect.runPromise(run(delivery, steps, last))
    ),
    { numRuns: 300 }
  )
  for (const style of ["Simple", "Structured", "Extended"]) expect(visited).toContain(style)
  for (const op of ["info", "go", "setMetaContexts", "configure", "option"]) {
    expect(visited).toContain(`${op} true`)
    expect(visited).toContain(`${op} false`)
  }
}, 60_000)
