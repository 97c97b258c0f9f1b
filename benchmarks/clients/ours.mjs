/**
 * effect-nbd, used as an application would: a fixed set of fibers, each reading in a loop.
 */
import * as Handle from "@effect-nbd/core/Handle"
import * as TcpTransport from "@effect-nbd/node/TcpTransport"
import * as UnixTransport from "@effect-nbd/node/UnixTransport"
import * as Effect from "effect/Effect"

/** Fresh memory for every read. */
export const read = (job) =>
  run(job, (nbd, phase) =>
    Effect.gen(function*() {
      for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
        const sampled = phase.sample()
        const bytes = yield* nbd.read(BigInt(offset), job.blockBytes)
        phase.done(sampled, offset, bytes)
      }
    }))

/** Memory of the caller's, used again and again. */
export const readInto = (job) =>
  run(job, (nbd, phase) =>
    Effect.gen(function*() {
      const destination = new Uint8Array(job.blockBytes)
      for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
        const sampled = phase.sample()
        yield* nbd.readInto(BigInt(offset), destination)
        phase.done(sampled, offset, destination)
      }
    }))

const run = ({ depth, phases, target }, loop) =>
  Effect.gen(function*() {
    const nbd = yield* Handle.connect()
    for (const phase of phases) {
      const loops = Array.from({ length: depth }, () => loop(nbd, phase))
      phase.begin()
      yield* Effect.forEach(loops, (each) => each, { concurrency: "unbounded", discard: true })
      phase.end()
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(target.path === undefined ? TcpTransport.layer(target) : UnixTransport.layer(target)),
    Effect.runPromise
  )
