/** Reads whose bytes are lent: whose memory they are, and for how long. */
import { Handle } from "@effect-nbd/core"
import { LentMemory } from "@effect-nbd/core/transmission/LentMemory"
import { FakeServer, MemoryPipe } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"

const mebibyte = 1_048_576
const size = 4 * mebibyte

/** What is at an offset of the disk. */
const byteAt = (offset: number): number => (offset * 31 + (offset >> 8) * 7 + (offset >> 16)) & 0xff

const content = Uint8Array.from({ length: size }, (_, at) => byteAt(at))

const isContent = (offset: number, bytes: Uint8Array): boolean =>
  Buffer.compare(bytes, content.subarray(offset, offset + bytes.byteLength)) === 0

const disk = { name: "disk", size, content }

/** Which bytes come together decides whose memory they go into. */
const wholeDisk = FakeServer.layer({ exports: [disk], delivery: MemoryPipe.whole })

const connected = Handle.connect({ exportName: "disk" })

describe("a read of borrowed bytes", () => {
  it.scoped("gives its memory to the next one once it was used, and not before", () =>
    Effect.gen(function*() {
      const nbd = yield* connected
      const seen: Array<ArrayBufferLike> = []
      const used = (offset: number) =>
        nbd.readBorrowed(BigInt(offset), mebibyte, (bytes) =>
          Effect.sync(() => {
            expect(bytes.byteLength).toBe(mebibyte)
            expect(isContent(offset, bytes)).toBe(true)
            seen.push(bytes.buffer)
          }))
      yield* used(0)
      // From the second on the connection has said that it puts bytes where they belong.
      seen.length = 0
      yield* used(0)
      yield* used(mebibyte)
      expect(new Set(seen).size).toBe(1)
      yield* nbd.readBorrowed(0n, mebibyte, (first) =>
        Effect.gen(function*() {
          yield* used(2 * mebibyte)
          yield* used(3 * mebibyte)
          expect(isContent(0, first)).toBe(true)
          expect(first.buffer).toBe(seen[0])
        }))
      expect(new Set(seen).size).toBe(2)
    }).pipe(Effect.provide(wholeDisk)))

  it.scoped("does not use memory again that a failed or interrupted use may still be sending from", () =>
    Effect.gen(function*() {
      const nbd = yield* connected
      const seen: Array<ArrayBufferLike> = []
      const noted = (bytes: Uint8Array) => Effect.sync(() => seen.push(bytes.buffer))
      const failed = yield* Effect.exit(
        nbd.readBorrowed(0n, mebibyte, (bytes) => Effect.zipRight(noted(bytes), Effect.fail("no" as const)))
      )
      expect(failed).toStrictEqual(Exit.fail("no"))
      const using = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        nbd.readBorrowed(
          0n,
          mebibyte,
          (bytes) =>
            noted(bytes).pipe(Effect.zipRight(Deferred.succeed(using, undefined)), Effect.zipRight(Effect.never))
        )
      )
      yield* Deferred.await(using)
      yield* Fiber.interrupt(fiber)
      yield* nbd.readBorrowed(0n, mebibyte, noted)
      expect(new Set(seen).size).toBe(3)
    }).pipe(Effect.provide(wholeDisk)))

  it.scoped("has memory that cannot be transferred where the connection may be told of its address", () =>
    Effect.gen(function*() {
      const nbd = yield* connected
      const kindOf = (length: number) =>
        nbd.readBorrowed(0n, length, ({ buffer }) => Effect.sync(() => buffer.constructor.name))
      // The first comes before the connection has asked where bytes belong.
      expect(yield* kindOf(mebibyte)).toBe("ArrayBuffer")
      for (let again = 0; again < 3; again++) expect(yield* kindOf(mebibyte)).toBe("SharedArrayBuffer")
      // What comes along with headers is copied, which is slow into memory of that kind.
      expect(yield* kindOf(65_536)).toBe("ArrayBuffer")
      yield* nbd.readBorrowed(
        0n,
        mebibyte,
        ({ buffer }) => Effect.sync(() => expect(() => structuredClone(buffer, { transfer: [buffer] })).toThrow())
      )
    }).pipe(Effect.provide(wholeDisk)))

  it.scoped("goes on when ordinary memory was transferred against the rules, during or after it", () =>
    Effect.gen(function*() {
      const nbd = yield* connected
      let kept: Uint8Array = new Uint8Array(0)
      const reading = nbd.readBorrowed(0n, 4096, (bytes) => Effect.sync(() => kept = bytes))
      yield* reading
      structuredClone(kept, { transfer: [kept.buffer] })
      yield* reading
      expect(isContent(0, kept)).toBe(true)
      yield* nbd.readBorrowed(
        0n,
        4096,
        (bytes) => Effect.sync(() => structuredClone(bytes, { transfer: [bytes.buffer] }))
      )
      yield* reading
      expect(isContent(0, kept)).toBe(true)
    }).pipe(Effect.provide(wholeDisk)))

  it.scoped("gives memory back when it fails after content has come, and when it was interrupted", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      const nbd = yield* connected
      const seen: Array<ArrayBufferLike> = []
      const reading = nbd.readBorrowed(0n, mebibyte, (bytes) => Effect.sync(() => seen.push(bytes.buffer)))
      yield* reading
      yield* reading
      yield* server.onRequest(() => ({ _tag: "Fail", errno: "EIO", offset: 524_288n }))
      for (let again = 0; again < 5; again++) expect((yield* Effect.flip(reading))._tag).toBe("NbdCommandError")
      yield* server.onRequest(undefined)
      yield* server.hold
      const fiber = yield* Effect.fork(reading)
      yield* server.awaitRequests(8)
      yield* Fiber.interrupt(fiber)
      yield* server.release
      yield* reading
      expect(seen).toHaveLength(3)
      expect(seen[2]).toBe(seen[1])
    }).pipe(Effect.provide(wholeDisk)))

  it.scoped("that failed is not lent, and one of nothing but holes is zeroes", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      const nbd = yield* Handle.connect({ exportName: "empty" })
      // Something else was in the memory before.
      yield* nbd.readBorrowed(0n, mebibyte, (bytes) => Effect.sync(() => bytes.fill(1)))
      expect(yield* nbd.readBorrowed(0n, mebibyte, (bytes) => Effect.sync(() => bytes.some((byte) => byte !== 0))))
        .toBe(false)
      yield* server.onRequest(() => ({ _tag: "Fail", errno: "EIO" }))
      let used = false
      const failure = yield* Effect.flip(nbd.readBorrowed(0n, mebibyte, () => Effect.sync(() => used = true)))
      expect([failure._tag, used]).toStrictEqual(["NbdCommandError", false])
    }).pipe(
      Effect.provide(FakeServer.layer({ exports: [{ name: "empty", size: mebibyte }], delivery: MemoryPipe.whole }))
    ))

  const kinds = ["read", "readInto", "readBorrowed", "readBorrowed", "readBorrowed", "interrupted"] as const
  const requests = FastCheck.array(
    FastCheck.record({
      kind: FastCheck.constantFrom(...kinds),
      offset: FastCheck.nat({ max: size - 1 }),
      length: FastCheck.oneof(
        FastCheck.integer({ min: 1, max: 70_000 }),
        FastCheck.integer({ min: 65_000, max: 600_000 })
      ),
      turns: FastCheck.nat({ max: 30 })
    }),
    { minLength: 1, maxLength: 24 }
  )

  // On a TestClock what is delayed waits for somebody to move it.
  const policies = MemoryPipe.policies.filter(([, delivery]) => Duration.isZero(delivery.delay))

  for (const [name, delivery] of policies) {
    for (const structuredReplies of [true, false]) {
      const style = structuredReplies ? "structured" : "simple"
      // A byte at a time, long reads would take minutes.
      const scale = name === "bytes" ? 32 : 1
      it.effect.prop(
        `sees what was read, among others of every kind, in ${style} replies that arrive ${name}`,
        [requests],
        ([all]) =>
          Effect.scoped(Effect.gen(function*() {
            const nbd = yield* connected
            const one = ({ kind, length, offset, turns }: (typeof all)[number]) => {
              const count = Math.max(1, Math.min(Math.floor(length / scale), size - offset))
              const at = BigInt(offset)
              if (kind === "read") return Effect.map(nbd.read(at, count), (bytes) => isContent(offset, bytes))
              if (kind === "readInto") {
                const memory = new Uint8Array(count)
                return Effect.map(nbd.readInto(at, memory), () => isContent(offset, memory))
              }
              const reading = nbd.readBorrowed(at, count, (bytes) =>
                Effect.map(Effect.repeatN(Effect.yieldNow(), turns), () =>
                  isContent(offset, bytes)))
              if (kind === "readBorrowed") {
                return reading
              }
              return Effect.raceFirst(reading, Effect.as(Effect.repeatN(Effect.yieldNow(), turns * 4), true))
            }
            const right = yield* Effect.forEach(all, one, { concurrency: "unbounded" })
            expect(right).not.toContain(false)
          })).pipe(
            Effect.provide(FakeServer.layer({
              exports: [disk],
              structuredReplies,
              chunkSize: 100_000,
              chunkOrder: "Descending",
              delivery
            }))
          ),
        { fastCheck: { numRuns: name === "bytes" ? 5 : 20 } }
      )
    }
  }
})

