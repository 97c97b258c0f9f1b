import { Transport } from "@effect-nbd/core/Transport"
import * as UnixTransport from "@effect-nbd/node/UnixTransport"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { folder, listen, record } from "./Peers.ts"

/** The superuser may do everything, so that nothing would be refused. */
const asNobody = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  process.getuid?.() === 0
    ? Effect.acquireUseRelease(
      Effect.sync(() => process.seteuid?.(65_534)),
      () => effect,
      () => Effect.sync(() => process.seteuid?.(0))
    )
    : effect

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
