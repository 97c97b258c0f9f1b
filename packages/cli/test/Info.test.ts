import * as Ability from "#cli/Ability"
import * as Listener from "#cli/Listener"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { same, sameAnswer, sameJson, sameText } from "./support/nbdinfo.ts"
import { bin, cli, itWith, startCli, succeed } from "./support/programs.ts"
import { folder, nbdkit, nbdServer, qemuNbd } from "./support/servers.ts"

const withImage = (size: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(folder, (directory) => {
    const image = join(directory, "disk.img")
    writeFileSync(image, "")
    truncateSync(image, size)
    return image
  })

/** nbdkit with an export for each name, whose content is the name over and over. */
const nbdkitFiles = (...names: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.flatMap(folder, (directory) => {
    for (const name of names) writeFileSync(join(directory, name), name.repeat(512))
    return nbdkit("file", `dir=${directory}`)
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

const emptyUntilEntered = Misbehaviour.at(Misbehaviour.emptyExport, { option: "INFO" })

/** Half a second and more for an answer. */
const slowInfo = Misbehaviour.make({
  name: "slowInfo",
  rule: "H-006",
  reaction: "Guarded",
  sentence: "The answer to NBD_OPT_INFO comes a byte at a time, each after a while.",
  moment: "OptionAnswer",
  place: { option: "INFO" },
  change: (speech) => Misbehaviour.apart(speech, "10 millis")
})

describe("info prints what nbdinfo prints, of", () => {
  itWith("nbdkit", "nbdinfo", "file")("nbdkit", () => Effect.flatMap(nbdkit("memory", "64M"), same))

  itWith("nbdkit", "nbdinfo", "file")("nbdkit, read-only, with block sizes", () =>
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
      same
    ))

  itWith("nbdkit", "nbdinfo", "file")("nbdkit, oldstyle", () => Effect.flatMap(nbdkit("-o", "memory", "512"), same))

  itWith("nbdkit", "nbdinfo", "file")(
    "nbdkit, newstyle that is not fixed",
    () => Effect.flatMap(nbdkit("--mask-handshake=0", "memory", "1M"), same)
  )

  itWith("nbdkit", "nbdinfo", "file")(
    "nbdkit, with simple replies",
    () => Effect.flatMap(nbdkit("--no-sr", "memory", "1M"), same)
  )

  itWith("nbdkit", "nbdinfo", "file")("a size that no double can hold", () =>
    Effect.gen(function*() {
      const json = yield* sameJson(yield* nbdkit("memory", "9223372036854775807"))
      expect(json).toContain("\"export-size\": 9223372036854775807,\n")
    }))

  itWith("qemu-nbd", "nbdinfo", "file")("qemu-nbd, with a name and a description", () =>
    Effect.gen(function*() {
      const uri = yield* qemuNbd(yield* withImage(10_485_760), "a \"disk\" ü", "-D", "for tests")
      yield* same(uri)
      yield* same("--list", uri)
    }))

  itWith("nbdkit", "nbdinfo")(
    "several exports",
    () => Effect.flatMap(nbdkitFiles("one", "two"), (uri) => same("--list", uri))
  )

  itWith("nbdkit", "nbdinfo", "file")(
    "several exports and their content",
    () => Effect.flatMap(nbdkitFiles("one", "two"), (uri) => sameJson("--list", "--content", uri))
  )

  itWith("nbd-server", "nbdinfo", "file")(
    "nbd-server, which has no meta contexts, where it was not asked for a size",
    () =>
      Effect.gen(function*() {
        const uri = yield* nbdServer(yield* withImage(0))
        expect(yield* same(uri)).not.toContain("contexts")
        yield* same("--list", uri)
      })
  )

  itWith("nbdinfo", "file")("effect-nbd serve, with everything that it knows", () =>
    Effect.gen(function*() {
      const options = ["--export=a", "--size=1M", "--description=of a", "--bitmap=b", "--allocation-depth"]
      const server = yield* startCli("serve", "--port=0", ...options)
      const uri = yield* server.firstLine
      expect(yield* same(uri)).toContain("qemu:dirty-bitmap:b")
    }))

  itWith("qemu-nbd", "nbdinfo", "file")("a server that has one client at a time", () =>
    Effect.gen(function*() {
      const uri = yield* qemuNbd(yield* withImage(65_536), "disk", "-e", "1")
      const { code, stdout } = yield* cli("info", "--list", "--content", uri)
      expect(stdout).toContain("\tcontent: data\n")
      expect(code).toBe(0)
    }))
})

describe("info tells what the server said when the export was entered, and not before (C-056)", () => {
  itWith("nbd-server", "file")(
    "of nbd-server, which says to NBD_OPT_INFO that every export is empty",
    () =>
      Effect.gen(function*() {
        const uri = yield* nbdServer(yield* withImage(1_048_576))
        for (const words of [[], ["--no-content"], ["--list"], ["--list", "--content"]]) {
          const { stdout } = yield* cli("info", ...words, uri)
          expect([words, stdout]).toEqual([words, expect.stringContaining("\texport-size: 1048576 (1M)\n")])
          expect(stdout).not.toContain("content: empty")
        }
      })
  )

  it.scopedLive("of any server, with and without its content", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "disk", size: 4096 }], misbehaviours: [emptyUntilEntered] })
      for (const words of [[], ["--no-content"], ["--list"], ["--list", "--content"], ["--size"]]) {
        const { stdout } = yield* cli("info", ...words, uri)
        expect([words, stdout]).toEqual([words, expect.stringContaining("4096")])
      }
    }))

  it.scopedLive("and can do what the server tells clients with a context alone", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "disk", size: 4096 }] })
      const { stdout } = yield* cli("info", "--json", uri)
      expect(JSON.parse(stdout)).toMatchObject({ exports: [{ can_block_status_payload: true }] })
      expect((yield* cli("info", "--list", uri)).stdout).toContain("\tcan_block_status_payload: true\n")
      expect((yield* cli("info", "--can", "block-status-payload", uri)).code).toBe(0)
    }))
})

