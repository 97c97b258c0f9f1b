/** Ends of a copy that are exports: over several connections, some of which fail, and of servers that promise too much. */
import * as Connecting from "#cli/Connecting"
import * as Copy from "#cli/Copy"
import type { Sink, Source } from "#cli/CopyEnds"
import * as ExportConnections from "#cli/ExportConnections"
import * as NbdEnd from "#cli/NbdEnd"
import * as Patience from "#cli/Patience"
import * as BlockDevice from "@effect-nbd/block/BlockDevice"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import { ConnectionRefusedError } from "@effect-nbd/core/TransportError"
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import { encodeNewstyleGreeting } from "@effect-nbd/core/wire/Greeting"
import * as FakeServer from "@effect-nbd/testing/FakeServer"
import * as MemoryPipe from "@effect-nbd/testing/MemoryPipe"
import * as Misbehaviour from "@effect-nbd/testing/Misbehaviour"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import * as Steering from "@effect-nbd/testing/Steering"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { randomBytes } from "node:crypto"

const mebibyte = 1_048_576

/** A server with one export of these bytes. */
const serving = (content: Uint8Array, can: { readonly multiConn?: boolean } = {}) =>
  FakeServer.make({ exports: [{ name: "", size: content.byteLength, content, can }] })

type Open = Transport["Type"]["open"]

/** Connections to the server: the first as it makes them, the others as `others` has it. */
const connected = (
  server: FakeServer.FakeServerService,
  { config = {}, others = server.open, patience = Patience.usual, wanted = 2 }: {
    readonly config?: HandleConfig
    readonly others?: Open
    readonly patience?: Patience.Patience
    readonly wanted?: number
  } = {}
) =>
  Effect.suspend(() => {
    let opened = 0
    const open = Effect.suspend(() => opened++ === 0 ? server.open : others)
    const connect = Effect.provideService(
      Connecting.open("the export", { metaContexts: ["base:allocation"], ...config }, patience),
      Transport,
      { target: "fake server", open }
    )
    return ExportConnections.open(connect, { name: "the export", wanted })
  })

/** Is done once so many connections are used. */
const joined = (connections: ExportConnections.ExportConnections, count: number): Effect.Effect<void> => {
  const seen = new Set<ExportConnections.Connection>()
  return Effect.repeat(
    Effect.zipRight(
      Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
      Effect.sync(() => seen.add(connections.next()).size)
    ),
    { until: (size) => size >= count }
  ).pipe(Effect.asVoid)
}

/** A sink that keeps what it is given. */
const kept = (size: number) => {
  const bytes = new Uint8Array(size)
  const sink: Sink = {
    name: "memory",
    size: undefined,
    geometry: { minimum: 1, preferred: 1, maximum: mebibyte, canZero: true },
    write: (offset, written) => Effect.sync(() => bytes.set(written, Number(offset))),
    writeZeroes: (offset, length) => Effect.sync(() => void bytes.fill(0, Number(offset), Number(offset + length))),
    flush: Effect.void
  }
  return { bytes, sink }
}

/** A source of these bytes; without any, one that knows that it is `size` zeroes. */
const given = (content: Uint8Array, size = BigInt(content.byteLength)): Source => ({
  name: "memory",
  size,
  geometry: { minimum: 1, preferred: 1, maximum: mebibyte, canExtents: content.byteLength === 0 },
  extents: () => Stream.make({ offset: 0n, length: size, allocated: false, zero: true }),
  readBorrowed: (offset, length, use) => use(content.subarray(Number(offset), Number(offset) + length))
})

const opened = (connections: ExportConnections.ExportConnections) =>
  NbdEnd.sink(connections, { allocated: false, flush: false })

const small = { requests: 4, requestSize: 65_536 }

const lengthOf = (requests: ReadonlyArray<RecordedRequest>, command: string): ReadonlyArray<number> =>
  requests.filter((request) => request.command === command).map(({ length }) => length)

