/** The examples in this package's README are files that compile and run. */
import { Handle } from "@effect-nbd/core"
import { FakeServer } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { badReplies } from "./readme/badReplies.ts"
import { brokenDisk } from "./readme/brokenDisk.ts"
import { server } from "./readme/disks.ts"
import { keepsToTheModel } from "./readme/programs.ts"
import { replayed, text } from "./readme/transcript.ts"

const textOf = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8")

it("README.md has the examples as they are tested", () => {
  const blocks = [...textOf("../README.md").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code)
  const examples = [
    "brokenDisk.ts",
    "disks.ts",
    "transcript.ts",
    "badReplies.ts",
    "programs.ts"
  ]
  expect(blocks).toEqual(examples.map((file) => textOf(`readme/${file}`)))
})

it.effect("the disk with one bad sector after the other", () =>
  Effect.gen(function*() {
    expect(yield* brokenDisk).toMatchObject({ _tag: "NbdCommandError", errno: "EIO" })
  }))

it.scoped("the disks", () =>
  Effect.gen(function*() {
    const numbered = yield* Handle.connect({ exportName: "numbered" })
    expect([...yield* numbered.read(1023n, 2)]).toEqual([1, 2])
    expect(numbered.export.isReadOnly).toBe(true)
    expect(yield* Effect.flip(numbered.read(524_288n, 1))).toMatchObject({ serverMessage: "behind the scratch" })

    const metaContexts = ["qemu:dirty-bitmap:monday", "x-lab:heat"]
    const backup = yield* Handle.connect({ exportName: "backup", metaContexts })
    expect(backup.agreed.replyStyle).toBe("Structured")
    const [dirty, heat] = yield* backup.blockStatus(0n, 1_048_576)
    expect([...dirty ?? []].map(({ flags, length }) => [length, flags])).toEqual([[65_536n, 1n], [983_040n, 0n]])
    expect([...heat ?? []].map(({ flags }) => flags)).toEqual([37n])
  }).pipe(Effect.provide(server)))

it.effect("the transcript", () =>
  Effect.gen(function*() {
    const recorded = yield* text
    const shown = /^```\n(client: [^]*?)```$/m.exec(textOf("../README.md"))?.[1] ?? "nothing"
    expect(recorded).toContain(shown)
    expect(yield* replayed(recorded)).toEqual(new Uint8Array(512))
    const elsewhere = recorded.replace("00 00 00 00 00 00 00 00 | offset: 0", "00 00 00 00 00 00 04 00 | ")
    expect(elsewhere).not.toBe(recorded)
    expect(yield* Effect.flip(replayed(elsewhere))).toMatchObject({
      _tag: "NbdTranscriptMismatchError",
      field: "offset of extended request"
    })
  }))

it.effect("the bad replies", () =>
  Effect.gen(function*() {
    const { gap, lost, sound } = yield* badReplies
    expect([...sound]).toEqual([1, 2, 3, 4])
    expect(gap).toMatchObject({ _tag: "NbdReplyInvalidError" })
    expect(lost).toMatchObject({ _tag: "NbdCommandLostError", reason: { _tag: "NbdProtocolError" } })
  }))

it("the programs", async () => {
  const block = { minimum: 512, preferred: 512, maximum: 4096 }
  await keepsToTheModel(FakeServer.layer({ exports: [{ name: "disk", size: 4096, blockSize: block }] }))
})
