import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { MemoryPipe } from "@effect-nbd/testing"
import { describe, expect, it, vi } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"

/** Long enough for every microtask of a small exchange. */
const settled = () => new Promise<void>((resume) => setTimeout(resume, 0))

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

const listen = (connection: Connection): Collector => {
  const collector = new Collector()
  connection.receive(collector)
  return collector
}

const policies: ReadonlyArray<readonly [string, MemoryPipe.Delivery]> = [
  ["whole", MemoryPipe.whole],
  ["bytes", MemoryPipe.bytes],
  ["coalesced", MemoryPipe.coalesced],
  ["random", MemoryPipe.random(7)]
]

const writes = FastCheck.array(FastCheck.array(FastCheck.uint8Array({ maxLength: 200 }), { maxLength: 4 }), {
  maxLength: 12
})

describe.each(policies)("delivered %s", (_name, delivery) => {
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
