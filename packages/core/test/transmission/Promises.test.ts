/**
 * What a program may rely on in the transmission phase, seen from its server: what is sent when, and what a refusal of
 * one command means for the rest.
 */
import { Handle } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

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

  it.scoped("is refused alone, and goes through in pieces (C-095, C-096, H-119)", () =>
    Effect.gen(function*() {
      const { onRequest } = yield* FakeServer.FakeServer
      const connected = yield* connect
      // By itself it sends no such read.
      yield* connected.setStrictness({ payload: false })
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

  it.scoped("or for one chunk is refused alone, and goes through without that wish (C-132, H-119)", () =>
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

describe("a refusal of what was advertised", () => {
  it.scoped("is the server's, told as it is, and of that command alone (H-153, H-154)", () =>
    Effect.gen(function*() {
      const { onRequest } = yield* FakeServer.FakeServer
      const connected = yield* connect
      yield* onRequest(({ command }) =>
        command === "WRITE_ZEROES" ? Steering.fail("ENOTSUP") : Steering.fail(command === "CACHE" ? "EINVAL" : "EPERM")
      )
      const refused: ReadonlyArray<readonly [Effect.Effect<unknown, object>, string]> = [
        [connected.writeZeroes(0n, 512), "ENOTSUP"],
        [connected.cache(0n, 512), "EINVAL"],
        [connected.write(0n, new Uint8Array(512)), "EPERM"],
        [connected.trim(0n, 512), "EPERM"]
      ]
      for (const [command, errno] of refused) {
        expect(yield* Effect.flip(command)).toMatchObject({ _tag: "NbdCommandError", errno })
      }
      // Nothing was done in place of what was refused.
      expect(yield* commands).toStrictEqual(["WRITE_ZEROES", "CACHE", "WRITE", "TRIM"])
      yield* onRequest(undefined)
      yield* connected.write(0n, new Uint8Array(512))
    }).pipe(Effect.provide(server)))
})

describe("a reply that never comes", () => {
  it.effect("is waited for as long as the caller wants, and the connection left in order after that (C-203, C-206, H-094)", () =>
    Effect.gen(function*() {
      const { awaitEnds, awaitRequests, onRequest } = yield* FakeServer.FakeServer
      const outcome = yield* Effect.scoped(Effect.gen(function*() {
        const connected = yield* connect
        yield* onRequest(({ offset }) => offset === 0n ? Steering.hang : Steering.proceed)
        const read = yield* Effect.fork(Effect.either(Effect.timeout(connected.read(0n, 512), "5 seconds")))
        yield* awaitRequests(1)
        yield* TestClock.adjust("5 seconds")
        const outcome = yield* Fiber.join(read)
        // Its cookie is not free, and its neighbours are not disturbed.
        expect(yield* connected.inFlight).toBe(1)
        yield* connected.read(512n, 512)
        return outcome
      }))
      expect(outcome).toMatchObject({ _tag: "Left", left: { _tag: "TimeoutException" } })
      expect((yield* awaitEnds(1)).map(({ ending }) => ending._tag)).toStrictEqual(["Disconnected"])
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
        [connected.readStructured(0n, 66_048, { df: true }), "NbdRequestTooLargeError"]
      ]
      for (const [refused, tag] of refusals) {
        expect(yield* Effect.flip(refused)).toMatchObject({ _tag: tag })
      }
      yield* connected.read(512n, 512)
      // What is longer than the maximum is sent as several.
      yield* connected.write(0n, new Uint8Array(66_048))
      expect(yield* commands).toStrictEqual(["READ", "WRITE", "WRITE"])
    }).pipe(Effect.provide(FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576, blockSize }] }))))
})