describe("LentMemory", () => {
  const all = mebibyte

  it("keeps 16 MiB of ordinary memory, each for reads of about its length", () => {
    const memory = new LentMemory()
    const lent = Array.from({ length: 20 }, () => memory.take(mebibyte - 5, all))
    const known = new Set(lent.map(({ bytes }) => bytes.buffer))
    for (const { giveBack } of lent) giveBack()
    expect(memory.take(mebibyte / 2, all).bytes.buffer.byteLength).toBe(mebibyte / 2)
    const again = Array.from({ length: 20 }, () => memory.take(mebibyte, all).bytes)
    expect(again.filter(({ buffer }) => known.has(buffer))).toHaveLength(16)
  })

  it("has no more than 64 MiB of shared memory, whatever was not given back", () => {
    const memory = new LentMemory()
    memory.isPlaced = true
    const lent = Array.from({ length: 70 }, () => memory.take(mebibyte, all))
    expect(lent.filter(({ isShared }) => isShared)).toHaveLength(64)
    expect(lent.every(({ bytes, isShared }) => isShared === bytes.buffer instanceof SharedArrayBuffer)).toBe(true)
    lent[0]?.giveBack()
    expect(memory.take(mebibyte - 1, all).bytes.buffer).toBe(lent[0]?.bytes.buffer)
    expect(memory.take(mebibyte, all).isShared).toBe(false)
  })

  it("is ordinary where content comes in small pieces", () => {
    const memory = new LentMemory()
    memory.isPlaced = true
    expect(memory.take(mebibyte, 65_536).isShared).toBe(false)
    expect(memory.take(mebibyte, 65_537).isShared).toBe(true)
  })
})
