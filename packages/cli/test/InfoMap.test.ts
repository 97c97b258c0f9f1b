/** `info --map` beside `nbdinfo --map`, and what only the former does. */
import * as Listener from "#cli/Listener"
import type { ServedContext } from "@effect-nbd/server/ServedContext"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Steering from "@effect-nbd/testing/Steering"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { closeSync, openSync, truncateSync, writeSync } from "node:fs"
import { join } from "node:path"
import { sameJson, sameText } from "./support/nbdinfo.ts"
import { cli, itWith } from "./support/programs.ts"
import { folder, nbdkit, nbdServer, qemuNbd } from "./support/servers.ts"

/** 4 MiB with two islands of data. */
const islands: Effect.Effect<string, never, Scope.Scope> = Effect.map(folder, (directory) => {
  const image = join(directory, "disk.img")
  const file = openSync(image, "w")
  writeSync(file, Buffer.alloc(65_536, 1), 0, 65_536, 1_048_576)
  writeSync(file, Buffer.alloc(8192, 1), 0, 8192, 2_097_152)
  closeSync(file)
  truncateSync(image, 4_194_304)
  return image
})

/** An image of 8 MiB with a backing file, of which the first is, and a bitmap that has seen 64 KiB written at 2 MiB. */
const chain: Effect.Effect<string, never, Scope.Scope> = Effect.map(folder, (directory) => {
  const base = join(directory, "base.qcow2")
  const image = join(directory, "top.qcow2")
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"])
  execFileSync("qemu-io", ["-f", "qcow2", "-c", "write 0 1M", base])
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", image])
  execFileSync("qemu-img", ["bitmap", "--add", image, "dirt"])
  execFileSync("qemu-io", ["-f", "qcow2", "-c", "write 2M 64K", image])
  return image
})

describe("info --map prints what nbdinfo prints", () => {
  itWith("nbdkit", "nbdinfo")("of base:allocation", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("file", yield* islands)
      expect(yield* sameText("--map", uri)).toContain("\n   1048576       65536    0  data\n")
      yield* sameJson("--map", uri)
      yield* sameText("--map", "--totals", uri)
      yield* sameJson("--map", "--totals", uri)
    }))

  itWith("qemu-nbd", "qemu-img", "qemu-io", "nbdinfo")("of qemu's contexts", () =>
    Effect.gen(function*() {
      const uri = yield* qemuNbd(yield* chain, "disk", "-f", "qcow2", "-r", "-A", "-B", "dirt")
      expect(yield* sameText("--map=qemu:dirty-bitmap:dirt", uri)).toContain("\n   2097152       65536    1  dirty\n")
      expect(yield* sameText("--map=qemu:allocation-depth", uri)).toContain(" 2  backing depth 2\n")
      yield* sameJson("--map=qemu:allocation-depth", "--totals", uri)
    }))

  itWith("nbdkit", "nbdinfo")("of an export that is empty", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("memory", "0")
      expect(yield* sameText("--map", uri)).toBe("")
      yield* sameJson("--map", uri)
      yield* sameJson("--map", "--totals", uri)
    }))
})

