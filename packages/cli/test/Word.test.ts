/** Words on the command line: what is a server, what is a file, and what is neither. */
import * as Word from "#cli/Word"
import * as NbdUri from "@effect-nbd/core/NbdUri"
import * as Arbitraries from "@effect-nbd/testing/Arbitraries"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { readdirSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { cli } from "./support/programs.ts"
import { folder } from "./support/servers.ts"

/** The URI that a word is refused with; `undefined` where there is none in the message. */
const spelling = (word: string): string | undefined =>
  / write (nbd\S*?)(?:; a file|$)/.exec(Effect.runSync(Effect.flip(Word.operand(word))).reason)?.[1]

const meaning = (word: string): NbdUri.NbdUri | undefined => {
  const uri = spelling(word)
  return uri === undefined ? undefined : Effect.runSync(NbdUri.parse(uri))
}

/** A name that a URI can hold, and that has no ending of QEMU's syntax in it. */
const name = FastCheck.fullUnicodeString({ maxLength: 20 }).filter((text) => !/\0|exportname/.test(text))
const nonEmpty = name.filter((text) => text.trim() === text && text !== "")
const port = FastCheck.integer({ min: 1, max: 65_535 })
const tcp = { _tag: "Tcp" as const, port: 1 }

describe("a word that looks like an address", () => {
  it("is never a file, whichever of our schemes it begins with, in whichever case", () => {
    const mixed = FastCheck.constantFrom(...NbdUri.schemes.keys()).chain((scheme) =>
      FastCheck.array(FastCheck.boolean(), { minLength: scheme.length, maxLength: scheme.length }).map((upper) =>
        scheme.split("").map((char, index) => upper[index] === true ? char.toUpperCase() : char).join("")
      )
    )
    FastCheck.assert(FastCheck.property(mixed, FastCheck.constantFrom("", "//", "/"), name, (scheme, slashes, rest) => {
      for (const word of [`${scheme}:${slashes}${rest}`, ` ${scheme}:${rest}`]) {
        const found = Effect.runSync(Effect.either(Word.operand(word)))
        if (found._tag === "Right") expect(found.right).toStrictEqual({ _tag: "Server", word })
      }
    }))
  })

  it.each([
    "nbd:",
    "nbd:127.0.0.1:10809",
    "nbds:localhost",
    "nbd+unix:localhost",
    "nbd+ssh:host",
    "nbd+tcp:host:1",
    "NBD:x",
    "http://host/disk",
    "ssh:host",
    "file:disk.img",
    "file:///disk.img",
    "unix:s.sock",
    "tcp:host:1",
    "json:{\"driver\":\"nbd\"}",
    "127.0.0.1:10809",
    "localhost:10809/disk",
    "[::1]:10809"
  ])("is refused: %s", (word) => {
    expect(Effect.runSync(Effect.flip(Word.operand(word)))._tag).toBe("NbdUriError")
    expect(Effect.runSync(Effect.flip(Word.server(word)))._tag).toBe("NbdUriError")
  })

  it("in QEMU's syntax is told with the URI of the same socket and export", () => {
    FastCheck.assert(FastCheck.property(nonEmpty, nonEmpty, (path, exportName) => {
      const expected = NbdUri.of({ _tag: "Unix", path }, exportName)
      expect(meaning(`nbd:unix:${path}:exportname=${exportName}`)).toStrictEqual(expected)
      expect(meaning(`nbd:unix:${path}`)).toStrictEqual({ ...expected, exportName: "" })
    }))
    expect(spelling("nbd:unix:/run/nbd.sock:exportname=disk")).toBe("nbd+unix:///disk?socket=/run/nbd.sock")
  })

  it("in QEMU's syntax is told with the URI of the same host, port and export", () => {
    const host = FastCheck.oneof(FastCheck.domain(), FastCheck.ipV4(), FastCheck.ipV6())
    FastCheck.assert(FastCheck.property(host, port, nonEmpty, (host, port, exportName) => {
      const bracketed = host.includes(":") ? `[${host}]` : host
      const expected = NbdUri.of({ ...tcp, host, port }, exportName)
      expect(meaning(`nbd:${bracketed}:${port}:exportname=${exportName}`)).toStrictEqual(expected)
      expect(meaning(`nbd:${bracketed}:${port}`)).toStrictEqual({ ...expected, exportName: "" })
    }))
    expect(spelling("nbd:host:10810:exportname=a/b c")).toBe("nbd://host:10810/a/b%20c")
  })

  it("with a socket and a host's scheme is told with the scheme of sockets", () => {
    FastCheck.assert(FastCheck.property(nonEmpty, name, FastCheck.boolean(), (path, exportName, required) => {
      const scheme = required ? "nbds" : "nbd"
      const query = `socket=${encodeURIComponent(path)}`
      const expected = { ...NbdUri.of({ _tag: "Unix", path }, exportName), tls: { ...NbdUri.noTls, required } }
      expect(meaning(`${scheme}:///${encodeURIComponent(exportName)}?${query}`)).toStrictEqual(expected)
      expect(meaning(`${scheme}://?${query}`)).toStrictEqual({ ...expected, exportName: "" })
    }))
  })

  it.each([
    ["nbds:localhost", "nbds://localhost"],
    ["NBD:/localhost", "nbd://localhost"],
    ["nbd://?socket=/run/s", "nbd+unix:///?socket=/run/s"],
    ["nbd:?socket=/run/s", "nbd+unix:///?socket=/run/s"],
    ["nbd+unix:/run/s", "nbd+unix:///?socket=/run/s"],
    ["nbds+unix:?socket=s", "nbds+unix:///?socket=s"],
    ["nbd+ssh:me@host/disk", "nbd+ssh://me@host/disk"],
    ["nbd+vsock:2:10809", "nbd+vsock://2:10809"],
    ["unix:/run/s", "nbd+unix:///?socket=/run/s"],
    ["ssh://me@host/disk", "nbd+ssh://me@host/disk"],
    ["127.0.0.1:10809", "nbd://127.0.0.1:10809"],
    ["[::1]:10809/disk", "nbd://[::1]:10809/disk"],
    ["localhost:1", "nbd://localhost:1"],
    [" nbd://host", "nbd://host"],
    // Nobody knows what these were meant to be, or should not be shown it.
    ["http://host/disk", undefined],
    ["nbd://host/disk?socket=/run/s", undefined],
    ["nbd+unix://host/disk", undefined],
    ["nbd:host:0", undefined],
    ["nbd:me:secret@host", undefined],
    ["nbd://me:secret@/?socket=/run/s", undefined]
  ])("%s is told with %s", (word, uri) => {
    expect(spelling(word)).toBe(uri)
  })

  it("does not get a password into the message", () => {
    for (const word of ["nbd:me:secret@host", "nbd://me:secret@/?socket=/run/s", "tcp:me:secret@host:1"]) {
      const { message, part, uri } = Effect.runSync(Effect.flip(Word.operand(word)))
      expect(`${message} ${part} ${uri}`).not.toContain("secret")
    }
  })

  it("is a file with ./ before it, as is what does not look like one", () =>
    Effect.runPromise(Effect.gen(function*() {
      for (const path of ["./nbd:x", "./unix:x", "nbd", "nbdkit:log", "backup:2024", "disk.img", "a/nbd:x", "C:disk"]) {
        expect(yield* Word.operand(path)).toStrictEqual({ _tag: "File", path })
      }
    })))
})

describe("a URI", () => {
  it("is a server, as it stands", () => {
    FastCheck.assert(FastCheck.property(Arbitraries.uriText, (word) => {
      expect(Effect.runSync(Word.operand(word))).toStrictEqual({ _tag: "Server", word })
      expect(Effect.runSync(Word.server(word))).toBe(word)
    }))
  })
})

/** A socket at which somebody listens, and a file beside it, in a folder of their own. */
const socketAndFile = Effect.gen(function*() {
  const directory = yield* folder
  const socket = join(directory, "s.sock")
  const file = join(directory, "disk.img")
  writeFileSync(file, "x".repeat(512))
  yield* Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const server = createServer().listen(socket, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  )
  return { directory, socket, file, uri: `nbd+unix:///?socket=${socket}` }
})

describe("the path of a socket", () => {
  it.scopedLive("is told with its URI, wherever it stands, and stays a socket", () =>
    Effect.gen(function*() {
      const { directory, file, socket, uri } = yield* socketAndFile
      const before = readdirSync(directory)
      const record = join(directory, "record")
      for (
        const args of [
          ["info", socket],
          ["info", "--map", socket],
          ["check", "--destructive", socket],
          ["copy", socket, join(directory, "out")],
          ["copy", "--record", record, file, socket]
        ]
      ) {
        const { code, stderr, stdout } = yield* cli(...args)
        expect(stderr).toContain(`it is a socket: write ${uri}`)
        expect({ code, stdout }).toStrictEqual({ code: 1, stdout: "" })
      }
      expect(readdirSync(directory)).toStrictEqual(before)
      expect(statSync(socket).isSocket()).toBe(true)
    }), 60_000)

  it.scopedLive("a file is no server, and is told how it becomes one", () =>
    Effect.gen(function*() {
      const { file } = yield* socketAndFile
      const { message } = yield* Effect.flip(Word.server(file))
      expect(message).toContain(`it is a file, and not a server: write [ nbdkit file ${file} ]`)
      expect(yield* Word.operand(file)).toStrictEqual({ _tag: "File", path: file })
    }))
})

describe("copy to or from a misspelt address", () => {
  it.scopedLive("leaves nothing behind, not even the record", () =>
    Effect.gen(function*() {
      const { directory, file } = yield* socketAndFile
      const before = readdirSync(directory)
      const record = join(directory, "record")
      const out = join(directory, "out")
      for (const ends of [[file, "nbd:127.0.0.1:1"], ["nbd:127.0.0.1:1", out], ["nbd://127.0.0.1:1", "nbd:x"]]) {
        const { code, stderr } = yield* cli("copy", "--record", record, ...ends)
        expect(stderr).toMatch(/^effect-nbd: not an NBD URI: .*: write nbd:\/\/[^\n]+; a file of that name is \.\/nbd:/)
        expect(code).toBe(1)
      }
      expect(readdirSync(directory)).toStrictEqual(before)
    }), 60_000)
})
