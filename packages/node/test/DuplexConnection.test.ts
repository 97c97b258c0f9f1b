import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import * as DuplexConnection from "@effect-nbd/node/DuplexConnection"
import * as StreamConnection from "@effect-nbd/node/StreamConnection"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Duplex, PassThrough, Readable, Writable } from "node:stream"
import { pattern, record, Recorder, turns } from "./Peers.ts"

const fromStreams = (readable: Readable, writable: Writable, more: Partial<DuplexConnection.Options> = {}) =>
  DuplexConnection.fromStreams({ readable, writable, peer: "streams", ...more })

const sink = () => new Writable({ write: (_chunk, _encoding, callback) => callback() })
const failed = (code: string): Error => Object.assign(new Error("failed"), { code })
const listenersOf = (stream: Readable | Writable): ReadonlyArray<string | symbol> =>
  ["data", "end", "close", "drain", "readable"].filter((name) => stream.listenerCount(name) > 0)

describe("DuplexConnection.fromStreams", () => {
  it.live("never tells anything from inside a call, though the stream does", () =>
    Effect.gen(function*() {
      // What is written to a PassThrough comes out of it before `write` has returned.
      const both = new PassThrough()
      const connection = fromStreams(both, both)
      const recorder = record(connection)
      yield* turns()
      const bytes = pattern(50_000)
      for (let at = 0; at < bytes.byteLength; at += 1000) {
        recorder.call(() => connection.write([bytes.subarray(at, at + 500), bytes.subarray(at + 500, at + 1000)]))
      }
      recorder.call(() => connection.endWrites())
      expect((yield* recorder.ended)._tag).toBe("Finished")
      expect(Buffer.concat(recorder.chunks).equals(bytes)).toBe(true)
      expect(recorder.breaches).toBe(0)
      recorder.call(() => connection.close())
    }))

  it.live("delivers what the stream had buffered before it failed, once the receiver wants it", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read: () => {} })
      const connection = fromStreams(readable, sink())
      let holding = true
      const recorder = record(connection, new Recorder(() => !holding))
      readable.push("one")
      yield* recorder.bytes(3)
      readable.push("two")
      readable.push("three")
      yield* turns()
      readable.destroy(failed("ECONNRESET"))
      yield* turns()
      expect([recorder.text, recorder.ends.length]).toStrictEqual(["one", 0])
      holding = false
      recorder.call(connection.resume)
      expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { peer: "streams", code: "ECONNRESET" } })
      expect(recorder.text).toBe("onetwothree")
      connection.close()
    }))

  it.live("calls a close without an end broken", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read: () => {} })
      const connection = fromStreams(readable, sink())
      const recorder = record(connection)
      readable.push("half a re")
      readable.destroy()
      expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { code: "ERR_STREAM_PREMATURE_CLOSE" } })
      connection.close()
    }))

  it.live("knows how streams ended before it got them", () =>
    Effect.gen(function*() {
      const finished = Readable.from([])
      finished.resume()
      const destroyed = new Readable({ read: () => {} }).destroy()
      const broken = new Readable({ read: () => {} }).on("error", () => {}).destroy(failed("EIO"))
      yield* turns()
      const ends: Array<ConnectionEnd> = []
      for (const readable of [finished, destroyed, broken]) {
        ends.push(yield* record(fromStreams(readable, sink())).ended)
      }
      expect(ends).toMatchObject([
        { _tag: "Finished" },
        { _tag: "Broken", error: { code: "ERR_STREAM_PREMATURE_CLOSE" } },
        { _tag: "Broken", error: { code: "EIO" } }
      ])
    }))

  it.live("reads on after the other half has failed, and then ends", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read: () => {} })
      const writable = new Writable({ write: (_chunk, _encoding, callback) => callback(failed("EPIPE")) })
      const connection = fromStreams(readable, writable)
      const recorder = record(connection)
      recorder.call(() => connection.write([pattern(10)]))
      yield* turns()
      readable.push("last words")
      expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { code: "EPIPE" } })
      expect(recorder.text).toBe("last words")
      connection.close()

      const orderly = new Readable({ read: () => {} })
      const other = fromStreams(
        orderly,
        new Writable({ write: (_chunk, _encoding, callback) => callback(failed("EPIPE")) })
      )
      const heard = record(other)
      other.write([pattern(10)])
      orderly.push(null)
      expect((yield* heard.ended)._tag).toBe("Finished")
      other.close()
    }))

  it.live("does not cut short a receiver that holds bytes back while the other half fails", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read: () => {} })
      const writable = new Writable({ write: (_chunk, _encoding, callback) => callback(failed("EPIPE")) })
      const connection = fromStreams(readable, writable)
      let holding = true
      const recorder = record(connection, new Recorder(() => !holding))
      readable.push("one")
      yield* recorder.bytes(3)
      readable.push("two")
      connection.write([pattern(10)])
      // The time for last words is real, and has to pass once without effect.
      yield* Effect.sleep(StreamConnection.lastWordsMillis + 100)
      expect(recorder.ends.length).toBe(0)
      holding = false
      recorder.call(connection.resume)
      expect(yield* recorder.ended).toMatchObject({ _tag: "Broken", error: { code: "EPIPE" } })
      expect(recorder.text).toBe("onetwo")
      connection.close()
    }))

  it.live("reports an end as it is explained", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read: () => {} })
      const given: Array<ConnectionEnd["_tag"]> = []
      const connection = fromStreams(readable, sink(), {
        explain: (end, report) => {
          given.push(end._tag)
          setImmediate(report, end)
        }
      })
      const recorder = record(connection)
      readable.push(null)
      yield* recorder.ended
      readable.destroy(failed("EIO"))
      yield* turns()
      expect([given, recorder.ends.length]).toStrictEqual([["Finished"], 1])
    }))

  it.live("leaves nothing of its own on the streams, and no error unhandled, in any order", () =>
    Effect.gen(function*() {
      const steps: ReadonlyArray<(both: Duplex) => void> = [
        (both) => both.push(null),
        (both) => both.push("x"),
        (both) => both.destroy(failed("EIO")),
        (both) => both.destroy(),
        (both) => both.emit("error", failed("EBADF")),
        (both) => both.end()
      ]
      for (const first of steps) {
        for (const second of steps) {
          for (const closing of [0, 1, 2]) {
            let closes = 0
            const both = new Duplex({ read: () => {}, write: (_chunk, _encoding, callback) => callback() })
            const connection = fromStreams(both, both, { onClose: () => closes++ })
            const recorder = record(connection)
            const run = (step: (both: Duplex) => void) => both.destroyed && step !== steps[2] ? undefined : step(both)
            if (closing === 0) connection.close()
            run(first)
            if (closing === 1) connection.close()
            yield* turns(2)
            if (!both.readableEnded) run(second)
            yield* turns(2)
            connection.close()
            connection.write([pattern(1)])
            yield* turns(2)
            expect([recorder.breaches, closes, both.destroyed]).toStrictEqual([0, 1, true])
            expect(recorder.ends.length).toBeLessThanOrEqual(closing === 0 ? 0 : 1)
            expect(listenersOf(both)).toStrictEqual([])
          }
        }
      }
    }))
})
