/** The memory for payload that the sessions of a fake server share. */
import { type Disk, FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { filled, pattern, type RawClient, requestBytes, transmitting } from "./fixtures/RawClient.ts"

const mebibyte = 1_048_576
const own = 262_144
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

/** The server has done all that it can. */
const idle = Effect.repeatN(Effect.yieldNow(), 200)

const stalledSessions = (server: FakeServer.FakeServerService) =>
  Effect.map(server.ends, (ends) => ends.flatMap(({ ending, session }) => ending._tag === "Stalled" ? [session] : []))

it.scoped("clients that take no replies have no more than all of it, and others wait for them for 10 seconds at most", () =>
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
    // What is small waits for nobody.
    yield* reads(good, 1000, own)
    yield* good.request("WRITE", { offset: 1000, payload: content.subarray(1000, 1000 + own) })
    yield* good.simple()
    const large = yield* Effect.fork(reads(good, 3 * mebibyte, 2 * mebibyte))
    yield* TestClock.adjust("9 seconds")
    expect(yield* Fiber.poll(large)).toMatchObject({ _tag: "None" })
    expect(yield* stalledSessions(server)).toEqual([])
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(large)
    expect(yield* stalledSessions(server)).toEqual([1, 2])
    // The third has its reply before it now, and nobody waits for it.
    yield* TestClock.adjust("1 hour")
    expect(yield* server.sessions).toBe(2)
    expect(yield* server.memory).toBe(2 * mebibyte)
    yield* reads(good, 0, 2 * mebibyte)
    yield* server.killAll
    yield* server.awaitSessions(0)
    expect(yield* server.memory).toBe(0)
  }))

it.scoped("so do clients that send a payload but for its last byte, and clients that leave give back what they have", () =>
  Effect.gen(function*() {
    const server = yield* making()
    const [first, ...stalled] = yield* several(server, 6)
    for (const client of [...stalled, ...first === undefined ? [] : [first]]) {
      yield* client.send(requestBytes("WRITE", { length: 2 * mebibyte }))
      yield* Effect.fork(client.send(filled(2 * mebibyte - 1, 1)))
    }
    const good = yield* transmitting(server, false)
    yield* idle
    expect(yield* server.memory).toBe(4 * mebibyte)
    const payload = content.subarray(0, mebibyte)
    const written = yield* Effect.fork(
      Effect.zipRight(good.request("WRITE", { offset: 5, payload }), good.simple())
    )
    yield* TestClock.adjust("10 seconds")
    expect(yield* stalledSessions(server)).toEqual([2, 3])
    // It looks once a second at who has it now.
    yield* TestClock.adjust("11 seconds")
    expect(yield* stalledSessions(server)).toEqual([2, 3, 4, 5])
    yield* TestClock.adjust("11 seconds")
    expect(yield* Fiber.join(written)).toMatchObject({ error: 0 })
    expect(Buffer.from(yield* server.exportBytes("disk", 5n, mebibyte)).equals(payload)).toBe(true)
    first?.reader.connection.close()
    yield* server.awaitEnds(5)
    yield* idle
    expect(yield* server.memory).toBeLessThanOrEqual(2 * mebibyte)
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

it.scoped("who has nothing of it comes before those who have something and want more", () =>
  Effect.gen(function*() {
    const disk: Disk.Disk = {
      read: (offset, length) => Effect.sync(() => content.slice(Number(offset), Number(offset) + length))
    }
    const server = yield* making({ exports: [{ name: "disk", size: content.byteLength, disk }], memory: 2 * mebibyte })
    // Two replies of one wait to be taken, and two requests of another for memory.
    const [stalled, next, good] = yield* several(server, 3)
    if (stalled === undefined || next === undefined || good === undefined) return expect.unreachable()
    for (const client of [stalled, next]) {
      for (let count = 0; count < 2; count++) yield* client.request("READ", { length: mebibyte })
      yield* idle
    }
    const read = yield* Effect.fork(reads(good, 7, mebibyte))
    yield* idle
    expect(yield* server.memory).toBe(2 * mebibyte)
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(read)
    expect(yield* stalledSessions(server)).toEqual([1])
  }))

it.scoped("disks of functions are asked for no more than there is memory for, and a slow one is no fault of its client", () =>
  Effect.gen(function*() {
    let asked = 0
    const disk: Disk.Disk = {
      read: (offset, length) =>
        Effect.sync(() => {
          asked++
          return content.slice(Number(offset), Number(offset) + length)
        }).pipe(Effect.delay("15 seconds"))
    }
    const server = yield* making({ exports: [{ name: "disk", size: content.byteLength, disk }] })
    const clients = yield* several(server, 4)
    const all = yield* Effect.fork(
      Effect.forEach(clients, (client) => Effect.zipRight(reads(client, 0, mebibyte), reads(client, 7, mebibyte)), {
        concurrency: "unbounded"
      })
    )
    const [stalled] = yield* several(server, 1)
    for (let count = 0; count < 8; count++) yield* stalled?.request("READ", { length: mebibyte }) ?? Effect.void
    yield* TestClock.adjust("14 seconds")
    expect(yield* server.memory).toBe(4 * mebibyte)
    expect(asked).toBe(0)
    yield* TestClock.adjust("1 second")
    yield* idle
    expect(asked).toBe(4)
    expect(yield* server.memory).toBe(4 * mebibyte)
    yield* TestClock.adjust("2 minutes")
    yield* Fiber.join(all)
    expect(yield* stalledSessions(server)).toEqual([5])
    expect(yield* server.memory).toBe(0)
  }))