describe("info --map", () => {
  itWith("qemu-nbd", "qemu-img", "qemu-io")("takes several contexts, and a range", () =>
    Effect.gen(function*() {
      const uri = yield* qemuNbd(yield* chain, "disk", "-f", "qcow2", "-r", "-A", "-B", "dirt")
      const contexts = ["--map=qemu:dirty-bitmap:dirt", "--map=qemu:allocation-depth"]
      const range = ["--offset=1000K", "--length=2M"]
      const { code, stderr, stdout } = yield* cli("info", ...contexts, ...range, uri)
      expect(stdout).toBe([
        "   1024000       24576  qemu:dirty-bitmap:dirt: 0 clean; qemu:allocation-depth: 2 backing depth 2",
        "   1048576     1048576  qemu:dirty-bitmap:dirt: 0 clean; qemu:allocation-depth: 0 absent",
        "   2097152       65536  qemu:dirty-bitmap:dirt: 1 dirty; qemu:allocation-depth: 1 local",
        "   2162688      958464  qemu:dirty-bitmap:dirt: 0 clean; qemu:allocation-depth: 0 absent",
        ""
      ].join("\n"))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const totals = yield* cli("info", ...contexts, ...range, "--totals", "--json", uri)
      expect(JSON.parse(totals.stdout)).toMatchObject([
        { context: "qemu:dirty-bitmap:dirt", size: 2_031_616, percent: 96.875, description: "clean" },
        { context: "qemu:dirty-bitmap:dirt", size: 65_536, percent: 3.125, description: "dirty" },
        { description: "absent" },
        { description: "local" },
        { description: "backing depth 2" }
      ])
    }))

  itWith("nbdkit", "nbd-server")("says which context there is not, and why", () =>
    Effect.gen(function*() {
      const image = yield* islands
      const uri = yield* nbdServer(image)
      const fails = (message: string, ...words: ReadonlyArray<string>) =>
        Effect.map(cli("info", ...words), ({ code, stderr, stdout }) => {
          expect(stderr).toBe(`effect-nbd: ${message}\n`)
          expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
        })
      yield* fails(
        "export \"disk\" has no meta context \"base:allocation\": the server knows no structured replies",
        "--map",
        uri
      )
      // What is wrong first is told first.
      yield* fails(
        "the server has no export \"no\"; the server says: Export unknown",
        "--map",
        uri.replace("disk", "no")
      )
      const other = yield* nbdkit("file", image)
      yield* fails("the default export has no meta context \"x:y\": the server does not offer it", "--map=x:y", other)
      yield* fails("--offset 8388608: the export ends at 4194304", "--map", "--offset=8M", other)
      yield* fails("--totals, --offset and --length are for --map (see --help)", "--totals", other)
    }))
})

/** Every other 16 KiB are a hole. */
const stripes: ServedContext = {
  name: "base:allocation",
  status: (offset, length) =>
    Effect.sync(() => {
      const first = offset / 16_384n
      return Array.from(
        { length: Number((length + 16_383n) / 16_384n) },
        (_, index) => ({ length: 16_384n, flags: (first + BigInt(index)) % 2n })
      )
    })
}

/** A server that tells of the first 4 GiB of a larger export, and then fails; answers with its URI. */
const brokenStripes: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const server = yield* FakeServer.make({
    exports: [{ name: "", size: 5 * 2 ** 30, allocation: false, contexts: [stripes] }],
    // Without them no request is longer than 4 GiB.
    extendedHeaders: false
  })
  yield* server.onRequest(({ offset }) =>
    offset < 2n ** 32n ? Steering.proceed : Steering.fail("EIO", { message: "lost" })
  )
  return yield* Effect.orDie(
    Effect.flatMap(
      Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve),
      (address) => Listener.uriOf(address, "")
    )
  )
})

describe("a map that fails in the middle", () => {
  it.scopedLive("is cut off, if it was too long to wait for", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* cli("info", "--map", yield* brokenStripes)
      expect(stdout.length).toBeGreaterThan(8_388_608)
      // Shown in part, should it be wrong.
      expect(stdout.slice(0, 68)).toBe("         0       16384    0  data\n     16384       16384    1  hole\n")
      expect(stdout.slice(-40)).toMatch(/^[^\n]*\n? *[0-9]+ {7}16384 {4}[01] {2}(?:data|hole)\n$/)
      expect(stderr).toMatch(/^effect-nbd: .*EIO.*\n$/)
      expect(code).toBe(1)
    }))

  it.scopedLive("is still JSON", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* cli("info", "--map", "--json", yield* brokenStripes)
      const extents: ReadonlyArray<unknown> = JSON.parse(stdout)
      expect(extents[1]).toEqual({ offset: 16_384, length: 16_384, type: 1, description: "hole" })
      expect(extents.at(-1)).toMatchObject({ error: { tag: expect.stringMatching(/^Nbd/) } })
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" })
    }))
})
