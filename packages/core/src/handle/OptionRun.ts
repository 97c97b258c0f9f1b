/**
 * One option in the caller's hands: whose turn it is, how long it may take, and what its end does to the handle.
 *
 * An option that was sent runs to its end in the connection's scope, even when its caller is interrupted, since the
 * reply that would otherwise come unasked-for would be taken for the next option's. Options wait for each other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { printable } from "../errors/Printed.ts"
import type { Settings } from "../HandleConfig.ts"
import type { StateError } from "../HandleError.ts"
import type { Ender, Negotiating, Operation, PermittedTag } from "../HandleState.ts"
import * as Abort from "../handshake/Abort.ts"
import { type ConnectError, isFatal } from "../handshake/ConnectError.ts"
import { type HagglingFault, HandshakeTimeoutError, OptionUnavailableError } from "../handshake/HandshakeError.ts"
import { optionName } from "../wire/NbdOption.ts"
import { replyType } from "../wire/OptionReply.ts"
import { type Admitted, guard } from "./HandleCell.ts"
import type { HandleContext } from "./HandleContext.ts"
import { die, hungUp, shutDownEarly } from "./HandleEnd.ts"

/**
 * What ends the connection in the middle of an option.
 *
 * @since 0.1.0
 * @category errors
 */
export type OptionFault = HagglingFault | HandshakeTimeoutError

/**
 * Operations that send an option: those that the table of states allows while negotiating, and never else.
 *
 * @since 0.1.0
 * @category models
 */
export type OptionOperation = {
  readonly [Op in Operation]: [PermittedTag<Op>] extends ["Negotiating"] ? Op : never
}[Operation]

/**
 * @since 0.1.0
 * @category models
 */
export type Haggling = Admitted<OptionOperation>

/**
 * Runs an option when its turn comes: against the clock, and with the settings of that moment. A fault kills the handle,
 * a refusal does not, and a server that is shutting down is left in order (C-037, H-051).
 *
 * @since 0.1.0
 * @category haggling
 */
export const runOption = <A, E extends ConnectError>(
  handle: HandleContext,
  operation: OptionOperation,
  option: (live: Haggling, settings: Settings) => Effect.Effect<A, E>
): Effect.Effect<A, StateError<OptionOperation> | E | HandshakeTimeoutError> =>
  inTurn(handle, operation, (live) => {
    const settings = handle.configuration.current
    return bounded(handle, settings, live, option(live, settings))
  })

/**
 * An option against the clock, and what its failure does to the handle.
 *
 * @since 0.1.0
 * @category haggling
 */
export const bounded = <A, E extends ConnectError>(
  handle: HandleContext,
  settings: Settings,
  live: Haggling,
  option: Effect.Effect<A, E>
): Effect.Effect<A, E | HandshakeTimeoutError> =>
  option.pipe(
    Effect.timeoutFail({
      duration: settings.handshakeTimeout,
      onTimeout: () =>
        new HandshakeTimeoutError({
          peer: live.channel.reader.connection.peer,
          timeout: settings.handshakeTimeout,
          received: live.channel.reader.received
        })
    }),
    Effect.tapError((error: ConnectError) => {
      if (error._tag === "NbdOptionRefusedError" && error.replyType === replyType.ERR_SHUTDOWN) {
        return leave(handle, live, "Server")
      }
      if (!isFatal(error)) return Effect.void
      return Effect.sync(() => {
        die(handle.cell, error)
        live.channel.reader.connection.close()
      })
    })
  )

/**
 * Waits for the options before it, asks the guard again, and runs in the connection's scope from there on. An
 * interruption while waiting sends nothing; a later one leaves the option running.
 *
 * @since 0.1.0
 * @category haggling
 */
export const inTurn = <A, E>(
  handle: HandleContext,
  operation: OptionOperation,
  option: (live: Haggling) => Effect.Effect<A, E>
): Effect.Effect<A, StateError<OptionOperation> | E> =>
  guard(handle.cell, operation).pipe(
    Effect.flatMap(({ channel: { scope, turns } }) => {
      const once = guard(handle.cell, operation).pipe(
        Effect.flatMap((live) => whileUnderWay(handle, live, option(live))),
        Effect.interruptible
      )
      return Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const turn = turns.enter()
          const leave = Effect.sync(turn.leave)
          return restore(turn.comes).pipe(
            Effect.onError(() => leave),
            Effect.zipRight(Effect.forkIn(Effect.ensuring(once, leave), scope)),
            Effect.flatMap((fiber) => restore(Fiber.join(fiber)))
          )
        })
      )
    })
  )

/** An interrupted option stays under way: its answer is still to come, and only the end of the connection ends it. */
const whileUnderWay = <A, E>(
  handle: HandleContext,
  { channel }: Haggling,
  option: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    channel.underWay = true
    return option
  }).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isInterrupted(exit)) return
        channel.underWay = false
        hungUp(handle.cell, channel)
      })
    )
  )

/**
 * Ends haggling in order.
 *
 * @since 0.1.0
 * @category transitions
 */
export const leave = (
  handle: HandleContext,
  { channel: { reader }, state: { agreed } }: Haggling,
  by: Ender
): Effect.Effect<void> =>
  Effect.suspend(() => {
    shutDownEarly(handle.cell, by)
    // Only fixed newstyle knows the option; the others are left by closing.
    return agreed.protocol === "newstyle-fixed" ? Abort.abort(reader) : Effect.void
  }).pipe(Effect.ensuring(Effect.sync(() => reader.connection.close())))

/**
 * Puts what an option has found into the state. Does nothing if the handle has ended since, which only its scope can do.
 *
 * @since 0.1.0
 * @category transitions
 */
export const updateNegotiating = (
  handle: HandleContext,
  found: Partial<Pick<Negotiating, "agreed" | "export" | "contexts">>
): Effect.Effect<void> =>
  Effect.sync(() => {
    const live = handle.cell.current
    if (live._tag !== "Negotiating") return
    const { agreed, contexts, export: known } = live.state
    const state = printable({ ...live.state, ...found })
    // Watchers of the handle are told of what is new, and not of every option.
    if (state.agreed !== agreed || state.contexts !== contexts || state.export !== known) {
      handle.cell.move({ ...live, state })
    }
  })

/**
 * Refuses options to a server that is newstyle but not fixed, and so knows but one.
 *
 * @since 0.1.0
 * @category guards
 */
export const needsFixed = (option: number, { state }: Haggling): Effect.Effect<void, OptionUnavailableError> =>
  refuseIf(
    state.agreed.protocol === "newstyle"
      ? new OptionUnavailableError({ wanted: optionName(option), protocol: "newstyle" })
      : undefined
  )

/**
 * @since 0.1.0
 * @category guards
 */
export const refuseIf = <E>(fault: E | undefined): Effect.Effect<void, E> =>
  fault === undefined ? Effect.void : Effect.fail(fault)
