/**
 * URIs between this library and libnbd: each finds the export that the other has named.
 */
import { NbdUri } from "@effect-nbd/core"
import { DuplexConnection } from "@effect-nbd/node"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { folder, listen } from "./Peers.ts"
import { has } from "./RealServers.ts"

// Debian's own Python has Debian's modules, whichever other is found first.
const python = "/usr/bin/python3"

const run = (program: string, ...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.async((resume) => {
    const child = execFile(program, args, (error, stdout, stderr) =>
      resume(Effect.succeed(error === null ? stdout.trim() : `${error.message} ${stderr}`)))
    return Effect.sync(() =>
      child.kill("SIGKILL")
    )
  })

/** Each export has a size of its own, by which to know it. */
const serving = (names: ReadonlyArray<string>, address: { readonly path?: string }) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: names.map((name, i) => ({ name, size: (i + 1) * 512 })) })
    const fork = yield* FiberSet.makeRuntime()
    return yield* listen((socket) => {
      fork(server.serve(DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "client" })))
    }, { allowHalfOpen: true, ...address })
  })

const names = [
  "",
  "disk",
  "/disk",
  "//",
  "a b",
  "a+b",
  "a%20b",
  "a?b#c",
  "a&b;c=d",
  ".",
  "..",
  "a/../b",
  "[x]@:",
  "€ü\u{1f4be}",
  "\"'`$(id)\\",
  "tab\tline\n"
]

describe("libnbd", () => {
  it.scopedLive.skipIf(!has("nbdinfo"))("finds the exports that are named here", () =>
    Effect.gen(function*() {
      const socket = path.join(yield* folder, "s o&c;k%e+t=é")
      yield* serving(names, { path: socket })
      const { port } = yield* serving(names, {})
      const transports = [{ _tag: "Unix", path: socket }, { _tag: "Tcp", host: "127.0.0.1", port }] as const
      for (const transport of transports) {
        for (const [i, name] of names.entries()) {
          const uri = yield* NbdUri.format(NbdUri.of(transport, name))
          expect([uri, yield* run("nbdinfo", "--size", uri)]).toStrictEqual([uri, `${(i + 1) * 512}`])
        }
      }
    }), 30_000)

  it.scopedLive.skipIf(!has("nbdsh"))("names exports that are found here", () =>
    Effect.gen(function*() {
      const socket = path.join(yield* folder, "socket")
      yield* serving(names, { path: socket })
      const script = `
import nbd, sys
for name in sys.argv[2:]:
    h = nbd.NBD()
    h.set_export_name(name)
    h.connect_unix(sys.argv[1])
    print(h.get_uri())`
      const uris = (yield* run(python, "-c", script, socket, ...names)).split("\n")
      const parsed = yield* Effect.forEach(uris, (uri) => NbdUri.parse(uri))
      expect(parsed).toStrictEqual(names.map((name) => NbdUri.of({ _tag: "Unix", path: socket }, name)))
    }), 30_000)
})
