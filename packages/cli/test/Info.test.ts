import * as Listener from "#cli/Listener"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cli, itWith, succeed } from "./support/programs.ts"
import { folder, nbdkit, qemuNbd } from "./support/servers.ts"

/** What nbdinfo finds out and this program does not ask for, and what only newer ones than Debian's print. */
const theirsOnly = ["content", "contexts"]
const oursOnly = ["extended", "can_block_status_payload"]

const fieldsOf = (value: unknown): Array<[string, unknown]> =>
  typeof value === "object" && value !== null ? Object.entries(value) : []

/** Fields in their order, those of exports included, without the ones named. */
const comparable = (json: string, without: ReadonlyArray<string>): unknown => {
  const prune = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(prune)
      : typeof value === "object" && value !== null
      ? fieldsOf(value).filter(([name]) => !without.includes(name)).map(([name, field]) => [name, prune(field)])
      : value
  return prune(JSON.parse(json))
}

const sameAsNbdinfo = (uri: string, ...options: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const theirs = yield* succeed("nbdinfo", ...options, "--json", uri)
    const ours = yield* cli("info", ...options, "--json", uri)
    expect(ours.stderr).toBe("")
    expect(ours.code).toBe(0)
    expect(comparable(ours.stdout, oursOnly)).toEqual(comparable(theirs, theirsOnly))
    return ours.stdout
  })

describe("info --json has the fields of nbdinfo --json, in its order", () => {
  itWith("nbdkit", "nbdinfo")("nbdkit", () => Effect.flatMap(nbdkit("memory", "64M"), sameAsNbdinfo))

  itWith("nbdkit", "nbdinfo")("nbdkit, read-only, with block sizes", () =>
    Effect.flatMap(
      nbdkit(
        "-r",
        "--filter=blocksize-policy",
        "memory",
        "1025K",
        "blocksize-minimum=512",
        "blocksize-preferred=64K",
        "blocksize-maximum=1M"
      ),
      sameAsNbdinfo
    ))

  itWith("nbdkit", "nbdinfo")("nbdkit, oldstyle", () => Effect.flatMap(nbdkit("-o", "memory", "512"), sameAsNbdinfo))

  itWith("nbdkit", "nbdinfo")(
    "nbdkit, newstyle that is not fixed",
    () => Effect.flatMap(nbdkit("--mask-handshake=0", "memory", "1M"), sameAsNbdinfo)
  )

  itWith("nbdkit", "nbdinfo")("a size that no double can hold", () =>
    Effect.gen(function*() {
      const json = yield* sameAsNbdinfo(yield* nbdkit("memory", "9223372036854775807"))
      expect(json).toContain("\"export-size\": 9223372036854775807,\n")
    }))

  itWith("qemu-nbd", "nbdinfo")("qemu-nbd, with a name and a description", () =>
    Effect.gen(function*() {
      const image = join(yield* folder, "disk.img")
      writeFileSync(image, "")
      truncateSync(image, 10_485_760)
      const uri = yield* qemuNbd(image, "a \"disk\" ü", "-D", "for tests")
      yield* sameAsNbdinfo(uri)
      yield* sameAsNbdinfo(uri, "--list")
    }))

  itWith("nbdkit", "nbdinfo")("--list", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      for (const name of ["one", "two"]) writeFileSync(join(directory, name), name.repeat(512))
      yield* sameAsNbdinfo(yield* nbdkit("file", `dir=${directory}`), "--list")
    }))
})

/** The URI of a fake server on a port. */
const faked = (config: FakeServer.FakeServerConfig) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make(config)
    return yield* Listener.uriOf(
      yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve),
      config.exports[0]?.name ?? ""
    )
  })

describe("info, of servers that are hard to find", () => {
  itWith("nbdinfo")("the server has another name for the export", () =>
    Effect.gen(function*() {
      const uri = yield* faked({
        exports: [{ name: "alias", canonicalName: "real name", description: "d", size: 512 }]
      })
      const json = yield* sameAsNbdinfo(uri)
      expect(json).toContain("\"export-name\": \"real name\"")
    }))

  itWith("nbdinfo")("no exports at all", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [] })
      expect(JSON.parse((yield* cli("info", "--list", "--json", uri)).stdout)).toMatchObject({ exports: [] })
      expect((yield* cli("info", "--list", uri)).stdout).toMatch(/\nno exports are listed\n$/)
    }))

  it.scopedLive("a size beyond what libnbd can count", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "", size: 0xffff_ffff_ffff_ffffn }] })
      const json: unknown = JSON.parse((yield* cli("info", "--json", uri)).stdout)
      expect(json).toMatchObject({ exports: [{ "export-size-str": "unavailable" }] })
      expect(json).not.toHaveProperty(["exports", 0, "export-size"])
      expect((yield* cli("info", uri)).stdout).toContain("  size: 18446744073709551615 bytes\n")
    }))

  it.scopedLive("names and descriptions that would steer a terminal", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "\u001b[2J", description: "\u001b[31mred\nline", size: 512 }] })
      const { stdout } = yield* cli("info", "--list", uri)
      expect(stdout).toContain("export \"\\u001b[2J\"\n  description: \\x1b[31mred; line\n")
    }))
})

describe("info for people", () => {
  itWith("qemu-nbd")("has a line for each fact", () =>
    Effect.gen(function*() {
      const image = join(yield* folder, "disk.img")
      writeFileSync(image, Buffer.alloc(1_048_576))
      const uri = yield* qemuNbd(image, "disk", "-D", "for tests", "-r")
      const { code, stderr, stdout } = yield* cli("info", uri)
      expect(stdout).toBe([
        "protocol: newstyle-fixed without TLS, structured replies",
        "export \"disk\"",
        "  description: for tests",
        `  uri: ${uri}`,
        "  size: 1048576 bytes (1M)",
        "  access: read-only",
        "  can: flush, fua, cache, df, multi-conn",
        "  cannot: trim, zero, fast zero",
        "  block size: minimum 1, preferred 4096, maximum 33554432",
        ""
      ].join("\n"))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    }))
})
