/**
 * From a request to its outcome: the one way that every command of a handle takes.
 *
 * A concern that is about all commands is a function from dispatch to dispatch, and is chosen when the handle is made:
 * where nothing is chosen, nothing stands between a method and the connection.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Commands from "../Commands.ts"
import type { Refusal } from "../HandleError.ts"
import type { Request } from "../Request.ts"
import type { CommandFailure, CommandFlagsError } from "../transmission/CommandError.ts"
import type { ContextStatus } from "../transmission/ContextStatus.ts"
import { DividedCommand, longestRequest } from "../transmission/Division.ts"
import type { PendingCommand } from "../transmission/InFlight.ts"
import type { Lent } from "../transmission/LentMemory.ts"
import { type CommandRefusal, prepare } from "../transmission/Preparation.ts"
import type { Strictness } from "../transmission/Strictness.ts"
import { Transmission } from "../transmission/Transmission.ts"
import { WaitingFiber } from "../transmission/WaitingFiber.ts"

/** What each kind of request comes to, apart from the refusals of the handle's states. */
interface Outcomes {
  readonly Read: Effect.Effect<Commands.Bytes, Commands.ReadError>
  readonly ReadInto: Effect.Effect<void, Commands.ReadError>
  readonly ReadBorrowed: Effect.Effect<Lent, Commands.ReadError>
  readonly ReadStructured: Effect.Effect<Commands.StructuredRead, Commands.StructuredReadError>
  readonly Write: Effect.Effect<void, Commands.WriteError>
  readonly Flush: Effect.Effect<void, Commands.FlushError>
  readonly Trim: Effect.Effect<void, Commands.WriteError>
  readonly Cache: Effect.Effect<void, Commands.CacheError>
  readonly WriteZeroes: Effect.Effect<void, Commands.WriteError>
  readonly BlockStatus: Effect.Effect<ReadonlyArray<ContextStatus>, Commands.BlockStatusError>
  readonly Command: Effect.Effect<void, CommandFlagsError | CommandFailure>
}

/**
 * What a request gives when it succeeds.
 *
 * @since 0.1.0
 * @category models
 */
export type Success<Asked extends Request> = Effect.Effect.Success<Outcomes[Asked["_tag"]]>

/**
 * What a request can fail with, apart from the refusals of the handle's states.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure<Asked extends Request> = Effect.Effect.Error<Outcomes[Asked["_tag"]]>

/**
 * Carries out requests, with the refusals `R` of the handle or view they are made to.
 *
 * @since 0.1.0
 * @category models
 */
export type Dispatch<R> = <Asked extends Request>(request: Asked) => Effect.Effect<Success<Asked>, R | Failure<Asked>>

/**
 * Carries out requests on the connection, behind a guard that gives the transmission or the refusal. The guard is called
 * in the same step in which the command is registered, and again for a command that the connection's end caught still
 * waiting for its turn. The checks that are switched on may change from one request to the next.
 *
 * One `Effect.async` a request, over the engine's table of pending replies: the cheapest way there is from a callback to
 * a fiber.
 *
 * @since 0.1.0
 * @category constructors
 */
export const dispatchOver = <R extends Refusal>(
  admit: (request: Request) => Transmission | R,
  settings: { readonly strictness: Strictness }
): Dispatch<R> => {
  const dispatch = (request: Request): Effect.Effect<unknown, R | CommandRefusal | CommandFailure> =>
    Effect.withFiberRuntime<unknown, R | CommandRefusal | CommandFailure>((fiber, { runtimeFlags }) =>
      Effect.async((resume) => {
        const transmission = admit(request)
        if (!(transmission instanceof Transmission)) return resume(Effect.fail(transmission))
        const { strictness } = settings
        const { export: target } = transmission
        const command = prepare(target, strictness, request)
        if ("_tag" in command) return resume(Effect.fail(command))
        const caller = new WaitingFiber(fiber, runtimeFlags, resume, resultOf, refuseUnsent)
        if (command.length > target.maximumPayload && strictness.payload) {
          const longest = longestRequest(target, command)
          if (command.length > longest) {
            const divided = new DividedCommand(transmission, command, longest, caller)
            return Effect.sync(() => divided.abandon())
          }
        }
        const pending = transmission.submit(command, caller)
        // One that was sent is left where it is: see WaitingFiber.
        return pending.isUnsent ? Effect.sync(() => transmission.abandon(pending)) : undefined
      })
    )

  const refuseUnsent = (request: Request): Effect.Effect<never, R> => {
    const refusal = admit(request)
    // The connection tells the handle of its end before it gives up what was waiting.
    return refusal instanceof Transmission
      ? Effect.dieMessage(`${request._tag} was given up by a connection that is still open`)
      : Effect.fail(refusal)
  }

  // For each tag `resultOf` gives what `Outcomes` says, and `prepare` refuses for no other reasons than it lists.
  return dispatch as Dispatch<R>
}

/** What the reply has brought. */
const resultOf = (pending: PendingCommand): Success<Request> => {
  switch (pending.command.request._tag) {
    case "Read":
      return received(pending)
    case "ReadBorrowed":
      return lent(pending)
    case "ReadStructured":
      return { bytes: received(pending), pieces: pending.pieces ?? [] }
    case "BlockStatus":
      return statusOf(pending)
    default:
      return undefined
  }
}

// A read that was sent has its destination; only an abandoned one has lost it, and its result is not asked for.
// It is memory that ReadMemory has made: both requests bring none of their own.
const received = (pending: PendingCommand): Commands.Bytes =>
  (pending.destination ?? new Uint8Array(0)) as Commands.Bytes

const nothingLent: Lent = { bytes: new Uint8Array(0), isShared: false, giveBack: () => {} }

// As with `received`: one that was sent has it.
const lent = (pending: PendingCommand): Lent => pending.lent ?? nothingLent

/** In the order in which the caller wants them; a context that it names twice comes twice. */
const statusOf = ({ command: { detail }, status }: PendingCommand): ReadonlyArray<ContextStatus> =>
  detail?._tag === "Status" ? detail.wanted.flatMap(({ id }) => status?.get(id) ?? []) : []
