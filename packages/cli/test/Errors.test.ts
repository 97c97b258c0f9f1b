/** Every error is one line on standard error, or valid JSON on standard output, and exit code 1. */
import * as Listener from "#cli/Listener"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bin, cli, itWith, run } from "./support/programs.ts"
import { folder, freePort, httpServer, nbdkit, silentServer } from "./support/servers.ts"

const fails = (args: ReadonlyArray<string>, message: RegExp) =>
  Effect.gen(function*() {
    const { code, stderr, stdout } = yield* cli(...args)
    expect(stderr).toMatch(/^effect-nbd: [^\n]+\n$/)
    expect(stderr).toMatch(message)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
  })

/** `info URI` and `info --json URI`. */
const infoFails = (uri: string, message: RegExp, error: Readonly<Record<string, unknown>>) =>
  Effect.gen(function*() {
    yield* fails(["info", uri], message)
    const { code, stderr, stdout } = yield* cli("info", "--json", uri)
    expect(JSON.parse(stdout)).toMatchObject({ error: { message: expect.stringMatching(message), ...error } })
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" })
  })

describe("info", () => {
  it.scopedLive("no such host", () =>
    infoFails("nbd://no-such-host.invalid", /no such host: no-such-host\.invalid \(E/, {
      tag: "NbdHostNotFoundError",
      host: "no-such-host.invalid"
    }))

  it.scopedLive("nobody listens", () =>
    Effect.flatMap(
      freePort,
      (port) =>
        infoFails(`nbd://127.0.0.1:${port}`, /connection refused: tcp 127\.0\.0\.1:\d+/, {
          tag: "NbdConnectionRefusedError",
          network: "tcp",
          attempts: [{ address: `127.0.0.1:${port}`, code: "ECONNREFUSED" }]
        })
    ))

  it.scopedLive("no such socket", () =>
    infoFails("nbd+unix:///?socket=/no/such/socket", /cannot reach unix \/no\/such\/socket \(.*ENOENT\)/, {
      tag: "NbdUnreachableError",
      network: "unix"
    }))

  it.scopedLive("an HTTP server", () =>
    Effect.flatMap(
      httpServer,
      (port) =>
        infoFails(`nbd://127.0.0.1:${port}`, /is not an NBD server, it looks like HTTP/, {
          tag: "NbdNotNbdServerError",
          looksLike: "HTTP"
        })
    ))

  it.scopedLive("a peer that is silent for longer than one would wait", () =>
    Effect.gen(function*() {
      const uri = `nbd://127.0.0.1:${yield* silentServer}`
      yield* fails(["info", "--timeout", "200ms", uri], /said nothing within 200ms: an NBD server speaks first/)
      yield* fails(["info", "--timeout", "soon", uri], /--timeout soon: not a time/)
    }))

  it.scopedLive("not a URI", () =>
    infoFails("nbd:/localhost", /not an NBD URI: "nbd:\/localhost": a URI begins with/, {
      tag: "NbdUriError",
      uri: "nbd:/localhost",
      part: "nbd:/localhost"
    }))

  it.scopedLive("a transport that Node.js does not have", () =>
    infoFails("nbd+vsock://3/disk", /cannot use this nbd\+vsock URI: Node\.js has no vsock sockets/, {
      tag: "NbdUriUnsupportedError",
      scheme: "nbd+vsock"
    }))

  itWith("nbdkit")("an export that is not there", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit("file", `dir=${yield* folder}`)
      yield* infoFails(uri.replace("///", "///nothing"), /no export "nothing"|NBD_OPT_GO/, {
        tag: "NbdExportUnknownError",
        exportName: "nothing"
      })
    }))

  it.scopedLive("questions that cannot be asked", () =>
    Effect.gen(function*() {
      yield* fails(["info", "--size", "--list", "nbd://localhost"], /only one of --list, --map, --size, .* is possible/)
      yield* fails(["info", "--can", "fly", "nbd://localhost"], /"fly" is none of the words to ask for: connect, read,/)
      yield* fails(["info", "--content", "--no-content", "nbd://localhost"], /--content and --no-content exclude/)
      yield* fails(["info", "--is", "read-only", "nbd+unix:///?socket=/no/such/socket"], /cannot reach/)
    }))

  it.scopedLive("an option that is not there", () =>
    Effect.gen(function*() {
      yield* fails(["info", "--jason", "nbd://localhost"], /--jason/)
      yield* fails(["info"], /URI.*--help/)
      yield* fails(["inform"], /info/)
      yield* fails(
        ["info", "nbd://localhost", "--timeout"],
        /: --timeout needs a value, or is no option of this command \(/
      )
      yield* fails(
        ["info", "--size", "--size", "nbd://localhost"],
        /: there is no option --size here, or it is there twice \(/
      )
      yield* fails(["copy", "--requests", "many", "a", "b"], /: 'many' is not a whole number \(/)
      // What was typed is told as it was.
      yield* fails(
        ["info", "nbd://localhost", "\u001b[31m\u009bx"],
        /: Received unknown argument: '\\x1b\[31m\\x9bx' \(/
      )
      const { code, stderr, stdout } = yield* cli("info", "--json")
      expect(JSON.parse(stdout)).toMatchObject({ error: { tag: "UsageError" } })
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" })
    }))
})

it.scopedLive("output that cannot be written", () =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: [{ name: "", size: 512 }] })
    const uri = yield* Listener.uriOf(
      yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve),
      ""
    )
    const toFullDevice = ["-c", "exec \"$@\" >/dev/full", "sh"]
    // Not even the error could be printed there.
    for (const words of [["info"], ["info", "--json"]]) {
      const { code, stderr } = yield* run("sh", ...toFullDevice, process.execPath, bin, ...words, uri)
      expect({ code, stderr }).toEqual({ code: 1, stderr: "effect-nbd: cannot write to standard output (ENOSPC)\n" })
    }
  }))

