/**
 * A real server that dies in the middle of 64 reads: 64 typed failures, none hangs, the handle is dead, and nothing is
 * left behind.
 */
import { Handle, Transport } from "@effect-nbd/core"
import { CommandTransport, TcpTransport, UnixTransport } from "@effect-nbd/node"
import * as Command from "@effect/platform/Command"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { installed, run } from "./FreshProcess.ts"
import { folder, freePort, has, listening, type ServerFailed } from "./RealServers.ts"

/** A server whose reads take longer than any test, and the way to kill it. */
interface Victim {
  readonly transport: Layer.Layer<Transport.Transport>
  readonly kill: () => void
}

const slow = ["--filter=delay", "memory", "64M", "rdelay=60"]

const overUnix: Effect.Effect<Victim, ServerFailed, Scope.Scope> = Effect.gen(function*() {
  const path = join(yield* folder, "socket")
  const { process } = yield* listening("nbdkit", ["-f", "-U", path, ...slow], { path })
  return { transport: UnixTransport.layer({ path }), kill: () => process.kill("SIGKILL") }
})

const overTcp: Effect.Effect<Victim, ServerFailed, Scope.Scope> = Effect.gen(function*() {
  const port = yield* freePort
  const { process } = yield* listening("nbdkit", ["-f", "-i", "127.0.0.1", "-p", `${port}`, ...slow], {
    host: "127.0.0.1",
    port
  })
  return { transport: TcpTransport.layer({ host: "127.0.0.1", port }), kill: () => process.kill("SIGKILL") }
})

/** The key of alice, sixteen bytes of zero. */
const psk = { _tag: "Psk", username: "alice", key: Redacted.make(new Uint8Array(16)) } as const
const withPsk = (folder: string): ReadonlyArray<string> => {
  writeFileSync(join(folder, "keys.psk"), `alice:${"00".repeat(16)}\n`)
  return ["--tls=require", `--tls-psk=${join(folder, "keys.psk")}`]
}

const overTls: Effect.Effect<Victim, ServerFailed, Scope.Scope> = Effect.gen(function*() {
  const root = yield* folder
  const path = join(root, "socket")
  const { process } = yield* listening("nbdkit", ["-f", "-U", path, ...withPsk(root), ...slow], { path })
  const transport = UnixTransport.make({ path })
  return {
    transport: Layer.succeed(Transport.Transport, { ...transport, tls: { mode: "Require", credentials: psk } }),
    kill: () => process.kill("SIGKILL")
  }
})

const asCommand: Effect.Effect<Victim, never, Scope.Scope> = Effect.gen(function*() {
  const pidFile = join(mkdtempSync(join(yield* folder, "pid-")), "pid")
  const command = Command.make("nbdkit", "-s", "-P", pidFile, ...slow)
  return {
    transport: CommandTransport.layer(command),
    kill: () => process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL")
  }
})

describe.each<readonly [string, Effect.Effect<Victim, ServerFailed, Scope.Scope>]>([
  ["over a Unix socket", overUnix],
  ["over TCP", overTcp],
  ["under TLS", overTls],
  ["as a command", asCommand]
])("a server that is killed, %s", (name, starting) => {
  it.scopedLive.skipIf(!has("nbdkit"))(
    "gives each of 64 reads its own failure, and leaves a dead handle",
    () =>
      Effect.gen(function*() {
        const { kill, transport } = yield* starting
        yield* Effect.gen(function*() {
          const handle = yield* Handle.make()
          yield* handle.connect
          const reads = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, index) => BigInt(index * 4096)),
            (offset) => Effect.fork(Effect.flip(handle.read(offset, 4096)))
          )
          yield* Effect.repeat(handle.inFlight, {
            until: (count) => count === 64,
            schedule: Schedule.spaced("1 millis")
          })
          kill()
          const failures = yield* Effect.forEach(reads, Fiber.join)
          failures.forEach((failure, index) =>
            expect(failure).toMatchObject({
              _tag: "NbdCommandLostError",
              command: "read",
              offset: BigInt(index * 4096),
              length: 4096,
              reason: name === "as a command"
                ? { _tag: "NbdProgramExitedError", signal: "SIGKILL" }
                : { _tag: expect.stringMatching(/NbdServerDisconnectedError|NbdTransportLostError/) }
            })
          )
          expect(new Set(failures).size).toBe(64)
          expect(yield* handle.isDead).toBe(true)
          expect(yield* handle.inFlight).toBe(0)
          expect(yield* Effect.flip(handle.read(0n, 512))).toMatchObject({ _tag: "NbdHandleDeadError" })
        }).pipe(Effect.scoped, Effect.provide(transport))
      }),
    20_000
  )
})

