/** Real servers, each on a Unix socket in a folder of its own, and what else a connection may run into. */
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import { encodeNewstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { start } from "./programs.ts"

/** A folder that is gone with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-nbd-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Is done once somebody accepts there. */
export const accepting = (target: net.NetConnectOpts): Effect.Effect<void> =>
  Effect.async<void, Error>((resume) => {
    const socket = net.connect(target)
    // A server may talk to one client at a time: it must not keep talking to this one.
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.retry(Schedule.spaced("10 millis")), Effect.timeout("10 seconds"), Effect.orDie)

const listening = (server: net.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  )

/** A port of 127.0.0.1 on which nobody listens. */
export const freePort: Effect.Effect<number> = Effect.scoped(Effect.suspend(() => listening(net.createServer())))

/** The port of an HTTP server that loses its patience quickly with clients that do not ask for anything. */
export const httpServer: Effect.Effect<number, never, Scope.Scope> = Effect.suspend(() =>
  listening(http.createServer({ headersTimeout: 100, requestTimeout: 100, connectionsCheckingInterval: 50 }))
)

/** The port of a server that waits for its clients to speak, and for ever. */
export const silentServer: Effect.Effect<number, never, Scope.Scope> = Effect.flatMap(
  Effect.acquireRelease(
    Effect.sync(() => new Set<net.Socket>()),
    (clients) => Effect.sync(() => clients.forEach((client) => client.destroy()))
  ),
  (clients) => listening(net.createServer((client) => clients.add(client.on("error", () => {}))))
)

export interface Greeting {
  readonly port: number
  /** Is done once a client has answered. */
  readonly answered: Effect.Effect<void>
}

/** A server that greets its clients, and says nothing any more. */
export const greetingServer: Effect.Effect<Greeting, never, Scope.Scope> = Effect.gen(function*() {
  const clients = yield* Effect.acquireRelease(
    Effect.sync(() => new Set<net.Socket>()),
    (clients) => Effect.sync(() => clients.forEach((client) => client.destroy()))
  )
  let hear = (): void => {}
  const heard = new Promise<void>((resolve) => {
    hear = resolve
  })
  const port = yield* listening(net.createServer((client) => {
    clients.add(client.on("error", () => {}).once("data", hear))
    client.write(encodeNewstyleGreeting(HandshakeFlags(3)))
  }))
  return { port, answered: Effect.promise(() => heard) }
})

const uriOn = (socket: string, exportName = ""): string =>
  `nbd+unix:///${encodeURIComponent(exportName)}?socket=${socket}`

/** A program that runs another one, which its arguments name; `undefined` to start that one itself. */
type Runner = string | undefined

const through = (
  runner: Runner,
  program: string,
  args: ReadonlyArray<string>
): readonly [string, ReadonlyArray<string>] => runner === undefined ? [program, args] : [runner, [program, ...args]]

const startThrough = (runner: Runner, program: string, ...args: ReadonlyArray<string>) => {
  const [command, words] = through(runner, program, args)
  return start(command, ...words)
}

/** nbdkit with these arguments; answers with its URI. */
const startNbdkit = (runner: Runner) => (...args: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const socket = join(yield* folder, "nbdkit.sock")
    yield* startThrough(runner, "nbdkit", "-f", "-U", socket, ...args)
    yield* accepting({ path: socket })
    return uriOn(socket)
  })

/** qemu-nbd with these arguments in front of the image; answers with its URI. */
const startQemuNbd = (runner: Runner) =>
(
  image: string,
  exportName: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const socket = join(yield* folder, "qemu.sock")
    yield* startThrough(
      runner,
      "qemu-nbd",
      "-t",
      "-e",
      "8",
      "-f",
      "raw",
      "-k",
      socket,
      "-x",
      exportName,
      ...args,
      image
    )
    yield* accepting({ path: socket })
    return uriOn(socket, exportName)
  })

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/**
 * nbd-server with an export called `disk`; answers with its URI. In debug mode it takes one connection alone, so it runs
 * as a daemon, and is ended by the id in its pid file.
 */
const startNbdServer = (runner: Runner) => (image: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* folder
    const port = yield* freePort
    const config = join(directory, "config")
    const pidFile = join(directory, "pid")
    const lines = [
      "[generic]",
      "listenaddr = 127.0.0.1",
      `port = ${port}`,
      "allowlist = true",
      "[disk]",
      `exportname = ${image}`,
      "flush = true",
      "fua = true",
      "trim = true",
      "rotational = true"
    ]
    writeFileSync(config, `${lines.join("\n")}\n`)
    const [command, words] = through(runner, "nbd-server", ["-C", config, "-p", pidFile])
    yield* Effect.acquireRelease(
      Effect.sync(() => spawnSync(command, words, { stdio: "ignore" })),
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
    yield* accepting({ host: "127.0.0.1", port })
    return `nbd://127.0.0.1:${port}/disk`
  })

/** The three servers, each started through another program. */
export const serversThrough = (runner: Runner) => ({
  nbdkit: startNbdkit(runner),
  qemuNbd: startQemuNbd(runner),
  nbdServer: startNbdServer(runner)
})

/** The three servers as they are installed. */
export const { nbdkit, nbdServer, qemuNbd } = serversThrough(undefined)
