/** Where a campaign begins: the goldens, and this client with the fake server in every style there is. */
import { Handle } from "@effect-nbd/core"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import { FakeServer, Steering, Transcript } from "@effect-nbd/testing"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { readdirSync, readFileSync } from "node:fs"

const psk = { credentials: { _tag: "Psk", keyOf: () => Redacted.make(new Uint8Array(16)) } } as const
const metaContexts = ["base:allocation", "qemu:dirty-bitmap:b0"]

const styles: ReadonlyArray<readonly [Partial<FakeServer.FakeServerConfig>, HandleConfig]> = [
  [{ protocol: "oldstyle" }, { exportName: "" }],
  [{ protocol: "newstyle", noZeroes: false }, { forceExportName: true }],
  [{ structuredReplies: false, extendedHeaders: false }, {}],
  [{ extendedHeaders: false, chunkSize: 700, endWithNone: true }, { metaContexts }],
  [{ extendedHeaders: false, acknowledgements: "Simple", chunkOrder: "Descending" }, { forceExportName: true }],
  [{ chunkSize: 700, maxDescriptors: 2 }, { metaContexts }],
  [{ tls: { mode: "Require", settings: psk } }, { metaContexts, tls: { mode: "Require" } }]
]

const converse = (config: HandleConfig) =>
  Effect.scoped(Effect.gen(function*() {
    const disk = yield* Handle.connect({ exportName: "disk", ...config })
    yield* disk.write(1000n, new Uint8Array(500).fill(7))
    yield* disk.read(512n, 2048)
    yield* disk.flush
    yield* disk.writeZeroes(65_536n, 4096)
    yield* disk.trim(4096n, 4096)
    if (config.metaContexts !== undefined) yield* disk.blockStatus(0n, 131_072)
    yield* Effect.flip(disk.command({ code: 99 }))
    yield* Effect.flip(disk.read(1_048_064n, 512))
    yield* disk.shutdown
  }))

const own = Effect.forEach(styles, ([server, client]) =>
  Effect.scoped(Effect.gen(function*() {
    const exports = [{ name: "disk", size: 1_048_576, description: "a disk", dirtyBitmaps: [{ name: "b0" }] }]
    const fake = yield* FakeServer.make({ exports, ...server })
    yield* fake.onRequest(({ command, offset }) =>
      command === "READ" && offset > 4096n
        ? Steering.fail("EIO", { message: "a sector", offset: offset + 9n })
        : Steering.proceed
    )
    const recording = Transcript.record(FakeServer.transport(fake))
    yield* Effect.provideService(converse(client), Transport, recording.transport)
    return yield* recording.transcripts
  })))

/** The transcripts in a folder, without those that are none. */
export const transcriptsIn = (folder: string | URL): ReadonlyArray<Transcript.Transcript> =>
  readdirSync(folder).toSorted().filter((name) => name.endsWith(".txt")).flatMap((name) => {
    const text = readFileSync(typeof folder === "string" ? `${folder}/${name}` : new URL(name, folder), "utf8")
    return Either.match(Transcript.parse(text), { onLeft: () => [], onRight: (transcript) => [transcript] })
  })

/** `goldens` is their folder. Our own have most in them, and come up as often as those. */
export const seeds = async (goldens: string | URL): Promise<ReadonlyArray<Transcript.Transcript>> => {
  const ours = (await Effect.runPromise(own)).flat()
  return [...ours, ...ours, ...ours, ...ours, ...transcriptsIn(goldens)]
}
