/** `--force-export-name`: servers that cannot cope with NBD_OPT_GO. */
import * as Listener from "#cli/Listener"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cli, itWith, run } from "./support/programs.ts"
import { folder, nbdServer, qemuNbd } from "./support/servers.ts"

const content = Uint8Array.from({ length: 65_536 }, (_, index) => (index * 7) % 251)

const leavesAtGo = Misbehaviour.make({
  name: "leavesAtGo",
  rule: "H-050",
  reaction: "Connection",
  sentence: "NBD_OPT_GO is answered by a close.",
  moment: "OptionAnswer",
  change: (_, { option }) => option === optionCode.GO ? { frames: [], afterwards: "End" } : undefined
})

/** A server that leaves at NBD_OPT_GO, and its URI. */
const withoutGo = Effect.gen(function*() {
  const server = yield* FakeServer.make({
    exports: [{ name: "disk", size: content.byteLength, content }],
    misbehaviours: [leavesAtGo]
  })
  const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
  return { server, uri: yield* Listener.uriOf(address, "disk") }
})

describe("--force-export-name", () => {
  it.scopedLive("has info enter an export of a server that leaves at NBD_OPT_GO", () =>
    Effect.gen(function*() {
      const { server, uri } = yield* withoutGo
      const refused = yield* cli("info", "--size", uri)
      expect(refused).toMatchObject({ code: 1, stdout: "" })
      expect(refused.stderr).toContain("forceExportName")
      for (
        const [words, expected] of [[["--size"], /^65536\n$/], [["--map"], /^\s*0\s+65536\s+0\s+data\n$/]] as const
      ) {
        const { code, stderr, stdout } = yield* cli("info", "--force-export-name", ...words, uri)
        expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: "", stdout: expect.stringMatching(expected) })
      }
      expect((yield* cli("info", "--force-export-name", "--can=connect", uri)).code).toBe(0)
      expect((yield* server.options).filter(({ name }) => name === "NBD_OPT_EXPORT_NAME").length)
        .toBeGreaterThanOrEqual(3)
    }))

  it.scopedLive("has copy do the same, as source and as destination", () =>
    Effect.gen(function*() {
      const { server, uri } = yield* withoutGo
      const directory = yield* folder
      const [there, back] = [join(directory, "there"), join(directory, "back")]
      const refused = yield* cli("copy", uri, there)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain("forceExportName")
      const copied = yield* cli("copy", "--force-export-name", uri, there)
      expect({ code: copied.code, stderr: copied.stderr }).toEqual({ code: 0, stderr: "" })
      expect(readFileSync(there).equals(content)).toBe(true)
      const changed = content.toReversed()
      writeFileSync(back, changed)
      expect((yield* cli("copy", back, uri)).code).toBe(1)
      expect((yield* cli("copy", "--force-export-name", back, uri)).code).toBe(0)
      expect((yield* cli("copy", "--force-export-name", uri, there)).code).toBe(0)
      expect(readFileSync(there).equals(changed)).toBe(true)
      expect(yield* server.violations).toEqual([])
    }))

  it.scopedLive("is no way round a server that has no such export", () =>
    Effect.gen(function*() {
      const { uri } = yield* withoutGo
      const { code, stderr, stdout } = yield* cli("info", "--force-export-name", `${uri}2`)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(stderr).toBe("effect-nbd: the server closed the connection when asked for export \"disk2\"\n")
    }))

  const servers = { "nbd-server": nbdServer, "qemu-nbd": (image: string) => qemuNbd(image, "disk") }
  for (const [program, serve] of Object.entries(servers)) {
    itWith(program, "nbdinfo")(`shows the same export of ${program}`, () =>
      Effect.gen(function*() {
        const image = join(yield* folder, "image")
        writeFileSync(image, content)
        const uri = yield* serve(image)
        const { code, stderr, stdout } = yield* cli("info", "--force-export-name", "--size", uri)
        expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: "", stdout: "65536\n" })
        expect((yield* run("nbdinfo", "--size", uri)).stdout).toBe(stdout)
        const copy = join(yield* folder, "copy")
        expect((yield* cli("copy", "--force-export-name", uri, copy)).code).toBe(0)
        expect(readFileSync(copy).equals(content)).toBe(true)
      }))
  }
})
