/**
 * The peers of Debian 13 (nbdkit 1.42, qemu-nbd 10.0, nbd-server 3.26, libnbd 1.22) beside those that are installed: what
 * they are told, what they tell, and copies in both directions. `npm run peers -- --newer` unpacks them.
 */
import { Conformance } from "@effect-nbd/conformance"
import { Handle } from "@effect-nbd/core"
import { NodeTransport } from "@effect-nbd/node"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { bin, startCli, succeed } from "./support/programs.ts"
import { folder, serversThrough } from "./support/servers.ts"

const among = fileURLToPath(new URL("../../../build/peers/trixie/in", import.meta.url))

const itNewer = existsSync(among) ? it.scopedLive : it.scopedLive.skip

const newer = serversThrough(among)
const theirs = (...words: ReadonlyArray<string>) => succeed(among, ...words)

const size = 16_777_216

/** Data, a hole, zeroes that are written, and a tail of no whole block. */
const content = (): Buffer => {
  const bytes = randomBytes(size)
  bytes.fill(0, 1_048_576, 9_437_184)
  // What file(1) takes for nothing that it knows: random bytes look like something now and then.
  for (let at = 0; at < 65_536; at++) bytes[at] = (at * 37 + 11) % 251
  return bytes
}

/** A file that holds `bytes`, in a folder of its own. */
const image = (bytes: Uint8Array) =>
  Effect.map(folder, (directory) => {
    const path = join(directory, "disk.img")
    writeFileSync(path, bytes)
    return path
  })

type Serving = (image: string) => Effect.Effect<string, never, Scope.Scope>

/**
 * Each server over a raw image, with what it is known to do otherwise: the name of the check, and what it says then. A
 * deviation that has gone fails the test too.
 */
const servers: ReadonlyArray<
  readonly [name: string, serving: Serving, target: Conformance.Target, deviations: Readonly<Record<string, RegExp>>]
> = [
  ["nbdkit", (image) => newer.nbdkit("file", image), { exportName: "", lists: false }, {}],
  ["qemu-nbd", (image) => newer.qemuNbd(image, "disk"), { exportName: "disk", unknownExport: "nothing" }, {}],
  ["nbd-server", newer.nbdServer, { exportName: "disk", unknownExport: "nothing" }, {
    // It advertises NBD_FLAG_SEND_DF, and refuses the flag by a simple reply, though chunks were agreed on.
    "a read that may not be fragmented comes in one piece, if the server offers it":
      /failed with EINVAL: expected a structured reply/
  }]
]

describe.each(servers)("Debian 13's %s", (_name, serving, target, deviations) => {
  itNewer("passes the suite of a client", () =>
    Effect.gen(function*() {
      const uri = yield* Effect.flatMap(image(new Uint8Array(67_108_864)), serving)
      const failures: Record<string, string> = {}
      for (const { name, run } of Conformance.checks(target)) {
        const exit = yield* run.pipe(Effect.scoped, Effect.provide(NodeTransport.layerUri(uri)), Effect.either)
        if (Either.isLeft(exit)) failures[name] = String(exit.left)
      }
      expect(failures).toEqual(
        Object.fromEntries(Object.entries(deviations).map(([name, said]) => [name, expect.stringMatching(said)]))
      )
    }), 60_000)

  itNewer("is not charged with what a server may do", () =>
    Effect.gen(function*() {
      const uri = yield* Effect.flatMap(image(new Uint8Array(1_048_576)), serving)
      const checks = Conformance.serverChecks(target).filter(({ rules }) =>
        rules.some((rule) => rule === "S-034" || rule === "S-098")
      )
      const report = yield* Effect.provide(Conformance.run(target, { checks }), NodeTransport.layerUri(uri))
      expect(report).toMatchObject({ failed: 0, unclear: 0 })
      expect(report.checks.length).toBe(checks.length)
    }), 60_000)

  itNewer(
    "holds what effect-nbd has copied to it, and gives the same to effect-nbd and to nbdcopy",
    () =>
      Effect.gen(function*() {
        const bytes = content()
        const source = yield* image(bytes)
        const disk = yield* image(new Uint8Array(size).fill(0xff))
        const uri = yield* serving(disk)
        const out = yield* folder
        yield* succeed(process.execPath, ...copying(source, uri, "--flush"))
        expect(readFileSync(disk).equals(bytes)).toBe(true)
        yield* succeed(process.execPath, ...copying(uri, join(out, "ours")))
        expect(readFileSync(join(out, "ours")).equals(bytes)).toBe(true)
        yield* theirs("nbdcopy", uri, join(out, "theirs"))
        expect(readFileSync(join(out, "theirs")).equals(bytes)).toBe(true)
      }),
    60_000
  )

  itNewer(
    "zeroes all of a long range: nbd-server 3.26 stops at 64 MiB of one request, and says success",
    () =>
      Effect.gen(function*() {
        const length = 134_217_728
        const source = yield* image(new Uint8Array())
        truncateSync(source, length)
        const disk = yield* image(new Uint8Array(length).fill(0xff))
        const uri = yield* serving(disk)
        yield* succeed(process.execPath, ...copying(source, uri, "--flush"))
        expect(readFileSync(disk).equals(new Uint8Array(length))).toBe(true)
      }),
    60_000
  )

  itNewer(
    "is described as by its contemporary nbdinfo, but for the size that INFO of nbd-server gets wrong",
    () =>
      Effect.gen(function*() {
        const uri = yield* Effect.flatMap(image(content()), serving)
        const [ours, expected] = yield* Effect.all([
          succeed(process.execPath, bin, "info", "--json", uri),
          theirs("nbdinfo", "--json", uri)
        ])
        expect(described(ours)).toEqual(described(expected))
        expect(JSON.parse(ours)).toMatchObject({ exports: [{ "export-size": size, content: "data" }] })
        if (!expected.includes("base:allocation")) return
        const map = ["--json", "--map", uri]
        const [ourMap, theirMap] = yield* Effect.all([
          succeed(process.execPath, bin, "info", ...map),
          theirs("nbdinfo", ...map)
        ])
        expect(JSON.parse(ourMap)).toEqual(JSON.parse(theirMap))
      }),
    60_000
  )
})

