/**
 * Carries requests out on an export.
 *
 * It takes requests that were checked. What a device does wrong, a thrown exception or an interruption among
 * it, is an error of that request alone.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Failure } from "../Decider.ts"
import type { ServedExport } from "../ServedExport.ts"
import type { Request } from "../ServerRequest.ts"

/**
 * Does what the request asks, and makes it durable where it asks for that too (S-071). READ and BLOCK_STATUS are not
 * carried out here but when their reply is made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const carryOut = (
  target: ServedExport,
  request: Request,
  payload: Uint8Array
): Effect.Effect<void, Failure> => safely(Effect.suspend(() => change(target, request, payload)))

const change = (target: ServedExport, request: Request, payload: Uint8Array): Effect.Effect<void, Failure> => {
  const { command, flags, length, offset } = request
  const fua = (flags & CommandFlags.FUA) !== 0
  switch (command) {
    case commandCode.WRITE:
      return target.write(offset, payload, fua)
    case commandCode.FLUSH:
      return target.flush
    case commandCode.TRIM:
      return target.trim(offset, length, fua)
    case commandCode.CACHE:
      return target.cache(offset, length)
    case commandCode.WRITE_ZEROES:
      return target.writeZeroes(
        offset,
        length,
        { noHole: (flags & CommandFlags.NO_HOLE) !== 0, fastZero: (flags & CommandFlags.FAST_ZERO) !== 0 },
        fua
      )
    default:
      return Effect.void
  }
}

/**
 * Makes an error of what a device or a context does wrong: a defect is logged, and told as EIO; so is an interruption,
 * unless it is the session that is interrupted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const safely = <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A, Failure> =>
  // A fiber that is interrupted itself does not get here.
  Effect.catchAllCause(effect, (cause) =>
    Either.match(Cause.failureOrCause(cause), {
      onLeft: (failure) => Effect.fail(failure),
      onRight: (fault) =>
        Effect.zipRight(
          Effect.logError("a device of the server died", fault),
          Effect.fail<Failure>({ errno: "EIO", message: "the device died" })
        )
    }))
