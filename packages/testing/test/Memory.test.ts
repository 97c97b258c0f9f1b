/** The memory for payload that the sessions of a fake server share. */
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { deviceOf, type Functions } from "./fixtures/Device.ts"
import { filled, pattern, type RawClient, requestBytes, transmitting } from "./fixtures/RawClient.ts"

const mebibyte = 1_048_576
const own = mebibyte
const content = pattern(8 * mebibyte)

const making = (config: Partial<FakeServer.FakeServerConfig> = {}) =>
  FakeServer.make({
    exports: [{ name: "disk", size: content.byteLength, content }],
    memory: 4 * mebibyte,
    delivery: MemoryPipe.whole,
    ...config
  })

const several = (server: FakeServer.FakeServerService, count: number) =>
  Effect.replicateEffect(transmitting(server, false), count)

const reads = (client: RawClient, offset: number, length: number) =>
  Effect.gen(function*() {
    yield* client.request("READ", { offset, length })
    const { data, error } = yield* client.simple(length)
    expect(error).toBe(0)
    expect(Buffer.from(data).equals(content.subarray(offset, offset + length))).toBe(true)
  })

/** The server has done all that it can: it lets the event loop turn after some milliseconds of work. */
const idle = Effect.repeatN(Effect.promise(() => new Promise(setImmediate)), 50)

const stalledSessions = (server: FakeServer.FakeServerService) =>
  Effect.map(server.ends, (ends) => ends.flatMap(({ ending, session }) => ending._tag === "Stalled" ? [session] : []))

it.scoped("clients that take no replies have no more than all of it, and keep others waiting for half a second at most", () =>
  Effect.gen(function*() {
    const server = yield* making()
    const stalled = yield* several(server, 3)
    for (const client of stalled) {
      for (let count = 0; count < 5; count++) yield* client.request("READ", { length: 2 * mebibyte })
    }
    const good = yield* transmitting(server, false)
    yield* idle
    // Two have it, and the third waits.
    expect(yield* server.memory).toBe(4 * mebibyte)
    // What is not longer than a session's own memory waits for nobody.
    yield* reads(good, 1000, own)
    yield* good.request("WRITE", { offset: 1000, payload: content.subarray(1000, 1000 + own) })
    yield* good.simple()
    const large = yield* Effect.fork(reads(good, 3 * mebibyte, 2 * mebibyte))
    yield* TestClock.adjust("400 millis")
    yield* idle
    expect(yield* Fiber.poll(large)).toMatchObject({ _tag: "None" })
    expect(yield* stalledSessions(server)).toEqual([])
    yield* TestClock.adjust("100 millis")
    yield* Fiber.join(large)
    expect(yield* stalledSessions(server)).toHaveLength(2)
    // The third has its reply before it now, and nobody waits for it.
    yield* TestClock.adjust("1 hour")
    expect(yield* server.sessions).toBe(2)
    expect(yield* server.memory).toBe(2 * mebibyte)
    yield* reads(good, 0, 2 * mebibyte)
    // It has stalled for long enough already.
    const all = yield* Effect.fork(reads(good, 0, 4 * mebibyte))
    yield* idle
    yield* Fiber.join(all)
    expect(yield* stalledSessions(server)).toHaveLength(3)
    yield* server.killAll
    yield* server.awaitSessions(0)
    expect(yield* server.memory).toBe(0)
  }))

it.scoped("so do clients that send a payload but for its last byte, and clients that leave give back what they have", () =>
  Effect.gen(function*() {
    const server = yield* making()
    const stalled = yield* several(server, 6)
    for (const client of stalled) {
      yield* client.send(requestBytes("WRITE", { length: 2 * mebibyte }))
      yield* Effect.fork(client.send(filled(2 * mebibyte - 1, 1)))
    }
    const good = yield* transmitting(server, false)
    yield* idle
    expect(yield* server.memory).toBe(4 * mebibyte)
    const payload = content.subarray(0, mebibyte + 1)
    const written = yield* Effect.fork(
      Effect.zipRight(good.request("WRITE", { offset: 5, payload }), good.simple())
    )
    yield* idle
    yield* TestClock.adjust("500 millis")
    yield* idle
    // It is shorter than what the others wait for.
    expect(yield* Fiber.join(written)).toMatchObject({ error: 0 })
    expect(yield* stalledSessions(server)).toHaveLength(2)
    expect(Buffer.from(yield* server.exportBytes("disk", 5n, mebibyte + 1)).equals(payload)).toBe(true)
    yield* TestClock.adjust("600 millis")
    yield* idle
    expect(yield* stalledSessions(server)).toHaveLength(4)
    expect(yield* server.memory).toBe(4 * mebibyte)
    for (const { reader: { connection } } of stalled) connection.close()
    yield* server.awaitEnds(6)
    yield* idle
    expect(yield* server.memory).toBe(0)
  }))

