/** Arbitraries keep their promises: legal is legal, stray is stray, and what is configured can be connected to. */
import { Handle } from "@effect-nbd/core"
import * as Export from "@effect-nbd/core/Export"
import { maxStringBytes } from "@effect-nbd/core/wire/Bytes"
import { ServedExport } from "@effect-nbd/server"
import { Arbitraries, FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

const areas = FastCheck.record({
  size: FastCheck.oneof(FastCheck.integer({ min: 1, max: 64 }), FastCheck.bigInt({ min: 1n, max: 2n ** 63n })).map(
    (blocks) => BigInt(blocks)
  ),
  minimum: FastCheck.constantFrom(1, 512, 65_536)
}).map(({ minimum, size }) => ({ size: size * BigInt(minimum) % 2n ** 64n, blockSize: { minimum } }))
  .filter(({ size }) => size > 0n)

describe("requests", () => {
  it.prop("within bounds are aligned, inside, and inside the window", [
    areas.chain((area) => FastCheck.tuple(FastCheck.constant(area), Arbitraries.request({ ...area, window: 131_072 })))
  ], ([[area, request]]) => {
    expect(Arbitraries.isLegal(area, request)).toBe(true)
    if (area.blockSize.minimum <= 131_072) expect(request.offset + BigInt(request.length)).toBeLessThanOrEqual(131_072n)
  })

  it.prop("that stray are what an export does not take", [
    areas.chain((area) => FastCheck.tuple(FastCheck.constant(area), Arbitraries.strayRequest(area)))
  ], ([[{ blockSize: { minimum }, size }, { length, offset }]]) => {
    const isInside = length > 0 && offset + BigInt(length) <= size
    expect(isInside && offset % BigInt(minimum) === 0n && length % minimum === 0).toBe(false)
    expect(offset).toBeLessThan(2n ** 64n + 65_536n * 4n)
  })

  it("shrink to the simplest: a read of the first block", () => {
    const result = FastCheck.check(
      FastCheck.property(
        Arbitraries.requests({ size: 65_536, blockSize: { minimum: 512 } }),
        (requests) => requests.every(({ command }) => command === "flush")
      ),
      { seed: 1 }
    )
    expect(result.counterexample).toEqual([[{ command: "read", offset: 0n, length: 512 }]])
  })
})

it.prop("block sizes are such that a client obeys them", [Arbitraries.blockSize], ([blockSize]) => {
  expect(Export.checkBlockSize(blockSize)).toEqual(Option.some(blockSize))
})

it.prop("texts fit a message", [Arbitraries.text(), Arbitraries.uriText], ([text, uri]) => {
  expect(new TextEncoder().encode(text).byteLength).toBeLessThanOrEqual(maxStringBytes)
  expect(uri).toMatch(/^nbds?(\+(unix|vsock|ssh))?:\/\//)
})

it.effect.prop("every server's default export is entered as it was configured, and its first bytes are read", [
  Arbitraries.serverConfig({ maxSize: 65_536 })
], ([config]) =>
  Effect.gen(function*() {
    const entering = Handle.connect({ metaContexts: [{ name: "base:allocation", optional: true }] })
    const disk = yield* entering
    const [first] = config.exports.map(ServedExport.make)
    expect([disk.export.size, disk.export.isReadOnly]).toEqual([first?.size, first?.readOnly])
    // A server that does not haggle has constraints all the same, and cannot tell of them.
    const length = first?.blockSize?.minimum ?? 1
    const expected = yield* Effect.flatMap(FakeServer.FakeServer, ({ exportBytes }) => exportBytes("disk", 0n, length))
    expect(Buffer.compare(yield* disk.read(0n, length), expected)).toBe(0)
    const status = yield* Effect.either(disk.blockStatus(0n, length))
    expect(Either.isRight(status)).toBe(disk.export.contexts.length > 0)
    expect(yield* Effect.flatMap(FakeServer.FakeServer, ({ violations }) => violations)).toEqual([])
  }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(config))), { fastCheck: { numRuns: 40 } })