describe("zeroes", () => {
  const spotted = (): Buffer => {
    const bytes = randomBytes(4 * mebibyte)
    for (let at = 0; at < bytes.byteLength; at += mebibyte) bytes.fill(0, at, at + mebibyte / 2)
    return bytes
  }

  for (const errno of ["ENOTSUP", "EINVAL"] as const) {
    it.scoped(`are written from then on when the server offers to make them and refuses with ${errno}`, () =>
      Effect.gen(function*() {
        const content = spotted()
        const server = yield* serving(new Uint8Array(content.byteLength).fill(0xaa))
        yield* server.onRequest(({ command }) => command === "WRITE_ZEROES" ? Steering.fail(errno) : Steering.proceed)
        const sink = yield* opened(yield* connected(server, { wanted: 1 }))
        yield* Copy.copy(given(content), sink, small)
        const written = yield* server.exportBytes("", 0n, content.byteLength)
        expect(Buffer.from(written).equals(content)).toBe(true)
        // 32 runs of zeroes: those that were asked for before the first refusal came.
        expect(lengthOf(yield* server.requests, "WRITE_ZEROES").length).toBeLessThanOrEqual(small.requests)
      }))
  }

  for (const errno of ["EIO", "ENOSPC", "EPERM", 9999] as const) {
    it.scoped(`fail the copy when making them fails with ${errno}`, () =>
      Effect.gen(function*() {
        const server = yield* serving(new Uint8Array(mebibyte).fill(0xaa))
        yield* server.onRequest(({ command }) => command === "WRITE_ZEROES" ? Steering.fail(errno) : Steering.proceed)
        const sink = yield* opened(yield* connected(server, { wanted: 1 }))
        const error = yield* Effect.flip(Copy.copy(given(new Uint8Array(mebibyte)), sink, small))
        expect(error).toMatchObject({ _tag: "CopyError", operation: "zero", cause: { _tag: "NbdCommandError" } })
      }))
  }

  const size = 160 * mebibyte

  /** Zeroes the first 64 MiB of what it is asked for, and answers success, as nbd-server 3.26 and 3.27 do. */
  const forgetful = () => {
    const dirty = new Set(Array.from({ length: size / mebibyte }, (_, index) => index))
    const writeZeroes = (offset: bigint, length: bigint) =>
      Effect.sync(() => {
        const end = Number(offset) + Math.min(Number(length), 64 * mebibyte)
        for (let at = Number(offset); at < end; at += mebibyte) dirty.delete(at / mebibyte)
      })
    const device = Effect.runSync(BlockDevice.fromFunctions({
      size: BigInt(size),
      readInto: (_, destination) => Effect.sync(() => void destination.fill(0)),
      write: () => Effect.void,
      writeZeroes
    }))
    return { dirty, device }
  }

  it.scoped("are asked for 32 MiB at a time where the server named no block sizes (C-089)", () =>
    Effect.gen(function*() {
      const { device, dirty } = forgetful()
      const server = yield* FakeServer.make({ exports: [{ name: "", device }] })
      const sink = yield* opened(yield* connected(server, { config: { requestBlockSize: false }, wanted: 1 }))
      yield* Copy.copy(given(new Uint8Array(0), BigInt(size)), sink)
      expect(dirty.size).toBe(0)
      expect(new Set(lengthOf(yield* server.requests, "WRITE_ZEROES"))).toStrictEqual(new Set([32 * mebibyte]))
    }))

  it.scoped("are asked for at once where it named them", () =>
    Effect.gen(function*() {
      const { device } = forgetful()
      const blockSize = { minimum: 1, preferred: 4096, maximum: mebibyte }
      const server = yield* FakeServer.make({ exports: [{ name: "", device, blockSize }] })
      const sink = yield* opened(yield* connected(server, { wanted: 1 }))
      yield* Copy.copy(given(new Uint8Array(0), BigInt(size)), sink)
      expect(lengthOf(yield* server.requests, "WRITE_ZEROES")).toStrictEqual([size])
    }))
})

