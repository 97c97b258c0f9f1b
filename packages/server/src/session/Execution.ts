/**
 * Carries requests out on an export.
 *
 * It takes requests that were checked. What a disk of functions does wrong, a thrown exception or an interruption among
 * it, is an error of that request alone.
 *
 * @since 0.1.0
 */
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { DiskError } from "../Disk.ts"
import type { ServedExport } from "../ServedExport.ts"
import type { Failure } from "../Steering.ts"
import type { Request } from "./Request.ts"

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
): Effect.Effect<void, Failure> => {
  const changed = Effect.suspend(() => change(target, request, payload))
  return safely((request.flags & CommandFlags.FUA) === 0 ? changed : Effect.zipRight(changed, target.flush))
}

const change = (target: ServedExport, request: Request, payload: Uint8Array): Effect.Effect<void, DiskError> => {
  const { command, flags, length, offset } = request
  switch (command) {
    case commandCode.WRITE:
      return target.write(offset, payload)
    case commandCode.FLUSH:
      return target.flush
    case commandCode.TRIM:
      return target.trim(offset, length)
    case commandCode.CACHE:
      return target.cache(offset, length)
    case commandCode.WRITE_ZEROES:
      return target.writeZeroes(offset, length, {
        noHole: (flags & CommandFlags.NO_HOLE) !== 0,
        fastZero: (flags & CommandFlags.FAST_ZERO) !== 0
      })
    default:
      return Effect.void
  }
}

/**
 * Turns the errors of a disk into what its client is told. A defect is logged, and told as EIO; so is an interruption,
 * unless it is the session that is interrupted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const safely = <A>(effect: Effect.Effect<A, DiskError>): Effect.Effect<A, Failure> =>
  effect.pipe(
    // A fiber that is interrupted itself does not get here.
    Effect.catchAllCause((cause) =>
      Either.match(Cause.failureOrCause(cause), {
        onLeft: (error) => error,
        onRight: (fault) =>
          Effect.zipRight(
            Effect.logError("a disk of the fake server died", fault),
            new DiskError({ errno: "EIO", reason: "the disk died" })
          )
      })
    ),
    Effect.mapError(({ errno, offset, reason = "" }): Failure =>
      offset === undefined ? { errno, message: reason } : { errno, message: reason, offset }
    )
  )
