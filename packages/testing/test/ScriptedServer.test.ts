import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { Transport } from "@effect-nbd/core/Transport"
import { MemoryPipe, ScriptedServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

const { sends, takes } = ScriptedServer

/** A client on a scripted server. */
const against = (script: ScriptedServer.Script, delivery: MemoryPipe.Delivery = MemoryPipe.whole) =>
  Effect.gen(function*() {
    const transport = yield* ScriptedServer.make(script, { delivery })
    return Effect.map(transport.open, (connection) => new FrameReader(connection))
  })

/** Everything the server sends, and how it ends. */
const all = (reader: FrameReader) =>
  Effect.map(Effect.flip(reader.take(1 << 20)), ({ end, received }) => [[...received], end._tag])

const steps = [sends(Uint8Array.of(1, 2, 3)), takes(2), sends(Uint8Array.of(4, 5))]

describe("a transcript", () => {
  it.scoped.each([MemoryPipe.whole, MemoryPipe.bytes, MemoryPipe.random(3)])(
    "is played in turns (%o)",
    (delivery) =>
      Effect.gen(function*() {
        const reader = yield* yield* against(ScriptedServer.play(steps), delivery)
        expect([...yield* reader.take(3)]).toEqual([1, 2, 3])
        const rest = yield* Effect.fork(all(reader))
        yield* Effect.yieldNow()
        yield* reader.send([Uint8Array.of(9)])
        expect(yield* Fiber.poll(rest)).toMatchObject({ _tag: "None" })
        yield* reader.send([Uint8Array.of(9)])
        expect(yield* Fiber.join(rest)).toEqual([[4, 5], "Finished"])
      })
  )

  it.scoped.each([0, 1, 2, 3, 4, 5, 6])(
    "is cut after %i bytes, ending in order or broken",
    (cutAfter) =>
      Effect.gen(function*() {
        for (const finale of ["Finished", "Broken"] as const) {
          const reader = yield* yield* against(ScriptedServer.play(steps, { cutAfter, finale }), MemoryPipe.bytes)
          yield* reader.send([Uint8Array.of(9, 9)])
          expect(yield* all(reader)).toEqual([[1, 2, 3, 4, 5].slice(0, cutAfter), finale])
        }
      })
  )

  it.scoped("may end in silence", () =>
    Effect.gen(function*() {
      const reader = yield* yield* against(ScriptedServer.play([sends(Uint8Array.of(1))], { finale: "Silence" }))
      expect([...yield* reader.take(1)]).toEqual([1])
      const rest = yield* Effect.fork(all(reader))
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(rest)).toMatchObject({ _tag: "None" })
    }))
})

describe("a script", () => {
  it.scoped("knows which connection it is on, and a reset loses what is under way", () =>
    Effect.gen(function*() {
      const open = yield* against((server) =>
        Effect.zipRight(
          server.send(Uint8Array.of(server.connection)),
          server.connection === 1 ? server.reset : Effect.void
        )
      )
      expect(yield* all(yield* open)).toEqual([[], "Broken"])
      expect(yield* all(yield* open)).toEqual([[2], "Finished"])
    }))

  it.scoped("that finds the client gone simply ends", () =>
    Effect.gen(function*() {
      const open = yield* against((server) => Effect.asVoid(server.take(5)))
      const reader = yield* open
      reader.connection.endWrites()
      expect(yield* all(reader)).toEqual([[], "Finished"])
    }))

  it.scoped("that dies breaks its connection", () =>
    Effect.gen(function*() {
      const open = yield* against(() => Effect.dieMessage("wrong bytes"))
      expect(yield* all(yield* open)).toEqual([[], "Broken"])
    }))
})

it.effect("the Layer provides the Transport alone", () =>
  Effect.gen(function*() {
    const { open, target } = yield* Transport
    expect(target).toBe("scripted server")
    expect(yield* all(new FrameReader(yield* open))).toEqual([[1], "Finished"])
  }).pipe(Effect.scoped, Effect.provide(ScriptedServer.layer(ScriptedServer.play([sends(Uint8Array.of(1))])))))
