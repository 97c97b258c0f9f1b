/**
 * Transcripts: what is printed of the goldens is what their capture wrote, which knows nothing of this library; and
 * whatever bytes there are, none is lost.
 */
import { Handle } from "@effect-nbd/core"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { Transport } from "@effect-nbd/core/Transport"
import { FakeServer, MemoryPipe, Transcript } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { goldenTexts, transcripts } from "./fixtures/Transcripts.ts"

const parsed = (text: string): Transcript.Transcript => Either.getOrThrow(Transcript.parse(text))

describe("print", () => {
  it("puts the same words to the goldens' bytes as their capture", () => {
    expect(goldenTexts.length).toBeGreaterThan(25)
    for (const [, text] of goldenTexts) expect(Transcript.print(parsed(text))).toBe(text)
  })

  it.prop("loses nothing that parse does not find again", { transcript: transcripts }, ({ transcript }) => {
    expect(parsed(Transcript.print(transcript))).toStrictEqual(transcript)
  }, { fastCheck: { numRuns: 200 } })
})

describe("parse", () => {
  it("takes bytes however they are laid out, and ignores what is there for people", () => {
    const text =
      "# from a server\n#\nserver: whatever\n 01 02*2 # first\n03 | 04\n\tserver:\r\n 05\n# no remark\nclient ends # in order\n"
    expect(parsed(text)).toStrictEqual({
      remarks: ["from a server", ""],
      events: [
        { _tag: "Bytes", from: "server", bytes: Uint8Array.of(1, 2, 2, 3, 5) },
        { _tag: "Ended", from: "client", how: "Finished" }
      ]
    })
  })

  it.each([
    ["server:\n  0", 2, "not a byte: \"0\""],
    ["server:\n  00 100", 2, "not a byte: \"100\""],
    ["\n  00", 2, "neither a side nor an event, and no side before it"],
    ["server ends\n  00", 2, "neither a side nor an event, and no side before it"],
    ["nobody:", 1, "neither a side nor an event, and no side before it"],
    ["client:\n  00*67108864\n\n  00", 4, "more than 67108864 bytes"]
  ])("says what is wrong with %j", (text, line, reason) => {
    expect(Either.flip(Transcript.parse(text))).toMatchObject({ right: { line, reason } })
  })
})

describe("annotate", () => {
  it.prop("leaves out no byte, and takes none twice", { transcript: transcripts }, ({ transcript }) => {
    const annotated = Transcript.annotate(transcript)
    for (const side of ["client", "server"] as const) {
      let at = 0
      for (const { end, fields, start } of annotated[side]) {
        expect(start).toBe(at)
        for (const field of fields) {
          expect(field.start).toBe(at)
          expect(field.end).toBeGreaterThan(at)
          at = field.end
        }
        expect(end).toBe(at)
      }
      const sizes = transcript.events.map((event) =>
        event._tag === "Bytes" && event.from === side ? event.bytes.byteLength : 0
      )
      expect(at).toBe(sizes.reduce((sum, size) => sum + size, 0))
    }
  }, { fastCheck: { numRuns: 200 } })
})

const psk = { credentials: { _tag: "Psk", keyOf: () => Redacted.make(Uint8Array.of(1)) } } as const
const exports = [{ name: "disk", size: 65_536, content: Uint8Array.of(1, 2, 3), description: "a\u202edisk" }]

/** Says something with every command there is. */
const converse = (config: HandleConfig) =>
  Effect.scoped(Effect.gen(function*() {
    const disk = yield* Handle.connect({ exportName: "disk", ...config })
    yield* disk.write(8n, Uint8Array.of(9, 9))
    yield* disk.read(0n, 4096)
    yield* disk.flush
    yield* disk.trim(4096n, 4096)
    yield* disk.writeZeroes(8192n, 4096)
    yield* disk.cache(0n, 512)
    if (disk.agreed.replyStyle !== "Simple" && config.metaContexts !== undefined) yield* disk.blockStatus(0n, 65_536)
    yield* Effect.flip(disk.command({ code: 99, offset: 0n, length: 0 }))
    yield* disk.shutdown
  }))

/** What a client and a server recorded of the same conversation. */
const recorded = (server: Partial<FakeServer.FakeServerConfig>, client: HandleConfig, limit?: number) =>
  Effect.scoped(Effect.gen(function*() {
    const fake = yield* FakeServer.make({ exports, ...server })
    const limited = limit === undefined ? {} : { limit }
    return yield* Effect.zipRight(
      converse(client),
      Effect.flatMap(Transcript.Recording, ({ transcripts }) => transcripts)
    ).pipe(
      Effect.provide(
        Transcript.layerRecording(limited).pipe(Layer.provide(Layer.succeed(Transport, FakeServer.transport(fake))))
      )
    )
  }))

