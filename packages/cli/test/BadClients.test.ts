/**
 * Clients that break every rule, on a server that has good ones as well: they are refused or waited for, nothing is lost to
 * others, and the server's memory stays bounded. Also how sockets are let in.
 */
import * as Listener from "#cli/Listener"
import * as RawClient from "@effect-nbd/conformance/RawClient"
import * as Handle from "@effect-nbd/core/Handle"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import * as net from "node:net"
import { cli } from "./support/programs.ts"
import { serving } from "./support/serving.ts"

const size = 33_554_432

const socketTo = (port: string): Effect.Effect<net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<net.Socket>((resume) => {
      const socket = net.connect({ host: "127.0.0.1", port: Number(port) }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Is done once the server has ended the connection, in order or not. */
const ended = (socket: net.Socket): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (socket.readableEnded || socket.destroyed) return resume(Effect.void)
    for (const event of ["end", "close"]) socket.once(event, () => resume(Effect.void))
    socket.resume()
  })

const residentOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

const clientFlags = Uint8Array.of(0, 0, 0, 3)
const header = (...fields: ReadonlyArray<number>): Uint8Array => Uint8Array.from(fields)
const goOption = encodeOption(optionCode.GO, new Uint8Array(6))

/** What each says, to which the server has to answer by leaving. */
const breaches: Readonly<Record<string, ReadonlyArray<Uint8Array>>> = {
  "garbage": [Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7) & 0xff)],
  "HTTP": [Buffer.from("GET / HTTP/1.1\r\nHost: nbd\r\n\r\n")],
  "an option of 4 GiB": [clientFlags, Buffer.from("IHAVEOPT"), header(0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff)],
  "an unknown option of 4 GiB": [clientFlags, Buffer.from("IHAVEOPT"), header(0, 0, 9, 9, 0xff, 0xff, 0xff, 0xff)],
  "a request without its magic": [clientFlags, goOption, new Uint8Array(28).fill(0x41)],
  "a write of 4 GiB": [clientFlags, goOption, RawClient.requestBytes("WRITE", { length: 0xffff_ffff })]
}

describe("bad clients", () => {
  it.scopedLive(
    "are left, or waited for, and good ones go on, in bounded memory (S-057, S-094)",
    () =>
      Effect.gen(function*() {
        const { port, server, uri } = yield* serving("--port=0", `--size=${size}`)
        const bytes = randomBytes(1_048_576)
        const good = yield* Effect.provide(Handle.connect(), NodeTransport.layerUri(uri))
        yield* good.write(0n, bytes)
        const verified = Effect.map(
          good.read(0n, bytes.byteLength),
          (read) => expect(Buffer.from(read).equals(bytes)).toBe(true)
        )

        for (const said of Object.values(breaches)) {
          const socket = yield* socketTo(port)
          socket.write(concat(said))
          yield* ended(socket)
          yield* verified
        }
        // Half a greeting, and then nothing.
        for (let count = 0; count < 20; count++) (yield* socketTo(port)).write(clientFlags.subarray(0, 2))
        // Options without end, whose answers nobody reads.
        const flood = yield* socketTo(port)
        flood.write(clientFlags)
        const list = concat(Array.from({ length: 1000 }, () => encodeOption(optionCode.LIST, new Uint8Array(0))))
        for (let count = 0; count < 50; count++) flood.write(list)
        yield* verified

        const before = residentOf(server.pid)
        const read = RawClient.requestBytes("READ", { length: 1_048_576 })
        for (let count = 0; count < 8; count++) {
          const silent = yield* socketTo(port)
          // 250 MiB of answers that nobody reads.
          silent.write(concat([clientFlags, goOption, ...Array.from({ length: 250 }, () => read)]))
        }
        for (let count = 0; count < 20; count++) yield* verified
        expect(residentOf(server.pid) - before).toBeLessThan(300)
        expect((yield* cli("info", "--size", uri)).stdout).toBe(`${size}\n`)
        yield* good.shutdown
      }),
    30_000
  )

  it.scopedLive(
    "that send requests without end, or stall in the longest writes, hold up no one else for long",
    () =>
      Effect.gen(function*() {
        const { port, uri } = yield* serving("--port=0", `--size=${size}`)
        const good = yield* Effect.provide(Handle.connect(), NodeTransport.layerUri(uri))
        const longest = (length: number) =>
          Effect.map(
            Effect.replicateEffect(Effect.timed(good.read(0n, length)), 20),
            (all) => Math.max(...all.map(([duration]) => Duration.toMillis(duration)))
          )
        const many = yield* socketTo(port)
        const reads = concat(Array.from({ length: 20_000 }, () => RawClient.requestBytes("READ", { length: 512 })))
        many.resume()
        many.write(concat([clientFlags, goOption, reads]))
        expect(yield* longest(512)).toBeLessThan(700)
        many.destroy()

        const write = RawClient.requestBytes("WRITE", { length: size })
        for (let count = 0; count < 24; count++) {
          const stalled = yield* socketTo(port)
          stalled.write(concat([clientFlags, goOption, write, new Uint8Array(1_048_576)]))
        }
        expect(yield* longest(1_048_576)).toBeLessThan(3000)
        expect(yield* longest(8_388_608)).toBeLessThan(3000)
        yield* good.shutdown
      }),
    60_000
  )

  it.scopedLive("beyond --max-clients displace those that say nothing, or are closed on until others have left", () =>
    Effect.gen(function*() {
      const { port, uri } = yield* serving("--port=0", "--max-clients=2")
      const silent = yield* Effect.replicateEffect(socketTo(port), 2)
      yield* Effect.scoped(Effect.gen(function*() {
        // The silent ones have a time limit of 30 seconds, which nobody waits for.
        for (const socket of silent) {
          yield* Effect.provide(Handle.connect(), NodeTransport.layerUri(uri))
          yield* ended(socket)
        }
        yield* ended(yield* socketTo(port))
      }))
      yield* Effect.retry(
        Effect.filterOrFail(cli("info", "--size", uri), ({ code }) => code === 0),
        { times: 5 }
      )
    }))
})

describe("a listening socket", () => {
  it.scopedLive("sends small replies at once, over TCP (S-001)", () =>
    Effect.gen(function*() {
      const switches = vi.spyOn(net.Socket.prototype, "setNoDelay")
      yield* Effect.addFinalizer(() => Effect.sync(() => switches.mockRestore()))
      const server = yield* FakeServer.make({ exports: [{ name: "", size: 512 }] })
      const address = yield* Listener.listen({ _tag: "Tcp", host: "127.0.0.1", port: 0 }, server.serve)
      const socket = yield* socketTo(address._tag === "Tcp" ? String(address.port) : "")
      yield* Effect.async<void>((resume) => void socket.once("data", () => resume(Effect.void)))
      expect(switches.mock.calls).toStrictEqual([[true]])
    }))
})
