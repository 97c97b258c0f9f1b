/** `effect-nbd serve`, as other clients find it. */
import * as Listener from "#cli/Listener"
import * as Handle from "@effect-nbd/core/Handle"
import * as CommandTransport from "@effect-nbd/node/CommandTransport"
import * as Command from "@effect/platform/Command"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { bin, cli, itWith, startCli, succeed } from "./support/programs.ts"
import { accepting, folder, freePort } from "./support/servers.ts"
import { serving } from "./support/serving.ts"

describe("real clients", () => {
  itWith("nbdinfo")("nbdinfo sees the same as info", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving(
        "--port=0",
        "--size=10M",
        "--export=first",
        "--export=a second",
        "--no-meta-contexts"
      )
      const theirs: unknown = JSON.parse(yield* succeed("nbdinfo", "--list", "--json", uri))
      const { stdout } = yield* cli("info", "--list", "--json", uri)
      const ours: unknown = JSON.parse(stdout)
      // toMatchObject: nbdinfo of Debian 12 lacks two fields.
      expect(ours).toMatchObject(typeof theirs === "object" && theirs !== null ? theirs : {})
      expect(ours).toMatchObject({
        exports: [{ "export-name": "first", "export-size": 10_485_760 }, { "export-name": "a second" }]
      })
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

/** A script of libnbd's Python, with `nbd` imported and the URI in `uri`; what it prints, as JSON. */
const python = (uri: string, ...lines: ReadonlyArray<string>): Effect.Effect<unknown> => {
  // Debian's own, for which its package is made, whatever comes first in PATH.
  const script = ["import json, nbd, sys", "uri = sys.argv[1]", "h = nbd.NBD()", ...lines].join("\n")
  return Effect.map(succeed("/usr/bin/python3", "-c", script, uri), (said): unknown => JSON.parse(said))
}

const map = (uri: string, ...options: ReadonlyArray<string>): Effect.Effect<unknown> =>
  Effect.map(succeed("nbdinfo", ...options, "--json", uri), (said): unknown => JSON.parse(said))

describe("real clients and meta contexts", () => {
  const size = "--size=1M"

  itWith("nbdinfo", "qemu-io")(
    "nbdinfo --map and qemu-img map show data, holes and zeroes",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* serving("--port=0", size)
        yield* succeed("qemu-io", "-f", "raw", "-c", "write -P 1 128k 64k", "-c", "write -z 256k 64k", uri)
        expect(yield* map(uri, "--map")).toEqual([
          { offset: 0, length: 131_072, type: 3, description: "hole,zero" },
          { offset: 131_072, length: 65_536, type: 0, description: "data" },
          { offset: 196_608, length: 65_536, type: 3, description: "hole,zero" },
          { offset: 262_144, length: 65_536, type: 2, description: "zero" },
          { offset: 327_680, length: 720_896, type: 3, description: "hole,zero" }
        ])
        const said: unknown = JSON.parse(yield* succeed("qemu-img", "map", "-f", "raw", "--output=json", uri))
        expect(said).toMatchObject([
          { start: 0, length: 131_072, zero: true, data: false },
          { start: 131_072, length: 65_536, zero: false, data: true },
          { start: 196_608, length: 65_536, zero: true, data: false },
          { start: 262_144, length: 65_536, zero: true, data: true },
          { start: 327_680, length: 720_896, zero: true, data: false }
        ])
      })
  )

  itWith("nbdinfo", "qemu-io")(
    "nbdinfo and qemu see dirty bitmaps and the allocation depth",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* serving("--port=0", size, "--bitmap=monday", "--bitmap=tuesday", "--allocation-depth")
        expect(yield* map(uri)).toMatchObject({
          exports: [{
            contexts: [
              "base:allocation",
              "qemu:allocation-depth",
              "qemu:dirty-bitmap:monday",
              "qemu:dirty-bitmap:tuesday"
            ]
          }]
        })
        yield* succeed("qemu-io", "-f", "raw", "-c", "write -P 1 70k 1k", "-c", "discard 512k 64k", uri)
        expect(yield* map(uri, "--map=qemu:dirty-bitmap:tuesday")).toMatchObject([
          { offset: 0, length: 65_536, type: 0 },
          { offset: 65_536, length: 65_536, type: 1 },
          { offset: 131_072, length: 393_216, type: 0 },
          { offset: 524_288, length: 65_536, type: 1 },
          { offset: 589_824, length: 458_752, type: 0 }
        ])
        expect(yield* map(uri, "--map=qemu:allocation-depth")).toMatchObject([
          { offset: 0, length: 65_536, type: 0 },
          { offset: 65_536, length: 65_536, type: 1 },
          { offset: 131_072, length: 917_504, type: 0 }
        ])
        const { port } = /:(?<port>\d+)\//.exec(uri)?.groups ?? {}
        const options = ["driver=nbd", "server.type=inet", "server.host=127.0.0.1", `server.port=${port}`, "export="]
        // qemu tells what is dirty as what is no data.
        const image = [...options, "x-dirty-bitmap=qemu:dirty-bitmap:monday"].join(",")
        const said: unknown = JSON.parse(yield* succeed("qemu-img", "map", "--output=json", "--image-opts", image))
        expect(said).toMatchObject([
          { start: 0, length: 65_536, data: true },
          { start: 65_536, length: 65_536, data: false },
          { start: 131_072, data: true },
          { start: 524_288, length: 65_536, data: false },
          { start: 589_824, data: true }
        ])
      })
  )

  itWith("nbdcopy", "nbdinfo", "qemu-img")(
    "nbdcopy and qemu-img convert copy the data and leave the holes",
    () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const image = join(directory, "image")
        const sparse = Buffer.alloc(1_048_576)
        randomBytes(65_536).copy(sparse, 196_608)
        writeFileSync(image, sparse)
        for (const how of ["nbdcopy", "qemu-img"] as const) {
          const { uri } = yield* serving("--port=0", size)
          yield* how === "nbdcopy"
            ? succeed("nbdcopy", image, uri)
            : succeed("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, uri)
          expect(yield* map(uri, "--map")).toMatchObject([
            { offset: 0, type: 3 },
            { offset: 196_608, length: 65_536, type: 0 },
            { offset: 262_144, type: 3 }
          ])
          yield* succeed("qemu-img", "compare", "-f", "raw", "-F", "raw", image, uri)
          const back = join(directory, `${how}.back`)
          yield* succeed("nbdcopy", uri, back)
          expect(readFileSync(back).equals(sparse)).toBe(true)
        }
      })
  )

  itWith("nbdsh")(
    "libnbd lists and selects contexts, asks for their status, and reads what is where",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* serving("--port=0", size, "--export=disk", "--bitmap=monday", "--allocation-depth")
        const said = yield* python(
          uri,
          "h.set_opt_mode(True)",
          "h.connect_uri(uri)",
          "out = {}",
          "def listed(*queries):",
          "  h.clear_meta_contexts()",
          "  for query in queries: h.add_meta_context(query)",
          "  found = []",
          "  count = h.opt_list_meta_context(found.append)",
          "  assert count == len(found)",
          "  return found",
          "out['all'] = listed()",
          "out['qemu'] = listed('qemu:')",
          "out['bitmaps'] = listed('qemu:dirty-bitmap:')",
          "out['none'] = listed('x-nobody:')",
          "for name in out['all']: h.add_meta_context(name)",
          "h.set_export_name('disk')",
          "h.opt_go()",
          "out['can'] = [h.can_meta_context(name) for name in out['all'] + ['base:other']]",
          "h.pwrite(b'x' * 1000, 65536)",
          "def status(count, offset, flags):",
          "  found = {}",
          "  def extent(name, offset, entries, error): found[name] = [offset] + entries",
          "  h.block_status(count, offset, extent, flags)",
          "  return found",
          "out['status'] = status(1048576, 0, 0)",
          "out['one'] = status(3 * 65536, 65536, nbd.CMD_FLAG_REQ_ONE)",
          "chunks = []",
          "def chunk(data, offset, kind, error): chunks.append([kind, offset, len(data)])",
          "h.pread_structured(200000, 0, chunk)",
          "out['chunks'] = chunks",
          "single = []",
          "h.pread_structured(65000, 40000, lambda data, offset, kind, error: single.append([kind, offset, len(data)]),",
          "  nbd.CMD_FLAG_DF)",
          "out['single'] = single",
          "h.shutdown()",
          "print(json.dumps(out))"
        )
        const all = ["base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:monday"]
        expect(said).toEqual({
          all,
          qemu: all.slice(1),
          bitmaps: all.slice(2),
          none: [],
          can: [true, true, true, false],
          status: {
            "base:allocation": [0, 65_536, 3, 65_536, 0, 917_504, 3],
            "qemu:allocation-depth": [0, 65_536, 0, 65_536, 1, 917_504, 0],
            "qemu:dirty-bitmap:monday": [0, 65_536, 0, 65_536, 1, 917_504, 0]
          },
          one: {
            "base:allocation": [65_536, 65_536, 0],
            "qemu:allocation-depth": [65_536, 65_536, 1],
            "qemu:dirty-bitmap:monday": [65_536, 65_536, 1]
          },
          // LIBNBD_READ_DATA is 1, LIBNBD_READ_HOLE is 2.
          chunks: [[2, 0, 65_536], [1, 65_536, 65_536], [2, 131_072, 68_928]],
          single: [[1, 40_000, 65_000]]
        })
      })
  )

  itWith("nbdsh")(
    "libnbd is refused in its own words: no contexts, no structured replies, unknown exports",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* serving("--port=0", size, "--export=disk", "--no-meta-contexts")
        const attempt = [
          "def attempt(f):",
          "  try: return f()",
          "  except nbd.Error as e: return e.errno"
        ]
        const without = yield* python(
          uri,
          ...attempt,
          "h.add_meta_context('base:allocation')",
          "h.connect_uri(uri)",
          "can = h.can_meta_context('base:allocation')",
          "h.set_strict_mode(0)",
          "refused = attempt(lambda: h.block_status(512, 0, lambda *args: None))",
          "print(json.dumps([can, refused, h.get_structured_replies_negotiated()]))"
        )
        expect(without).toEqual([false, "EINVAL", true])
        const simple = yield* serving("--port=0", size, "--export=disk", "--no-structured-replies")
        const said = yield* python(
          simple.uri,
          ...attempt,
          "h.set_opt_mode(True)",
          "h.connect_uri(uri)",
          "listed = attempt(lambda: h.opt_list_meta_context(lambda name: None))",
          "h.set_export_name('nothing')",
          "unknown = attempt(lambda: h.opt_go())",
          "h.set_export_name('disk')",
          "h.opt_go()",
          "print(json.dumps([listed, unknown, h.get_structured_replies_negotiated()]))"
        )
        expect(said).toEqual(["ENOTSUP", "ENOENT", false])
      })
  )
})

