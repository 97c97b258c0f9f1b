/** Exports of block devices that are made of functions. */
import type { BlockDevice } from "@effect-nbd/block/BlockDevice"
import { DeviceError, type Errno } from "@effect-nbd/block/DeviceError"
import { decodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import type { Failure } from "@effect-nbd/server/Decider"
import { FakeServer, MemoryPipe, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { deviceOf, type Functions } from "./fixtures/Device.ts"
import { filled, transmitting, transmittingExtended } from "./fixtures/RawClient.ts"

const size = 1 << 30

/** A disk that writes down what is asked of it. */
const recorder = () => {
  const calls: Array<string> = []
  const call = (text: string) =>
    Effect.sync(() => {
      calls.push(text)
    })
  const disk = {
    canFastZero: true,
    read: (offset, length) => Effect.as(call(`read ${offset}+${length}`), filled(length, Number(offset % 251n))),
    write: (offset, bytes) => call(`write ${offset}+${bytes.byteLength}`),
    flush: call("flush"),
    trim: (offset, length) => call(`trim ${offset}+${length}`),
    writeZeroes: (offset, length, { allocate = false, fast = false }) =>
      call(`zero ${offset}+${length}${allocate ? " no hole" : ""}${fast ? " fast" : ""}`)
  } satisfies Functions<never>
  const cache = (offset: bigint, length: bigint) => call(`cache ${offset}+${length}`)
  return { calls, disk, cache }
}

it.scoped("what clients ask is what its functions are called with", () =>
  Effect.gen(function*() {
    const { cache, calls, disk } = recorder()
    const server = yield* FakeServer.make({ exports: [{ name: "disk", device: deviceOf(size, disk), cache }] })
    const client = yield* transmitting(server, true)
    yield* client.request("READ", { offset: 5, length: 3 })
    expect((yield* client.chunks())[0]?.payload.subarray(8)).toEqual(filled(3, 5))
    const done = Effect.map(client.chunks(), (chunks) => expect(chunks).toMatchObject([{ type: chunkType.NONE }]))
    yield* client.request("WRITE", { offset: 9, payload: filled(2, 1) })
    yield* done
    yield* client.request("WRITE", { offset: 10, payload: filled(2, 1), flags: CommandFlags.FUA })
    yield* done
    yield* client.request("TRIM", { offset: 1, length: 2, flags: CommandFlags.FUA })
    yield* done
    const flags = CommandFlags.NO_HOLE | CommandFlags.FAST_ZERO
    yield* client.request("WRITE_ZEROES", { offset: 3, length: 4, flags })
    yield* done
    yield* client.request("CACHE", { offset: 7, length: 8 })
    yield* done
    yield* client.request("FLUSH")
    yield* done
    expect(calls).toEqual([
      "read 5+3",
      "write 9+2",
      "write 10+2",
      "flush",
      "trim 1+2",
      "flush",
      "zero 3+4 no hole fast",
      "cache 7+8",
      "flush"
    ])
  }))

it.scoped("S-083: nothing empty reaches it", () =>
  Effect.gen(function*() {
    const { cache, calls, disk } = recorder()
    const server = yield* FakeServer.make({ exports: [{ name: "disk", device: deviceOf(size, disk), cache }] })
    const client = yield* transmitting(server, true)
    for (const command of ["READ", "WRITE", "TRIM", "CACHE", "WRITE_ZEROES"] as const) {
      yield* client.request(command, { length: 0 })
      expect(yield* client.chunks()).toMatchObject([{ type: chunkType.NONE }])
    }
    expect(calls).toEqual([])
  }))

it.scoped("64-bit lengths reach it whole", () =>
  Effect.gen(function*() {
    const { calls, disk } = recorder()
    const server = yield* FakeServer.make({ exports: [{ name: "disk", device: deviceOf(2n ** 63n - 1n, disk) }] })
    const { client } = yield* transmittingExtended(server, "disk")
    yield* client.extended("TRIM", { length: 2n ** 63n - 1n })
    yield* client.chunks("extended")
    expect(calls).toEqual([`trim 0+${2n ** 63n - 1n}`])
  }))

it.scoped("its extents are block status, and the holes of structured reads", () =>
  Effect.gen(function*() {
    const extents = [
      { offset: 0n, length: 10n, allocated: true, zero: false },
      { offset: 10n, length: 20n, allocated: false, zero: true },
      { offset: 30n, length: 5n, allocated: true, zero: true }
    ]
    const { calls, disk } = recorder()
    const server = yield* FakeServer.make({
      exports: [{ name: "disk", device: deviceOf(size, { ...disk, extents: () => Stream.fromIterable(extents) }) }]
    })
    const { client } = yield* transmittingExtended(server, "disk", "base:allocation")
    yield* client.extended("BLOCK_STATUS", { length: 1000 })
    const [status] = yield* client.chunks("extended")
    const view = viewOf(status?.payload ?? filled(8, 0))
    const told = [8, 24, 40].map((at) => [view.getBigUint64(at), view.getBigUint64(at + 8)])
    expect(told).toEqual([[10n, 0n], [20n, 3n], [5n, 2n]])
    // What its extents do not tell is read.
    yield* client.extended("READ", { length: 50 })
    const chunks = yield* client.chunks("extended")
    expect(chunks.map(({ payload, type }) => [type, payload.byteLength])).toEqual([
      [chunkType.OFFSET_DATA, 18],
      [chunkType.OFFSET_HOLE, 12],
      [chunkType.OFFSET_DATA, 23]
    ])
    expect(calls).toEqual(["read 0+10", "read 35+15"])
  }))

it.scoped("requests are carried out side by side, and answered as they are done", () =>
  Effect.gen(function*() {
    const slow: Functions<never> = {
      read: (offset, length) => Effect.delay(Effect.succeed(filled(length, 1)), `${10 - Number(offset)} seconds`)
    }
    const server = yield* FakeServer.make({ exports: [{ name: "disk", device: deviceOf(size, slow) }] })
    const client = yield* transmitting(server, false)
    for (const cookie of [1, 2, 3]) yield* client.request("READ", { cookie, offset: cookie, length: 1 })
    yield* server.awaitRequests(3)
    yield* TestClock.adjust("10 seconds")
    const cookies = yield* Effect.all([client.simple(1), client.simple(1), client.simple(1)])
    expect(cookies.map(({ cookie }) => cookie)).toEqual([3n, 2n, 1n])
  }))

it.scoped("no more than 64 MiB of payload are with it at a time, and no more than maxPending requests", () =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    let writing = 0
    const disk: Functions<never> = {
      read: (_, length) => Effect.succeed(filled(length, 0)),
      write: () => {
        writing++
        return Deferred.await(gate)
      }
    }
    const exports = [{ name: "disk", device: deviceOf(size, disk) }]
    const server = yield* FakeServer.make({ exports, maxPending: 4, delivery: MemoryPipe.whole })
    const client = yield* transmitting(server, false)
    const payload = filled(1 << 24, 1)
    const sending = yield* Effect.fork(
      Effect.forEach([1, 2, 3, 4, 5, 6], (cookie) => client.request("WRITE", { cookie, payload }))
    )
    yield* server.awaitRequests(4)
    yield* TestClock.adjust("1 second")
    expect(writing).toBe(4)
    expect((yield* server.requests).length).toBe(4)
    yield* Deferred.succeed(gate, undefined)
    yield* sending
    yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => client.simple())
    expect(writing).toBe(6)
  }))