describe("info --timeout", () => {
  it.scopedLive("ends a list that never ends, though no answer takes as long", () =>
    Effect.gen(function*() {
      const exports = Array.from({ length: 200 }, (_, index) => ({ name: `${index}`, size: 512 }))
      const uri = yield* faked({ exports, misbehaviours: [slowInfo] })
      const { code, stderr } = yield* cli("info", "--list", "--timeout", "3s", uri)
      expect(stderr).toBe(
        "effect-nbd: the server had not told everything within 3s: a longer --timeout would give it more time\n"
      )
      expect(code).toBe(1)
    }))
})

describe("a program in brackets", () => {
  itWith("nbdkit", "nbdinfo", "file")("is run, and has no URI", () =>
    Effect.gen(function*() {
      expect(yield* same("--", "[", "nbdkit", "memory", "size=1M", "]")).not.toContain("uri")
      const { code, stderr } = yield* cli("info", "--uri", "[", "nbdkit", "memory", "1M", "]")
      expect({ code, stderr }).toEqual({ code: 1, stderr: "effect-nbd: [ nbdkit memory 1M ] has no URI\n" })
    }))

  itWith("nbdkit")("is connected to as --log-level debug tells, beside the output", () =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* cli(
        "info",
        "--log-level",
        "debug",
        "--size",
        "[",
        "nbdkit",
        "memory",
        "1M",
        "]"
      )
      expect(stdout).toBe("1048576\n")
      expect(stderr).toMatch(/ level=DEBUG .*message=accepted nbd\.option=NBD_OPT_GO nbd\.target="activated nbdkit"\n/)
    }))

  itWith("nbdkit")("tells why it failed", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* cli("info", "[", "nbdkit", "--nonsense", "memory", "1M", "]")
      expect(stderr).toMatch(
        /^effect-nbd: nbdkit ended with exit code 1: [^\n]*unrecognized option '--nonsense'[^\n]*\n$/
      )
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    }))
})