/** It ends at once, with one line that says what is wrong. */
const refused = (args: ReadonlyArray<string>, message: RegExp) =>
  Effect.map(cli("serve", ...args), ({ code, stderr, stdout }) => {
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^effect-nbd: [^\n]+\n$/)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
  })

describe("options", () => {
  itWith("nbdinfo")("--block-size and --description are told, and the sizes enforced", () =>
    Effect.gen(function*() {
      const { uri } = yield* serving("--port=0", "--block-size=4K,64K,1M", "--description=for trials")
      expect(JSON.parse(yield* succeed("nbdinfo", "--json", uri))).toMatchObject({
        exports: [{
          "description": "for trials",
          "block_size_minimum": 4096,
          "block_size_preferred": 65_536,
          "block_size_maximum": 1_048_576
        }]
      })
      const small = yield* serving("--port=0", "--block-size=512")
      expect(JSON.parse(yield* succeed("nbdinfo", "--json", small.uri))).toMatchObject({
        exports: [{ "block_size_minimum": 512, "block_size_preferred": 4096, "block_size_maximum": 33_554_432 }]
      })
    }))

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
      yield* refused([], /needs exactly one of --stdio, --port and --unix/)
      yield* refused(["--stdio", "--port=0"], /needs exactly one of/)
      yield* refused(["--port=0", "--export=a", "--export=b", "--export=a"], /only one export called "a"/)
      yield* refused(["--port=0", "--bitmap=a", "--bitmap=a"], /only one bitmap called "a"/)
      yield* refused(
        ["--port=0", `--export=${"a".repeat(4001)}`],
        /may have 4000 bytes, and that of this export has 4001/
      )
      yield* refused(["--port=0", "--block-size=513"], /the minimum has to be a power of two, up to 64K/)
      yield* refused(["--port=65536"], /has to be from 0 to 65535/)
      yield* refused(["--port=0", "--size=1Q"], /--size 1Q: not a size/)
      yield* refused(["--port=0", "--delay=1h"], /--delay 1h: not a time/)
      yield* refused(
        ["--unix=/no/such/folder/socket"],
        /cannot listen on \/no\/such\/folder\/socket: the folder \/no\/such\/folder: no such file or directory \(ENOENT\)/
      )
      yield* serving(`--port=${port}`)
      yield* refused([`--port=${port}`], /cannot listen on 127\.0\.0\.1 port \d+ \(EADDRINUSE\)/)
    }))
})

