/**
 * One command at a time: what it does, and what keeps it from being sent.
 *
 * @since 0.1.0
 */
import type { Connected } from "@effect-nbd/core/Handle"
import { CommandError } from "@effect-nbd/core/transmission/CommandError"
import * as Effect from "effect/Effect"
import {
  type Check,
  connect,
  expectBytes,
  expectEqual,
  expectKept,
  expectRefusal,
  expectTag,
  lengthNear,
  limitsOf,
  pattern,
  type RuleId,
  type Skipped,
  skipped,
  type Target
} from "./Check.ts"

const blockOf = (connected: Connected): number => lengthNear(limitsOf(connected), 512)

const isUnsupported = (error: unknown): boolean => error instanceof CommandError && error.errno === "ENOTSUP"

const isInvalid = (error: unknown): boolean => error instanceof CommandError && error.errno === "EINVAL"

type Body = (connected: Connected) => Effect.Effect<Skipped | void, unknown>

/**
 * @since 0.1.0
 * @category constructors
 */
export const commandChecks = (target: Target): ReadonlyArray<Check> => {
  const check = (name: string, rules: ReadonlyArray<RuleId>, body: Body): Check => ({
    name,
    rules,
    run: Effect.flatMap(connect(target), body)
  })
  const offered = (name: string, rules: ReadonlyArray<RuleId>, body: Body): Check =>
    check(name, rules, (connected) =>
      target.refusesAdvertised === true
        ? Effect.catchIf(body(connected), isInvalid, () => skipped("the server refuses what it advertises"))
        : body(connected))
  return [
    check(
      "what is written is read back, at the start, at the end and in between",
      ["C-213", "C-214"],
      (connected) =>
        Effect.gen(function*() {
          const block = blockOf(connected)
          const last = connected.export.size - connected.export.size % BigInt(block) - BigInt(block)
          for (const offset of [0n, BigInt(block * 3), last].filter((offset) => offset <= last)) {
            const bytes = pattern(offset, block, 1)
            yield* connected.write(offset, bytes)
            yield* expectKept(`read at ${offset}`, yield* connected.read(offset, block), bytes)
          }
        })
    ),
    check("a read goes into the caller's own memory", [], (connected) =>
      Effect.gen(function*() {
        const bytes = pattern(0n, blockOf(connected), 2)
        yield* connected.write(0n, bytes)
        const memory = new Uint8Array(bytes.byteLength + 2).fill(0xaa)
        yield* connected.readInto(0n, memory.subarray(1, 1 + bytes.byteLength))
        yield* expectKept("inside", memory.subarray(1, 1 + bytes.byteLength), bytes)
        yield* expectEqual("before and behind", [memory[0], memory.at(-1)].join(), "170,170")
      })),
    check("half a MiB, or as much as the export takes, goes in one request", [], (connected) =>
      Effect.gen(function*() {
        const bytes = pattern(0n, lengthNear(limitsOf(connected), 524_288), 3)
        yield* connected.write(0n, bytes)
        yield* expectKept("read", yield* connected.read(0n, bytes.byteLength), bytes)
      })),
    check(
      "single bytes can be read and written, unless blocks are larger",
      ["C-091"],
      (connected) =>
        connected.export.minimumBlockSize > 1
          ? Effect.all([
            expectTag("read of one byte", connected.read(0n, 1), "NbdUnalignedError"),
            expectTag("write at offset 1", connected.write(1n, new Uint8Array(blockOf(connected))), "NbdUnalignedError")
          ], { discard: true })
          : Effect.gen(function*() {
            yield* connected.write(0n, Uint8Array.of(1, 2, 3, 4, 5))
            yield* connected.write(2n, Uint8Array.of(99))
            yield* expectKept("read", yield* connected.read(1n, 3), Uint8Array.of(2, 99, 4))
          }).pipe(
            Effect.catchIf(
              (error) => isInvalid(error) && connected.agreed.protocol !== "newstyle-fixed",
              () => skipped("the server has blocks that it cannot tell of")
            )
          )
    ),
    offered("a write can be made durable by itself, if the server offers it", ["C-128", "C-152"], (connected) => {
      const write = connected.write(0n, pattern(0n, blockOf(connected), 4), { fua: true })
      return connected.export.canFua ? write : expectRefusal("NBD_CMD_FLAG_FUA", write)
    }),
    offered(
      "flush works, if the server offers it",
      ["C-140", "C-152"],
      (connected) => connected.export.canFlush ? connected.flush : expectRefusal("NBD_CMD_FLUSH", connected.flush)
    ),
    offered(
      "a trimmed range can be written again, if the server offers to trim",
      ["C-145"],
      (connected) =>
        Effect.gen(function*() {
          const block = lengthNear(limitsOf(connected), 65_536)
          const trim = connected.trim(0n, block)
          if (!connected.export.canTrim) return yield* expectRefusal("NBD_CMD_TRIM", trim)
          yield* trim
          const bytes = pattern(0n, block, 5)
          yield* connected.write(0n, bytes)
          return yield* expectKept("read", yield* connected.read(0n, block), bytes)
        })
    ),
    offered(
      "zeroes read as zeroes, with and without a hole, if the server offers to write them",
      ["C-147"],
      (connected) =>
        Effect.gen(function*() {
          const block = lengthNear(limitsOf(connected), 65_536, 2)
          if (!connected.export.canWriteZeroes) {
            return yield* expectRefusal("NBD_CMD_WRITE_ZEROES", connected.writeZeroes(0n, block))
          }
          for (const noHole of [false, true]) {
            yield* connected.write(0n, pattern(0n, block, 6))
            yield* connected.write(BigInt(block), pattern(BigInt(block), block, 6))
            yield* connected.writeZeroes(BigInt(block), block, { noHole })
            yield* expectBytes("zeroed", yield* connected.read(BigInt(block), block), new Uint8Array(block))
            yield* expectKept("before it", yield* connected.read(0n, block), pattern(0n, block, 6))
          }
          return undefined
        })
    ),
    offered(
      "fast zeroes zero or say ENOTSUP, and are refused where they are not offered",
      ["C-133"],
      (connected) => {
        const zeroes = connected.writeZeroes(0n, blockOf(connected), { fastZero: true })
        if (!connected.export.canFastZero) return expectRefusal("NBD_CMD_FLAG_FAST_ZERO", zeroes)
        return Effect.catchIf(zeroes, isUnsupported, () => Effect.void)
      }
    ),
    offered("prefetching is a hint, if the server takes it", ["C-148"], (connected) => {
      const cache = connected.cache(0n, blockOf(connected))
      return connected.export.canCache ? cache : expectRefusal("NBD_CMD_CACHE", cache)
    }),
    check("nothing outside the export is asked for", ["C-093"], (connected) => {
      const block = blockOf(connected)
      const { size } = connected.export
      return Effect.all([
        expectTag("read across the end", connected.read(size - BigInt(block) + 1n, block), "NbdOutOfBoundsError"),
        expectTag("read behind the end", connected.read(size, block), "NbdOutOfBoundsError"),
        expectTag("read at 2^64 - 1", connected.read(2n ** 64n - 1n, block), "NbdOutOfBoundsError"),
        expectTag("write across the end", connected.write(size, new Uint8Array(block)), "NbdOutOfBoundsError")
      ], { discard: true })
    }),
    check("nothing empty is asked for", ["C-134", "C-135"], (connected) =>
      Effect.all([
        expectTag("read", connected.read(0n, 0), "NbdZeroLengthError"),
        expectTag("write", connected.write(0n, new Uint8Array(0)), "NbdZeroLengthError")
      ], { discard: true })),
    check("nothing over 64 MiB is asked for", [], (connected) =>
      expectTag(
        "read",
        connected.read(0n, 67_108_864 + connected.export.minimumBlockSize),
        connected.export.size > 67_108_864n + BigInt(connected.export.minimumBlockSize)
          ? "NbdRequestTooLargeError"
          : "NbdOutOfBoundsError"
      ))
  ]
}
