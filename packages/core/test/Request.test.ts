/**
 * Requests as values: what they are made of, what they are printed as, and that there is one kind for each method.
 */
import { HandleState, Request } from "@effect-nbd/core"
import { methodsOf } from "@effect-nbd/core/handle/CommandMethods"
import { type Dispatch, dispatchOver } from "@effect-nbd/core/handle/Dispatch"
import { ShutDownError } from "@effect-nbd/core/HandleError"
import { strict } from "@effect-nbd/core/transmission/Strictness"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { inspect } from "node:util"

/** A byte that must not be seen, often enough to find it in anything that it is printed as. */
const secret = new Uint8Array(16).fill(0xab)

const printed: ReadonlyArray<readonly [request: Request.Request, json: Request.Printed]> = [
  [new Request.Read(2n ** 63n, 4096), { _tag: "Read", offset: "9223372036854775808", length: "4096" }],
  [new Request.ReadInto(1n, secret), { _tag: "ReadInto", offset: "1", length: "16" }],
  [new Request.ReadBorrowed(2n, 3), { _tag: "ReadBorrowed", offset: "2", length: "3" }],
  [new Request.ReadStructured(4n, 5, { df: true }), { _tag: "ReadStructured", offset: "4", length: "5", df: true }],
  [new Request.Write(6n, secret, { fua: true }), { _tag: "Write", offset: "6", length: "16", fua: true }],
  [new Request.Flush(), { _tag: "Flush" }],
  [new Request.Trim(7n, 2n ** 53n - 1n), { _tag: "Trim", offset: "7", length: "9007199254740991" }],
  [new Request.Cache(8n, 9, { flags: 1 }), { _tag: "Cache", offset: "8", length: "9", flags: 1 }],
  [
    new Request.WriteZeroes(10n, 11, { noHole: true }),
    { _tag: "WriteZeroes", offset: "10", length: "11", noHole: true }
  ],
  [
    new Request.BlockStatus(12n, 13, { contexts: ["base:allocation"] }),
    { _tag: "BlockStatus", offset: "12", length: "13", contexts: ["base:allocation"] }
  ],
  [
    new Request.Command({ code: 42, offset: 14n, payload: secret }),
    { _tag: "Command", offset: "14", length: "16", code: 42, flags: 0, payloadLength: "16" }
  ],
  [new Request.Command({ code: 8 }), { _tag: "Command", offset: "0", length: "0", code: 8, flags: 0 }]
]

describe("a request", () => {
  it.each(printed)("is printed with exact numbers, and without the content of memory: %s", (request, json) => {
    expect(JSON.parse(JSON.stringify(request))).toStrictEqual(json)
    expect(String(request)).toBe(JSON.stringify(json))
    const inspected = inspect({ request }, { depth: 9 })
    expect(inspected).toContain(json._tag)
    expect(inspected).not.toMatch(/171|\bab\b|Uint8Array/)
  })

  it("is printed with every tag that there is", () => {
    const tags = new Set(printed.map(([request]) => Request.operationOf(request)))
    expect(tags).toStrictEqual(new Set(Request.requestOperations))
  })

  it("does not copy the memory that it names", () => {
    expect(new Request.Write(0n, secret).bytes).toBe(secret)
    expect(new Request.ReadInto(0n, secret).destination).toBe(secret)
  })
})

describe("each method", () => {
  /** Answers every request with what it was, as its failure. */
  const telling: Dispatch<Request.Request> = (request) => Effect.fail(request)
  const nbd = methodsOf(telling, Effect.fail(new Request.Flush()))

  it.effect("makes the request that has its name, out of all that it was given", () =>
    Effect.gen(function*() {
      const bytes = new Uint8Array(4)
      expect([
        yield* Effect.flip(nbd.read(1n, 2)),
        yield* Effect.flip(nbd.readInto(3n, bytes)),
        yield* Effect.flip(nbd.readBorrowed(5n, 6, () => Effect.void)),
        yield* Effect.flip(nbd.write(7n, bytes, { fua: true })),
        yield* Effect.flip(nbd.flush),
        yield* Effect.flip(nbd.trim(8n, 9n, { fua: true })),
        yield* Effect.flip(nbd.cache(10n, 11, { flags: 1 })),
        yield* Effect.flip(nbd.writeZeroes(12n, 13, { noHole: true })),
        yield* Effect.flip(nbd.readStructured(14n, 15, { df: true })),
        yield* Effect.flip(nbd.blockStatus(16n, 17, { reqOne: true })),
        yield* Effect.flip(nbd.command({ code: 18 }))
      ]).toStrictEqual([
        new Request.Read(1n, 2),
        new Request.ReadInto(3n, bytes),
        new Request.ReadBorrowed(5n, 6),
        new Request.Write(7n, bytes, { fua: true }),
        new Request.Flush(),
        new Request.Trim(8n, 9n, { fua: true }),
        new Request.Cache(10n, 11, { flags: 1 }),
        new Request.WriteZeroes(12n, 13, { noHole: true }),
        new Request.ReadStructured(14n, 15, { df: true }),
        new Request.BlockStatus(16n, 17, { reqOne: true }),
        new Request.Command({ code: 18 })
      ])
    }))

  it("is one for every kind of request, and the handle's states know it", () => {
    expect(new Set(Object.keys(nbd).filter((name) => name !== "extents"))).toStrictEqual(
      new Set(Request.requestOperations)
    )
    for (const operation of Request.requestOperations) {
      expect(HandleState.permitted[operation]).toStrictEqual(["Connected"])
    }
  })

  it.effect("is refused by its own name", () =>
    Effect.gen(function*() {
      const refused: Array<Request.RequestOperation> = []
      const dispatch = dispatchOver((request) => {
        const operation = Request.operationOf(request)
        refused.push(operation)
        return new ShutDownError({ operation, permitted: HandleState.permitted[operation], by: "Client" })
      }, { strictness: strict })
      for (const [request] of printed) yield* Effect.flip(dispatch(request))
      expect(refused).toStrictEqual(printed.map(([request]) => Request.operationOf(request)))
    }))
})
