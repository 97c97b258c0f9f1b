import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { MemoryPipe, ScriptedServer } from "@effect-nbd/testing"
import { describe, expect, it, vi } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"

/** Long enough for every microtask of a small exchange, and for the delay of a millisecond. */
const settled = () => new Promise<void>((resume) => setTimeout(resume, 4))

class Collector {
  readonly deliveries: Array<Uint8Array> = []
  readonly ends: Array<ConnectionEnd["_tag"]> = []
  drains = 0
  /** Answers of `onBytes`, the last one for good. */
  answers: Array<boolean> = [true]

  onBytes(bytes: Uint8Array): boolean {
    if (this.ends.length > 0) throw new Error("bytes after the end")
    this.deliveries.push(bytes.slice())
    const [answer = true] = this.answers
    if (this.answers.length > 1) this.answers.shift()
    return answer
  }
  onEnd(end: ConnectionEnd): void {
    this.ends.push(end._tag)
  }
  onDrain(): void {
    this.drains += 1
  }
  get bytes(): Uint8Array {
    return concat(this.deliveries)
  }
}

/** The sizes of what arrived, and the end. */
const seen = ({ deliveries, ends }: Collector) => [...deliveries.map(({ byteLength }) => byteLength), ...ends]

const listen = (connection: Connection): Collector => {
  const collector = new Collector()
  connection.receive(collector)
  return collector
}

const writes = FastCheck.array(FastCheck.array(FastCheck.uint8Array({ maxLength: 200 }), { maxLength: 4 }), {
  maxLength: 12
})

describe.each(MemoryPipe.policies)("delivered %s", (_name, delivery) => {
  it("both directions arrive in order, whole, and after them the end", async () => {
    await FastCheck.assert(
      FastCheck.asyncProperty(writes, writes, FastCheck.array(FastCheck.boolean()), async (up, down, answers) => {
        const { client, server } = MemoryPipe.make({ delivery })
        const atServer = listen(server)
        const atClient = listen(client)
        atServer.answers = [...answers, true]
        for (const chunks of up) client.write(chunks)
        for (const chunks of down) {
          server.write(chunks)
          await Promise.resolve()
        }
        client.endWrites()
        server.endWrites()
        for (let round = 0; round <= answers.length; round++) {
          await settled()
          server.resume()
        }
        await settled()
        expect(atServer.bytes).toEqual(concat(up.flat()))
        expect(atClient.bytes).toEqual(concat(down.flat()))
        expect([atServer.ends, atClient.ends]).toEqual([["Finished"], ["Finished"]])
      }),
      { numRuns: 50 }
    )
  })

  it("nothing is delivered inside a call, and what came before the receiver is kept, the end included", async () => {
    const { client, server } = MemoryPipe.make({ delivery })
    client.write([Uint8Array.of(1, 2, 3)])
    client.endWrites()
    await settled()
    const collector = listen(server)
    expect([collector.deliveries.length, collector.ends.length]).toEqual([0, 0])
    server.resume()
    expect(collector.deliveries.length).toBe(0)
    await settled()
    expect([...collector.bytes]).toEqual([1, 2, 3])
    expect(collector.ends).toEqual(["Finished"])
  })

  it("write says no above 256 KiB, and onDrain says when there is room", async () => {
    const { client, server } = MemoryPipe.make({ delivery })
    const writer = listen(client)
    expect(client.write([new Uint8Array(MemoryPipe.highWater)])).toBe(true)
    expect(client.write([new Uint8Array(1)])).toBe(false)
    expect(client.write([new Uint8Array(1)])).toBe(false)
    await settled()
    expect(writer.drains).toBe(0)
    const reader = listen(server)
    await vi.waitUntil(() => writer.drains > 0)
    await settled()
    expect(reader.bytes.byteLength).toBe(MemoryPipe.highWater + 2)
    expect(writer.drains).toBe(1)
    expect(client.write([new Uint8Array(1)])).toBe(true)
  })

  it("a receiver that says no gets no more until it asks, and then from another turn", async () => {
    const { client, server } = MemoryPipe.make({ delivery })
    const reader = listen(server)
    reader.answers = [false]
    client.write([Uint8Array.of(1)])
    client.write([Uint8Array.of(2)])
    await settled()
    client.write([Uint8Array.of(3)])
    await settled()
    expect(reader.deliveries.length).toBe(1)
    const before = reader.bytes.byteLength
    server.resume()
    expect(reader.deliveries.length).toBe(1)
    await settled()
    expect(reader.deliveries.length).toBe(2)
    expect(reader.bytes.byteLength).toBeGreaterThan(before)
  })
})

