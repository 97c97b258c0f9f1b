/**
 * What a program may rely on in the transmission phase, seen from its server: what is sent when, and what a refusal of
 * one command means for the rest.
 */
import { Handle } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

const blockSize = { minimum: 512, preferred: 4096, maximum: 65_536 }
const server = FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576 }] })
const connect = Handle.connect({ exportName: "disk" })
const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow(), { discard: true })
const commands = Effect.flatMap(
  FakeServer.FakeServer,
  ({ requests }) => Effect.map(requests, (list) => list.map(({ command }) => command))
)

describe("a write", () => {
  it.scoped("is done when it is answered: what follows it in a program is not sent before (C-142, C-151)", () =>
    Effect.gen(function*() {
      const { awaitRequests, hold, release } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* hold
      const program = yield* Effect.fork(
        connected.write(0n, Uint8Array.of(7)).pipe(
          Effect.zipRight(connected.flush),
          Effect.zipRight(connected.read(0n, 1))
        )
      )
      yield* awaitRequests(1)
      yield* settle
      expect(yield* commands).toStrictEqual(["WRITE"])
      yield* release
      expect(yield* Fiber.join(program)).toStrictEqual(Uint8Array.of(7))
      expect(yield* commands).toStrictEqual(["WRITE", "FLUSH", "READ"])
    }).pipe(Effect.provide(server)))
})

describe("a command that is too long for the server", () => {
  const length = 131_072

  it.scoped("is refused alone, and goes through in pieces (C-095, C-096)", () =>
    Effect.gen(function*() {
      const { onRequest } = yield* FakeServer.FakeServer
      const connected = yield* connect
      const lengthy: ReadonlyArray<
        readonly ["EOVERFLOW" | "EINVAL", (offset: bigint, length: number) => Effect.Effect<unknown, object>]
      > = [
        ["EOVERFLOW", (offset, length) => connected.read(offset, length)],
        ["EOVERFLOW", (offset, length) => connected.trim(offset, length)],
        ["EINVAL", (offset, length) => connected.writeZeroes(offset, length)],
        ["EINVAL", (offset, length) => connected.cache(offset, length)]
      ]
      for (const [errno, send] of lengthy) {
        yield* onRequest((request) => request.length > blockSize.maximum ? Steering.fail(errno) : Steering.proceed)
        expect(yield* Effect.flip(send(0n, length))).toMatchObject({
          _tag: "NbdCommandError",
          errno,
          offset: 0n,
          length
        })
        yield* send(0n, length / 2)
        yield* send(65_536n, length / 2)
      }
      expect((yield* connected.state)._tag).toBe("Connected")
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576, blockSize }] }))))

  it.scoped("or for one chunk is refused alone, and goes through without that wish (C-132)", () =>
    Effect.gen(function*() {
      const { onRequest } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* onRequest(({ flags }) => flags === 4 ? Steering.fail("EOVERFLOW") : Steering.proceed)
      expect(yield* Effect.flip(connected.readStructured(0n, length, { df: true }))).toMatchObject({
        _tag: "NbdCommandError",
        errno: "EOVERFLOW"
      })
      expect((yield* connected.readStructured(0n, length)).bytes.byteLength).toBe(length)
    }).pipe(Effect.provide(server)))
})

describe("block size constraints that came", () => {
  it.scoped("are kept to before anything is sent (C-086, C-091, C-094)", () =>
    Effect.gen(function*() {
      const connected = yield* connect
      const refusals: ReadonlyArray<readonly [Effect.Effect<unknown, object>, string]> = [
        [connected.read(1n, 512), "NbdUnalignedError"],
        [connected.read(0n, 100), "NbdUnalignedError"],
        [connected.write(256n, new Uint8Array(512)), "NbdUnalignedError"],
        [connected.trim(0n, 513), "NbdUnalignedError"],
        [connected.write(0n, new Uint8Array(66_048)), "NbdRequestTooLargeError"]
      ]
      for (const [refused, tag] of refusals) {
        expect(yield* Effect.flip(refused)).toMatchObject({ _tag: tag })
      }
      yield* connected.read(512n, 512)
      expect(yield* commands).toStrictEqual(["READ"])
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576, blockSize }] }))))
})
