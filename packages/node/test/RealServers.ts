/**
 * Real NBD servers, each in a scope: started on a private Unix socket or a free loopback port, waited for, and ended by
 * its own process id.
 */
import type { Transport } from "@effect-nbd/core"
import { CommandTransport, SocketActivationTransport, TcpTransport, UnixTransport } from "@effect-nbd/node"
import * as Command from "@effect/platform/Command"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** The server did not come up; `output` is what it said. */
export class ServerFailed extends Data.TaggedError("ServerFailed")<{
  readonly program: string
  readonly output: string
}> {}

const found = new Map<string, boolean>()

/** The program is installed. */
export const has = (program: string): boolean => {
  const known = found.get(program) ?? spawnSync("sh", ["-c", "command -v \"$1\"", "sh", program]).status === 0
  found.set(program, known)
  return known
}

/** A folder of its own, gone with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nbd-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A port that was free a moment ago. */
export const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

export interface Running {
  readonly process: ChildProcess
  /** What the server wrote to its outputs so far. */
  readonly output: () => string
}

/** Starts a program, which is gone when the scope has closed. */
export const start = (program: string, args: ReadonlyArray<string>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let output = ""
      const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] })
      const keep = (text: Buffer) => {
        output = (output + text.toString()).slice(-4096)
      }
      child.stdout.on("data", keep)
      child.stderr.on("data", keep)
      child.on("error", (error) => keep(Buffer.from(error.message)))
      return { process: child, output: () => output }
    }),
    ({ process }) =>
      Effect.async<void>((resume) => {
        if (process.exitCode !== null || process.signalCode !== null || process.pid === undefined) {
          return resume(Effect.void)
        }
        process.once("exit", () => resume(Effect.void))
        process.kill("SIGKILL")
      })
  )

type Address = { readonly path: string } | { readonly host: string; readonly port: number }

const knock = (address: Address): Effect.Effect<void, "not yet"> =>
  Effect.async((resume) => {
    const socket = createConnection(address)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", () => resume(Effect.fail("not yet" as const)))
    return Effect.sync(() => socket.destroy())
  })

/** A server that accepts connections. */
export const listening = (
  program: string,
  args: ReadonlyArray<string>,
  address: Address
): Effect.Effect<Running, ServerFailed, Scope.Scope> =>
  Effect.tap(start(program, args), (running) => answering(program, address, running.output))

const answering = (program: string, address: Address, output: () => string): Effect.Effect<void, ServerFailed> =>
  knock(address).pipe(
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo("10 seconds"))),
    Effect.mapError(() => new ServerFailed({ program, output: output() }))
  )

const serving = <E>(transport: Effect.Effect<Layer.Layer<Transport.Transport>, E, Scope.Scope>) =>
  Layer.unwrapScoped(transport)

export const nbdkitUnix = (...args: ReadonlyArray<string>) =>
  serving(Effect.gen(function*() {
    const path = join(yield* folder, "socket")
    yield* listening("nbdkit", ["-f", "-U", path, ...args], { path })
    return UnixTransport.layer({ path })
  }))

export const nbdkitTcp = (...args: ReadonlyArray<string>) =>
  serving(Effect.gen(function*() {
    const port = yield* freePort
    yield* listening("nbdkit", ["-f", "-i", "127.0.0.1", "-p", `${port}`, ...args], { host: "127.0.0.1", port })
    return TcpTransport.layer({ host: "127.0.0.1", port })
  }))

export const nbdkitCommand = (...args: ReadonlyArray<string>) =>
  CommandTransport.layer(Command.make("nbdkit", "-s", ...args))

export const nbdkitActivated = (...args: ReadonlyArray<string>) =>
  SocketActivationTransport.layer(Command.make("nbdkit", ...args))

/** A disk image of `size` bytes in a folder of its own. */
const image = (size: number) =>
  Effect.map(folder, (path) => {
    const file = join(path, "disk.img")
    writeFileSync(file, "")
    truncateSync(file, size)
    return { file, path }
  })