describe("content", () => {
  itWith("nbdkit", "nbdinfo", "file", "gzip")(
    "of a compressed file, of an empty export, of none",
    () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const packed = join(directory, "packed")
        writeFileSync(packed, execFileSync("gzip", ["-c", "/bin/sh"]))
        expect(yield* sameText(yield* nbdkit("file", packed))).toMatch(
          /\tcontent: gzip compressed data, .*original size/
        )
        expect(yield* sameText(yield* nbdkit("memory", "0"))).toContain("\tcontent: empty\n")
        expect(yield* sameText("--no-content", yield* nbdkit("memory", "512"))).not.toContain("content")
      })
  )

  itWith("nbdkit", "file")("of an export whose blocks are larger than what is looked at", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit(
        "--filter=blocksize-policy",
        "memory",
        "1M",
        "blocksize-minimum=64K",
        "blocksize-preferred=64K",
        "blocksize-maximum=1M",
        "blocksize-error-policy=error"
      )
      expect((yield* cli("info", uri)).stdout).toContain("\tcontent: data\n")
    }))

  itWith("nbdkit", "nbdinfo")("of an export that cannot be read", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("eval", "get_size=echo 4096", "pread=echo EIO no >&2; exit 1")
      expect((yield* cli("info", uri)).stdout).not.toContain("content")
    }))
})

describe("questions", () => {
  it("may be spelt in many ways", () => {
    const spellings = {
      "structured-reply": ["sr", "Structured", "structured reply", "STRUCTURED_REPLIES", "structured-reply"],
      "extended-headers": ["eh", "extended", "extended_headers"],
      "read-only": ["readonly", "read only", "Read_Only"],
      "fast-zero": ["fastzero"],
      "multi-conn": ["multiconn", "multi_conn"]
    }
    for (const [word, others] of Object.entries(spellings)) {
      for (const other of others) expect(Ability.parse(other)?.word).toBe(word)
    }
    for (const word of Ability.words) expect(Ability.parse(word)?.word).toBe(word)
    for (const word of ["", "write-only", "constructor", "__proto__"]) expect(Ability.parse(word)).toBeUndefined()
  })

  itWith("nbdkit", "nbdinfo")("are answered with nbdinfo's exit codes", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("-r", "memory", "1M")
      yield* sameAnswer(0, "--can", "connect", uri)
      yield* sameAnswer(2, "--can", "write", uri)
    }))

  itWith("nbdkit")("the other way round", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("memory", "1M")
      const codes = yield* Effect.forEach(
        [["--cannot", "trim"], ["--isnt", "read-only"]],
        (words) => Effect.map(cli("info", ...words, uri), ({ code, stderr, stdout }) => [code, stdout + stderr])
      )
      expect(codes).toEqual([[2, ""], [0, ""]])
    }))

  it.scopedLive("whether one can connect is answered even where one cannot", () =>
    Effect.gen(function*() {
      const nobody = "nbd+unix:///?socket=/no/such/socket"
      expect(yield* cli("info", "--can", "connect", nobody)).toMatchObject({ code: 2, stdout: "", stderr: "" })
      expect(yield* cli("info", "--cannot", "connect", nobody)).toMatchObject({ code: 0, stdout: "", stderr: "" })
    }))
})

describe("one fact alone", () => {
  itWith("nbdkit", "nbdinfo")("--size is the same with --json", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("memory", "1025K")
      expect(yield* sameText("--size", uri)).toBe("1049600\n")
      expect(yield* sameJson("--size", uri)).toBe("1049600\n")
    }))

  itWith("nbdkit")("--uri is quoted with --json", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("-e", "a b", "memory", "1M")
      const named = uri.replace("///", "///a%20b")
      expect((yield* cli("info", "--uri", named)).stdout).toBe(`${named}\n`)
      expect((yield* cli("info", "--uri", "--json", named)).stdout).toBe(`"${named}"\n`)
    }))
})

