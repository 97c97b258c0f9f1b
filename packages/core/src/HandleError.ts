/**
 * One error per state that refuses an operation. A refusal means that nothing was sent.
 *
 * @since 0.1.0
 */
import { TaggedError } from "./errors/TaggedError.ts"
import type { DeathReason, Ender, Operation, PermittedTag, StateTag } from "./HandleState.ts"

/**
 * What every refusal says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly operation: Operation
  /** The states in which the operation is allowed. */
  readonly permitted: ReadonlyArray<StateTag>
}

const inWords = (found: StateTag, { operation, permitted }: Refused): string =>
  `${operation}: the handle is ${found}, it must be ${permitted.join(" or ")}`

/**
 * The handle was created and not connected yet.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotConnectedError extends TaggedError("NbdNotConnectedError")<Refused> {
  override get message(): string {
    return inWords("Created", this)
  }
}

/**
 * The handle is still connecting.
 *
 * @since 0.1.0
 * @category errors
 */
export class StillConnectingError extends TaggedError("NbdStillConnectingError")<Refused> {
  override get message(): string {
    return inWords("Connecting", this)
  }
}

/**
 * The handle is negotiating, and no export has been entered.
 *
 * @since 0.1.0
 * @category errors
 */
export class StillNegotiatingError extends TaggedError("NbdStillNegotiatingError")<Refused> {
  override get message(): string {
    return inWords("Negotiating", this)
  }
}

/**
 * The handle is connected already.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlreadyConnectedError extends TaggedError("NbdAlreadyConnectedError")<Refused> {
  override get message(): string {
    return inWords("Connected", this)
  }
}

/**
 * The handle was shut down, by this side or by the server.
 *
 * @since 0.1.0
 * @category errors
 */
export class ShutDownError extends TaggedError("NbdShutDownError")<Refused & { readonly by: Ender }> {
  override get message(): string {
    const ended = this.by === "Client" ? "this side has shut it down" : "the server has ended the connection"
    return `${inWords("ShutDown", this)}; ${ended}`
  }
}

/**
 * The handle is dead; `reason` is what killed it.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandleDeadError extends TaggedError("NbdHandleDeadError")<Refused & { readonly reason: DeathReason }> {
  override get message(): string {
    return `${inWords("Dead", this)}; it died of: ${this.reason.message}`
  }
}

/**
 * The error of each state. A state without one does not compile.
 *
 * @since 0.1.0
 * @category errors
 */
export interface RefusalByState extends Record<StateTag, Refused> {
  readonly Created: NotConnectedError
  readonly Connecting: StillConnectingError
  readonly Negotiating: StillNegotiatingError
  readonly Connected: AlreadyConnectedError
  readonly ShutDown: ShutDownError
  readonly Dead: HandleDeadError
}

/**
 * Any refusal.
 *
 * @since 0.1.0
 * @category errors
 */
export type Refusal = RefusalByState[StateTag]

/**
 * The refusals of an operation: exactly those of the states that do not permit it.
 *
 * @since 0.1.0
 * @category errors
 */
export type StateError<Op extends Operation> = RefusalByState[Exclude<StateTag, PermittedTag<Op>>]