it.scoped(
  "24 clients that stall in the longest writes hold up no read of 1 MiB, and no longer one by more than half a second",
  () =>
    Effect.gen(function*() {
      const server = yield* making({
        memory: 256 * mebibyte,
        exports: [{ name: "disk", size: 64 * mebibyte, content }]
      })
      for (const client of yield* several(server, 24)) {
        yield* client.send(requestBytes("WRITE", { length: 32 * mebibyte }))
        yield* Effect.fork(client.send(filled(mebibyte, 1)))
      }
      const good = yield* transmitting(server, false)
      yield* idle
      expect(yield* server.memory).toBe(7 * 32 * mebibyte)
      // No time passes.
      yield* reads(good, 5, mebibyte)
      const large = yield* Effect.fork(reads(good, 0, 8 * mebibyte))
      yield* idle
      yield* TestClock.adjust("500 millis")
      yield* idle
      expect(yield* Fiber.poll(large)).toMatchObject({ _tag: "Some" })
    }),
  30_000
)

it.scoped("a client that moves its payload keeps its memory, and one that sends a byte now and then does not", () =>
  Effect.gen(function*() {
    const server = yield* making({ memory: 2 * mebibyte })
    const [slow, good] = yield* several(server, 2)
    if (slow === undefined || good === undefined) return expect.unreachable()
    yield* slow.send(requestBytes("WRITE", { length: 2 * mebibyte }))
    yield* idle
    const read = yield* Effect.fork(reads(good, 0, 2 * mebibyte))
    for (let count = 0; count < 10; count++) {
      yield* slow.send(filled(65_536, 1))
      yield* idle
      yield* TestClock.adjust("400 millis")
    }
    yield* idle
    expect(yield* stalledSessions(server)).toEqual([])
    expect(yield* Fiber.poll(read)).toMatchObject({ _tag: "None" })
    for (let count = 0; count < 4; count++) {
      yield* slow.send(filled(1, 1))
      yield* idle
      yield* TestClock.adjust("100 millis")
    }
    yield* Fiber.join(read)
    expect(yield* stalledSessions(server)).toEqual([1])
  }))

it.scoped("so does a client that takes a long reply piece by piece, as long as it does", () =>
  Effect.gen(function*() {
    const server = yield* making({ memory: 4 * mebibyte })
    const [slow, writing, good] = yield* several(server, 3)
    if (slow === undefined || writing === undefined || good === undefined) return expect.unreachable()
    yield* slow.request("READ", { length: 4 * mebibyte })
    yield* idle
    const read = yield* Effect.fork(reads(good, 0, 2 * mebibyte))
    yield* slow.reader.take(16)
    for (let count = 0; count < 10; count++) {
      yield* slow.reader.take(262_144)
      yield* idle
      yield* TestClock.adjust("400 millis")
    }
    yield* idle
    expect(yield* stalledSessions(server)).toEqual([])
    expect(yield* Fiber.poll(read)).toMatchObject({ _tag: "None" })
    yield* TestClock.adjust("100 millis")
    yield* Fiber.join(read)
    expect(yield* stalledSessions(server)).toEqual([1])
  }))

it.scoped("requests that are longer than all of it are served one after another, whole", () =>
  Effect.gen(function*() {
    const server = yield* making({ memory: mebibyte })
    const clients = yield* several(server, 4)
    yield* Effect.forEach(clients, (client, index) =>
      Effect.gen(function*() {
        const offset = index * 2 * mebibyte
        for (let count = 0; count < 2; count++) {
          yield* client.request("WRITE", { offset, payload: content.subarray(offset, offset + 2 * mebibyte) })
          yield* client.simple()
          yield* reads(client, offset, 2 * mebibyte)
        }
      }), { concurrency: "unbounded" })
    yield* idle
    expect(yield* server.memory).toBe(0)
    expect(yield* server.ends).toEqual([])
  }))