const script = (open: string, kill: string) => `
  import * as Handle from "@effect-nbd/core/Handle"
  import { Transport } from "@effect-nbd/core/Transport"
  import * as CommandTransport from "@effect-nbd/node/CommandTransport"
  import * as UnixTransport from "@effect-nbd/node/UnixTransport"
  import * as Command from "platform/Command"
  import * as Redacted from "effect/Redacted"
  import * as Effect from "effect/Effect"
  import * as fs from "node:fs"
  const program = Effect.gen(function*() {
    const connected = yield* Handle.connect()
    const reading = Effect.forEach(Array.from({ length: 64 }), (_, index) =>
      Effect.flip(connected.read(BigInt(index) * 4096n, 4096)), { concurrency: "unbounded" })
    setImmediate(() => { ${kill} })
    const failures = yield* reading
    console.log(failures.length, [...new Set(failures.map(({ _tag }) => _tag))].join(), (yield* connected.state)._tag)
  })
  await Effect.runPromise(Effect.scoped(Effect.provideService(program, Transport, ${open})))`

describe("a program whose server is killed", () => {
  const expected = { code: 0, out: "64 NbdCommandLostError Dead\nleft: \n" }

  it.scopedLive.skipIf(!has("nbdkit"))("ends by itself, over a Unix socket", () =>
    Effect.gen(function*() {
      const root = yield* installed
      const path = join(root, "socket")
      const { process: { pid } } = yield* listening("nbdkit", ["-f", "-U", path, ...slow], { path })
      const open = `UnixTransport.make({ path: ${JSON.stringify(path)} })`
      expect(yield* run(root, script(open, `process.kill(${pid}, "SIGKILL")`))).toStrictEqual(expected)
    }), 30_000)

  it.scopedLive.skipIf(!has("nbdkit"))("ends by itself, under TLS", () =>
    Effect.gen(function*() {
      const root = yield* installed
      const path = join(root, "socket")
      const { process: { pid } } = yield* listening("nbdkit", ["-f", "-U", path, ...withPsk(root), ...slow], { path })
      const credentials = `{ _tag: "Psk", username: "alice", key: Redacted.make(new Uint8Array(16)) }`
      const open = `({ ...UnixTransport.make({ path: ${
        JSON.stringify(path)
      } }), tls: { mode: "Require", credentials: ${credentials} } })`
      expect(yield* run(root, script(open, `process.kill(${pid}, "SIGKILL")`))).toStrictEqual(expected)
    }), 30_000)

  it.scopedLive.skipIf(!has("nbdkit"))("ends by itself, as a command", () =>
    Effect.gen(function*() {
      const root = yield* installed
      const pidFile = JSON.stringify(join(root, "pid"))
      const args = ["nbdkit", "-s", "-P", join(root, "pid"), ...slow].map((arg) => JSON.stringify(arg)).join()
      const kill = `process.kill(Number(fs.readFileSync(${pidFile}, "utf8")), "SIGKILL")`
      expect(yield* run(root, script(`CommandTransport.make(Command.make(${args}))`, kill))).toStrictEqual(expected)
    }), 30_000)
})
