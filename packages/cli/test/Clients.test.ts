/** The clients of others, each over TCP, a Unix socket and TLS: what they write, read and are told by `effect-nbd serve`. */
import { afterAll, beforeAll, describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { isInstalled, itWith, run, succeed } from "./support/programs.ts"
import { type Reached, reaching, type Way } from "./support/reaching.ts"
import { folder } from "./support/servers.ts"

const size = 4_194_304

/** Data with a hole in it, and a tail that is no whole block. */
const content = (): Buffer => {
  const bytes = randomBytes(size)
  bytes.fill(0, 1_048_576, 2_097_152)
  return bytes
}

const json = (program: string, ...args: ReadonlyArray<string>) =>
  Effect.map(succeed(program, ...args), (said): unknown => JSON.parse(said))

/** What a client says of two servers can differ by their addresses alone. */
const withoutAddress = (said: string): string => said.replace(/nbds?(?:\+unix)?:\/\/[^\s"]*/g, "URI")

/** The URI names files. */
const handle = ["h = nbd.NBD()", "h.set_uri_allow_local_file(True)"]

/** A script of libnbd's Python, with `nbd` imported, the URI in `uri`, and a handle; what it puts into `out`. */
const python = (uri: string, ...lines: ReadonlyArray<string>): Effect.Effect<unknown> => {
  // Debian's own, for which its package is made, whatever comes first in PATH.
  const start = ["import json, nbd, sys", "uri = sys.argv[1]", "out = {}", ...handle]
  const script = [...start, ...lines, "print(json.dumps(out))"].join("\n")
  return Effect.map(succeed("/usr/bin/python3", "-c", script, uri), (said): unknown => JSON.parse(said))
}

const ways: ReadonlyArray<Way> = isInstalled("certtool") ? ["TCP", "a Unix socket", "TLS"] : ["TCP", "a Unix socket"]

describe.each(ways)("over %s", (way) => {
  const scope = Effect.runSync(Scope.make())
  let served: Reached | undefined
  const reached = Effect.suspend(() => served === undefined ? Effect.dieMessage("no server") : Effect.succeed(served))

  beforeAll(async () => {
    const exports = ["--export=disk", "--export=other", "--bitmap=monday", `--size=${size}`]
    served = await Effect.runPromise(Scope.extend(reaching(way, ...exports), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  itWith("nbdinfo", "nbdkit")(
    "nbdinfo says of it what it says of nbdkit, in words and as JSON",
    () =>
      Effect.gen(function*() {
        const { nbdkit } = yield* reached
        const { uri } = yield* reaching(way, "--export=disk", `--size=${size}`)
        const policy = ["--filter=blocksize-policy", "blocksize-minimum=1", "blocksize-preferred=4096"]
        const theirs = yield* nbdkit("memory", `${size}`, ...policy, "blocksize-maximum=32M")
        for (const form of [[], ["--json"], ["--map"], ["--map", "--json"]]) {
          const [ours, expected] = yield* Effect.all([
            succeed("nbdinfo", ...form, uri("disk")),
            succeed("nbdinfo", ...form, theirs)
          ])
          expect(withoutAddress(ours)).toBe(withoutAddress(expected))
          expect(ours).toContain(form.includes("--map") ? "hole,zero" : "base:allocation")
        }
      })
  )

  itWith("nbdinfo")("nbdinfo lists the exports", () =>
    Effect.gen(function*() {
      const { uri } = yield* reached
      const list = yield* json("nbdinfo", "--list", "--json", uri(""))
      const each = { "export-size": size, contexts: ["base:allocation", "qemu:dirty-bitmap:monday"] }
      expect(list).toMatchObject({
        TLS: way === "TLS",
        exports: [{ "export-name": "disk", ...each }, { "export-name": "other", ...each }]
      })
    }))

  itWith("nbdcopy", "nbdinfo")(
    "nbdcopy writes and reads over four connections, and leaves the hole",
    () =>
      Effect.gen(function*() {
        const { uri } = yield* reached
        const directory = yield* folder
        const [from, to] = [join(directory, "from"), join(directory, "to")]
        const bytes = content()
        writeFileSync(from, bytes)
        yield* succeed("nbdcopy", "--connections=4", "--requests=8", "--request-size=65536", from, uri("other"))
        yield* succeed("nbdcopy", "--connections=4", "--requests=8", uri("other"), to)
        expect(readFileSync(to).equals(bytes)).toBe(true)
        expect(yield* json("nbdinfo", "--map", "--json", uri("other"))).toMatchObject([
          { offset: 0, length: 1_048_576, type: 0 },
          { offset: 1_048_576, length: 1_048_576, type: 3 },
          { offset: 2_097_152, length: 2_097_152, type: 0 }
        ])
      })
  )

  itWith("nbddump", "nbdkit")("nbddump prints what it prints of the same data elsewhere", () =>
    Effect.gen(function*() {
      const { nbdkit, uri } = yield* reached
      const image = join(yield* folder, "image")
      const bytes = Buffer.alloc(size)
      randomBytes(300).copy(bytes, 70_000)
      writeFileSync(image, bytes)
      yield* succeed("nbdcopy", image, uri("disk"))
      const ours = yield* succeed("nbddump", uri("disk"))
      expect(ours).toBe(yield* succeed("nbddump", yield* nbdkit("file", image)))
      expect(ours.split("\n").length).toBeGreaterThan(15)
    }))

  itWith("nbdsh")("libnbd's Python goes through the options, and leaves in order", () =>
    Effect.gen(function*() {
      const { uri } = yield* reached
      const said = yield* python(
        uri("disk"),
        "def refused(f):",
        "  try: return [f()]",
        "  except nbd.Error as e: return e.errno",
        "h.set_opt_mode(True)",
        "h.set_full_info(True)",
        "h.connect_uri(uri)",
        "out['tls'] = h.get_tls_negotiated()",
        "names = []",
        "h.opt_list(lambda name, description: names.append(name))",
        "out['names'] = names",
        "h.set_export_name('nothing')",
        "out['unknown'] = [refused(h.opt_info), refused(h.opt_go)]",
        "h.set_export_name('other')",
        "h.opt_info()",
        "out['info'] = [h.get_size(), h.is_read_only(), h.get_canonical_export_name()]",
        "def queried(*queries):",
        "  found = []",
        "  h.clear_meta_contexts()",
        "  for query in queries: h.add_meta_context(query)",
        "  h.opt_list_meta_context(found.append)",
        "  return found",
        "out['contexts'] = [queried(), queried('base:'), queried('x-nobody:')]",
        "h.clear_meta_contexts()",
        "h.add_meta_context('qemu:dirty-bitmap:monday')",
        // What libnbd 1.16 has more.
        "if hasattr(h, 'opt_set_meta_context'): h.opt_set_meta_context(lambda name: None)",
        "if hasattr(h, 'opt_structured_reply'): h.opt_structured_reply()",
        "h.opt_go()",
        "out['granted'] = [h.can_meta_context(c) for c in ['qemu:dirty-bitmap:monday', 'base:allocation']]",
        "out['structured'] = h.get_structured_replies_negotiated()",
        "h.pwrite(b'\\x5a' * 70000, 4096, nbd.CMD_FLAG_FUA)",
        "h.zero(512, 8192)",
        "h.trim(65536, 1048576)",
        "h.cache(4096, 0)",
        "h.flush()",
        "data = h.pread(70000, 4096)",
        "out['read'] = [data[:4096] == b'\\x5a' * 4096, data[4096:4608] == bytes(512), data[4608:] == b'\\x5a' * 65392]",
        "found = []",
        "h.block_status(131072, 0, lambda name, offset, entries, error: found.append([name, entries]))",
        "out['status'] = found",
        "h.shutdown()",
        ...handle,
        "h.set_opt_mode(True)",
        "h.connect_uri(uri)",
        "h.opt_abort()",
        "out['aborted'] = h.aio_is_closed()"
      )
      expect(said).toEqual({
        tls: way === "TLS",
        names: ["disk", "other"],
        unknown: ["ENOENT", "ENOENT"],
        info: [size, false, "other"],
        contexts: [["base:allocation", "qemu:dirty-bitmap:monday"], ["base:allocation"], []],
        granted: [true, false],
        structured: true,
        read: [true, true, true],
        status: [["qemu:dirty-bitmap:monday", [131_072, 1]]],
        aborted: true
      })
    }))

  itWith("qemu-img")(
    "qemu-img converts there and back, compares, and sees a byte that differs",
    () =>
      Effect.gen(function*() {
        const { qemu } = yield* reached
        const directory = yield* folder
        const [from, to] = [join(directory, "from"), join(directory, "to")]
        const bytes = content()
        writeFileSync(from, bytes)
        const file = (name: string) => `driver=raw,file.driver=file,file.filename=${name}`
        const [image, original] = [qemu.image("other"), file(from)]
        const both = ["--image-opts", "--target-image-opts"]
        yield* succeed("qemu-img", "convert", "-n", "-W", "-m", "4", ...qemu.objects, ...both, original, image)
        const compare = ["compare", ...qemu.objects, "--image-opts", original, image]
        yield* succeed("qemu-img", ...compare)
        writeFileSync(to, "")
        yield* succeed("qemu-img", "resize", "-f", "raw", to, `${size}`)
        yield* succeed("qemu-img", "convert", "-n", ...qemu.objects, ...both, image, file(to))
        expect(readFileSync(to).equals(bytes)).toBe(true)
        expect(yield* json("qemu-img", "map", "--output=json", ...qemu.objects, "--image-opts", image)).toMatchObject([
          { start: 0, length: 1_048_576, data: true, zero: false },
          { start: 1_048_576, length: 1_048_576, data: false, zero: true },
          { start: 2_097_152, length: 2_097_152, data: true, zero: false }
        ])
        bytes[3_000_000] = (bytes[3_000_000] ?? 0) ^ 1
        writeFileSync(from, bytes)
        expect(yield* run("qemu-img", ...compare)).toMatchObject({
          code: 1,
          stdout: expect.stringMatching(/mismatch at/)
        })
      })
  )

  itWith("qemu-io")(
    "qemu-io finds its patterns, zeroes and discards, and complains of a wrong one",
    () =>
      Effect.gen(function*() {
        const { qemu } = yield* reached
        const io = (...commands: ReadonlyArray<string>) =>
          run("qemu-io", ...qemu.objects, ...commands.flatMap((one) => ["-c", one]), "--image-opts", qemu.image("disk"))
        const { code, stdout } = yield* io(
          "write -P 0x11 0 1M",
          "write -f -P 0x22 1000 3000",
          "aio_write -P 0x33 2M 512k",
          "aio_flush",
          "write -z 64k 64k",
          "write -z -u 256k 64k",
          "discard 512k 64k",
          "flush",
          "read -P 0x11 0 1000",
          "read -P 0x22 1000 3000",
          "read -P 0 64k 64k",
          "read -P 0 256k 64k",
          "read -P 0x11 320k 192k",
          "read -P 0x33 2M 512k"
        )
        expect(stdout).not.toContain("verification failed")
        expect(stdout.match(/^read \d+\/\d+ bytes/gm)).toHaveLength(6)
        expect(code).toBe(0)
        const wrong = yield* io("read -P 0x12 0 1000")
        expect(wrong.stdout).toContain("Pattern verification failed")
      })
  )

  itWith("nbd-client")("nbd-client lists", () =>
    Effect.gen(function*() {
      const { address } = yield* reached
      expect((yield* succeed("nbd-client", "-l", ...address)).split("\n")).toEqual(
        expect.arrayContaining(["disk", "other"])
      )
    }))

  // fio lets no URI name certificates, and the folder in which libnbd then looks for them is the administrator's.
  if (way !== "TLS") {
    itWith("fio", "nbdsh")(
      "fio verifies what it has written, and finds a block that was changed since",
      () =>
        Effect.gen(function*() {
          const { uri } = yield* reached
          const job = (...more: ReadonlyArray<string>) =>
            run(
              "fio",
              "--name=verify",
              "--ioengine=nbd",
              `--uri=${uri("disk")}`,
              "--rw=randwrite",
              "--bs=4k",
              "--size=1M",
              "--iodepth=16",
              "--verify=crc32c",
              "--verify_fatal=1",
              "--verify_state_save=0",
              "--randseed=7",
              "--output-format=json",
              ...more
            )
          const written = yield* job("--do_verify=1")
          expect(written.code).toBe(0)
          // It says beforehand that it connects.
          expect(JSON.parse(written.stdout.slice(written.stdout.indexOf("{")))).toMatchObject({
            jobs: [{ error: 0, write: { total_ios: 256 }, read: { total_ios: 256 } }]
          })
          yield* python(uri("disk"), "h.connect_uri(uri)", "h.pwrite(bytes(4096), 409600)", "h.shutdown()")
          expect((yield* job("--verify_only=1")).code).not.toBe(0)
        })
    )
  }
})
