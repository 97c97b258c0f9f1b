/** `effect-nbd serve`, as other clients find it. */
import * as Handle from "@effect-nbd/core/Handle"
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as Command from "@effect/platform/Command"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bin, cli, itWith, type Running, startCli, succeed } from "./support/programs.ts"
import { accepting, folder, freePort } from "./support/servers.ts"

interface Served {
  readonly uri: string
  readonly port: string
  readonly server: Running
}

/** A running server, and the URI that it prints. */
const serving = (...args: ReadonlyArray<string>): Effect.Effect<Served, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* startCli("serve", ...args)
    const uri = yield* server.firstLine
    return { uri, port: /:(\d+)\//.exec(uri)?.[1] ?? "", server }
  })

describe("real clients", () => {
  itWith("nbdinfo")("nbdinfo sees the same as info", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=10M", "--export=first", "--export=a second")
      const theirs: unknown = JSON.parse(yield* succeed("nbdinfo", "--list", "--json", uri))
      const { stdout } = yield* cli("info", "--list", "--json", uri)
      const ours: unknown = JSON.parse(stdout)
      // toMatchObject: nbdinfo of Debian 12 lacks two fields.
      expect(ours).toMatchObject(typeof theirs === "object" && theirs !== null ? theirs : {})
      expect(ours).toMatchObject({
        exports: [{ "export-name": "first", "export-size": 10_485_760 }, { "export-name": "a second" }]
      })
    }))

  itWith("nbdcopy")("nbdcopy writes and reads", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const bytes = randomBytes(3_000_001)
      const [from, to] = [join(directory, "from"), join(directory, "to")]
      writeFileSync(from, bytes)
      const { uri } = yield* serving("--unix", join(directory, "socket"), "--size", String(bytes.byteLength))
      yield* succeed("nbdcopy", from, uri)
      yield* succeed("nbdcopy", uri, to)
      expect(readFileSync(to).equals(bytes)).toBe(true)
    }))

  itWith("qemu-io")("qemu-io writes and reads", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--export=disk")
      const said = yield* succeed("qemu-io", "-f", "raw", "-c", "write -P 1 0 64k", "-c", "read -P 1 0 64k", uri)
      expect(said).toContain("wrote 65536/65536 bytes at offset 0")
      expect(said).toContain("read 65536/65536 bytes at offset 0")
      expect(said).not.toContain("verification failed")
    }))

  itWith("nbd-client")("nbd-client lists", () =>
    Effect.gen(function*() {
      const { port } = yield* serving("--port=0", "--export=first", "--export=second")
      const said = yield* succeed("nbd-client", "-l", "127.0.0.1", port)
      expect(said.split("\n")).toEqual(expect.arrayContaining(["first", "second"]))
    }))

  itWith("nbdinfo", "nbdcopy")("several at once", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=4M")
      const clients = Effect.replicateEffect(
        Effect.zip(succeed("nbdinfo", "--size", uri), succeed("nbdcopy", uri, "null:"), { concurrent: true }),
        4,
        { concurrency: "unbounded" }
      )
      for (const [size] of yield* clients) expect(size).toBe("4194304\n")
    }))
})

describe("options", () => {
  itWith("nbdinfo")("--oldstyle, --read-only, --no-structured-replies", () =>
    Effect.gen(function*() {
      const old = yield* serving("--port=0", "--oldstyle", "--read-only")
      expect(JSON.parse(yield* succeed("nbdinfo", "--json", old.uri))).toMatchObject({
        protocol: "oldstyle",
        exports: [{ is_read_only: true }]
      })
      const simple = yield* serving("--port=0", "--no-structured-replies")
      expect(JSON.parse(yield* succeed("nbdinfo", "--json", simple.uri))).toMatchObject({
        protocol: "newstyle-fixed",
        structured: false,
        exports: [{ is_read_only: false }]
      })
    }))

  it.scopedLive("--delay holds answers back, not requests", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--size=4M", "--delay=300ms")
      const [time] = yield* Effect.timed(cli("copy", uri, "null:"))
      // 16 requests in flight: one round of them.
      expect(Duration.toMillis(time)).toBeGreaterThan(300)
    }))

  it.scopedLive("needs one place to listen at, and says what is wrong with it", () =>
    Effect.gen(function*() {
      const port = String(yield* freePort)
      const refused = (args: ReadonlyArray<string>, message: RegExp) =>
        Effect.map(cli("serve", ...args), ({ code, stderr, stdout }) => {
          expect(stderr).toMatch(message)
          expect(stderr).toMatch(/^effect-nbd: [^\n]+\n$/)
          expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
        })
      yield* refused([], /needs exactly one of --stdio, --port and --unix/)
      yield* refused(["--stdio", "--port=0"], /needs exactly one of/)
      yield* refused(["--port=0", "--export=a", "--export=b", "--export=a"], /only one export called "a"/)
      yield* refused(["--port=65536"], /has to be from 0 to 65535/)
      yield* refused(["--port=0", "--size=1Q"], /--size 1Q: not a size/)
      yield* refused(["--port=0", "--delay=1h"], /--delay 1h: not a time/)
      yield* refused(["--unix=/no/such/folder/socket"], /cannot listen on \/no\/such\/folder\/socket \(E/)
      yield* serving(`--port=${port}`)
      yield* refused([`--port=${port}`], /cannot listen on 127\.0\.0\.1 port \d+ \(EADDRINUSE\)/)
    }))
})

describe("its end", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`${signal} ends it well, with clients connected`, () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const socket = join(directory, "socket")
        const { server, uri } = yield* serving("--unix", socket, "--delay=60s")
        yield* accepting({ path: socket })
        const client = yield* startCli("copy", "--progress", uri, "null:")
        yield* client.complained("%")
        yield* server.kill(signal)
        const { code, stderr } = yield* server.ended
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        expect(existsSync(socket)).toBe(false)
        const lost = yield* client.ended
        expect(lost.code).toBe(1)
        expect(lost.stderr).toMatch(/effect-nbd: read at offset \d+ of .* failed: .*\n$/)
      }))
  }

  it.scopedLive("over standard input and output it ends with its client, having printed nothing else", () =>
    Effect.gen(function*() {
      // Its stdin is /dev/null: a client that leaves before it says a word.
      const { code, stderr, stdout } = yield* cli("serve", "--stdio")
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(stdout.startsWith("NBDMAGICIHAVEOPT")).toBe(true)
      expect(stdout).toHaveLength(18)
    }))

  it.scopedLive("it serves a client over standard input and output", () =>
    Effect.gen(function*() {
      const handle = yield* Handle.connect()
      const bytes = randomBytes(65_536)
      yield* handle.write(0n, bytes)
      expect(Buffer.from(yield* handle.read(0n, bytes.byteLength)).equals(bytes)).toBe(true)
      expect(handle.export.size).toBe(1_048_576n)
      yield* handle.shutdown
    }).pipe(
      Effect.provide(CommandTransport.layer(Command.make(process.execPath, bin, "serve", "--stdio", "--size=1M")))
    ))
})
