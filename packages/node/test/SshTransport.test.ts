import { Handle } from "@effect-nbd/core"
import { Transport } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as SshTransport from "@effect-nbd/node/SshTransport"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as fs from "node:fs"
import * as path from "node:path"
import { folder, listen, record } from "./Peers.ts"
import { required, server as credentials } from "./TlsPairs.ts"

/**
 * An ssh that records its arguments and does with the command what sshd would: it goes to a shell, as one string. The
 * shell finds an nc that records its arguments too.
 */
const fakeSsh = Effect.gen(function*() {
  const dir = yield* folder
  const log = (name: string) => path.join(dir, `${name}.json`)
  const write = (name: string, script: string) => {
    const file = path.join(dir, `${name}.cjs`)
    const recording = `const args = process.argv.slice(2)
      require("node:fs").writeFileSync(${JSON.stringify(log(name))}, JSON.stringify(args))\n`
    fs.writeFileSync(file, recording + script)
    fs.writeFileSync(path.join(dir, name), `#!/bin/sh\nexec "${process.execPath}" "${file}" "$@"\n`, { mode: 0o755 })
  }
  write(
    "ssh",
    `const command = args.slice(args.indexOf("--") + 2).join(" ")
     const child = require("node:child_process").spawn("/bin/sh", ["-c", command], { stdio: "inherit" })
     child.on("exit", (code) => process.exit(code ?? 1))`
  )
  write(
    "nc",
    `const socket = require("node:net").connect(args[0] === "-U" ? { path: args[1] } : { host: args[0], port: args[1] })
     socket.on("error", (error) => { console.error(error.message); process.exit(1) })
     process.stdin.pipe(socket).pipe(process.stdout)`
  )
  vi.stubEnv("PATH", `${dir}:${process.env["PATH"]}`)
  yield* Effect.addFinalizer(() => Effect.sync(() => vi.unstubAllEnvs()))
  const argv = (name: "ssh" | "nc"): unknown => JSON.parse(fs.readFileSync(log(name), "utf8"))
  return { dir, argv }
})

const echoed = (transport: Transport["Type"]) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* transport.open
    const recorder = record(connection)
    connection.write([Buffer.from("hello")])
    yield* recorder.bytes(5)
    return recorder.text
  }))

/**
 * An ssh whose other side never ends: it passes everything on up to the end of its stdin, that included, and then says
 * nothing more, as with a server that does not close after the goodbye, or a `nc` that does not end with the server.
 */
const sshThatStays = Effect.gen(function*() {
  const dir = yield* folder
  const script = `
    const net = require("node:net")
    const socket = net.connect({ path: process.argv.at(-1), allowHalfOpen: true })
    process.stdin.pipe(socket).pipe(process.stdout, { end: false })
    process.stdin.on("end", () => socket.unpipe(process.stdout).resume())
    setInterval(() => {}, 60000)`
  fs.writeFileSync(path.join(dir, "ssh.cjs"), script)
  const start = `exec "${process.execPath}" "${path.join(dir, "ssh.cjs")}" "$@"`
  fs.writeFileSync(path.join(dir, "ssh"), `#!/bin/sh\n${start}\n`, { mode: 0o755 })
  vi.stubEnv("PATH", `${dir}:${process.env["PATH"]}`)
  yield* Effect.addFinalizer(() => Effect.sync(() => vi.unstubAllEnvs()))
})

const permitted: NodeTransport.Options = { policy: { transports: ["Ssh"] } }

