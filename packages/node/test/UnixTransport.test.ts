import { Transport } from "@effect-nbd/core/Transport"
import * as SocketConnection from "@effect-nbd/node/SocketConnection"
import * as UnixTransport from "@effect-nbd/node/UnixTransport"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { folder, listen, record, turns } from "./Peers.ts"

/** The superuser may do everything, so that nothing would be refused. */
const asNobody = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  process.getuid?.() === 0
    ? Effect.acquireUseRelease(
      Effect.sync(() => process.seteuid?.(65_534)),
      () => effect,
      () => Effect.sync(() => process.seteuid?.(0))
    )
    : effect

/** Listens in a process of its own with a short queue, which is full, and accepts once it is asked to. */
const fullQueue = (file: string) =>
  Effect.gen(function*() {
    const script = `
      require("node:net").createServer().listen({ path: process.argv[1], backlog: 1 }, () => {
        require("node:fs").writeSync(1, "listening")
        require("node:fs").readSync(0, Buffer.alloc(1))
      })`
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, ["-e", script, file], { stdio: ["pipe", "pipe", "inherit"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    yield* Effect.promise(() => new Promise((resolve) => child.stdout.once("data", resolve)))
    for (let queued = 0; queued < 2; queued++) yield* SocketConnection.open({ path: file }, "queued")
    return { accept: Effect.sync(() => child.stdin.write("\n")) }
  })

const failure = (file: string) => Effect.flip(Effect.scoped(UnixTransport.make({ path: file }).open))

describe("UnixTransport", () => {
  it.scopedLive("opens", () =>
    Effect.gen(function*() {
      const file = path.join(yield* folder, "nbd.sock")
      yield* listen((socket) => socket.end("hello"), { path: file })
      const transport = yield* Effect.provide(Transport, UnixTransport.layer({ path: file }))
      const connection = yield* transport.open
      const recorder = record(connection)
      yield* recorder.ended
      expect([recorder.text, connection.peer, transport.target]).toStrictEqual([
        "hello",
        `unix ${file}`,
        `unix ${file}`
      ])
    }))

  it.scopedLive("says why it cannot", () =>
    Effect.gen(function*() {
      const dir = yield* folder
      const file = path.join(dir, "plain")
      yield* Effect.promise(() => fs.writeFile(file, ""))
      const long = `/tmp/${"x".repeat(103)}`
      const cases: ReadonlyArray<readonly [string, string]> = [
        [path.join(dir, "absent"), "ENOENT"],
        [path.join(file, "below"), "ENOTDIR"],
        ["", "ENOENT"],
        ["/tmp/a\0b", "EINVAL"],
        [long, "ENAMETOOLONG"],
        [`/tmp/${"€".repeat(35)}`, "ENAMETOOLONG"]
      ]
      for (const [address, code] of cases) {
        expect(yield* failure(address)).toMatchObject({
          _tag: "NbdUnreachableError",
          target: `unix ${address}`,
          network: "unix",
          attempts: [{ address, code }]
        })
      }
      expect(yield* failure(long.slice(0, -1))).toMatchObject({ attempts: [{ code: "ENOENT" }] })
      expect(yield* failure(file)).toMatchObject({
        _tag: "NbdConnectionRefusedError",
        network: "unix",
        attempts: [{ address: file, code: "ECONNREFUSED" }]
      })
    }))

  it.effect("does not let Node cut a path, whoever connects", () =>
    Effect.gen(function*() {
      const long = `/tmp/${"x".repeat(103)}`
      expect(yield* Effect.flip(Effect.scoped(SocketConnection.open({ path: long }, "peer")))).toStrictEqual({
        address: long,
        code: "ENAMETOOLONG"
      })
    }))

  it.scopedLive("waits while the server's queue is full, and says so when the time is up", () =>
    Effect.gen(function*() {
      const file = path.join(yield* folder, "nbd.sock")
      const { accept } = yield* fullQueue(file)
      const late = yield* Effect.flip(
        Effect.scoped(UnixTransport.make({ path: file, connectTimeout: "50 millis" }).open)
      )
      expect(late).toMatchObject({
        _tag: "NbdConnectTimeoutError",
        network: "unix",
        attempts: [{ address: file, code: "EAGAIN" }]
      })
      expect(late.message).toBe(`unix ${file} is busy: its queue of connections was full for 50ms (EAGAIN)`)
      const waiting = yield* Effect.fork(UnixTransport.make({ path: file, connectTimeout: "1 minute" }).open)
      yield* turns(20)
      expect(waiting.unsafePoll()).toBe(null)
      yield* accept
      expect((yield* Fiber.join(waiting)).peer).toBe(`unix ${file}`)
    }))

  it.scopedLive("says that it may not", () =>
    Effect.gen(function*() {
      const file = path.join(yield* folder, "nbd.sock")
      yield* listen(() => {}, { path: file })
      yield* Effect.promise(() => fs.chmod(file, 0))
      expect(yield* asNobody(failure(file))).toMatchObject({
        _tag: "NbdUnreachableError",
        network: "unix",
        attempts: [{ address: file, code: "EACCES" }]
      })
    }))
})