describe("another connection", () => {
  const content = randomBytes(2 * mebibyte)

  const refused = new ConnectionRefusedError({
    target: "fake server",
    network: "tcp",
    attempts: [{ address: "fake server", code: "ECONNREFUSED" }]
  })

  const silent: Open = Effect.map(MemoryPipe.open({ name: "silent" }), ({ client }) => client)

  const closing: Open = Effect.map(MemoryPipe.open({ name: "closing" }), ({ client, server }) => {
    server.close()
    return client
  })

  const without: ReadonlyArray<readonly [string, Open]> = [
    ["is refused", Effect.fail(refused)],
    ["is never made", Effect.never],
    ["is made, and nothing is said on it", silent],
    ["is closed at once", closing]
  ]

  for (const [what, others] of without) {
    // Time does not pass here: nothing is waited for.
    it.effect(`that ${what} is done without`, () =>
      Effect.gen(function*() {
        const server = yield* serving(content)
        const { bytes, sink } = kept(content.byteLength)
        yield* Effect.scoped(Effect.gen(function*() {
          const connections = yield* connected(server, { others, wanted: 4 })
          yield* Copy.copy(NbdEnd.source(connections), sink, small)
        }))
        expect(Buffer.from(bytes).equals(content)).toBe(true)
        expect((yield* server.awaitEnds(1)).map(({ ending }) => ending._tag)).toStrictEqual(["Disconnected"])
      }).pipe(Effect.scoped))
  }

  it.scoped("is used as soon as it is there, and not without the server's word (C-143, H-151)", () =>
    Effect.gen(function*() {
      const sessionsOf = (server: FakeServer.FakeServerService, count: number) =>
        Effect.gen(function*() {
          const connections = yield* connected(server, { wanted: 3 })
          yield* joined(connections, count)
          yield* Copy.copy(NbdEnd.source(connections), kept(content.byteLength).sink, small)
          const reads = (yield* server.requests).filter(({ command }) => command === "READ")
          return new Set(reads.map(({ session }) => session)).size
        })
      expect(yield* sessionsOf(yield* serving(content), 3)).toBe(3)
      expect(yield* sessionsOf(yield* serving(content, { multiConn: false }), 1)).toBe(1)
      const changing = yield* serving(content)
      yield* changing.misbehave([Misbehaviour.lacksMultiConnNext])
      expect(yield* sessionsOf(changing, 1)).toBe(1)
    }))

  it.scoped("that has another size ends the copy (H-151)", () =>
    Effect.gen(function*() {
      const server = yield* serving(content)
      yield* server.misbehave([Misbehaviour.otherExportNext])
      const connections = yield* connected(server)
      yield* server.awaitEnds(1)
      const error = yield* Effect.flip(Copy.copy(NbdEnd.source(connections), kept(content.byteLength).sink, small))
      expect(error).toMatchObject({ cause: { _tag: "ExportChangedError", export: "the export" } })
    }))
})

