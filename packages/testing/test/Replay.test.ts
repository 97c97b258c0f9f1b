/** Replays of transcripts: of real servers for this client, and of this client for the fake server. */
import { Handle } from "@effect-nbd/core"
import type { Connected } from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import { FakeServer, MemoryPipe, Transcript } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { goldenTexts } from "./fixtures/Transcripts.ts"

const golden = (wanted: string): Transcript.Transcript => {
  const text = goldenTexts.find(([name]) => name === wanted)?.[1] ?? ""
  return Either.getOrThrow(Transcript.parse(text))
}

const psk = { credentials: { _tag: "Psk", keyOf: () => Redacted.make(Uint8Array.of(1)) } } as const

/** Two reads that are under way together, and a write; in the order of cookies. */
const converse = (config: HandleConfig, before: number) =>
  Effect.scoped(Effect.gen(function*() {
    const disk = yield* Handle.connect({ exportName: "disk", ...config })
    for (let count = 0; count < before; count++) yield* disk.flush
    const both = yield* Effect.all([disk.read(0n, 4), disk.read(8192n, 4)], { concurrency: 2 })
    yield* disk.write(512n, Uint8Array.of(7))
    yield* disk.shutdown
    return both
  }))

const content = Uint8Array.of(5, 6, 7, 8)

const record = (config: HandleConfig, server: Partial<FakeServer.FakeServerConfig> = {}) =>
  Effect.gen(function*() {
    const fake = yield* FakeServer.make({ exports: [{ name: "disk", size: 65_536, content }], ...server })
    const recording = Transcript.record(FakeServer.transport(fake))
    yield* Effect.provideService(converse(config, 0), Transport, recording.transport)
    return yield* recording.transcripts
  })

const data = [content, new Uint8Array(4)]

