/**
 * Many commands at a time, and commands that were abandoned.
 *
 * @since 0.1.0
 */
import type { Connected } from "@effect-nbd/core/Handle"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import {
  type Check,
  connect,
  expectEqual,
  expectKept,
  expectTag,
  lengthNear,
  limitsOf,
  pattern,
  type Target
} from "./Check.ts"

const pieceSizeOf = (connected: Connected): number => lengthNear(limitsOf(connected), 4096)

/** The offsets of 128 pieces, or of as many as fit into half a MiB and into the export; at least of one. */
const offsetsOf = (connected: Connected): ReadonlyArray<bigint> => {
  const pieceSize = pieceSizeOf(connected)
  const room = connected.export.size < 524_288n ? Number(connected.export.size) : 524_288
  const length = Math.max(1, Math.min(128, Math.floor(room / pieceSize)))
  return Array.from({ length }, (_, piece) => BigInt(piece * pieceSize))
}

/** Something comes to each of them 64 times at a time. */
const toAll = <E>(connected: Connected, act: (offset: bigint, pieceSize: number) => Effect.Effect<void, E>) =>
  Effect.forEach(offsetsOf(connected), (offset) => act(offset, pieceSizeOf(connected)), {
    concurrency: 64,
    discard: true
  })

const writeAll = (connected: Connected, seed: number) =>
  toAll(connected, (offset, pieceSize) => connected.write(offset, pattern(offset, pieceSize, seed)))

const verifyAll = (connected: Connected, seed: number) =>
  toAll(
    connected,
    (offset, pieceSize) =>
      Effect.flatMap(connected.read(offset, pieceSize), (bytes) =>
        expectKept(`read at ${offset}`, bytes, pattern(offset, pieceSize, seed)))
  )

/**
 * @since 0.1.0
 * @category constructors
 */
export const concurrencyChecks = (target: Target): ReadonlyArray<Check> => [
  {
    name: "64 writes and 64 reads in flight find their own replies",
    rules: ["C-154", "C-155"],
    run: Effect.gen(function*() {
      const connected = yield* connect(target)
      yield* writeAll(connected, 11)
      yield* verifyAll(connected, 11)
      yield* expectEqual("commands in flight at the end", yield* connected.inFlight, 0)
    })
  },
  {
    name: "a command that fails leaves its neighbours alone",
    rules: [],
    run: Effect.gen(function*() {
      const connected = yield* connect(target)
      yield* writeAll(connected, 12)
      const refused = expectTag(
        "read past the end",
        connected.read(connected.export.size, pieceSizeOf(connected)),
        "NbdOutOfBoundsError"
      )
      yield* Effect.all([verifyAll(connected, 12), refused, verifyAll(connected, 12)], {
        concurrency: "unbounded",
        discard: true
      })
    })
  },
  {
    name: "interrupted reads and writes leave the connection healthy (H-156)",
    rules: [],
    run: Effect.gen(function*() {
      const connected = yield* connect(target)
      const pieceSize = pieceSizeOf(connected)
      yield* writeAll(connected, 13)
      for (let round = 0; round < 8; round++) {
        const fibers = yield* Effect.forEach(
          offsetsOf(connected).slice(0, 32),
          (offset, index) =>
            Effect.fork(
              index % 2 === 0
                ? connected.read(offset, pieceSize)
                : connected.write(offset, pattern(offset, pieceSize, 13))
            )
        )
        yield* Effect.forEach(Array.from({ length: round }), () => Effect.yieldNow())
        yield* Fiber.interruptAll(fibers)
      }
      yield* verifyAll(connected, 13)
      yield* expectEqual("state", (yield* connected.state)._tag, "Connected")
    })
  }
]
