/**
 * effect-nbd, used as an application would: a fixed set of fibers, each doing one request after the other.
 */
import * as Handle from "@effect-nbd/core/Handle"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { config, transport } from "./oursTarget.mjs"

/** Fresh memory for every read. */
export const read = (job) => whole(job, reading(job))

/** Memory of the caller's, used again and again. */
export const readInto = (job) =>
  whole(job, (nbd, phase) =>
    Effect.gen(function*() {
      const destination = new Uint8Array(job.blockBytes)
      for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
        const sampled = phase.sample()
        yield* nbd.readInto(BigInt(offset), destination)
        phase.done(sampled, offset, destination)
      }
    }))

/** Memory of the connection's, which lends it. */
export const readBorrowed = (job) =>
  whole(job, (nbd, phase) =>
    Effect.gen(function*() {
      for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
        const sampled = phase.sample()
        yield* nbd.readBorrowed(
          BigInt(offset),
          job.blockBytes,
          (bytes) => Effect.sync(() => phase.done(sampled, offset, bytes))
        )
      }
    }))

export const write = (job) => whole(job, writing(job))

const reading = (job) => (nbd, phase) =>
  Effect.gen(function*() {
    for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
      const sampled = phase.sample()
      const bytes = yield* nbd.read(BigInt(offset), job.blockBytes)
      phase.done(sampled, offset, bytes)
    }
  })

const writing = (job) => (nbd, phase) =>
  Effect.gen(function*() {
    const bytes = new Uint8Array(job.blockBytes)
    for (let offset = phase.next(); offset >= 0; offset = phase.next()) {
      const sampled = phase.sample()
      phase.prepare(offset, bytes)
      yield* nbd.write(BigInt(offset), bytes)
      phase.done(sampled, offset)
    }
  })

/** A disk as a service of an application: each request gets the connected handle from the context. */
const disk = {
  read: (offset, length) => Effect.flatMap(Handle.Connected, (nbd) => nbd.read(offset, length)),
  write: (offset, bytes) => Effect.flatMap(Handle.Connected, (nbd) => nbd.write(offset, bytes))
}

const asService = (job, loop) =>
  perform(job, disk, loop(job)).pipe(
    Effect.provide(Layer.provide(Handle.layer(config(job.target)), transport(job.target))),
    Effect.runPromise
  )

export const readService = (job) => asService(job, reading)
export const writeService = (job) => asService(job, writing)

const whole = (job, loop) => {
  const program = Effect.flatMap(Handle.connect(config(job.target)), (nbd) => perform(job, nbd, loop))
  return Effect.runPromise(Effect.provide(Effect.scoped(program), transport(job.target)))
}

const perform = ({ blockBytes, depth, phases }, nbd, loop) =>
  Effect.forEach(phases, (phase) =>
    Effect.gen(function*() {
      const loops = Array.from({ length: depth }, () => loop(nbd, phase))
      phase.begin()
      yield* Effect.forEach(loops, (each) => each, { concurrency: "unbounded", discard: true })
      phase.end()
      yield* Effect.forEach(
        phase.written,
        (offset) => Effect.map(nbd.read(BigInt(offset), blockBytes), (bytes) => phase.done(0, offset, bytes))
      )
    }), { discard: true })

/** Connects and leaves, one time after the other. */
export const connect = ({ phases, target }) => {
  const once = Effect.scoped(Handle.connect(config(target)))
  return Effect.forEach(phases, (phase) =>
    Effect.gen(function*() {
      phase.begin()
      for (let at = phase.next(); at >= 0; at = phase.next()) {
        const sampled = phase.sample()
        yield* once
        phase.done(sampled)
      }
      phase.end()
    })).pipe(Effect.provide(transport(target)), Effect.runPromise)
}

/** Goes through the whole map, as often as there is time for. */
export const extents = ({ phases, target }) =>
  Effect.gen(function*() {
    const nbd = yield* Handle.connect({ ...config(target), metaContexts: ["base:allocation"] })
    for (const phase of phases) {
      phase.begin()
      for (let at = phase.next(); at >= 0; at = phase.next()) {
        let covered = 0n
        yield* Stream.runForEachChunk(nbd.extents(), (chunk) =>
          Effect.sync(() => {
            phase.count(chunk.length)
            for (const { length } of chunk) covered += length
          }))
        if (covered !== nbd.export.size) return yield* Effect.dieMessage(`extents of ${covered} bytes`)
      }
      phase.end()
    }
  }).pipe(Effect.scoped, Effect.provide(transport(target)), Effect.runPromise)
