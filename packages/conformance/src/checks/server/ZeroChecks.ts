/**
 * NBD_CMD_WRITE_ZEROES that is longer than some servers can carry out.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import * as Effect from "effect/Effect"
import { type Check, expectBytes, pattern, type Target } from "../Check.ts"
import { ask, content } from "./Asking.ts"
import { expectDone } from "./Judge.ts"
import { check, enter, needs, skip } from "./Talk.ts"

/** Some servers write at most this many zeroes for one request, and report success for a longer one. */
const mistaken = 67_108_864

/**
 * @since 0.1.0
 * @category constructors
 */
export const zeroChecks = (target: Target): ReadonlyArray<Check> => [
  check(
    "zeroes of more than 64 MiB are written to their end, or refused",
    ["S-088"],
    Effect.gen(function*() {
      const talk = yield* enter(target)
      yield* needs(talk, "SEND_WRITE_ZEROES", "writable")
      // A multiple of every minimum block size.
      const length = mistaken + 131_072
      if (talk.size < length) {
        return yield* skip(`the export has ${talk.size} bytes, and this takes ${length}`)
      }
      const places = [0, mistaken - talk.block, mistaken, length - talk.block]
      for (const flags of [0, CommandFlags.NO_HOLE]) {
        for (const place of places) {
          const payload = pattern(BigInt(place), talk.block, 95)
          yield* expectDone("WRITE", yield* ask(talk, "WRITE", { offset: place, payload }))
        }
        const what = `WRITE_ZEROES of ${length} bytes`
        const zeroes = yield* ask(talk, "WRITE_ZEROES", { length, flags })
        yield* expectDone(what, zeroes, "EINVAL", "EOVERFLOW")
        if (zeroes.error !== 0) return yield* skip(`${what} is refused`)
        for (const place of places) {
          const data = yield* content(talk, { offset: place, length: talk.block })
          yield* expectBytes(`zeroes at ${place}`, data, new Uint8Array(talk.block))
        }
      }
    })
  )
]