describe("a replay as server", () => {
  it.scoped.each([MemoryPipe.whole, MemoryPipe.bytes, MemoryPipe.random(5)])(
    "plays what nbdkit said, and the client learns of its disk (%o)",
    (delivery) =>
      Effect.gen(function*() {
        const replay = yield* Transcript.replayServer(golden("nbdkit-block-size"), { delivery })
        const outcome = yield* Effect.scoped(Effect.gen(function*() {
          const disk = yield* Handle.connect({
            fullInfo: true,
            requestExtendedHeaders: false,
            strictness: { align: false }
          })
          expect(disk.export.blockSize).toMatchObject({ value: { minimum: 4096, preferred: 65_536 } })
          const unaligned = yield* Effect.flip(disk.read(512n, 512))
          return [unaligned._tag, yield* disk.read(4096n, 4096)]
        })).pipe(Effect.provideService(Transport, replay.transport))
        expect(outcome).toEqual(["NbdCommandError", new Uint8Array(4096)])
        yield* replay.played
      })
  )

  it.scoped.each(
    [
      ["compact", { requestExtendedHeaders: false }, {}],
      ["extended", {}, {}],
      ["under TLS", { tls: { mode: "Require" } }, { tls: { mode: "Require", settings: psk } }]
    ] as const
  )(
    "gives a second client the same answers under its own cookies (%s)",
    ([, client, server]) =>
      Effect.gen(function*() {
        const transcripts = yield* record(client, server)
        const replay = yield* Transcript.replayServer(transcripts, { delivery: MemoryPipe.random(3) })
        expect(yield* Effect.provideService(converse(client, 0), Transport, replay.transport)).toEqual(data)
        yield* replay.played
      })
  )

  it.scoped("translates cookies in both directions", () =>
    Effect.gen(function*() {
      const [recorded] = yield* record({ requestExtendedHeaders: false })
      if (recorded === undefined) return expect.unreachable()
      const text = Transcript.print(recorded).replaceAll(
        /00 00 00 00 00 00 00 (0\d) \| cookie: (?!0$)/gm,
        "ff ff ff 00 00 00 00 $1 | "
      )
      const other = Either.getOrThrow(Transcript.parse(text))
      expect(other).not.toStrictEqual(recorded)
      const replay = yield* Transcript.replayServer(other, { delivery: MemoryPipe.bytes })
      const again = converse({ requestExtendedHeaders: false }, 0)
      expect(yield* Effect.provideService(again, Transport, replay.transport)).toEqual(data)
      yield* replay.played

      const exact = yield* Transcript.replayServer(other, { compare: "Exact" })
      yield* Effect.flip(Effect.provideService(again, Transport, exact.transport))
      expect(yield* Effect.flip(exact.played)).toMatchObject({
        _tag: "NbdTranscriptMismatchError",
        from: "client",
        field: "cookie of request"
      })
    }))

  it.scoped.each(
    [
      ["CookiesMayDiffer", "command flags of request"],
      ["LengthOnly", undefined]
    ] as const
  )(
    "says where the client differs, unless only the length is compared (%s)",
    ([compare, field]) =>
      Effect.gen(function*() {
        const delivery = MemoryPipe.whole
        const [recorded] = yield* record({ requestExtendedHeaders: false }, { delivery })
        const text = Transcript.print(recorded ?? { remarks: [], events: [] })
        const other = Either.getOrThrow(
          Transcript.parse(text.replaceAll("  00 00                   | command flags", "  00 08 | "))
        )
        const replay = yield* Transcript.replayServer(other, { compare, delivery })
        const again = Effect.provideService(converse({ requestExtendedHeaders: false }, 0), Transport, replay.transport)
        if (field === undefined) {
          expect(yield* again).toEqual(data)
          yield* replay.played
        } else {
          yield* Effect.flip(again)
          const mismatch = yield* Effect.flip(replay.played)
          expect(mismatch).toMatchObject({ from: "client", field })
          expect(mismatch.message).toMatch(
            /^the client's byte \d+ \(command flags of request\) should be 08 .*, and was 00 /
          )
        }
      })
  )

  it.scoped("runs clients, and fails with what one said before that one's own error", () =>
    Effect.gen(function*() {
      const [recorded] = yield* record({})
      const other = (use: (disk: Connected) => Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const replay = yield* Transcript.replayServer(recorded ?? [], { delivery: MemoryPipe.whole })
          const client = Effect.scoped(Effect.flatMap(Handle.connect({ exportName: "disk" }), use))
          return yield* Effect.sandbox(replay.playedBy(client))
        })
      const mismatch = { _tag: "NbdTranscriptMismatchError", field: "offset of extended request" }
      const failures = (cause: Cause.Cause<unknown>) => [...Cause.failures(cause)]

      const lost = yield* Effect.flip(other((disk) => disk.read(4096n, 4)))
      expect(failures(lost)[0]).toMatchObject(mismatch)
      expect(Cause.pretty(lost)).not.toContain("scripted")
      // One that would wait for ever, or try again and again, is ended.
      const waiting = other((disk) => Effect.zipRight(Effect.ignore(disk.read(4096n, 4)), Effect.never))
      expect(failures(yield* Effect.flip(waiting))).toEqual([expect.objectContaining(mismatch)])
      // One that fails by itself says so, whatever the server makes of its leaving.
      const own = yield* Effect.flip(other(() => Effect.fail("ought to be 5")))
      expect(failures(own)).toContain("ought to be 5")

      const replay = yield* Transcript.replayServer(recorded ?? [])
      expect(yield* replay.playedBy(converse({}, 0))).toEqual(data)
      expect(replay.transport.target).toBe("replayed server")
      const early = yield* Transcript.replayServer(recorded ?? [])
      expect(yield* Effect.flip(early.playedBy(Effect.scoped(Effect.flatMap(Transport, ({ open }) => open)))))
        .toMatchObject({ field: "client flags of client flags" })
    }))

  it.scoped("says that the client has left early, or goes on where it did not, and serves no further connection", () =>
    Effect.gen(function*() {
      const [recorded] = yield* record({})
      const replay = yield* Transcript.replayServer(recorded ?? [])
      yield* Effect.scoped(replay.transport.open)
      expect(yield* Effect.flip(replay.played)).toMatchObject({
        field: "client flags of client flags",
        received: new Uint8Array(0)
      })
      const more = Effect.provideService(converse({}, 0), Transport, replay.transport)
      expect(yield* Effect.flip(more)).toMatchObject({ _tag: "NbdTransportLostError" })

      const short = Transcript.make([{ _tag: "Ended", from: "client", how: "Finished" }])
      const talked = yield* Transcript.replayServer(short)
      const connection = yield* talked.transport.open
      connection.write([Uint8Array.of(1)])
      expect((yield* Effect.flip(talked.played)).message).toBe(
        "the client's byte 0 (the end) should be the end, and was 01"
      )
    }))

  it.scoped("waits until all of it was played", () =>
    Effect.gen(function*() {
      const [recorded] = yield* record({})
      const replay = yield* Transcript.replayServer(recorded ?? [])
      const played = yield* Effect.fork(replay.played)
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(played)).toMatchObject({ _tag: "None" })
      yield* Effect.provideService(converse({}, 0), Transport, replay.transport)
      yield* Fiber.join(played)
    }))
})

describe("a replay as client", () => {
  it.scoped.each(
    [["plaintext", {}, {}], ["TLS", { tls: { mode: "Require" } }, { tls: { mode: "Require", settings: psk } }]] as const
  )(
    "finds the same server the same (%s)",
    ([, client, server]) =>
      Effect.gen(function*() {
        const [recorded] = yield* record(client, server)
        const exports = [{ name: "disk", size: 65_536, content }]
        const fake = yield* FakeServer.make({ exports, ...server, delivery: MemoryPipe.random(9) })
        yield* Transcript.replayClient(recorded ?? Transcript.make([]), yield* fake.open)
        expect(yield* fake.violations).toEqual([])
        expect(yield* fake.ends).toMatchObject([{ ending: { _tag: "Disconnected" } }])
      })
  )

  it.scoped("finds another server another, and says where", () =>
    Effect.gen(function*() {
      const [recorded] = yield* record({})
      const transcript = recorded ?? Transcript.make([])
      const other = yield* FakeServer.make({ exports: [{ name: "disk", size: 131_072, content }] })
      const mismatch = yield* Effect.flip(Transcript.replayClient(transcript, yield* other.open))
      expect(mismatch).toMatchObject({ from: "server", field: "export size of option reply" })
      const connection = yield* other.open
      yield* Transcript.replayClient(transcript, connection, { compare: "LengthOnly" })
    }))
})
