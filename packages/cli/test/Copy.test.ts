/** Copies between files and real servers, compared byte by byte. */
import * as Listener from "#cli/Listener"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cli, itWith, startCli, succeed } from "./support/programs.ts"
import { folder, nbdkit, qemuNbd } from "./support/servers.ts"

const copies = (...args: ReadonlyArray<string>) =>
  Effect.map(cli("copy", ...args), (ended) => {
    expect(ended).toEqual({ code: 0, signal: null, stdout: "", stderr: "" })
  })

interface Files {
  readonly random: string
  readonly bytes: Buffer
  readonly other: string
}

/** A file of random bytes and the path of one that is not there yet. */
const files = (size: number): Effect.Effect<Files, never, Scope.Scope> =>
  Effect.map(folder, (directory) => {
    const random = join(directory, "random")
    const bytes = randomBytes(size)
    writeFileSync(random, bytes)
    return { random, bytes, other: join(directory, "other") }
  })

// Neither a multiple of the request size nor of a page.
const size = 3_000_001

describe("copy", () => {
  itWith("nbdkit", "nbdcopy")("from a file to an export and back", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(size)
      const uri = yield* nbdkit("memory", String(size))
      yield* copies(random, uri)
      yield* copies(uri, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
      yield* succeed("nbdcopy", uri, `${other}.theirs`)
      expect(readFileSync(`${other}.theirs`).equals(bytes)).toBe(true)
    }))

  itWith("nbdkit", "qemu-nbd")("from an export to another, of a different server", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(4 * 1024 * 1024)
      writeFileSync(other, Buffer.alloc(5 * 1024 * 1024, 1))
      const from = yield* nbdkit("file", random)
      const to = yield* qemuNbd(other, "disk")
      yield* copies("--flush", from, to)
      const copied = readFileSync(other)
      expect(copied.subarray(0, bytes.byteLength).equals(bytes)).toBe(true)
      expect(copied.subarray(bytes.byteLength).every((byte) => byte === 1)).toBe(true)
    }))

  itWith("nbdkit")("within the block sizes of the export", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(1024 * 1024 + 512)
      // A request that is not a multiple of 512, or longer than 64 KiB, is refused by this server.
      const uri = yield* nbdkit(
        "--filter=blocksize-policy",
        "memory",
        String(bytes.byteLength),
        "blocksize-minimum=512",
        "blocksize-preferred=4K",
        "blocksize-maximum=64K",
        "blocksize-error-policy=error"
      )
      yield* copies("--requests=3", "--request-size=5000", random, uri)
      yield* copies("--request-size=1M", uri, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
    }))

  itWith("nbdkit")("to a file that was longer, to null:, and of nothing", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(size)
      const uri = yield* nbdkit("file", random)
      writeFileSync(other, Buffer.alloc(size * 2))
      yield* copies("--flush", uri, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
      yield* copies(uri, "null:")
      yield* copies(random, "null:")
      yield* copies(yield* nbdkit("memory", "0"), other)
      expect(readFileSync(other).byteLength).toBe(0)
    }))

  it.scopedLive("from a file to a file", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(size)
      yield* copies(random, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
    }))

  itWith("nbdkit")("draws a bar and a closing line", () =>
    Effect.gen(function*() {
      const { random } = yield* files(size)
      const { code, stderr, stdout } = yield* cli("copy", "--progress", random, "null:")
      const [bars = "", closing] = stderr.split("\r\u001b[K")
      expect(bars).toMatch(/^\r {2}0 % \[-*\] 0 bytes of 2\.86 MiB/)
      expect(closing).toMatch(/^copied 2\.86 MiB in \d\.\d\d s(, [\d.]+ [KMG]iB\/s)?\n$/)
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" })
    }))

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`${signal} ends it at once, and its connection`, () =>
      Effect.gen(function*() {
        const { other } = yield* files(1)
        const server = yield* FakeServer.make({ exports: [{ name: "", size: 1_073_741_824 }] })
        yield* server.hold
        const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
        const copy = yield* startCli("copy", yield* Listener.uriOf(address, ""), other)
        yield* server.awaitRequests(16)
        yield* copy.kill(signal)
        expect(yield* copy.ended).toEqual({ code: 130, signal: null, stdout: "", stderr: "" })
        // The server would keep its answers for a client that has left as well.
        yield* server.release
        yield* server.awaitSessions(0)
      }))
  }
})
