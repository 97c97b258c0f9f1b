/** The examples in the README are files that compile and run. */
import { Handle } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { changes, monday } from "./readme/backup.ts"
import { digests } from "./readme/digests.ts"
import { readSector } from "./readme/pipeline.ts"
import { Journal } from "./readme/service.ts"

const textOf = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8")

const blocksOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code)

const server = FakeServer.layer({ exports: [{ name: "journal", size: 1_048_576 }] })

describe("README.md", () => {
  it("has the examples as they are tested", () => {
    const examples = ["service.ts", "pipeline.ts", "backup.ts", "digests.ts", "fake.test.ts"].map((file) =>
      textOf(`readme/${file}`)
    )
    expect(blocksOf(textOf("../../../README.md"))).toEqual(examples)
  })

  it.effect("the service writes and reads", () =>
    Effect.gen(function*() {
      const journal = yield* Journal
      const record = new Uint8Array(4096).fill(7)
      yield* journal.append(257n, record)
      expect(yield* journal.read(1n)).toEqual(record)
    }).pipe(
      Effect.provide(
        Journal.Default.pipe(Layer.provide(Handle.layer({ exportName: "journal" })), Layer.provide(server))
      )
    ))

  it.effect("the backup reads what has changed, and nothing else", () =>
    Effect.gen(function*() {
      const disk = yield* Handle.connect({ exportName: "vm", metaContexts: [monday] })
      const bytes = new Uint8Array(3_000_000).fill(7)
      yield* disk.write(65_536n, bytes)
      yield* disk.write(8_388_608n, bytes.subarray(0, 10))
      const saved = Array.from(yield* Stream.runCollect(changes(disk)))
      expect(saved[0]?.offset).toBe(65_536n)
      const total = saved.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
      expect(total).toBeGreaterThanOrEqual(3_000_010)
      expect(total).toBeLessThan(3_000_010 + 3 * 65_536)
      const sevens = saved.reduce((sum, { bytes }) => sum + bytes.filter((byte) => byte === 7).byteLength, 0)
      expect(sevens).toBe(3_000_010)
    }).pipe(
      Effect.scoped,
      Effect.provide(FakeServer.layer({
        exports: [{ name: "vm", size: 2n ** 40n, dirtyBitmaps: [{ name: "monday" }] }]
      }))
    ))

  it.effect("the digests are those of each MiB, and of what is left", () =>
    Effect.gen(function*() {
      const disk = yield* Handle.connect({ exportName: "odd" })
      yield* disk.write(1_048_576n, new Uint8Array(1_048_576).fill(7))
      const sha256 = (length: number, byte: number) =>
        createHash("sha256").update(new Uint8Array(length).fill(byte)).digest("hex")
      expect(Array.from(yield* Stream.runCollect(digests(disk)))).toEqual([
        { offset: 0n, sha256: sha256(1_048_576, 0) },
        { offset: 1_048_576n, sha256: sha256(1_048_576, 7) },
        { offset: 2_097_152n, sha256: sha256(512, 0) }
      ])
    }).pipe(
      Effect.scoped,
      Effect.provide(FakeServer.layer({ exports: [{ name: "odd", size: 2_097_664 }] }))
    ))

  it.scopedLive("the pipeline tells by the tag", () =>
    Effect.gen(function*() {
      const fake = yield* FakeServer.FakeServer
      const disk = yield* Handle.connect({ exportName: "journal" })
      const why = (sector: bigint) =>
        Effect.map(Effect.flip(readSector(disk, sector)), (error) =>
          error._tag === "SectorError" ? error.why : error._tag)
      let failures = 1
      yield* fake.onRequest(() =>
        failures-- > 0 ? Steering.fail("EIO") : Steering.proceed
      )
      expect(yield* readSector(disk, 0n)).toHaveLength(512)
      failures = 100
      expect(yield* why(0n)).toMatch(/^the server says EIO/)
      expect(yield* why(2048n)).toBe("the disk ends at 1048576")
      yield* fake.onRequest(() => Steering.drop)
      expect(yield* why(0n)).toMatch(/^lost: /)
      expect(yield* why(0n)).toMatch(/^dead: /)
    }).pipe(Effect.provide(server)))
})

describe("the README of each package", () => {
  const options = { core: "", node: "", testing: "--save-dev ", cli: "--global " }
  for (const [name, option] of Object.entries(options)) {
    it(`${name}: has an install line and a way to the rest`, () => {
      const text = textOf(`../../${name}/README.md`)
      expect(text).toContain(`npm install ${option}@effect-nbd/${name}`)
      expect(text).toContain("](../../README.md)")
    })
  }
})
