/** Copies between files and real servers, compared byte by byte. */
import * as Listener from "#cli/Listener"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bin, cli, itWith, run, startCli, succeed } from "./support/programs.ts"
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

  /** Data and holes in turn, with a tail that is no whole block. */
  const spotted = (size: number): Buffer => {
    const bytes = randomBytes(size)
    for (let at = 0; at < size; at += 400_000) bytes.fill(0, at, at + 150_000)
    // Where no server knows it.
    return bytes.fill(0, 200_000, 230_000).fill(0, size - 5000)
  }

  const allocated = (file: string): number => statSync(file).blocks * 512

  for (
    const filters of [[], ["--no-sr"], ["--filter=noextents"], ["--filter=nozero"], [
      "--filter=multi-conn",
      "multi-conn-mode=disable"
    ]]
  ) {
    itWith("nbdkit")(`holes stay holes, through nbdkit ${filters.join(" ")}`, () =>
      Effect.gen(function*() {
        const { other, random } = yield* files(0)
        const bytes = spotted(size)
        writeFileSync(other, bytes)
        yield* succeed("cp", "--sparse=always", other, random)
        const [options, parameters] = [
          filters.filter((word) => word.startsWith("-")),
          filters.filter((word) => !word.startsWith("-"))
        ]
        const from = yield* nbdkit(...options, "file", random, ...parameters)
        const to = yield* nbdkit(...options, "memory", String(size), ...parameters)
        yield* copies(from, to)
        yield* copies(to, other)
        expect(readFileSync(other).equals(bytes)).toBe(true)
        expect(allocated(other)).toBeLessThan(size * 0.75)
      }))
  }

  itWith("nbdkit", "qemu-nbd")(
    "what was there before is gone where the source has zeroes",
    () =>
      Effect.gen(function*() {
        const { other, random } = yield* files(0)
        const bytes = spotted(4 * 1024 * 1024)
        writeFileSync(other, bytes)
        yield* succeed("cp", "--sparse=always", other, random)
        const from = yield* nbdkit("file", random)
        for (
          const options of [[], ["--allocated"], ["--sparse=0"], ["--sparse=64K"], ["--no-extents"], ["--synchronous"]]
        ) {
          writeFileSync(other, Buffer.alloc(bytes.byteLength, 1))
          yield* copies(...options, from, yield* qemuNbd(other, "disk"))
          expect(readFileSync(other).equals(bytes)).toBe(true)
          writeFileSync(other, Buffer.alloc(bytes.byteLength + 1, 1))
          yield* copies(...options, from, other)
          expect(readFileSync(other).equals(bytes)).toBe(true)
          if (options[0] === "--allocated") expect(allocated(other)).toBeGreaterThanOrEqual(bytes.byteLength)
          else expect(allocated(other)).toBeLessThan(bytes.byteLength * 0.75)
        }
      })
  )

  itWith("nbdkit")("asks for zeroes as it was told to", () =>
    Effect.gen(function*() {
      const { other, random } = yield* files(0)
      const content = Buffer.concat([Buffer.alloc(1_048_576), randomBytes(1_048_576), Buffer.alloc(1_048_576)])
      writeFileSync(random, content)
      const requests = (...options: ReadonlyArray<string>) =>
        Effect.scoped(Effect.gen(function*() {
          const log = `${other}.log`
          writeFileSync(log, "")
          const from = yield* nbdkit("file", random)
          const to = yield* nbdkit("--filter=log", "memory", String(content.byteLength), `logfile=${log}`)
          yield* copies("--connections=1", "--request-size=1M", ...options, from, to)
          const found = readFileSync(log, "utf8").matchAll(
            / (Write|Zero|Flush) id=\d+(?: offset=(\S+) count=(\S+))?(?: trim=(\d))?/g
          )
          return [...found].map(([, name, offset, count, trim]) =>
            [name, offset, count, trim].filter((word) => word !== undefined).map((word) =>
              /^[A-Z]/.test(word) ? word : Number(word)
            ).join(" ")
          )
        }))
      const data = "Write 1048576 1048576"
      expect((yield* requests("--flush")).toSorted())
        .toEqual(["Flush", data, "Zero 0 1048576 1", "Zero 2097152 1048576 1"])
      expect((yield* requests("--flush")).at(-1)).toBe("Flush")
      expect((yield* requests("--allocated")).toSorted()).toEqual([data, "Zero 0 1048576 0", "Zero 2097152 1048576 0"])
      expect(yield* requests("--destination-is-zero")).toEqual([data])
      expect((yield* requests("--allocated", "--destination-is-zero")).toSorted())
        .toEqual([data, "Zero 0 1048576 0", "Zero 2097152 1048576 0"])
      expect(yield* requests("--target-is-zero", "--no-extents")).toEqual([data])
      expect((yield* requests("--sparse=0", "--no-extents")).toSorted())
        .toEqual(["Write 0 1048576", data, "Write 2097152 1048576"])
    }))

  /** A line of a shell, with our program as `$1 $2`, and what follows from `$3` on. */
  const shell = (line: string, ...args: ReadonlyArray<string>) =>
    Effect.map(run("sh", "-c", line, "sh", process.execPath, bin, ...args), ({ code, stderr }) => {
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    })

  itWith("nbdkit")("from standard input to an export, and from there to standard output", () =>
    Effect.gen(function*() {
      const { other, random } = yield* files(0)
      const bytes = spotted(size)
      writeFileSync(random, bytes)
      const uri = yield* nbdkit("memory", String(size))
      yield* shell("cat $3 | $1 $2 copy --request-size=64K - $4", random, uri)
      yield* shell("$1 $2 copy --request-size=64K $3 - | cat >$4", uri, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
      writeFileSync(other, "more than the source has".repeat(size))
      yield* shell("$1 $2 copy - - <$3 | $1 $2 copy - $4", random, other)
      expect(readFileSync(other).equals(bytes)).toBe(true)
      yield* shell("$1 $2 copy - $3 </dev/null", other)
      expect(readFileSync(other).byteLength).toBe(0)
      const gone = yield* run("sh", "-c", "{ $1 $2 copy $3 -; echo $? >&2; } | true", "sh", process.execPath, bin, uri)
      expect(gone.stderr).toBe("141\n")
    }))

  it.scopedLive.each<readonly [what: string, line: string, reason: string]>([
    ["to standard output that is closed", "$1 $2 copy $3 - >&-", "standard output is closed"],
    ["from standard input that is closed", "$1 $2 copy - $4 <&-", "standard input is closed"],
    ["from a directory as standard input", "$1 $2 copy - $4 </tmp", "standard input is a directory"]
  ])("not %s", ([, line, reason]) =>
    Effect.gen(function*() {
      const { other, random } = yield* files(10)
      const { code, stderr } = yield* run("sh", "-c", line, "sh", process.execPath, bin, random, other)
      expect(code).toBe(1)
      expect(stderr).toContain(reason)
      expect(existsSync(other)).toBe(false)
    }))

  itWith("strace")("fails where the system tells of it only when the file is closed", () =>
    Effect.gen(function*() {
      const { other, random } = yield* files(10)
      const { code, stderr } = yield* run(
        "strace",
        "-f",
        "-o",
        `${other}.trace`,
        "-P",
        `${other}.part`,
        "-e",
        "inject=close:error=EIO",
        process.execPath,
        bin,
        "copy",
        random,
        other
      )
      expect({ code, exists: existsSync(other) }).toEqual({ code: 1, exists: false })
      expect(stderr).toContain("(EIO)")
    }))

  itWith("strace")("names a quota that is used up", () =>
    Effect.gen(function*() {
      const { other, random } = yield* files(10)
      const { stderr } = yield* run(
        "strace",
        "-f",
        "-o",
        `${other}.trace`,
        "-e",
        "inject=pwrite64:error=EDQUOT",
        process.execPath,
        bin,
        "copy",
        random,
        other
      )
      expect(stderr).toContain("disk quota exceeded (EDQUOT)")
    }))

  itWith("nbdkit")("between servers that are run for it", () =>
    Effect.gen(function*() {
      const { bytes, other, random } = yield* files(size)
      writeFileSync(other, Buffer.alloc(size))
      yield* copies("[", "nbdkit", "file", random, "]", "[", "nbdkit", "file", other, "]")
      expect(readFileSync(other).equals(bytes)).toBe(true)
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

  for (const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGQUIT", 131], ["SIGTERM", 143]] as const) {
    it.scopedLive(`${signal} ends it at once, and its connection`, () =>
      Effect.gen(function*() {
        const { other } = yield* files(1)
        const server = yield* FakeServer.make({ exports: [{ name: "", size: 1_073_741_824 }] })
        yield* server.hold
        const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
        const copy = yield* startCli("copy", "--no-extents", yield* Listener.uriOf(address, ""), other)
        yield* server.awaitSessions(2)
        yield* server.awaitRequests(8)
        yield* copy.kill(signal)
        expect(yield* copy.ended).toEqual({ code, signal: null, stdout: "", stderr: "" })
        // The server would keep its answers for a client that has left as well.
        yield* server.release
        yield* server.awaitSessions(0)
      }))
  }
})
