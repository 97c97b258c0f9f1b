import { Transport } from "@effect-nbd/core/Transport"
import { HostNotFoundError } from "@effect-nbd/core/TransportError"
import * as TcpAddress from "@effect-nbd/node/TcpAddress"
import * as TcpTransport from "@effect-nbd/node/TcpTransport"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { spawn } from "node:child_process"
import * as net from "node:net"
import { freePort, handles, listen, record, turns } from "./Peers.ts"

const open = (options: TcpTransport.Options) => TcpTransport.make(options).open
const failure = (options: TcpTransport.Options) => Effect.flip(Effect.scoped(open(options)))
const found = (...hosts: ReadonlyArray<string>): TcpAddress.Lookup => () => Effect.succeed(hosts)

/** A port that answers no more: its process listens with a short backlog, which is full, and never accepts. */
const silentPort: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function*() {
  const script = `
    const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      require("node:fs").writeSync(1, String(server.address().port))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })),
    (child) =>
      Effect.async<void>((resume) => {
        child.once("close", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  const port = yield* Effect.promise(() =>
    new Promise<number>((resolve) => child.stdout.once("data", (text) => resolve(Number(text))))
  )
  for (let queued = 0; queued < 2; queued++) {
    yield* Effect.acquireRelease(
      Effect.async<net.Socket>((resume) => {
        const socket = net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
        socket.on("error", () => {})
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
  }
  return port
})

describe("TcpTransport", () => {
  it.scopedLive("opens more than once, each time another connection", () =>
    Effect.gen(function*() {
      const listener = yield* listen((socket) => socket.end("hello"))
      const transport = yield* Effect.provide(Transport, TcpTransport.layer({ host: "127.0.0.1", port: listener.port }))
      const [one, two] = yield* Effect.all([transport.open, transport.open])
      const heard = [record(one), record(two)]
      for (const recorder of heard) yield* recorder.ended
      expect(heard.map(({ text }) => text)).toStrictEqual(["hello", "hello"])
      expect(one.peer).toBe(`tcp 127.0.0.1:${listener.port}`)
    }))

  it.scopedLive("tries every address in order", () =>
    Effect.gen(function*() {
      const listener = yield* listen((socket) => socket.end("third"))
      const connection = yield* open({
        host: "server.test",
        port: listener.port,
        lookup: found("127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4")
      })
      expect(connection.peer).toBe(`tcp 127.0.0.1:${listener.port}`)
    }))

  it.live("is refused when every address refuses", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      expect(yield* failure({ host: "server.test", port, lookup: found("127.0.0.2", "127.0.0.3") })).toMatchObject({
        _tag: "NbdConnectionRefusedError",
        target: `tcp server.test:${port}`,
        network: "tcp",
        attempts: [
          { address: `127.0.0.2:${port}`, code: "ECONNREFUSED" },
          { address: `127.0.0.3:${port}`, code: "ECONNREFUSED" }
        ]
      })
    }))

  it.live("is unreachable when an address failed in another way", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      expect(yield* failure({ host: "server.test", port, lookup: found("127.0.0.2", "255.255.255.255") }))
        .toMatchObject({
          _tag: "NbdUnreachableError",
          attempts: [{ code: "ECONNREFUSED" }, { address: `255.255.255.255:${port}` }]
        })
    }))

  it.live("finds no such host", () =>
    Effect.gen(function*() {
      for (const host of ["", "no\0host", "256.256.256.256.invalid"]) {
        const error = yield* failure({ host, port: 10809 })
        expect(error).toMatchObject({ _tag: "NbdHostNotFoundError", host })
        expect(error instanceof HostNotFoundError && /^E[A-Z_]+$/.test(error.code)).toBe(true)
      }
    }))

  it.live("finds no such service", () =>
    Effect.gen(function*() {
      for (
        const port of [0, -1, 65_536, 1.5, Number.NaN, "0", "65536", "-1", "", " 1", "1e3", "0x10", "no-such-service"]
      ) {
        expect(yield* failure({ host: "127.0.0.1", port })).toMatchObject({
          _tag: "NbdServiceNotFoundError",
          service: String(port)
        })
      }
    }))

  it.live("knows ports by number, digits and name", () =>
    Effect.gen(function*() {
      const ports = yield* Effect.all([1, 65_535, "10809", "010809", "nbd"].map(TcpAddress.resolvePort))
      expect(ports).toStrictEqual([1, 65_535, 10_809, 10_809, 10_809])
      const services = "# a comment\nnbd 10809/tcp\nhttp\t\t80/tcp\twww web # Web\ntftp 69/udp\n\nbad line\n"
      expect(["http", "web", "Web", "tftp", "", "80/tcp"].map((name) => TcpAddress.portOfService(services, name)))
        .toStrictEqual([80, 80, undefined, undefined, undefined, undefined])
    }))

  it.live("goes to port 10809 where none is named (C-007)", () =>
    Effect.gen(function*() {
      expect(yield* failure({ host: "server.test", lookup: found("255.255.255.255") })).toMatchObject({
        target: "tcp server.test:10809",
        attempts: [{ address: "255.255.255.255:10809" }]
      })
    }))

  it.live("takes IP literals as they are", () =>
    Effect.gen(function*() {
      const lookup: TcpAddress.Lookup = (host) => Effect.fail(new HostNotFoundError({ host, code: "ENOTFOUND" }))
      const hosts = ["127.0.0.1", "::1", "[::1]", "fe80::1%lo", "[fe80::1%lo]"]
      const addresses = yield* Effect.all(hosts.map((host) => TcpAddress.resolveHost(host, lookup)))
      expect(addresses.flat()).toStrictEqual(["127.0.0.1", "::1", "::1", "fe80::1%lo", "fe80::1%lo"])
      expect(TcpTransport.make({ host: "[::1]", port: 1 }).target).toBe("tcp [::1]:1")
      expect(TcpTransport.make({ host: "::1" }).target).toBe("tcp [::1]:10809")
    }))

  it.scopedLive("gives up in time, and leaves no socket behind", () =>
    Effect.gen(function*() {
      const port = yield* silentPort
      yield* turns(20)
      const before = handles("TCPSocketWrap", "TCPConnectWrap", "Timeout")
      const error = yield* failure({ host: "127.0.0.1", port, connectTimeout: "100 millis" })
      expect(error).toMatchObject({ _tag: "NbdConnectTimeoutError", target: `tcp 127.0.0.1:${port}`, network: "tcp" })
      expect(error._tag === "NbdConnectTimeoutError" && Duration.toMillis(error.timeout)).toBe(100)
      expect(handles("TCPSocketWrap", "TCPConnectWrap", "Timeout")).toBeLessThanOrEqual(before)
    }))

  it.scopedLive(
    "is with the next address soon where one is silent, and leaves that one closed",
    () =>
      Effect.gen(function*() {
        const port = yield* silentPort
        yield* Effect.acquireRelease(
          Effect.async<net.Server>((resume) => {
            const server = net.createServer((socket) => socket.resume())
            server.listen(port, "127.0.0.2", () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.sync(() => server.close())
        )
        const before = handles("TCPSocketWrap", "TCPConnectWrap", "Timeout")
        const addresses = found("127.0.0.1", "127.0.0.2")
        // It had half of the time.
        const connection = yield* open({ host: "server.test", port, connectTimeout: "50 seconds", lookup: addresses })
        expect(connection.peer).toBe(`tcp 127.0.0.2:${port}`)
        // Both sides of the one connection, and the time limits are gone.
        yield* turns(20)
        expect(handles("TCPSocketWrap", "TCPConnectWrap", "Timeout")).toBeLessThanOrEqual(before + 2)
      }),
    20_000
  )

  it.scopedLive("asks a silent peer whether it is there, and sends what is small at once", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.resume())
      const keepAlive = vi.spyOn(net.Socket.prototype, "setKeepAlive")
      const noDelay = vi.spyOn(net.Socket.prototype, "setNoDelay")
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.restoreAllMocks()))
      const options = { host: "127.0.0.1", port }
      yield* open(options)
      yield* open({ ...options, keepAlive: "5 seconds" })
      yield* open({ ...options, keepAlive: 1 })
      yield* open({ ...options, keepAlive: "400 days" })
      yield* open({ ...options, keepAlive: Duration.infinity })
      expect(keepAlive.mock.calls).toStrictEqual([[true, 60_000], [true, 5000], [true, 1000], [true, 32_767_000]])
      expect(noDelay.mock.calls).toStrictEqual(Array.from({ length: 5 }, () => [true]))
    }))

  it.scopedLive("tells what the other addresses had said when the time was up", () =>
    Effect.gen(function*() {
      const port = yield* silentPort
      // The listener is on one address alone: 127.0.0.2 refuses.
      const error = yield* failure({
        host: "server.test",
        port,
        connectTimeout: "1 second",
        lookup: found("127.0.0.1", "127.0.0.2")
      })
      expect(error).toMatchObject({
        _tag: "NbdConnectTimeoutError",
        attempts: [{ address: `127.0.0.2:${port}`, code: "ECONNREFUSED" }]
      })
      expect(error.message).toBe(
        `tcp server.test:${port} did not answer within 1s (127.0.0.2:${port} ECONNREFUSED)`
      )
    }))

  it.scopedLive("destroys the half-open socket when it is interrupted", () =>
    Effect.gen(function*() {
      const port = yield* silentPort
      yield* turns(20)
      const before = handles("TCPSocketWrap", "TCPConnectWrap")
      const fiber = yield* Effect.fork(open({ host: "127.0.0.1", port }))
      yield* turns()
      expect(handles("TCPSocketWrap", "TCPConnectWrap")).toBeGreaterThan(before)
      yield* Fiber.interrupt(fiber)
      expect(handles("TCPSocketWrap", "TCPConnectWrap")).toBe(before)
    }))

  it.scopedLive("closes whatever had been opened, wherever an interruption strikes", () =>
    Effect.gen(function*() {
      const listener = yield* listen((socket) => socket.resume())
      yield* turns(20)
      const before = handles("TCPSocketWrap")
      for (let wait = 0; wait < 40; wait++) {
        const fiber = yield* Effect.fork(open({ host: "127.0.0.1", port: listener.port, lookup: found("127.0.0.1") }))
        yield* Effect.scoped(turns(wait >> 3).pipe(Effect.zipRight(Effect.yieldNow())))
        const exit = yield* Fiber.interrupt(fiber)
        if (exit._tag === "Success") exit.value.close()
      }
      yield* turns(20)
      for (const socket of listener.sockets) socket.destroy()
      yield* turns(20)
      expect(handles("TCPSocketWrap")).toBe(before)
    }))

  it.scoped("has a limit by Effect's clock", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(failure({ host: "server.test", lookup: () => Effect.never }))
      yield* TestClock.adjust("29 seconds")
      expect(yield* Fiber.poll(fiber)).toMatchObject({ _tag: "None" })
      yield* TestClock.adjust("1 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({
        _tag: "NbdConnectTimeoutError",
        target: "tcp server.test:10809"
      })
    }))

  it.effect("takes its options from configuration", () =>
    Effect.gen(function*() {
      const { target } = yield* Transport
      expect(target).toBe("tcp disk.test:nbd")
    }).pipe(
      Effect.provide(TcpTransport.layerConfig({ host: Config.string("HOST"), port: Config.string("PORT") })),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["HOST", "disk.test"], ["PORT", "nbd"]])))
    ))
})