it.scopedLive("a reader that has gone is told nothing", () =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: [{ name: "", size: 512 }] })
    const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
    const toNobody = ["-c", "{ \"$@\"; echo $? >&2; } | true", "sh"]
    const { stderr } = yield* run("sh", ...toNobody, process.execPath, bin, "info", yield* Listener.uriOf(address, ""))
    expect(stderr).toBe("141\n")
  }))

const copyFails = (source: string, destination: string, message: RegExp, ...options: ReadonlyArray<string>) =>
  fails(["copy", ...options, source, destination], message)

const withFile = (size: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(folder, (directory) => {
    const file = join(directory, "file")
    writeFileSync(file, Buffer.alloc(size))
    return file
  })

describe("copy", () => {
  it.scopedLive("of no file, a folder, nothing", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const file = yield* withFile(1)
      yield* copyFails("/no/such/file", "null:", /cannot open \/no\/such\/file: .*ENOENT/)
      yield* copyFails(directory, "null:", /is a directory/)
      yield* copyFails("null:", "nbd://localhost", /null: cannot be a source/)
      yield* copyFails(file, "/no/such/folder/file", /cannot open \/no\/such\/folder\/file: .*ENOENT/)
      yield* copyFails(file, file, /are the same file/)
      yield* copyFails(file, "/dev/null", /is a device/)
      yield* copyFails(file, "http://localhost/", /not an NBD URI.*http/)
    }))

  it.scopedLive("with options that make no sense", () =>
    Effect.gen(function*() {
      yield* copyFails("a", "b", /--requests 0: has to be from 1 to 1024/, "--requests", "0")
      yield* copyFails("a", "b", /--request-size 1G: has to be from 4K to 32M/, "--request-size", "1G")
      yield* copyFails("a", "b", /--request-size many/, "--request-size", "many")
      yield* copyFails("", "null:", /SOURCE is empty/)
      yield* copyFails("-", "", /DESTINATION is empty/)
      yield* copyFails("-", "-", /standard output cannot be flushed/, "--flush")
      yield* copyFails("-", "-", /standard output has no zeroes/, "--destination-is-zero")
      yield* fails(["info", "-"], /URI cannot be -/)
    }))

  itWith("nbdkit")("to an export that is too small, read-only, or cannot be flushed", () =>
    Effect.gen(function*() {
      const file = yield* withFile(1025)
      const readOnly = yield* nbdkit("-r", "memory", "1M")
      const noFlush = yield* nbdkit(
        "eval",
        "get_size=echo 4096",
        "pread=dd if=/dev/zero count=$3 iflag=count_bytes",
        "pwrite=cat >/dev/null"
      )
      yield* copyFails(file, yield* nbdkit("memory", "1024"), /has 1025 bytes and does not fit in .*, which has 1024/)
      yield* copyFails(file, readOnly, /^effect-nbd: nbd\+unix:.* is read-only\n$/)
      yield* copyFails(file, noFlush, /cannot be flushed/, "--flush")
    }))

  itWith("nbdkit")("of a file that does not fill the last block", () =>
    Effect.gen(function*() {
      const uri = yield* nbdkit(
        "--filter=blocksize-policy",
        "memory",
        "1M",
        "blocksize-minimum=512",
        "blocksize-error-policy=error"
      )
      yield* copyFails(
        yield* withFile(1000),
        uri,
        /1000 bytes, is not a multiple of 512 bytes, the minimum block size of nbd/
      )
    }))

  itWith("nbdkit")("names the offset at which it failed, and keeps to one line", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const uri = yield* nbdkit(
        "eval",
        "get_size=echo 8388608",
        "pread=if [ $4 -eq 1048576 ]; then echo 'EIO bad \n sector' >&2; exit 1; fi; head -c $3 /dev/zero"
      )
      yield* copyFails(uri, join(directory, "copy"), /read at offset 1048576 of nbd\+unix:.* failed: .*EIO/)
      mkdirSync(join(directory, "folder"))
      yield* copyFails(uri, join(directory, "folder"), /is a directory/)
    }))
})