describe("SshTransport", () => {
  it.scopedLive("goes through ssh and nc to a port", () =>
    Effect.gen(function*() {
      const { argv } = yield* fakeSsh
      const { port } = yield* listen((socket) => socket.pipe(socket))
      const options = { host: "server", target: { _tag: "Port", port } } as const
      const transport = yield* Effect.provide(Transport, SshTransport.layer(options))
      expect(transport.target).toBe(`ssh server tcp localhost:${port}`)
      expect(yield* echoed(transport)).toBe("hello")
      expect(argv("ssh")).toStrictEqual(["--", "server", "nc", "localhost", `${port}`])
      expect(argv("nc")).toStrictEqual(["localhost", `${port}`])
    }))

  it.scopedLive("goes to a socket, with all that a URI can say", () =>
    Effect.gen(function*() {
      const { argv, dir } = yield* fakeSsh
      const file = path.join(dir, "a_b-c.d,e:f@g+h")
      yield* listen((socket) => socket.pipe(socket), { path: file })
      const uri = `nbd+ssh://al.b-c_d@[::1]:2222/disk?socket=${encodeURIComponent(file)}&compress=true`
      const { exportName, transport } = yield* NodeTransport.fromUri(uri, permitted)
      expect([exportName, transport.target]).toStrictEqual(["disk", `ssh ::1 unix ${file}`])
      expect(yield* echoed(transport)).toBe("hello")
      expect(argv("ssh")).toStrictEqual(["-C", "-p", "2222", "-l", "al.b-c_d", "--", "::1", "nc", "-U", file])
      expect(argv("nc")).toStrictEqual(["-U", file])
    }))

  it.scopedLive("passes on what ssh complains of", () =>
    Effect.gen(function*() {
      const { dir } = yield* fakeSsh
      const file = path.join(dir, "nobody")
      const { open } = yield* SshTransport.make({ host: "server", target: { _tag: "Socket", path: file } })
      const end = yield* record(yield* open).ended
      expect(end).toMatchObject({ error: { _tag: "NbdProgramExitedError", command: "ssh", exitCode: 1 } })
      expect(end._tag === "Broken" && end.error.message).toContain(`ENOENT ${file}`)
    }))

  // The clock of these stands still: a handle that only a time limit lets go would never be gone.
  it.scoped.each(
    [
      ["in plaintext", undefined, undefined],
      ["under TLS", required, { mode: "Require", settings: { credentials } }]
    ] as const
  )(
    "lets a handle go when the server was told goodbye, though ssh stays, %s (H-097)",
    ([, tls, serverTls]) =>
      Effect.gen(function*() {
        yield* sshThatStays
        const exports = [{ name: "", size: 1_048_576 }]
        const server = yield* FakeServer.make({ exports, ...(serverTls && { tls: serverTls }) })
        const run = yield* FiberSet.makeRuntime()
        const file = path.join(yield* folder, "nbd")
        yield* listen((socket) => {
          const connection = DuplexConnection.fromStreams({ readable: socket, writable: socket, peer: "client" })
          run(server.serve(connection))
        }, { path: file, allowHalfOpen: true })
        const transport = yield* SshTransport.make({ host: "server", target: { _tag: "Socket", path: file } })
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* Effect.provideService(Handle.connect(tls && { tls }), Transport, transport)
          expect(yield* handle.read(0n, 512)).toStrictEqual(new Uint8Array(512))
          yield* handle.shutdown
          expect(yield* handle.state).toMatchObject({ _tag: "ShutDown" })
        }))
        expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "Disconnected" } }])
      })
  )

  it.scopedLive("is not to be had where there is no ssh", () =>
    Effect.gen(function*() {
      vi.stubEnv("PATH", yield* folder)
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.unstubAllEnvs()))
      const { open } = yield* SshTransport.make({ host: "server" })
      expect(yield* Effect.flip(open)).toMatchObject({
        _tag: "NbdProgramNotFoundError",
        command: "ssh",
        code: "ENOENT"
      })
    }))

  const injections = [
    "-oProxyCommand=touch${IFS}made",
    "-F/dev/null",
    "a b",
    "a\nb",
    "a\0b",
    "a;touch made",
    "a&touch made",
    "a|touch made",
    "$(touch made)",
    "`touch made`",
    "a'b",
    "a\"b",
    "a\\b",
    "~",
    "*",
    "{a,b}",
    "#a",
    "!a",
    "é",
    ""
  ]

  it.effect.each<readonly [SshTransport.SshArgumentError["option"], (text: string) => SshTransport.Options]>([
    ["host", (host) => ({ host })],
    ["user", (user) => ({ host: "h", user })],
    ["target", (path) => ({ host: "h", target: { _tag: "Socket", path } })]
  ])("refuses to be injected into by its %s", ([option, options]) =>
    Effect.gen(function*() {
      for (const value of injections) {
        expect(yield* Effect.flip(SshTransport.make(options(value)))).toMatchObject({
          _tag: "NbdSshArgumentError",
          option,
          value
        })
      }
    }))

  it.effect("refuses ports that are none", () =>
    Effect.gen(function*() {
      for (const port of [0, -1, 65_536, 1.5, Number.NaN]) {
        const target = { _tag: "Port", port } as const
        expect(yield* Effect.flip(SshTransport.make({ host: "h", port }))).toMatchObject({ option: "port" })
        expect(yield* Effect.flip(SshTransport.make({ host: "h", target }))).toMatchObject({ option: "target" })
      }
    }))

  it.scopedLive("is never started for a URI that injects, nor for one that is not permitted", () =>
    Effect.gen(function*() {
      const { dir } = yield* fakeSsh
      for (const text of injections) {
        const piece = encodeURIComponent(text)
        for (const uri of [`nbd+ssh://${piece}/`, `nbd+ssh://${piece}@h/`, `nbd+ssh://h/?socket=${piece}`]) {
          expect(yield* Effect.flip(NodeTransport.fromUri(uri, permitted))).toMatchObject({ _tag: "NbdUriError" })
        }
        expect(yield* Effect.flip(NodeTransport.fromUri(`nbd+ssh://h/?nbd-port=${piece}`, permitted)))
          .toMatchObject({ _tag: "NbdUriError" })
      }
      expect(yield* Effect.flip(NodeTransport.fromUri("nbd+ssh://h/"))).toMatchObject({
        _tag: "NbdUriNotPermittedError",
        part: "nbd+ssh"
      })
      expect(fs.readdirSync(dir).toSorted()).toStrictEqual(["nc", "nc.cjs", "ssh", "ssh.cjs"])
    }))
})