it("the policies cut and join as they say", async () => {
  const sizes = async (delivery: MemoryPipe.Delivery) => {
    const { client, server } = MemoryPipe.make({ delivery })
    const reader = listen(server)
    client.write([new Uint8Array(3), new Uint8Array(2)])
    client.write([new Uint8Array(4)])
    await settled()
    return reader.deliveries.map(({ byteLength }) => byteLength)
  }
  expect(await sizes(MemoryPipe.whole)).toEqual([5, 4])
  expect(await sizes(MemoryPipe.coalesced)).toEqual([9])
  expect(await sizes(MemoryPipe.bytes)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1])
})

it("random cuts are the same for the same seed, and differ between seeds", async () => {
  const sizes = async (seed: number) => {
    const { client, server } = MemoryPipe.make({ delivery: MemoryPipe.random(seed) })
    const reader = listen(server)
    for (let write = 0; write < 50; write++) client.write([new Uint8Array(100)])
    await settled()
    return reader.deliveries.map(({ byteLength }) => byteLength)
  }
  expect(await sizes(1)).toEqual(await sizes(1))
  expect(await sizes(1)).not.toEqual(await sizes(2))
  const cuts = await sizes(3)
  expect(Math.min(...cuts)).toBeLessThan(100)
  expect(Math.max(...cuts)).toBeGreaterThan(100)
})

it("borrowed bytes are written over, so keeping them shows", async () => {
  const { client, server } = MemoryPipe.make()
  const kept: Array<Uint8Array> = []
  server.receive({ onBytes: (bytes) => kept.push(bytes) > 0, onEnd: () => {}, onDrain: () => {} })
  client.write([Uint8Array.of(1, 2, 3)])
  await settled()
  expect(kept.map((bytes) => [...bytes])).toEqual([[0xdb, 0xdb, 0xdb]])
})

it("a write longer than the buffer arrives in pieces of 64 KiB", async () => {
  const { client, server } = MemoryPipe.make()
  const reader = listen(server)
  client.write([new Uint8Array(150_000)])
  await settled()
  expect(reader.deliveries.map(({ byteLength }) => byteLength)).toEqual([65_536, 65_536, 18_928])
})

it("another receiver takes over, and a receiver that said no does not bind it", async () => {
  const { client, server } = MemoryPipe.make()
  const first = listen(server)
  first.answers = [false]
  client.write([Uint8Array.of(1)])
  client.write([Uint8Array.of(2)])
  await settled()
  const second = listen(server)
  await settled()
  expect([[...first.bytes], [...second.bytes]]).toEqual([[1], [2]])
})

describe("ends", () => {
  it("an orderly end waits for a receiver that said no", async () => {
    const { client, server } = MemoryPipe.make()
    const reader = listen(server)
    reader.answers = [false]
    client.write([Uint8Array.of(1)])
    client.write([Uint8Array.of(2)])
    client.endWrites()
    await settled()
    expect(reader.ends).toEqual([])
    server.resume()
    await settled()
    expect([...reader.bytes]).toEqual([1, 2])
    expect(reader.ends).toEqual(["Finished"])
  })

  it("ending one half leaves the other open", async () => {
    const { client, server } = MemoryPipe.make()
    const [atClient, atServer] = [listen(client), listen(server)]
    client.endWrites()
    client.write([Uint8Array.of(9)])
    server.write([Uint8Array.of(1)])
    await settled()
    expect([[...atServer.bytes], atServer.ends]).toEqual([[], ["Finished"]])
    expect([[...atClient.bytes], atClient.ends]).toEqual([[1], []])
  })

  it("closing with nothing unread: what was written arrives, then an orderly end; the closer hears nothing", async () => {
    const { client, server } = MemoryPipe.make()
    const [atClient, atServer] = [listen(client), listen(server)]
    client.write([Uint8Array.of(1, 2)])
    client.close()
    client.close()
    expect(client.write([Uint8Array.of(3)])).toBe(true)
    server.write([Uint8Array.of(4)])
    await settled()
    expect([[...atServer.bytes], atServer.ends]).toEqual([[1, 2], ["Finished"]])
    expect([[...atClient.bytes], atClient.ends]).toEqual([[], []])
  })

  it("closing on unread bytes breaks the connection for the other side", async () => {
    const { client, server } = MemoryPipe.make()
    const [, atServer] = [listen(client), listen(server)]
    server.write([Uint8Array.of(1)])
    client.write([Uint8Array.of(2)])
    client.close()
    await settled()
    expect([[...atServer.bytes], atServer.ends]).toEqual([[], ["Broken"]])
  })

  it("a writer that waits for room is called when the reader leaves", async () => {
    const { client, server } = MemoryPipe.make()
    const writer = listen(client)
    expect(client.write([new Uint8Array(300_000)])).toBe(false)
    server.close()
    await settled()
    expect([writer.drains, writer.ends]).toEqual([1, ["Broken"]])
    expect(client.write([new Uint8Array(300_000)])).toBe(true)
  })

  it("a reset loses what is under way, on both sides, even for receivers that said no", async () => {
    const pipe = MemoryPipe.make()
    const [atClient, atServer] = [listen(pipe.client), listen(pipe.server)]
    atServer.answers = [false]
    pipe.client.write([Uint8Array.of(1)])
    await settled()
    pipe.client.write([Uint8Array.of(2)])
    pipe.server.write([Uint8Array.of(3)])
    pipe.reset()
    pipe.reset()
    await settled()
    expect([[...atServer.bytes], atServer.ends]).toEqual([[1], ["Broken"]])
    expect([[...atClient.bytes], atClient.ends]).toEqual([[], ["Broken"]])
  })

  it("a severed pipe breaks after what is under way", async () => {
    const pipe = MemoryPipe.make({ delivery: MemoryPipe.bytes })
    const [atClient, atServer] = [listen(pipe.client), listen(pipe.server)]
    pipe.client.write([Uint8Array.of(1, 2)])
    pipe.server.write([Uint8Array.of(3, 4)])
    pipe.sever()
    await settled()
    expect([[...atServer.bytes], atServer.ends]).toEqual([[1, 2], ["Broken"]])
    expect([[...atClient.bytes], atClient.ends]).toEqual([[3, 4], ["Broken"]])
  })
})