describe("a connection that is lost", () => {
  const content = randomBytes(2 * mebibyte)
  content.fill(0, mebibyte, mebibyte + 400_000)

  /** Breaks the second connection at its third request of this kind. */
  const breaking = (server: FakeServer.FakeServerService, command: string, how: Steering.Action) => {
    let count = 0
    return server.onRequest((request) =>
      request.session === 2 && request.command === command && ++count === 3 ? how : Steering.proceed
    )
  }

  const ways = { "drops": Steering.drop, "says that it goes": Steering.fail("ESHUTDOWN") }

  for (const [what, how] of Object.entries(ways)) {
    it.scoped(`leaves its reads to the other, when the server ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* serving(content)
        yield* breaking(server, "READ", how)
        const connections = yield* connected(server)
        yield* joined(connections, 2)
        const { bytes, sink } = kept(content.byteLength)
        yield* Copy.copy(NbdEnd.source(connections), sink, { ...small, extents: false })
        expect(Buffer.from(bytes).equals(content)).toBe(true)
        yield* server.awaitEnds(1)
      }))

    for (const command of ["WRITE", "WRITE_ZEROES"]) {
      it.scoped(`leaves ${command} to the other, when the server ${what}`, () =>
        Effect.gen(function*() {
          const server = yield* serving(new Uint8Array(content.byteLength).fill(0xaa))
          yield* breaking(server, command, how)
          const connections = yield* connected(server)
          yield* joined(connections, 2)
          const options = { ...small, requestSize: 4096 * 4, flush: true }
          yield* Copy.copy(given(content), yield* opened(connections), options)
          const written = yield* server.exportBytes("", 0n, content.byteLength)
          expect(Buffer.from(written).equals(content)).toBe(true)
          yield* server.awaitEnds(1)
        }))
    }
  }

  it.scoped("leaves what is known of the content to the other", () =>
    Effect.gen(function*() {
      const size = 8 * mebibyte
      const device = yield* BlockDevice.fromFunctions({
        size: BigInt(size),
        readInto: (offset, destination) =>
          Effect.sync(() => void destination.fill(offset % 2_097_152n >= 1_048_576n ? 1 : 2)),
        extents: (offset, length) =>
          Stream.unfold(offset, (at) => {
            if (at >= offset + length) return Option.none()
            const end = (at / 1_048_576n + 1n) * 1_048_576n
            const until = end < offset + length ? end : offset + length
            const zero = at % 2_097_152n < 1_048_576n
            return Option.some([{ offset: at, length: until - at, allocated: true, zero }, until])
          })
      })
      // One answer knows no more than a MiB.
      const exports = [{ name: "", device, can: { multiConn: true } }]
      const server = yield* FakeServer.make({ exports, maxDescriptors: 1 })
      let asked = 0
      yield* server.onRequest(({ command }) =>
        command === "BLOCK_STATUS" && ++asked === 4 ? Steering.drop : Steering.proceed
      )
      const connections = yield* connected(server)
      yield* joined(connections, 2)
      const { bytes, sink } = kept(size)
      bytes.fill(7)
      yield* Copy.copy(NbdEnd.source(connections), sink, small)
      for (let at = 0; at < size; at += mebibyte) expect(bytes[at]).toBe(at % (2 * mebibyte) === 0 ? 0 : 1)
    }))

  it.scoped("ends the copy when it was the last", () =>
    Effect.gen(function*() {
      const server = yield* serving(content)
      const connections = yield* connected(server)
      yield* joined(connections, 2)
      yield* server.onRequest(({ command }) => command === "READ" ? Steering.drop : Steering.proceed)
      const error = yield* Effect.flip(Copy.copy(NbdEnd.source(connections), kept(content.byteLength).sink, small))
      expect(error).toMatchObject({ _tag: "CopyError", operation: "read", cause: { _tag: "NbdCommandLostError" } })
    }))

  it.scoped("has nothing repeated that failed where its bytes were used", () =>
    Effect.gen(function*() {
      const server = yield* serving(content)
      const connections = yield* connected(server)
      yield* joined(connections, 2)
      const { readBorrowed } = NbdEnd.source(connections)
      let used = 0
      const lost = { _tag: "NbdCommandLostError", message: "of the other end" }
      const error = yield* Effect.flip(readBorrowed(0n, 4096, () => {
        used++
        return Effect.fail(lost)
      }))
      expect(error).toBe(lost)
      expect(used).toBe(1)
      expect(lengthOf(yield* server.requests, "READ")).toHaveLength(1)
    }))
})

describe("a server that", () => {
  const content = randomBytes(mebibyte)

  /** Copies from the server, while it is watched as `limit` says. */
  const watched = (
    server: FakeServer.FakeServerService,
    limit: Duration.Duration | undefined
  ): Effect.Effect<Fiber.Fiber<void, unknown>, never, Scope.Scope> =>
    Effect.gen(function*() {
      const connections = yield* Effect.orDie(connected(server, { wanted: 1 }))
      return yield* Effect.forkScoped(Effect.raceFirst(
        Copy.copy(NbdEnd.source(connections), kept(content.byteLength).sink, small),
        connections.silence(limit)
      ))
    })

  const hanging = (server: FakeServer.FakeServerService) =>
    Effect.zipRight(
      server.onRequest(({ command, offset }) =>
        command === "READ" && offset >= 524_288n ? Steering.hang : Steering.proceed
      ),
      Effect.void
    )

  /** So many seconds, one by one; what they wake up runs in between. */
  const pass = (seconds: number) => Effect.replicateEffect(TestClock.adjust("1 second"), seconds, { discard: true })

  it.scoped("falls silent in the middle is given up after 15 seconds", () =>
    Effect.gen(function*() {
      const server = yield* serving(content)
      yield* hanging(server)
      const copying = yield* watched(server, undefined)
      yield* server.awaitRequests(10)
      yield* pass(14)
      expect(Option.isNone(yield* Fiber.poll(copying))).toBe(true)
      yield* pass(4)
      const error = yield* Effect.flip(Fiber.join(copying))
      expect(error).toMatchObject({ _tag: "SilentServerError", server: "the export", waiting: 4 })
      expect(String(error)).toMatch(/the export has said nothing for 1[5-7]s while 4 requests waited/)
    }))

  it.scoped("has always been slow is waited for, and so is one to which the user gives time", () =>
    Effect.gen(function*() {
      const slow = yield* serving(content)
      yield* slow.onRequest(({ command, offset }) =>
        command === "READ" ? Steering.delay(offset === 0n ? "10 seconds" : "25 seconds") : Steering.proceed
      )
      const toSlow = yield* watched(slow, undefined)
      const server = yield* serving(content)
      yield* hanging(server)
      const forever = yield* watched(server, Duration.infinity)
      const forSome = yield* watched(server, Duration.minutes(5))
      yield* pass(130)
      expect(Option.isSome(yield* Fiber.poll(toSlow))).toBe(true)
      yield* Fiber.join(toSlow)
      yield* pass(160)
      expect(Option.isNone(yield* Fiber.poll(forSome))).toBe(true)
      yield* pass(20)
      expect(yield* Effect.flip(Fiber.join(forSome))).toMatchObject({ _tag: "SilentServerError" })
      expect(Option.isNone(yield* Fiber.poll(forever))).toBe(true)
    }))

  const opening = (open: Open, patience = Patience.usual, greetingTimeout?: Duration.DurationInput) =>
    Effect.forkScoped(Effect.provideService(Connecting.open("the export", {}, patience), Transport, {
      target: "fake server",
      greetingTimeout,
      open
    }))

  it.scoped("says nothing is named for what it did, and so is one that hangs up", () =>
    Effect.gen(function*() {
      const mute = Effect.map(MemoryPipe.open({ name: "mute" }), ({ client }) => client)
      const waiting = yield* opening(mute)
      const hurried = yield* opening(mute, Patience.of(Duration.seconds(3)))
      const patient = yield* opening(mute, Patience.of(Duration.zero), "5 seconds")
      // As over TCP, where other services wait for their client to speak.
      const overTcp = yield* opening(mute, Patience.usual, "5 seconds")
      yield* pass(4)
      expect(yield* Effect.flip(Fiber.join(hurried))).toMatchObject({ _tag: "NotGreetedError", how: "Silent" })
      expect(Option.isNone(yield* Fiber.poll(overTcp))).toBe(true)
      yield* pass(2)
      expect((yield* Effect.flip(Fiber.join(overTcp))).message).toContain("said nothing within 5s")
      yield* pass(33)
      expect(Option.isNone(yield* Fiber.poll(waiting))).toBe(true)
      yield* pass(2)
      const error = yield* Effect.flip(Fiber.join(waiting))
      expect(error.message).toMatch(/took the connection and said nothing within 40s: it may have as many clients as/)
      yield* TestClock.adjust("1 day")
      expect(Option.isNone(yield* Fiber.poll(patient))).toBe(true)
      const closed = yield* opening(Effect.map(MemoryPipe.open({ name: "closing" }), ({ client, server }) => {
        server.close()
        return client
      }))
      expect((yield* Effect.flip(Fiber.join(closed))).message).toMatch(/closed it without a word: it may have as many/)
    }))

  it.scoped("has greeted may take 2 minutes to open its disk", () =>
    Effect.gen(function*() {
      const never = yield* opening(Effect.map(MemoryPipe.open({ name: "slow" }), ({ client, server }) => {
        server.write([encodeNewstyleGreeting(HandshakeFlags(3))])
        return client
      }))
      yield* pass(119)
      expect(Option.isNone(yield* Fiber.poll(never))).toBe(true)
      yield* pass(2)
      expect(yield* Effect.flip(Fiber.join(never))).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
    }))
})