export const qemuNbd = (size: number, ...args: ReadonlyArray<string>) =>
  serving(Effect.gen(function*() {
    const { file, path } = yield* image(size)
    const socket = join(path, "socket")
    yield* listening("qemu-nbd", ["-t", "-e", "8", "-f", "raw", "-k", socket, ...args, file], { path: socket })
    return UnixTransport.layer({ path: socket })
  }))

/** Without `-t`: it exits when its last client has gone. */
export const qemuActivated = (size: number, ...args: ReadonlyArray<string>) =>
  serving(
    Effect.map(image(size), ({ file }) =>
      SocketActivationTransport.layer(Command.make("qemu-nbd", "-e", "8", "-f", "raw", ...args, file)))
  )

export const qcow2Nbd = (size: string, ...args: ReadonlyArray<string>) =>
  serving(Effect.gen(function*() {
    const path = yield* folder
    const file = join(path, "disk.qcow2")
    const socket = join(path, "socket")
    yield* Effect.sync(() => spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", file, size]))
    yield* listening("qemu-nbd", ["-t", "-e", "8", "-f", "qcow2", "-k", socket, ...args, file], { path: socket })
    return UnixTransport.layer({ path: socket })
  }))

/** A qcow2 image of 1 MiB with 64 KiB written at 64 KiB, and then, while the bitmap b0 is on, 512 bytes at 128 KiB. */
export const bitmapNbd = serving(Effect.gen(function*() {
  const path = yield* folder
  const file = join(path, "disk.qcow2")
  const socket = join(path, "socket")
  yield* Effect.sync(() => {
    spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", file, "1M"])
    spawnSync("qemu-io", ["-f", "qcow2", "-c", "write -q 64k 64k", file])
    spawnSync("qemu-img", ["bitmap", "--add", "-f", "qcow2", file, "b0"])
    spawnSync("qemu-io", ["-f", "qcow2", "-c", "write -q 128k 512", file])
  })
  const args = ["-t", "-e", "8", "-f", "qcow2", "-k", socket, "-x", "disk", "-B", "b0", "-A", file]
  yield* listening("qemu-nbd", args, { path: socket })
  return UnixTransport.layer({ path: socket })
}))

const nbdServerConfig = (file: string, port: number) =>
  [
    "[generic]",
    "listenaddr = 127.0.0.1",
    `port = ${port}`,
    "allowlist = true",
    "[disk]",
    `exportname = ${file}`,
    "flush = true",
    "fua = true",
    "trim = true",
    ""
  ].join("\n")

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** nbd-server in debug mode takes one connection alone, so it runs as a daemon and is ended by the id in its pid file. */
export const nbdServer = (size: number) =>
  serving(Effect.gen(function*() {
    const { file, path } = yield* image(size)
    const port = yield* freePort
    const config = join(path, "config")
    const pidFile = join(path, "pid")
    yield* Effect.sync(() => writeFileSync(config, nbdServerConfig(file, port)))
    yield* Effect.acquireRelease(
      Effect.sync(() => spawnSync("nbd-server", ["-C", config, "-p", pidFile], { stdio: "ignore" })),
      () =>
        Effect.gen(function*() {
          const pid = Number(readFileSync(pidFile, "utf8"))
          process.kill(pid, "SIGTERM")
          yield* Effect.repeat(Effect.sync(() => isAlive(pid)), {
            while: (alive) => alive,
            schedule: Schedule.spaced("10 millis")
          })
        })
    )
    yield* answering("nbd-server", { host: "127.0.0.1", port }, () => "")
    return TcpTransport.layer({ host: "127.0.0.1", port })
  }))

/** nbd-server with port 0 speaks over the socket that is its standard input, as a child of inetd would. */
export const nbdServerCommand = (size: number) =>
  serving(
    Effect.map(image(size), ({ file }) =>
      CommandTransport.layer(Command.make("nbd-server", "-d", "-C", "/dev/null", "0", file)))
  )