describe("values that make no sense", () => {
  it.scopedLive("are told before anything listens, and none is a fault of the program", () =>
    Effect.gen(function*() {
      yield* refused(["--unix="], /the path is empty/)
      yield* refused([`--unix=/tmp/${"ü".repeat(52)}`], /may have \d+ bytes, and this one has 109/)
      yield* refused(["--port=0", "--host="], /--host is empty/)
      yield* refused(["--port=0", `--description=${"ü".repeat(2049)}`], /may have 4096 bytes, and this one has 4098/)
      yield* refused(["--port=0", `--export=a,description=${"d".repeat(4097)}`], /may have 4096 bytes/)
      yield* refused(["--port=0", "--tls-psk="], /--tls-psk is empty/)
      yield* refused(["--port=0", "--export=a,bitmap="], /a bitmap needs a name/)
      yield* refused(["--port=0", "--bitmap="], /a bitmap needs a name/)
      yield* refused(["--port=0", "--bitmap", "a", "--bitmap", ""], /a bitmap needs a name/)
      yield* refused(["--port=0", "--size=8E"], /--size 8E: an export can have 9223372036854775807 bytes/)
      yield* refused(["--port=0", "--export=a,size=9223372036854775808"], /can have 9223372036854775807 bytes/)
      yield* refused(["--port=0", "--delay=2147484s"], /at most a day/)
    }), 120_000)
})