it.scoped("killing a session interrupts what its disk is doing", () =>
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const interrupted = yield* Deferred.make<void>()
    const disk: Functions<never> = {
      read: () =>
        Effect.onInterrupt(
          Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never),
          () => Deferred.succeed(interrupted, undefined)
        )
    }
    const server = yield* FakeServer.make({ exports: [{ name: "disk", device: deviceOf(size, disk) }] })
    const client = yield* transmitting(server, false)
    yield* client.request("READ", { length: 1 })
    // A request is recorded before the disk has it.
    yield* Deferred.await(begun)
    yield* server.killAll
    yield* Deferred.await(interrupted)
    yield* server.awaitSessions(0)
  }))

describe("what it does wrong is an error of that request alone", () => {
  const read: Functions<never>["read"] = (_, length) => Effect.succeed(filled(length, 0))
  const failing = (errno: Errno, reason: string) =>
    new DeviceError({ device: "/a/path", operation: "read", offset: 0n, length: 3n, errno, reason })
  const giving = (more: number): BlockDevice<unknown> => ({
    ...deviceOf(size, { read }),
    read: (_, length) => Effect.succeed(new Uint8Array(length + more))
  })
  const cases: ReadonlyArray<readonly [string, Partial<Functions<unknown>> | BlockDevice<unknown>, number, string]> = [
    [
      "an error",
      { read: () => failing("ENOMEM", "too many") },
      12,
      "too many"
    ],
    ["an error of its own", { read: () => Effect.fail("secret") }, 5, "the device failed"],
    ["too few bytes", giving(-1), 5, "the device gave 2 of 3 bytes"],
    ["too many bytes", giving(1), 5, "the device gave 4 of 3 bytes"],
    ["a defect", { read: () => Effect.die("bug") }, 5, "the device died"],
    [
      "a thrown exception",
      {
        read: () => {
          throw new Error("bug")
        }
      },
      5,
      "the device died"
    ],
    ["an interruption", { read: () => Effect.interrupt }, 5, "the device died"]
  ]
  it.scoped.each(cases)("%s", ([, disk, errno, message]) =>
    Effect.gen(function*() {
      const device = "geometry" in disk ? disk : deviceOf<unknown>(size, { read, ...disk })
      const server = yield* FakeServer.make({ exports: [{ name: "disk", device }] })
      const client = yield* transmitting(server, true)
      yield* client.request("READ", { length: 3 })
      const [chunk] = yield* client.chunks()
      expect(chunk?.type).toBe(chunkType.ERROR)
      expect(viewOf(chunk?.payload ?? filled(6, 0)).getUint32(0)).toBe(errno)
      expect(decodeText(chunk?.payload.subarray(6) ?? filled(1, 0))).toBe(message)
      yield* client.request("CACHE", { length: 1 })
      expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
    }))

  it.scoped("an interruption, in whatever command, and the session still ends in order", () =>
    Effect.gen(function*() {
      const device = deviceOf(size, {
        read,
        write: () => Effect.interrupt,
        extents: () => Stream.fromEffect(Effect.interrupt)
      })
      const server = yield* FakeServer.make({ exports: [{ name: "disk", device }] })
      const { client } = yield* transmittingExtended(server, "disk", "base:allocation")
      const errno = Effect.map(client.chunks("extended"), ([chunk]) =>
        viewOf(chunk?.payload ?? filled(6, 0)).getUint32(0))
      yield* client.extended("WRITE", { payload: filled(2, 1), flags: CommandFlags.PAYLOAD_LEN })
      expect(yield* errno).toBe(5)
      yield* client.extended("BLOCK_STATUS", { length: 8 })
      expect(yield* errno).toBe(5)
      // What lies before a steered error is read too.
      yield* server.onRequest(() =>
        Steering.fail("EPERM", { offset: 7n })
      )
      yield* client.extended("READ", { length: 8 })
      expect(yield* errno).toBe(1)
      yield* server.onRequest(undefined)
      yield* client.extended("DISC")
      expect(yield* server.awaitEnds(1)).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
    }))

  it.scoped("an error with an offset: ERROR_OFFSET, in writes too, and FUA's flush can fail as well", () =>
    Effect.gen(function*() {
      const device = deviceOf<Failure>(size, {
        read,
        write: (offset) => offset === 0n ? Effect.void : Effect.fail({ errno: "EIO", offset: offset + 1n }),
        flush: Effect.fail({ errno: 4711 })
      })
      // These errors are what a client is told, as they are.
      const failure = (error: unknown): Failure =>
        Predicate.hasProperty(error, "errno") ? error as Failure : { errno: "EIO" }
      const server = yield* FakeServer.make({ exports: [{ name: "disk", device, failure }] })
      const client = yield* transmitting(server, true)
      yield* client.request("WRITE", { offset: 7, payload: filled(2, 1) })
      expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR_OFFSET }])
      yield* client.request("WRITE", { offset: 0, payload: filled(2, 1), flags: CommandFlags.FUA })
      const [chunk] = yield* client.chunks()
      expect([chunk?.type, viewOf(chunk?.payload ?? filled(6, 0)).getUint32(0)]).toEqual([chunkType.ERROR, 4711])
    }))
})
