/**
 * Requests that a server has to refuse, or to bear: what they are answered with, and that the stream stays framed.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import * as Effect from "effect/Effect"
import type { RawCommand, RawRequest } from "../../RawClient.ts"
import { type Check, expectBytes, expectKept, pattern, type Target } from "../Check.ts"
import { ask, breach, content, probe, tell } from "./Asking.ts"
import { about, expectDone, expectError, expectFailure } from "./Judge.ts"
import { check, enter, type FlagName, has, needs, skip, type Talk, unlessSkipped } from "./Talk.ts"

/** Commands that an export may offer, and by which flag. */
const optional: ReadonlyArray<readonly [command: RawCommand, offeredBy: FlagName]> = [
  ["FLUSH", "SEND_FLUSH"],
  ["TRIM", "SEND_TRIM"],
  ["CACHE", "SEND_CACHE"],
  ["WRITE_ZEROES", "SEND_WRITE_ZEROES"]
]

const ranged = optional.filter(([command]) => command !== "FLUSH")

const isWrite = (command: RawCommand): boolean => command === "TRIM" || command === "WRITE_ZEROES"

const wholeRange = (talk: Talk): RawRequest => ({ offset: 0n, length: talk.block })

/**
 * @since 0.1.0
 * @category constructors
 */
export const requestChecks = (target: Target): ReadonlyArray<Check> => {
  /** Both styles, since a server may lose the thread in one of them alone. */
  const inStyles = (
    name: string,
    rules: Check["rules"],
    body: (talk: Talk) => Effect.Effect<void, unknown>,
    room: "nothing" | "block" = "block"
  ) =>
    check(
      name,
      rules,
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.flatMap(enter(target, { room }), body))
        yield* unlessSkipped(Effect.scoped(Effect.flatMap(enter(target, { room, style: "structured" }), body)))
      })
    )

  return [
    inStyles(
      "an unknown command is EINVAL, and the next request is answered",
      ["S-085"],
      (talk) =>
        Effect.gen(function*() {
          for (const length of [0, 4096]) {
            yield* expectError("command 0x7777", yield* breach(talk, 0x7777, { length }), "EINVAL")
            yield* probe(talk)
          }
        }),
      "nothing"
    ),
    inStyles(
      "unknown flags are EINVAL, and a payload behind them is taken",
      ["S-085"],
      (talk) =>
        Effect.gen(function*() {
          const flags = 0x8000
          yield* expectError("READ", yield* breach(talk, "READ", { ...wholeRange(talk), flags }), "EINVAL")
          const write = yield* breach(talk, "WRITE", { payload: pattern(0n, talk.block, 51), flags })
          yield* expectError("WRITE", write, "EINVAL", "EPERM")
          yield* probe(talk)
        })
    ),
    inStyles("flags of other commands are EINVAL", ["S-085"], (talk) =>
      Effect.gen(function*() {
        const request = { ...wholeRange(talk), flags: CommandFlags.NO_HOLE }
        yield* expectError("READ with NO_HOLE", yield* breach(talk, "READ", request), "EINVAL")
        yield* probe(talk)
      })),
    inStyles(
      "commands that the export does not offer are done all the same, or EINVAL, EPERM or ENOTSUP",
      ["S-085"],
      (talk) =>
        Effect.gen(function*() {
          const missing = optional.filter(([, flag]) => !has(talk, flag))
          if (missing.length === 0) return yield* skip("the export offers every command")
          for (const [command] of missing) {
            const range = command === "FLUSH" ? {} : wholeRange(talk)
            // A server that knows one without offering it may carry it out.
            const outcome = yield* breach(talk, command, range)
            yield* expectDone(`${command}`, outcome, "EINVAL", "EPERM", "ENOTSUP")
          }
          yield* probe(talk)
        })
    ),
    inStyles("commands that the export offers are carried out", ["S-010"], (talk) =>
      Effect.gen(function*() {
        for (const [command, flag] of optional) {
          if (!has(talk, flag) || isWrite(command) && has(talk, "READ_ONLY")) continue
          const range = command === "FLUSH" ? {} : wholeRange(talk)
          yield* expectDone(`${command}`, yield* ask(talk, command, range))
        }
        if (!has(talk, "SEND_DF")) return
        const whole = { ...wholeRange(talk), flags: CommandFlags.DF }
        yield* expectDone("READ with DF", yield* ask(talk, "READ", whole))
      })),
    inStyles(
      "a read past the end is EINVAL, also where offset and length overflow",
      ["S-055", "S-084"],
      (talk) =>
        Effect.gen(function*() {
          const length = talk.block
          const across = talk.size - BigInt(length) + BigInt(talk.minimum)
          for (const offset of [talk.size, across, 2n ** 64n - BigInt(length)]) {
            if (offset < 0n) continue
            yield* expectError(`READ at ${offset}`, yield* breach(talk, "READ", { offset, length }), "EINVAL")
          }
          yield* probe(talk)
        }),
      "nothing"
    ),
    inStyles("a write past the end is ENOSPC, and its payload is taken", ["S-084"], (talk) =>
      Effect.gen(function*() {
        yield* needs(talk, "writable")
        const payload = pattern(0n, talk.block, 52)
        for (const offset of [talk.size, 2n ** 64n - BigInt(talk.block)]) {
          yield* expectError(`WRITE at ${offset}`, yield* breach(talk, "WRITE", { offset, payload }), "ENOSPC")
        }
        yield* probe(talk)
      }), "nothing"),
    inStyles(
      "a write past the end is refused, its payload taken, and nothing is written",
      ["S-055"],
      (talk) =>
        Effect.gen(function*() {
          yield* needs(talk, "writable")
          const offset = talk.size - talk.size % BigInt(talk.block) - BigInt(talk.block)
          const before = pattern(offset, talk.block, 53)
          yield* expectDone("WRITE inside", yield* ask(talk, "WRITE", { offset, payload: before }))
          const blocks = Math.min(4, Math.floor(talk.maximum / talk.block))
          if (blocks < 2) return yield* skip("no write can be longer than a block")
          const across = { offset, payload: pattern(offset, blocks * talk.block, 54) }
          yield* expectFailure("WRITE across the end", yield* breach(talk, "WRITE", across))
          const data = yield* content(talk, { offset, length: talk.block })
          yield* expectKept("what was there", data, before)
        })
    ),
    inStyles("whatever else has a range is refused past the end", ["S-055", "S-084"], (talk) =>
      Effect.gen(function*() {
        for (const [command, flag] of ranged) {
          if (!has(talk, flag)) continue
          const request = { offset: talk.size, length: talk.block }
          // A request that would change a read-only export may be refused with that error.
          const readOnly = has(talk, "READ_ONLY") ? ["EPERM"] as const : []
          yield* expectError(`${command}`, yield* breach(talk, command, request), "EINVAL", "ENOSPC", ...readOnly)
        }
        yield* probe(talk)
      }), "nothing"),
    inStyles("too long an effect is an error, not an end", ["S-056"], (talk) =>
      Effect.gen(function*() {
        for (const [command, flag] of ranged) {
          if (!has(talk, flag)) continue
          const request = { offset: talk.size - BigInt(talk.block), length: 0xffff_0000 }
          yield* expectFailure(`${command} of nearly 4 GiB`, yield* breach(talk, command, request))
        }
        yield* probe(talk)
      })),
    check(
      "a payload of 32 MiB is no abuse",
      ["S-057"],
      Effect.gen(function*() {
        const talk = yield* enter(target, { room: "nothing" })
        if (talk.maximum < 33_554_432) return yield* skip(`the server takes ${talk.maximum} bytes at most`)
        // Past the end of most exports: it is refused, or written, but taken.
        yield* ask(talk, "WRITE", { offset: 0n, payload: new Uint8Array(33_554_432) })
        yield* probe(talk)
      })
    ),
    inStyles("requests of no bytes do not end the session", ["S-083"], (talk) =>
      Effect.gen(function*() {
        yield* ask(talk, "READ", { length: 0 })
        yield* ask(talk, "WRITE", { payload: new Uint8Array(0) })
        for (const [command, flag] of ranged) {
          if (has(talk, flag)) yield* ask(talk, command, { length: 0 })
        }
        yield* probe(talk)
      }), "nothing"),
    inStyles(
      "misaligned requests are EINVAL, and change nothing",
      ["S-054", "S-055"],
      (talk) =>
        Effect.gen(function*() {
          if (talk.minimum === 1) return yield* skip("every byte is aligned")
          const before = yield* content(talk, wholeRange(talk))
          const payload = pattern(1n, talk.block, 55)
          const read = yield* breach(talk, "READ", { offset: 1n, length: talk.block })
          yield* about("S-055", expectError("READ at 1", read, "EINVAL"))
          const length = talk.block + 1
          const tooLong = length > talk.maximum ? ["EOVERFLOW"] as const : []
          const longer = yield* breach(talk, "READ", { length })
          yield* about("S-055", expectError("READ of a block and a byte", longer, "EINVAL", ...tooLong))
          const write = yield* breach(talk, "WRITE", { offset: 1n, payload })
          yield* about("S-055", expectError("WRITE at 1", write, "EINVAL", "EPERM"))
          const after = yield* content(talk, wholeRange(talk))
          yield* about("S-054", expectBytes("what was there", after, before))
        })
    ),
    check(
      "a client that did not ask for the block sizes gets data or a clean error",
      ["S-032", "S-054"],
      Effect.gen(function*() {
        const { block } = yield* Effect.scoped(enter(target))
        const talk = yield* enter(target, { asksForSizes: false })
        const read = yield* ask(talk, "READ", { offset: 1n, length: 1 })
        yield* about("S-054", expectDone("READ of one byte", read, "EINVAL"))
        yield* about("S-054", expectDone("READ of a block", yield* ask(talk, "READ", { length: block })))
      })
    ),
    inStyles("where FUA is offered, every command takes it", ["S-086"], (talk) =>
      Effect.gen(function*() {
        yield* needs(talk, "SEND_FUA")
        const flags = CommandFlags.FUA
        yield* expectDone("READ", yield* ask(talk, "READ", { ...wholeRange(talk), flags }))
        for (const [command, flag] of optional) {
          if (!has(talk, flag) || isWrite(command) && has(talk, "READ_ONLY")) continue
          const range = command === "FLUSH" ? {} : wholeRange(talk)
          yield* expectDone(`${command}`, yield* ask(talk, command, { ...range, flags }))
        }
        if (has(talk, "READ_ONLY")) return
        const write = { payload: pattern(0n, talk.block, 57), flags }
        yield* expectDone("WRITE", yield* ask(talk, "WRITE", write))
      })),
    check(
      "a prefetch takes no unknown flags, and changes nothing",
      ["S-089"],
      Effect.gen(function*() {
        const talk = yield* enter(target)
        yield* needs(talk, "SEND_CACHE")
        const before = yield* content(talk, wholeRange(talk))
        yield* expectDone("CACHE", yield* ask(talk, "CACHE", wholeRange(talk)))
        yield* expectError(
          "CACHE, flag 0x8000",
          yield* breach(talk, "CACHE", { ...wholeRange(talk), flags: 0x8000 }),
          "EINVAL"
        )
        const after = yield* content(talk, wholeRange(talk))
        yield* expectBytes("what was there", after, before)
      })
    ),
    inStyles(
      "a read-only export fails what would change it, and stays as it was",
      ["S-013"],
      (talk) =>
        Effect.gen(function*() {
          yield* needs(talk, "READ_ONLY")
          const before = yield* content(talk, wholeRange(talk))
          yield* expectFailure("WRITE", yield* ask(talk, "WRITE", { payload: pattern(0n, talk.block, 56) }))
          for (const command of ["TRIM", "WRITE_ZEROES"] as const) {
            yield* expectFailure(command, yield* ask(talk, command, wholeRange(talk)))
          }
          const after = yield* content(talk, wholeRange(talk))
          yield* expectBytes("what was there", after, before)
        })
    ),
    inStyles("writing to a read-only export is EPERM", ["S-084"], (talk) =>
      Effect.gen(function*() {
        yield* needs(talk, "READ_ONLY")
        yield* expectError("WRITE", yield* ask(talk, "WRITE", { payload: pattern(0n, talk.block, 58) }), "EPERM")
      })),
    check(
      "a hundred requests that make no sense do not end the session",
      ["S-094"],
      Effect.gen(function*() {
        const talk = yield* enter(target, { room: "nothing" })
        // A client should not send these requests, but may: they are no breach after which a server may disconnect
        // (S-094). So many are sent at once that even a slow server answers all of them in time.
        for (let round = 0; round < 4; round++) {
          for (let count = 0; count < 25; count++) yield* tell(talk, "READ", { length: 0 })
          for (let count = 0; count < 25; count++) yield* talk.client.simple(0)
        }
        yield* probe(talk)
      })
    )
  ]
}
