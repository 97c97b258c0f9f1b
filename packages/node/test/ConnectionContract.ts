/**
 * What every connection keeps of the seam's promises, whatever it is made of.
 */
import type { Connection } from "@effect-nbd/core/Transport"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as net from "node:net"
import { digest, pattern, record, Recorder, turns } from "./Peers.ts"

/** A connection under test, and the socket at its other end. */
export interface Joined {
  readonly connection: Connection
  readonly peer: net.Socket
}

export const mebibyte = 1_048_576

/**
 * `peerBuffers`: the other end, which is in this process too, keeps what it cannot send. `places`: bytes are put where the
 * receiver wants them.
 */
export const keepsThePromises = (
  name: string,
  joined: Effect.Effect<Joined, never, Scope.Scope>,
  { peerBuffers = false, places = false } = {}
): void => {
  describe(name, () => {
    it.scopedLive("carries bytes in order both ways in odd sizes", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(connection)
        peer.resume()
        peer.on("data", (bytes) => {
          if (!peer.write(bytes)) peer.pause()
        })
        peer.on("drain", () => peer.resume())
        const bytes = pattern(3 * mebibyte + 17)
        let at = 0
        for (const size of [1, 2, 3, 5, 27, 28, 0, 4095, 4097, 65_535, 65_536, 65_537, 200_001]) {
          const half = size >> 1
          recorder.call(() => connection.write([bytes.subarray(at, at + half), bytes.subarray(at + half, at + size)]))
          at += size
        }
        recorder.call(() => connection.write([bytes.subarray(at)]))
        yield* recorder.bytes(bytes.byteLength)
        expect(recorder.hash.digest("hex")).toBe(digest(bytes))
        expect(recorder.breaches).toBe(0)
        connection.close()
      }))

    it.scopedLive("gives plain bytes, whose slice is a copy", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        let kind: unknown
        const recorder = record(
          connection,
          new Recorder((bytes) => {
            kind = Object.getPrototypeOf(bytes)
            return true
          })
        )
        peer.write("x")
        yield* recorder.bytes(1)
        expect(kind).toBe(Uint8Array.prototype)
        connection.close()
      }))

    it.scopedLive("puts bytes nowhere but into its own memory or where they belong, in order, paused or not", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const memory = new Uint8Array(new SharedArrayBuffer(4 * mebibyte))
        const bytes = pattern(memory.byteLength)
        let asked: Uint8Array | undefined
        let placed = 0
        let calls = 0
        const recorder = new Recorder((chunk) => {
          const at = recorder.received - chunk.byteLength
          const isPlaced = chunk.buffer === memory.buffer
          if (isPlaced) placed += chunk.byteLength
          // What is there was asked for since the last call, and begins where it belongs.
          if (isPlaced && (chunk.byteOffset !== at || asked === undefined)) recorder.breaches++
          if (asked !== undefined && chunk.byteLength > asked.byteLength) recorder.breaches++
          if (!isPlaced) memory.set(chunk, at)
          asked = undefined
          if (++calls % 7 > 0) return true
          setImmediate(() => recorder.call(connection.resume))
          return false
        }, false)
        const place = (): Uint8Array | undefined => {
          const at = recorder.received
          // Now and then there is none, or a short one.
          const length = calls % 5 === 0 ? 0 : calls % 3 === 0 ? 1000 : 300_000
          asked = length === 0 ? undefined : memory.subarray(at, at + length)
          return asked?.byteLength === 0 ? undefined : asked
        }
        recorder.call(() =>
          connection.receive({ onBytes: recorder.onBytes, onEnd: recorder.onEnd, onDrain: recorder.onDrain, place })
        )
        peer.write(bytes)
        yield* recorder.bytes(bytes.byteLength)
        expect(digest(memory)).toBe(digest(bytes))
        expect(recorder.breaches).toBe(0)
        expect(placed > 0).toBe(places)
        connection.close()
      }))

    it.scopedLive("holds 64 MiB back while the receiver says no, and delivers them intact afterwards (H-155)", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const bytes = pattern(64 * mebibyte)
        let holding = true
        const recorder = record(connection, new Recorder(() => !holding, false))
        const before = process.memoryUsage.rss()
        peer.write(bytes)
        yield* recorder.bytes(1)
        yield* turns(200)
        expect(recorder.received).toBeLessThanOrEqual(65_536)
        if (!peerBuffers) expect(process.memoryUsage.rss() - before).toBeLessThan(32 * mebibyte)
        holding = false
        recorder.call(connection.resume)
        yield* recorder.bytes(bytes.byteLength)
        expect(recorder.hash.digest("hex")).toBe(digest(bytes))
        expect(recorder.breaches).toBe(0)
        connection.close()
      }))

    it.scopedLive("delivers in order when every call is answered with no", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(
          connection,
          new Recorder(() => {
            setImmediate(() => recorder.call(connection.resume))
            return false
          })
        )
        const bytes = pattern(mebibyte)
        peer.end(bytes)
        expect((yield* recorder.ended)._tag).toBe("Finished")
        expect(recorder.hash.digest("hex")).toBe(digest(bytes))
        connection.close()
      }))

    it.scopedLive("reads while writes are held back, and drains afterwards", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(connection)
        const block = pattern(mebibyte)
        let written = 0
        while (recorder.call(() => connection.write([block]))) written++
        for (let more = 0; more < 16; more++) connection.write([block])
        written += 17
        // The peer does not read a byte before all of its own have been taken.
        peer.write(pattern(8 * mebibyte))
        yield* recorder.bytes(8 * mebibyte)
        expect(recorder.drains).toBe(0)
        let got = 0
        peer.on("data", (bytes) => got += bytes.byteLength)
        peer.resume()
        yield* recorder.until(() => recorder.drains > 0)
        connection.endWrites()
        yield* Effect.promise(() => new Promise((resolve) => peer.once("end", resolve)))
        expect(got).toBe(written * mebibyte)
        expect(recorder.drains).toBe(1)
        connection.close()
      }))

    it.scopedLive("says that there is room, and tells no drain, when the system takes everything at once", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(connection)
        const chunks = [pattern(20_000), pattern(20_000)]
        expect(connection.write(chunks)).toBe(true)
        peer.on("data", (bytes) => peer.write(bytes))
        peer.resume()
        yield* recorder.bytes(40_000)
        expect(recorder.drains).toBe(0)
        connection.close()
      }))

    it.scopedLive("keeps what arrives before the first receive, the end too", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        peer.write("early ")
        peer.end("bird")
        yield* turns(20)
        const recorder = record(connection)
        expect(yield* recorder.ended).toStrictEqual({ _tag: "Finished", program: undefined })
        expect(recorder.text).toBe("early bird")
        expect(recorder.breaches).toBe(0)
        connection.close()
      }))

    it.scopedLive("gives each receiver what comes in its time", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const second = new Recorder()
        const first = record(
          connection,
          new Recorder(() => {
            connection.receive(second)
            return false
          })
        )
        peer.write("one")
        yield* first.bytes(3)
        peer.end("two")
        yield* second.ended
        expect([first.text, second.text, first.ends.length]).toStrictEqual(["one", "two", 0])
        connection.close()
      }))

    it.scopedLive("can still write after the peer has finished", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(connection)
        peer.end()
        yield* recorder.ended
        connection.write([Buffer.from("goodbye")])
        connection.endWrites()
        connection.endWrites()
        let said = ""
        peer.on("data", (bytes) => said += bytes.toString())
        peer.resume()
        yield* Effect.promise(() => new Promise((resolve) => peer.once("end", resolve)))
        expect(said).toBe("goodbye")
        connection.close()
      }))

    it.scopedLive("tells nothing after close, wherever it is called, and may be used on", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(
          connection,
          new Recorder(() => {
            connection.close()
            return true
          })
        )
        peer.write(pattern(mebibyte))
        yield* recorder.bytes(1)
        yield* turns(20)
        connection.close()
        connection.resume()
        connection.endWrites()
        connection.receive(recorder)
        expect(connection.write([Buffer.from("dropped")])).toBe(true)
        yield* turns()
        expect(recorder.received).toBeLessThanOrEqual(65_536)
        expect([recorder.ends.length, recorder.drains]).toStrictEqual([0, 0])
      }))

    it.scopedLive("tells the end once when the peer is destroyed with writes under way", () =>
      Effect.gen(function*() {
        const { connection, peer } = yield* joined
        const recorder = record(connection)
        while (connection.write([pattern(mebibyte)])) yield* turns(1)
        peer.destroy()
        yield* recorder.ended
        connection.write([Buffer.from("dropped")])
        yield* turns(20)
        expect([recorder.ends.length, recorder.breaches]).toStrictEqual([1, 0])
        connection.close()
        connection.close()
      }))
  })
}
