/**
 * Random programs of operations on one handle, one after the other: none does what the state table forbids, and what is
 * refused is not sent. (A step that the table of transitions does not know is a defect, and fails the program.) What reads
 * see of writes is for the concurrent programs of the testing package.
 */
import { Handle, HandleState, type Transport } from "@effect-nbd/core"
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { errorOf, refusals } from "./fixtures/Refusals.ts"

const size = 8192

type Step =
  | {
    readonly op:
      | "connect"
      | "startConnect"
      | "list"
      | "abort"
      | "flush"
      | "shutdown"
      | "inFlight"
      | "agreed"
      | "exportInfo"
      | "structuredReplies"
      | "extendedHeaders"
      | "settings"
      | "uri"
  }
  | { readonly op: "go" | "info" | "listMetaContexts" | "setMetaContexts" | "configure"; readonly name: string }
  | { readonly op: "option"; readonly code: number }
  | { readonly op: "read" | "write" | "trim" | "writeZeroes"; readonly offset: number; readonly length: number }
  | { readonly op: "hangUp" }

const range = { offset: FastCheck.integer({ min: 0, max: size }), length: FastCheck.integer({ min: 0, max: 1024 }) }

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  {
    weight: 4,
    arbitrary: FastCheck.record({ op: FastCheck.constantFrom("connect" as const, "startConnect" as const) })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom(
        "list" as const,
        "flush" as const,
        "inFlight" as const,
        "agreed" as const,
        "exportInfo" as const
      )
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom(
        "structuredReplies" as const,
        "extendedHeaders" as const,
        "settings" as const,
        "uri" as const
      )
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("listMetaContexts" as const, "setMetaContexts" as const, "configure" as const),
      name: FastCheck.constantFrom("disk", "disk", "unknown", "\0")
    })
  },
  // Unknown ones, and one that no reply belongs to.
  {
    weight: 1,
    arbitrary: FastCheck.record({
      op: FastCheck.constant("option" as const),
      code: FastCheck.constantFrom(4, 0xffff_ffff, 1)
    })
  },
  { weight: 1, arbitrary: FastCheck.record({ op: FastCheck.constantFrom("abort" as const, "shutdown" as const) }) },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("go" as const, "info" as const),
      name: FastCheck.constantFrom("disk", "disk", "unknown", "\0", "x".repeat(4097))
    })
  },
  {
    weight: 10,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("read" as const, "write" as const, "trim" as const, "writeZeroes" as const),
      ...range
    })
  },
  { weight: 1, arbitrary: FastCheck.record({ op: FastCheck.constant("hangUp" as const) }) }
)

const perform = (handle: Handle.Handle, each: Exclude<Step, { readonly op: "hangUp" }>): Effect.Effect<
  unknown,
  { readonly _tag: string },
  Transport.Transport
> => {
  switch (each.op) {
    case "go":
    case "info":
      return handle[each.op](each.name)
    case "listMetaContexts":
      return handle.listMetaContexts({ exportName: each.name, queries: [] })
    case "setMetaContexts":
      return handle.setMetaContexts({ exportName: each.name, contexts: ["base:allocation"] })
    case "configure":
      return handle.configure({ exportName: each.name })
    case "option":
      return handle.option(each.code)
    case "read":
    case "trim":
    case "writeZeroes":
      return handle[each.op](BigInt(each.offset), each.length)
    case "write":
      return handle.write(BigInt(each.offset), new Uint8Array(each.length))
    default:
      return handle[each.op]
  }
}

const deliveries = FastCheck.oneof(
  { weight: 7, arbitrary: FastCheck.constantFrom(MemoryPipe.whole, MemoryPipe.coalesced, MemoryPipe.random(7)) },
  // Dear, and rarely different.
  { weight: 1, arbitrary: FastCheck.constant(MemoryPipe.bytes) }
)

/** What programs came across, so that a run that never got anywhere does not pass for one that found nothing. */
const visited = new Set<string>()

const run = (optMode: boolean, delivery: MemoryPipe.Delivery, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    const handle = yield* Handle.make({ exportName: "disk", optMode })
    const sent = Effect.map(
      Effect.all([server.requests, server.options, server.clientFlags]),
      (lists) => lists.map(({ length }) => length)
    )
    for (const each of steps) {
      const before = (yield* handle.state)._tag
      if (each.op === "hangUp") {
        yield* server.killAll
        if (before === "Connected" || before === "Negotiating") yield* handle.awaitState("Dead", "ShutDown")
      } else {
        const permitted: ReadonlyArray<HandleState.StateTag> = HandleState.permitted[each.op]
        const sentBefore = yield* sent
        const outcome = yield* Effect.either(perform(handle, each))
        visited.add(before).add(`${each.op} ${outcome._tag}`)
        if (permitted.includes(before)) {
          expect(outcome._tag === "Left" && refusals.has(outcome.left._tag)).toBe(false)
        } else {
          expect(outcome).toMatchObject({ _tag: "Left", left: { _tag: errorOf[before], operation: each.op } })
          expect(yield* sent).toStrictEqual(sentBefore)
        }
        // Only now, so that the next step does not run into the middle of this one.
        if (each.op === "startConnect") {
          yield* handle.awaitState("Created", "Negotiating", "Connected", "ShutDown", "Dead")
        }
      }
    }
  }).pipe(Effect.scoped, Effect.provide(FakeServer.layer({ exports: [{ name: "disk", size }], delivery })))

it("no program of operations does what the state table forbids", async () => {
  await FastCheck.assert(
    FastCheck.asyncProperty(
      FastCheck.boolean(),
      deliveries,
      FastCheck.array(step, { maxLength: 30, size: "max" }),
      (optMode, delivery, steps) => Effect.runPromise(run(optMode, delivery, steps))
    ),
    { numRuns: 300 }
  )
  for (const tag of ["Created", "Negotiating", "Connected", "ShutDown", "Dead"]) expect(visited).toContain(tag)
  for (
    const op of ["connect", "startConnect", "go", "info", "list", "abort", "read", "write", "trim", "flush", "shutdown"]
      .concat(["listMetaContexts", "setMetaContexts", "structuredReplies", "extendedHeaders", "option", "configure"])
  ) {
    expect(visited).toContain(`${op} Right`)
    expect(visited).toContain(`${op} Left`)
  }
}, 60_000)
