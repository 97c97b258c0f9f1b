/**
 * One client of the soak: a process that writes and verifies its own range of the export, and reads the range that all
 * share, until its time is over. It keeps what it has written in memory. It prints `ready`, begins when it is told so by
 * a byte on standard input, and prints what came of it as a line of JSON.
 */
import * as Handle from "@effect-nbd/core/Handle"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { ownBytes, sharedByte, sharedBytes } from "./layout.mjs"

const [uri, index, seconds] = process.argv.slice(2)
const lanes = 8
const laneBytes = ownBytes / lanes
const requestsInSession = 2000

const base = sharedBytes + Number(index) * ownBytes
/** What the export has to hold. */
const mirror = new Uint8Array(ownBytes)
const report = { requests: 0, sessions: 0, bytes: 0, mismatches: [], errors: [] }

const below = (limit) => Math.floor(Math.random() * limit)

const shared = Uint8Array.from({ length: sharedBytes }, (_, at) => sharedByte(at))

const compare = (offset, found, expected) => {
  if (Buffer.compare(found, expected) === 0) return
  const at = expected.findIndex((byte, index) => byte !== found[index])
  report.mismatches.push({ offset: offset + at, found: found[at], expected: expected[at] })
}

/** One request inside a lane's range, which no other lane touches: so what has to be there is known. */
const step = (nbd, start) =>
  Effect.suspend(() => {
    const length = 1 + below(below(2) === 0 ? 4096 : 65_536)
    const at = start + below(laneBytes - length)
    const offset = BigInt(base + at)
    const what = below(100)
    report.requests++
    report.bytes += length
    if (what < 40) {
      const bytes = new Uint8Array(length).fill(below(256))
      bytes[below(length)] = below(256)
      mirror.set(bytes, at)
      return nbd.write(offset, bytes, { fua: what === 0 })
    }
    if (what < 45) {
      mirror.fill(0, at, at + length)
      return nbd.writeZeroes(offset, length, { noHole: what === 40 })
    }
    if (what < 85) {
      return Effect.map(
        nbd.read(offset, length),
        (found) => compare(base + at, found, mirror.subarray(at, at + length))
      )
    }
    if (what === 85) return nbd.flush
    const from = below(sharedBytes - length)
    return Effect.map(
      nbd.read(BigInt(from), length),
      (found) => compare(from, found, shared.subarray(from, from + length))
    )
  })

const session = Effect.scoped(Effect.gen(function*() {
  const nbd = yield* Handle.connect()
  report.sessions++
  const end = report.requests + requestsInSession
  const lane = (number) =>
    Effect.whileLoop({
      while: () => report.requests < end && Date.now() < deadline,
      body: () => step(nbd, number * laneBytes),
      step: () => {}
    })
  yield* Effect.all(Array.from({ length: lanes }, (_, number) => lane(number)), { concurrency: "unbounded" })
  yield* nbd.shutdown
}))

const pieceBytes = 65_536

/** The range, whole, after all that: over a connection of its own. */
const verification = Effect.scoped(Effect.gen(function*() {
  const nbd = yield* Handle.connect()
  for (let at = 0; at < ownBytes; at += pieceBytes) {
    compare(base + at, yield* nbd.read(BigInt(base + at), pieceBytes), mirror.subarray(at, at + pieceBytes))
  }
  yield* nbd.shutdown
}))

console.log("ready")
await once(process.stdin, "data")
process.stdin.destroy()
const deadline = Date.now() + Number(seconds) * 1000

const work = Effect.whileLoop({ while: () => Date.now() < deadline, body: () => session, step: () => {} }).pipe(
  Effect.zipRight(verification),
  Effect.provide(NodeTransport.layerUri(uri)),
  Effect.catchAllCause((cause) => Effect.sync(() => void report.errors.push(String(cause))))
)

await Effect.runPromise(work)
console.log(JSON.stringify({ ...report, mismatches: report.mismatches.slice(0, 5) }))