const kindsOf = (side: Transcript.Side, transcript: Transcript.Transcript) =>
  new Set(Transcript.annotate(transcript)[side].map(({ kind }) => kind))

const metaContexts = ["base:allocation"]
const clientStart = ["client flags", "option"]
const serverStart = ["newstyle greeting", "option reply"]

describe("a recording", () => {
  it.effect.each(
    [
      ["oldstyle", { protocol: "oldstyle" }, { exportName: "" }, ["request"], ["oldstyle greeting", "simple reply"]],
      [
        "newstyle that is not fixed",
        { protocol: "newstyle", noZeroes: false },
        { forceExportName: true },
        [...clientStart, "request"],
        ["newstyle greeting", "export name reply", "simple reply"]
      ],
      [
        "simple replies",
        { structuredReplies: false, extendedHeaders: false },
        {},
        [...clientStart, "request"],
        [...serverStart, "simple reply"]
      ],
      [
        "structured replies",
        { extendedHeaders: false },
        { metaContexts },
        [...clientStart, "request"],
        [...serverStart, "chunk"]
      ],
      ["extended headers", {}, { metaContexts }, [...clientStart, "extended request"], [
        ...serverStart,
        "extended chunk"
      ]],
      [
        "TLS",
        { tls: { mode: "Require", settings: psk } },
        { tls: { mode: "Require" }, metaContexts },
        [...clientStart, "extended request"],
        [...serverStart, "extended chunk"]
      ]
    ] as const
  )(
    "of %s has a name for every byte, and comes back from its text",
    ([title, server, client, asked, answered]) =>
      Effect.gen(function*() {
        const [transcript, ...others] = yield* recorded(server, client)
        expect(others).toEqual([])
        if (transcript === undefined) return expect.unreachable()
        expect([...kindsOf("client", transcript)]).toEqual(asked)
        expect([...kindsOf("server", transcript)]).toEqual(answered)
        expect(transcript.events.slice(-2).map(({ _tag }) => _tag)).toEqual(["Ended", "Ended"])
        expect(transcript.events.some(({ _tag }) => _tag === "TlsBegan")).toBe(title === "TLS")
        const text = Transcript.print(transcript)
        expect(text).toContain("command: 99 unknown")
        expect(text).not.toContain("\u202e")
        expect(parsed(text)).toStrictEqual(transcript)
      })
  )

  it.effect("ends at its limit and says so, and the connection goes on", () =>
    Effect.gen(function*() {
      const [whole] = yield* recorded({}, {})
      const [cut] = yield* recorded({}, {}, 2500)
      if (whole === undefined || cut === undefined) return expect.unreachable()
      expect(cut.events.at(-1)).toEqual({ _tag: "Cut" })
      const bytes = cut.events.map((event) => event._tag === "Bytes" ? event.bytes.byteLength : 0)
      expect(bytes.reduce((sum, count) => sum + count + 128, 1024 - 128)).toBeLessThanOrEqual(2500)
      expect(Transcript.print(whole)).toContain(
        Transcript.print({ remarks: [], events: cut.events.slice(0, 3) }).trim()
      )
      expect(yield* recorded({}, {}, 0)).toEqual([])
    }))

  it.effect("ends with the scope of the connection, whatever its client was at", () =>
    Effect.gen(function*() {
      const pipe = MemoryPipe.make()
      const used = Transcript.record({ target: "pipe", open: Effect.succeed(pipe.client) })
      yield* Effect.scoped(Effect.zipRight(
        used.transport.open,
        Effect.flatMap(used.transcripts, ([one]) => Effect.sync(() => expect(one?.events).toEqual([])))
      ))
      const [transcript] = yield* used.transcripts
      expect(transcript?.events).toEqual([{ _tag: "Ended", from: "client", how: "Finished" }])
    }))

  it.scoped("of the server's end has what the client's has", () =>
    Effect.gen(function*() {
      const fake = yield* FakeServer.make({ exports })
      const pipe = MemoryPipe.make({ delivery: MemoryPipe.random(7) })
      const served = Transcript.recordConnection(pipe.server, { side: "server" })
      const used = Transcript.record({ target: "pipe", open: Effect.succeed(pipe.client) })
      yield* Effect.fork(fake.serve(served.connection))
      yield* Effect.provideService(converse({}), Transport, used.transport)
      yield* fake.awaitSessions(0)
      const both = [...yield* served.transcripts, ...yield* used.transcripts]
      const messages = both.map((transcript) => Transcript.annotate(transcript))
      expect(messages[0]?.client.length).toBeGreaterThan(10)
      expect(messages[0]).toStrictEqual(messages[1])
    }))
})