const functions: Functions<never> = {
  read: (offset, length) => Effect.sync(() => content.slice(Number(offset), Number(offset) + length))
}

it.scoped("who has nothing of it comes before those who have something and want more", () =>
  Effect.gen(function*() {
    const exports = [{ name: "disk", device: deviceOf(content.byteLength, functions) }]
    const server = yield* making({ exports, memory: 4 * mebibyte })
    // Two replies of one wait to be taken, and two requests of another for memory.
    const [stalled, next, good] = yield* several(server, 3)
    if (stalled === undefined || next === undefined || good === undefined) return expect.unreachable()
    for (const client of [stalled, next]) {
      for (let count = 0; count < 2; count++) yield* client.request("READ", { length: 2 * mebibyte })
      yield* idle
    }
    const read = yield* Effect.fork(reads(good, 7, 2 * mebibyte))
    yield* idle
    expect(yield* server.memory).toBe(4 * mebibyte)
    yield* TestClock.adjust("500 millis")
    yield* Fiber.join(read)
    expect(yield* stalledSessions(server)).toEqual([1])
  }))

it.scoped("requests for which there is only a session's own memory are done one after another", () =>
  Effect.gen(function*() {
    const held: Functions<never> = {
      read: (offset, length) => length === 2 * mebibyte ? Effect.never : functions.read(offset, length)
    }
    const exports = [{ name: "disk", device: deviceOf(content.byteLength, held) }]
    const server = yield* making({ exports, memory: 2 * mebibyte })
    const [first, good] = yield* several(server, 2)
    if (first === undefined || good === undefined) return expect.unreachable()
    // All of it is lent to a disk that never answers, which is no fault of its client.
    yield* first.request("READ", { length: 2 * mebibyte })
    yield* idle
    for (let count = 0; count < 8; count++) yield* good.request("READ", { offset: count, length: mebibyte })
    for (let count = 0; count < 8; count++) expect(yield* good.simple(mebibyte)).toMatchObject({ error: 0 })
    yield* idle
    expect(yield* server.memory).toBe(2 * mebibyte)
    expect(yield* server.ends).toEqual([])
  }))

it.scoped("disks of functions are asked for no more than there is memory for, and a slow one is no fault of its client", () =>
  Effect.gen(function*() {
    let asked = 0
    const disk: Functions<never> = {
      read: (offset, length) =>
        Effect.sync(() => {
          asked++
          return content.slice(Number(offset), Number(offset) + length)
        }).pipe(Effect.delay("15 seconds"))
    }
    const server = yield* making({ exports: [{ name: "disk", device: deviceOf(content.byteLength, disk) }] })
    const clients = yield* several(server, 4)
    const all = yield* Effect.fork(
      Effect.forEach(
        clients,
        (client) => Effect.zipRight(reads(client, 0, 2 * mebibyte), reads(client, 7, 2 * mebibyte)),
        { concurrency: "unbounded" }
      )
    )
    yield* idle
    const [stalled] = yield* several(server, 1)
    for (let count = 0; count < 8; count++) yield* stalled?.request("READ", { length: 2 * mebibyte }) ?? Effect.void
    yield* idle
    yield* TestClock.adjust("14 seconds")
    expect(yield* server.memory).toBe(4 * mebibyte)
    expect(asked).toBe(0)
    yield* TestClock.adjust("1 second")
    yield* idle
    expect(asked).toBe(2)
    expect(yield* server.memory).toBe(4 * mebibyte)
    yield* TestClock.adjust("2 minutes")
    yield* Fiber.join(all)
    expect(yield* stalledSessions(server)).toEqual([5])
    yield* idle
    expect(yield* server.memory).toBe(0)
  }))

it.scoped("a long reply that is under way when the server shuts down arrives whole (S-093)", () =>
  Effect.gen(function*() {
    const server = yield* making({ memory: 64 * mebibyte })
    const client = yield* transmitting(server, false)
    yield* client.request("READ", { length: 8 * mebibyte })
    yield* idle
    yield* server.disconnectAll
    const { data, error } = yield* client.simple(8 * mebibyte)
    expect(error).toBe(0)
    expect(Buffer.from(data).equals(content)).toBe(true)
    expect(yield* Effect.flip(client.reader.take(1))).toMatchObject({ end: { _tag: "Finished" } })
  }))