describe("Debian 13's nbd-server over a disk of which a half is lost", () => {
  itNewer(
    "fails the reads of that half, and no other, on the same connection (C-159, C-180)",
    () =>
      Effect.gen(function*() {
        const disk = yield* image(new Uint8Array(8_388_608).fill(0x5a))
        const uri = yield* newer.nbdServer(disk)
        const reads = Effect.gen(function*() {
          const handle = yield* Handle.connect({ exportName: "disk" })
          yield* handle.read(0n, 512)
          truncateSync(disk, 4_194_304)
          const read = (offset: bigint) => Effect.either(handle.read(offset, 4096))
          const found = yield* Effect.forEach([0n, 6_291_456n, 1_048_576n], read, { concurrency: "unbounded" })
          return { found, after: yield* handle.read(2_097_152n, 4096) }
        })
        const { after, found } = yield* Effect.scoped(Effect.provide(reads, NodeTransport.layerUri(uri)))
        expect(found.map(Either.isRight)).toEqual([true, false, true])
        expect(after).toEqual(new Uint8Array(4096).fill(0x5a))
      }),
    60_000
  )
})

/** What was said of the one export, without its size, and what is on a disk as each looked at it. */
const described = (json: string): unknown => {
  const said: unknown = JSON.parse(json, (key, value: unknown) => key.startsWith("export-size") ? undefined : value)
  return said
}

const copying = (...words: ReadonlyArray<string>): ReadonlyArray<string> => [bin, "copy", ...words]

describe("effect-nbd serve", () => {
  itNewer("is used by Debian 13's clients: nbdinfo, nbdcopy, qemu-img", () =>
    Effect.gen(function*() {
      const bytes = content()
      const source = yield* image(bytes)
      const path = join(yield* folder, "socket")
      yield* Effect.flatMap(startCli("serve", `--unix=${path}`, `--size=${size}`), ({ firstLine }) => firstLine)
      const uri = `nbd+unix:///?socket=${path}`
      const out = yield* folder
      yield* theirs("nbdcopy", "--flush", source, uri)
      yield* theirs("nbdcopy", uri, join(out, "back"))
      expect(readFileSync(join(out, "back")).equals(bytes)).toBe(true)
      yield* theirs("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)
      const said: unknown = JSON.parse(yield* theirs("nbdinfo", "--json", uri))
      expect(said).toMatchObject({
        protocol: "newstyle-fixed",
        structured: true,
        extended: true,
        exports: [{ "export-size": size, contexts: ["base:allocation"] }]
      })
    }), 60_000)
})