/** What arrives at each end, and with which end, when the server says 5 bytes and 3 more, and the client 4. */
const exchanged = async (delivery: MemoryPipe.Delivery | MemoryPipe.Directions) => {
  const { client, server } = MemoryPipe.make({ delivery })
  const [atClient, atServer] = [listen(client), listen(server)]
  server.write([Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)])
  await settled()
  client.write([Uint8Array.of(9, 9, 9, 9)])
  server.write([Uint8Array.of(6, 7, 8)])
  await settled()
  return { client: [...atClient.bytes, ...atClient.ends], server: [...atServer.bytes, ...atServer.ends] }
}

describe.each(MemoryPipe.policies)("a fate, delivered %s", (_name, policy) => {
  const toClient = (delivery: MemoryPipe.Delivery) => exchanged({ toServer: policy, toClient: delivery })

  it("comes after exactly so many bytes: an end in order, for that direction alone", async () => {
    for (const count of [0, 1, 4, 5, 6]) {
      expect(await toClient(MemoryPipe.finishAfter(count, policy))).toEqual({
        client: [...[1, 2, 3, 4, 5, 6, 7, 8].slice(0, count), "Finished"],
        server: [9, 9, 9, 9]
      })
    }
  })

  it("a reset breaks both directions after the bytes before it", async () => {
    expect(await toClient(MemoryPipe.resetAfter(4, policy))).toEqual({
      client: [1, 2, 3, 4, "Broken"],
      server: ["Broken"]
    })
    expect(await toClient(MemoryPipe.resetAfter(0, policy))).toEqual({ client: ["Broken"], server: ["Broken"] })
    expect(await toClient(MemoryPipe.resetAfter(9, policy))).toEqual({
      client: [1, 2, 3, 4, 5, 6, 7, 8],
      server: [9, 9, 9, 9]
    })
  })

  it("a stall lets nothing more arrive, not even an end", async () => {
    const { client, server } = MemoryPipe.make({
      delivery: { toServer: policy, toClient: MemoryPipe.stallAfter(2, policy) }
    })
    const [atClient, atServer] = [listen(client), listen(server)]
    expect(server.write([Uint8Array.of(1, 2, 3)])).toBe(true)
    expect(server.write([new Uint8Array(MemoryPipe.highWater)])).toBe(false)
    server.endWrites()
    client.write([Uint8Array.of(9)])
    await settled()
    expect([...atClient.bytes, ...atClient.ends]).toEqual([1, 2])
    expect([...atServer.bytes, atServer.drains]).toEqual([9, 0])
    client.close()
    await settled()
    expect([atServer.ends, atServer.drains]).toEqual([["Broken"], 1])
  })
})

it("of both directions, each has its own fate", async () => {
  expect(await exchanged(MemoryPipe.finishAfter(3))).toEqual({
    client: [1, 2, 3, "Finished"],
    server: [9, 9, 9, "Finished"]
  })
})

