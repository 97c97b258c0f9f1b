/**
 * Random programs over the fake server: every reply style, delivery and shape of replies, faults and ends; and proof that
 * a client's fault is found, and shown in a few lines.
 */
import { Arbitraries, FakeServer, MemoryPipe, Program } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import { deviceOf, type Functions } from "./fixtures/Device.ts"

const patience = "2 seconds"

interface Scene {
  readonly program: Program.Program
  readonly policy: string
  readonly config: FakeServer.FakeServerConfig
}

const blockSizes = [undefined, { minimum: 512, preferred: 512, maximum: 2048 }]

/** A server that haggles, so that the client knows what it must not send, and a program for its export. */
const scenes = (options: { readonly faults: boolean }): FastCheck.Arbitrary<Scene> =>
  FastCheck.oneof(...blockSizes.map((blockSize) => {
    const size = blockSize === undefined ? 64 : 8192
    return FastCheck.record({
      program: Program.arbitrary({ size, blockSize, ...options }),
      server: Arbitraries.serverConfig(),
      disk: Arbitraries.exportConfig({ maxSize: 1 }),
      delivery: FastCheck.constantFrom(...MemoryPipe.policies)
    }).map(({ delivery: [policy, delivery], disk: { blockSize: _, ...disk }, program, server }) => ({
      program,
      policy,
      config: {
        ...server,
        exports: [{ ...disk, size, ...blockSize === undefined ? {} : { blockSize }, dirtyBitmaps: [] }],
        protocol: "newstyle-fixed" as const,
        delivery
      }
    }))
  }))

const run = ({ config, program }: Scene, options: Program.RunOptions = {}) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    const report = yield* Program.run(program, { faults: yield* Program.faultsOf(server), patience, ...options })
    // What is cut off in the middle of a request looks like the client's fault.
    if (options.connection === undefined) expect(yield* server.violations).toEqual([])
    return report
  }).pipe(Effect.provide(FakeServer.layer(config)))

it("every program of operations, faults and ends keeps to the model, under every delivery", async () => {
  const seen = { succeeded: 0, refused: 0, failed: 0, lost: 0, interrupted: 0, mostInFlight: 0 }
  const states = new Set<string>()
  const policies = new Set<string>()
  await FastCheck.assert(
    FastCheck.asyncProperty(scenes({ faults: true }), async (scene) => {
      const report = await Effect.runPromise(run(scene))
      for (const key of ["succeeded", "refused", "failed", "lost", "interrupted"] as const) seen[key] += report[key]
      seen.mostInFlight = Math.max(seen.mostInFlight, report.mostInFlight)
      states.add(report.state)
      policies.add(scene.policy)
    }),
    { numRuns: 60 }
  )
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(1)
  expect([...states].toSorted()).toEqual(["Connected", "Dead", "ShutDown"])
  expect(policies.size).toBe(MemoryPipe.policies.length)
}, 60_000)

it("a reply that is still coming in when everything else is over is waited for", async () => {
  const config = { exports: [{ name: "disk", size: 64 }], delivery: MemoryPipe.bytes }
  for (let turns = 4; turns <= 60; turns += 4) {
    const program = new Program.Program({ size: 64 }, 1024, [
      { _tag: "Start", request: { command: "read", offset: 0n, length: 8 } },
      { _tag: "Yield", turns },
      { _tag: "Interrupt", operation: 1 }
    ])
    const report = await Effect.runPromise(run({ program, policy: "bytes", config }))
    expect(report).toMatchObject({ operations: 1, state: "Connected" })
  }
})