describe("a Unix socket", () => {
  it.scopedLive("that a killed server has left is replaced, and one of a living server is not", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "socket")
      const first = yield* serving(`--unix=${path}`, "--size=1M")
      const second = yield* cli("serve", `--unix=${path}`)
      expect(second).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("another server listens") })
      expect((yield* cli("info", "--size", first.uri)).stdout).toBe("1048576\n")
      yield* first.server.kill("SIGKILL")
      yield* first.server.ended
      expect(existsSync(path)).toBe(true)
      const third = yield* serving(`--unix=${path}`, "--size=2M")
      expect((yield* cli("info", "--size", third.uri)).stdout).toBe("2097152\n")
      expect(readdirSync(dirname(path))).toEqual(["socket"])
      yield* third.server.kill("SIGTERM")
      expect((yield* third.server.ended).code).toBe(0)
      expect(readdirSync(dirname(path))).toEqual([])
    }))

  it.scopedLive("is never put in the place of something else", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const [file, link, target] = ["file", "link", "target"].map((name) => join(directory, name))
      if (file === undefined || link === undefined || target === undefined) return expect.unreachable()
      writeFileSync(file, "a file")
      symlinkSync(target, link)
      for (const path of [file, link, directory]) {
        const { code, stderr } = yield* cli("serve", `--unix=${path}`)
        expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("it is no socket") })
      }
      expect(readFileSync(file, "utf8")).toBe("a file")
      expect(readdirSync(directory)).toEqual(["file", "link"])
    }))

  it.scopedLive("needs a folder, which is named where it is missing or none", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const file = join(directory, "file")
      writeFileSync(file, "")
      const missing = join(directory, "missing")
      for (
        const [parent, code] of [[missing, "ENOENT"], [file, "ENOTDIR"], [join(file, "inside"), "ENOTDIR"]] as const
      ) {
        const path = join(parent, "socket")
        const ended = yield* cli("serve", `--unix=${path}`)
        expect(ended).toMatchObject({ code: 1, stdout: "" })
        expect(ended.stderr).toMatch(new RegExp(`^effect-nbd: cannot listen on ${path}: .+ \\(${code}\\)\n$`))
        expect(ended.stderr.includes(`the folder ${parent}: `)).toBe(true)
      }
      expect(readdirSync(directory)).toEqual(["file"])
    }))

  it.scopedLive("that is left over goes to one of those that want it at a time", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "socket")
      const killed = yield* serving(`--unix=${path}`)
      yield* killed.server.kill("SIGKILL")
      yield* killed.server.ended
      const listening = Effect.either(Listener.listen({ _tag: "Unix", path }, () => Effect.void))
      const both = yield* Effect.all([listening, listening], { concurrency: 2 })
      expect(both.map(({ _tag }) => _tag).toSorted()).toEqual(["Left", "Right"])
    }))

  it.scopedLive("can have a path of as many bytes as the system has for it", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const longest = process.platform === "linux" ? 107 : 103
      const path = join(directory, "s".repeat(longest - directory.length - 1))
      const { server, uri } = yield* serving(`--unix=${path}`, "--size=1M")
      expect((yield* cli("info", "--size", uri)).stdout).toBe("1048576\n")
      yield* server.kill("SIGKILL")
      yield* server.ended
      const again = yield* serving(`--unix=${path}`, "--size=2M")
      expect((yield* cli("info", "--size", again.uri)).stdout).toBe("2097152\n")
    }))
})

describe("its end", () => {
  for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const) {
    it.scopedLive(`${signal} ends it well, with clients connected`, () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const socket = join(directory, "socket")
        const { server, uri } = yield* serving("--unix", socket, "--delay=60s")
        yield* accepting({ path: socket })
        const client = yield* startCli("copy", "--progress", "--no-extents", uri, "null:")
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