describe("a delay", () => {
  const twoSeconds = Effect.gen(function*() {
    const { client, server } = yield* MemoryPipe.open({ delivery: MemoryPipe.delayed("2 seconds") })
    return { client, server, reader: listen(server) }
  })
  it.effect("is one of Effect's clock, for every write and for the end, and keeps their order", () =>
    Effect.gen(function*() {
      const { client, reader } = yield* twoSeconds
      client.write([new Uint8Array(3)])
      yield* TestClock.adjust("1 second")
      client.write([new Uint8Array(4)])
      client.endWrites()
      yield* TestClock.adjust("999 millis")
      expect(seen(reader)).toEqual([])
      yield* TestClock.adjust("1 millis")
      expect(seen(reader)).toEqual([3])
      yield* TestClock.adjust("1 second")
      expect(seen(reader)).toEqual([3, 4, "Finished"])
    }))

  it.effect("comes before the cuts", () =>
    Effect.gen(function*() {
      const delivery = MemoryPipe.delayed("2 seconds", MemoryPipe.coalesced)
      const { client, server } = yield* MemoryPipe.open({ delivery })
      const reader = listen(server)
      client.write([new Uint8Array(3)])
      client.write([new Uint8Array(4)])
      yield* TestClock.adjust("2 seconds")
      expect(seen(reader)).toEqual([7])
    }))

  it.effect("does not hold back a reset, nor the writer beyond 256 KiB", () =>
    Effect.gen(function*() {
      const pipe = yield* MemoryPipe.open({ delivery: MemoryPipe.delayed("2 seconds") })
      const [atClient, atServer] = [listen(pipe.client), listen(pipe.server)]
      expect(pipe.client.write([new Uint8Array(300_000)])).toBe(false)
      yield* TestClock.adjust("2 seconds")
      expect([atServer.bytes.byteLength, atClient.drains]).toEqual([300_000, 1])
      pipe.client.write([Uint8Array.of(1)])
      pipe.reset()
      yield* TestClock.adjust("2 seconds")
      expect([atServer.bytes.byteLength, atServer.ends]).toEqual([300_000, ["Broken"]])
    }))

  it("leaves no timer behind once both ends are closed, or the pipe is broken", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length
    const before = timers()
    const pipes = [0, 1].map(() => MemoryPipe.make({ delivery: MemoryPipe.delayed("1 hour") }))
    for (const { client, server } of pipes) {
      client.write([Uint8Array.of(1)])
      server.write([Uint8Array.of(1)])
    }
    await Promise.resolve()
    expect(timers()).toBe(before + 4)
    pipes[0]?.client.close()
    pipes[0]?.server.close()
    pipes[1]?.reset()
    await new Promise(setImmediate)
    expect(timers()).toBe(before)
  })
})

describe("the setting EFFECT_NBD_DELIVERY", () => {
  const named = (name: string | undefined) =>
    Effect.withConfigProvider(
      MemoryPipe.fromConfig,
      ConfigProvider.fromMap(new Map(name === undefined ? [] : [["EFFECT_NBD_DELIVERY", name]]))
    )

  it.effect("names a policy, or a seed; without it writes arrive whole", () =>
    Effect.gen(function*() {
      for (const [name, delivery] of MemoryPipe.policies) expect(yield* named(name)).toEqual(delivery)
      expect(yield* named("random:7")).toEqual(MemoryPipe.random(7))
      expect(yield* named(undefined)).toEqual(MemoryPipe.whole)
      for (const name of ["byte", "random:", "random:-1"]) {
        expect(yield* Effect.flip(named(name))).toMatchObject({
          message: `whole, bytes, coalesced, random, delayed or random:SEED, and not ${JSON.stringify(name)}`
        })
      }
    }))

  it.effect("counts for servers that are told of no delivery", () =>
    Effect.gen(function*() {
      const sizes = (delivery: MemoryPipe.Delivery | undefined) =>
        Effect.scoped(Effect.gen(function*() {
          const { open } = yield* ScriptedServer.make(
            ({ send }) => Effect.zipRight(send(new Uint8Array(3)), Effect.never),
            delivery === undefined ? {} : { delivery }
          )
          const reader = listen(yield* open)
          for (let turn = 0; turn < 30; turn++) yield* Effect.yieldNow()
          return seen(reader)
        })).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["EFFECT_NBD_DELIVERY", "bytes"]]))))
      expect(yield* sizes(undefined)).toEqual([1, 1, 1])
      expect(yield* sizes(MemoryPipe.whole)).toEqual([3])
    }))
})

it("a GiB takes seconds, and never more than the bound is under way", { timeout: 30_000 }, async () => {
  const { client, server } = MemoryPipe.make()
  const chunk = new Uint8Array(131_072)
  const total = 1_073_741_824
  let received = 0
  let sent = 0
  let most = 0
  await new Promise<void>((resume) => {
    server.receive({
      onBytes: (bytes) => {
        received += bytes.byteLength
        return true
      },
      onEnd: () => resume(),
      onDrain: () => {}
    })
    const pump = () => {
      while (sent < total) {
        sent += chunk.byteLength
        const more = client.write([chunk])
        most = Math.max(most, sent - received)
        if (!more) return
      }
      client.endWrites()
    }
    client.receive({ onBytes: () => true, onEnd: () => {}, onDrain: pump })
    pump()
  })
  expect(received).toBe(total)
  expect(most).toBeLessThanOrEqual(MemoryPipe.highWater + chunk.byteLength)
})