describe("info, of servers that are hard to find", () => {
  itWith("file")("more to tell than is kept, in a handshake or of all exports together", () =>
    Effect.gen(function*() {
      const contexts = Array.from({ length: 1800 }, (_, index) => ({
        name: `x-mine:${index}`.padEnd(4096, "."),
        status: (_offset: bigint, length: bigint) => Effect.succeed([{ length, flags: 0n }])
      }))
      const exports = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map((name) => ({ name, size: 512, contexts }))
      const uri = yield* faked({ exports })
      // Over one connection it is the handshake that has a bound; where each export is entered over its own, all of them.
      const together = yield* cli("info", "--list", uri)
      expect({ code: together.code, stdout: together.stdout }).toEqual({ code: 1, stdout: "" })
      expect(together.stderr).toMatch(/expected at most 67108864 bytes in all of the handshake/)
      const apart = yield* cli("info", "--list", "--content", uri)
      expect(apart).toMatchObject({ code: 1, stdout: "" })
      expect(apart.stderr).toBe(
        "effect-nbd: the server tells more than 67108864 bytes about 9 of its 10 exports: " +
          "name one of them in the URI, and leave out --list\n"
      )
      expect((yield* cli("info", "--list", "--size", uri)).code).toBe(1)
    }), 120_000)

  it.scopedLive("a context without a name is no context", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "", size: 512 }] })
      const { code, stderr, stdout } = yield* cli("info", "--map=", uri)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(stderr).toBe("effect-nbd: --map: a context needs a name (see --help)\n")
    }))

  itWith("nbdinfo", "file")("the server has another name for the export", () =>
    Effect.gen(function*() {
      const uri = yield* faked({
        exports: [{ name: "alias", canonicalName: "real name", description: "d", size: 512 }]
      })
      const json = yield* same(uri)
      expect(json).toContain("\"export-name\": \"real name\"")
    }))

  itWith("nbdinfo")("no exports at all", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [] })
      expect(JSON.parse(yield* sameJson("--list", uri))).toMatchObject({ exports: [] })
      expect((yield* cli("info", "--list", uri)).stdout).toMatch(/\nno exports are listed\n$/)
    }))

  it.scopedLive("a size beyond what libnbd can count", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "", size: 0xffff_ffff_ffff_ffffn }] })
      const json: unknown = JSON.parse((yield* cli("info", "--json", uri)).stdout)
      expect(json).toMatchObject({ exports: [{ "export-size-str": "unavailable" }] })
      expect(json).not.toHaveProperty(["exports", 0, "export-size"])
      expect((yield* cli("info", uri)).stdout).toContain("\texport-size: 18446744073709551615\n")
    }))

  it.scopedLive("names and descriptions that would steer a terminal", () =>
    Effect.gen(function*() {
      const uri = yield* faked({ exports: [{ name: "\u001b[2J", description: "\u001b[31mred\nline", size: 512 }] })
      const { stdout } = yield* cli("info", "--list", "--color", uri)
      expect(stdout).toContain("export=\"\\u001b[2J\":\u001b[0m\n\u001b[1m\tdescription: \\x1b[31mred; line\u001b[0m\n")
    }))

  itWith("script")("such names, to a terminal and to a pipe alike, and as JSON exactly", () =>
    Effect.gen(function*() {
      const name = "A\u009b31mB\u202eC\u007f\u001b[2J"
      const description = "\u001b]0;title\u0007\u2028"
      const uri = yield* faked({ exports: [{ name, description, size: 512 }] })
      for (const words of [["info", "--list", "--json", uri], ["info", "--list", "--no-color", uri]]) {
        const { stderr, stdout } = yield* cli(...words)
        const command = [process.execPath, bin, ...words].map((word) => `'${word}'`).join(" ")
        // A terminal has each line end with a carriage return as well.
        const shown = yield* succeed("script", "-qec", command, "/dev/null")
        expect(shown.replaceAll("\r\n", "\n")).toBe(stdout)
        expect(stdout.replace(/[\n\t]/g, "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u)
        expect(stderr).toBe("")
        if (words.includes("--json")) {
          expect(JSON.parse(stdout)).toMatchObject({ exports: [{ "export-name": name, description }] })
        } else {
          expect(stdout).toContain(`export="A\\u009b31mB\\u202eC\\u007f\\u001b[2J":\n`)
          expect(stdout).toContain("\tdescription: \\x1b]0;title\\x07\n")
        }
      }
    }))

  itWith("nbdkit")("an export that is listed and then refused", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit(
        "eval",
        "list_exports=echo INTERLEAVED; echo good; echo fine; echo bad; echo broken",
        "open=if [ \"$3\" = bad ]; then echo ENOENT it is away >&2; exit 1; fi",
        "get_size=echo 512",
        "pread=head -c $3 /dev/zero"
      )
      const { code, stderr, stdout } = yield* cli("info", "--list", uri)
      expect(stdout).toMatch(/\nexport="good":\n\tdescription: fine\n\texport-size: 512\n/)
      expect(stdout).toMatch(/\nexport="bad":\n\tdescription: broken\n\terror: the server .*\n$/)
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" })
      const json = yield* cli("info", "--list", "--json", uri)
      expect(json.code).toBe(1)
      expect(JSON.parse(json.stdout)).toMatchObject({
        exports: [{ "export-name": "good" }, { "export-name": "bad", description: "broken", error: {} }]
      })
    }))
})