it("a connection that ends, breaks or goes silent at any byte leaves nothing unsettled", async () => {
  const fates = [MemoryPipe.finishAfter, MemoryPipe.resetAfter, MemoryPipe.stallAfter]
  let lost = 0
  await FastCheck.assert(
    FastCheck.asyncProperty(
      scenes({ faults: false }),
      FastCheck.constantFrom(...fates),
      FastCheck.integer({ min: 500, max: 20_000 }),
      FastCheck.boolean(),
      async (scene, fate, after, up) => {
        const delivery = scene.config.delivery ?? MemoryPipe.whole
        const { toClient, toServer } = "toServer" in delivery ? delivery : { toServer: delivery, toClient: delivery }
        const doomed = up
          ? { toServer: fate(after, toServer), toClient }
          : { toServer, toClient: fate(after, toClient) }
        const outcome = await Effect.runPromise(
          Effect.either(run({ ...scene, config: { ...scene.config, delivery: doomed } }, {
            connection: fate === MemoryPipe.stallAfter ? "MayStall" : "MayEnd",
            patience: "500 millis"
          }))
        )
        // The handshake may end with it.
        if (outcome._tag === "Right") lost += outcome.right.lost
        else if (outcome.left._tag === "NbdProgramError") throw outcome.left
      }
    ),
    { numRuns: 40 }
  )
  expect(lost).toBeGreaterThan(1)
}, 60_000)

it.each<readonly [string, (bytes: Uint8Array) => Partial<Functions<never>>, RegExp]>([
  [
    "writes no zeroes",
    () => ({ writeZeroes: () => Effect.void }),
    /#1 write 0 \+1\n.*(await #1|yield \d+)\n.*#2 writeZeroes 0 \+1$/
  ],
  [
    "cuts writes at 100 bytes",
    (bytes) => ({ write: (offset, written) => Effect.sync(() => bytes.set(written.subarray(0, 100), Number(offset))) }),
    /#1 write 0 \+101$/
  ]
])("a server that %s is found within 100 programs that are told of nothing but the size", async (_, fault, shown) => {
  const size = 4096
  const faulty = Effect.sync(() => {
    const bytes = new Uint8Array(size)
    const disk: Functions<never> = {
      read: (offset, length) => Effect.sync(() => bytes.slice(Number(offset), Number(offset) + length)),
      write: (offset, written) => Effect.sync(() => bytes.set(written, Number(offset))),
      writeZeroes: (offset, length) => Effect.sync(() => void bytes.fill(0, Number(offset), Number(offset + length))),
      ...fault(bytes)
    }
    return FakeServer.layer({ exports: [{ name: "disk", device: deviceOf(size, disk) }] })
  })
  const result = await FastCheck.check(
    FastCheck.asyncProperty(
      Program.arbitrary({ size }),
      (program) =>
        Effect.runPromise(Effect.asVoid(Effect.provide(Program.run(program, { patience }), Layer.unwrapEffect(faulty))))
    ),
    { seed: 1, numRuns: 100 }
  )
  expect(result.counterexample?.[0].toString()).toMatch(shown)
}, 30_000)

it("a server that forgets a write is found, and the program shrinks to that write", async () => {
  const area = { size: 4096, blockSize: { minimum: 512, preferred: 512, maximum: 4096 } }
  const forgetful = Effect.sync((): Functions<never> => {
    const bytes = new Uint8Array(area.size)
    return {
      read: (offset, length) => Effect.sync(() => bytes.slice(Number(offset), Number(offset) + length)),
      write: (offset, written) => Effect.sync(() => void (offset === 1024n || bytes.set(written, Number(offset))))
    }
  })
  const server = Layer.unwrapEffect(
    Effect.map(forgetful, (disk) =>
      FakeServer.layer({
        exports: [{ name: "disk", device: deviceOf(area.size, disk), blockSize: area.blockSize }]
      }))
  )
  const result = await FastCheck.check(
    FastCheck.asyncProperty(
      Program.arbitrary(area),
      (program) => Effect.runPromise(Effect.asVoid(Effect.provide(Program.run(program, { patience }), server)))
    ),
    { seed: 1, numRuns: 50 }
  )
  expect(FastCheck.defaultReportMessage(result)).toContain(
    ["", "4096 bytes in blocks of 512, at most 1024 in flight", "  #1 write 1024 +512", ""].join("\n")
  )
  expect(result.error).toContain("the content at the end: byte 1024 is")
}, 30_000)
