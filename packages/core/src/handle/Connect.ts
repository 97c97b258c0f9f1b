/**
 * Connecting: opens the transport, reads the greeting and, outside opt mode, haggles its way into the export.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { printable } from "../errors/Printed.ts"
import { FrameReader } from "../framing/FrameReader.ts"
import { checkNames, type Settings } from "../HandleConfig.ts"
import type { StateError } from "../HandleError.ts"
import { abort, sendAbort } from "../handshake/Abort.ts"
import { type ConnectError, isFatal, isOpenError, isRetriable } from "../handshake/ConnectError.ts"
import { ConnectInterruptedError, HandshakeTimeoutError } from "../handshake/HandshakeError.ts"
import type { TlsSettings } from "../Tls.ts"
import { Transport } from "../Transport.ts"
import type { OpenError } from "../TransportError.ts"
import { size } from "../wire/Greeting.ts"
import { connectHandshake } from "./ConnectHandshake.ts"
import { type Established, guard, type HandleCell } from "./HandleCell.ts"
import type { HandleContext } from "./HandleContext.ts"
import { closeTransmission, die, shutDownEarly } from "./HandleEnd.ts"

/**
 * Admits the connect, moves the handle to `Connecting`, and starts a fiber in the handle's scope that does the rest: the
 * end of the scope ends it, also where callers wait for it.
 *
 * @since 0.1.0
 * @category transitions
 */
export const begin = <Op extends "connect" | "startConnect">(
  { cell, configuration, scope }: HandleContext,
  operation: Op
): Effect.Effect<Fiber.Fiber<Established, ConnectError>, StateError<Op>, Transport> =>
  Effect.flatMap(Transport, (transport) =>
    Effect.uninterruptible(
      Effect.flatMap(guard(cell, operation), () => {
        cell.transport = transport
        const { target } = transport
        cell.move({ _tag: "Connecting", state: printable({ _tag: "Connecting", target }) })
        const established = establish(cell, configuration.current, scope, transport).pipe(
          Effect.tapBoth({
            onFailure: (error) => Effect.logDebug(`not connected: ${error.message}`),
            onSuccess: ({ _tag }) => Effect.logDebug(_tag === "Connected" ? "connected" : "negotiating")
          }),
          Effect.annotateLogs("nbd.target", target),
          Effect.withSpan("nbd.connect", { kind: "client", attributes: { "nbd.target": target } })
        )
        // The state tells of the failure, and so do the callers that joined: it is not unhandled.
        return Effect.withUnhandledErrorLogLevel(Effect.forkIn(established, scope), Option.none())
      })
    ))

/**
 * Connects, in the fiber of `begin`, and waits for it; an interruption is passed on.
 *
 * @since 0.1.0
 * @category transitions
 */
export const connect = (
  handle: HandleContext
): Effect.Effect<Established, StateError<"connect"> | ConnectError, Transport> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      begin(handle, "connect"),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interrupt(fiber))
    )
  )

const establish = (
  cell: HandleCell,
  settings: Settings,
  handleScope: Scope.Scope,
  transport: Transport["Type"]
): Effect.Effect<Established, ConnectError> =>
  // Only the two waits can be interrupted, and behind each stands what sets the state right: an interruption that comes
  // before the fiber has run at all must not leave the handle connecting for ever.
  Effect.uninterruptible(
    Effect.gen(function*() {
      const exportName = settings.exportName ?? transport.exportName ?? ""
      const scope = yield* Scope.fork(handleScope, ExecutionStrategy.sequential)
      const fault = checkNames(exportName, settings.metaContexts.map(({ name }) => name))
      const checked = fault === undefined ? Effect.void : Effect.fail(fault)
      const opening = Effect.zipRight(checked, Scope.extend(transport.open, scope))
      const connection = yield* Effect.interruptible(opening).pipe(
        Effect.onError((cause) =>
          Effect.zipRight(
            Effect.sync(() => notOpened(cell, Option.getOrUndefined(Cause.failureOption(cause)))),
            Scope.close(scope, Exit.failCause(cause))
          )
        )
      )
      const reader = new FrameReader(connection, cell.traffic)
      const closeTimeout = settings.closeTimeout ?? transport.closeTimeout ?? "1 second"
      yield* Scope.addFinalizer(scope, leaveInOrder(cell, reader, closeTimeout))
      const tls = settings.tls ?? transport.tls ?? plaintext
      const patience = Duration.min(
        settings.greetingTimeout ?? transport.greetingTimeout ?? settings.handshakeTimeout,
        settings.handshakeTimeout
      )
      const handshake = connectHandshake(cell, settings, { scope, reader, exportName, tls, patience }).pipe(
        Effect.timeoutFail({
          duration: settings.handshakeTimeout,
          onTimeout: () =>
            new HandshakeTimeoutError({
              peer: connection.peer,
              timeout: settings.handshakeTimeout,
              received: reader.received
            })
        }),
        Effect.tapError((error) => canBeLeftInOrder(error) ? abort(reader) : Effect.void)
      )
      return yield* Effect.interruptible(handshake).pipe(
        Effect.onError((cause) =>
          Effect.zipRight(
            Effect.sync(() => notAgreed(cell, reader, Option.getOrUndefined(Cause.failureOption(cause)))),
            Scope.close(scope, Exit.failCause(cause))
          )
        )
      )
    })
  )

const plaintext: TlsSettings = { mode: "Disable" }

/** A refusal is answered by leaving in order (C-029); after a fault, or without haggling, there is no one to tell. */
const canBeLeftInOrder = (error: ConnectError): boolean => {
  switch (error._tag) {
    case "NbdTlsUnavailableError":
      return error.why === "Refused"
    case "NbdMetaContextNotGrantedError":
      return error.why !== "NoOptions"
    case "NbdOptionUnavailableError":
      return false
    default:
      return !isFatal(error)
  }
}

/** Nothing was opened, so nothing is lost: the handle may connect again, unless libnbd calls this failure final. */
const notOpened = (cell: HandleCell, error: ConnectError | undefined): void => {
  if (cell.current._tag !== "Connecting") return
  const back = (lastFailure: Option.Option<OpenError>) =>
    cell.move({ _tag: "Created", state: printable({ _tag: "Created", lastFailure }) })
  if (error === undefined || !isFatal(error)) return back(Option.none())
  return isOpenError(error) && isRetriable(error) ? back(Option.some(error)) : die(cell, error)
}

const notAgreed = (cell: HandleCell, reader: FrameReader, error: ConnectError | undefined): void => {
  if (cell.current._tag !== "Connecting") return
  const phase = reader.received < size.start + size.newstyleRest ? "greeting" : "haggling"
  die(cell, error ?? new ConnectInterruptedError({ phase }))
}

/** The last word on a connection whose scope closes: goodbye where the protocol has one, and no one is left waiting. */
const leaveInOrder = (
  cell: HandleCell,
  reader: FrameReader,
  closeTimeout: Duration.DurationInput
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const live = cell.current
    if (live._tag === "Connected" || live._tag === "ShutDown") {
      return live.transmission === undefined ? Effect.void : closeTransmission(cell, live.transmission, closeTimeout)
    }
    shutDownEarly(cell, "Client")
    // While an option waits for its answer no other may be sent (C-020), and the connection can only be dropped.
    return live._tag === "Negotiating" && live.state.agreed.protocol === "newstyle-fixed" && !live.channel.underWay
      ? sendAbort(reader)
      : Effect.void
  })

/**
 * The end of a handle's scope: it is shut down, in any state.
 *
 * @since 0.1.0
 * @category transitions
 */
export const close = (cell: HandleCell): Effect.Effect<void> =>
  Effect.sync(() => {
    shutDownEarly(cell, "Client")
    cell.end()
  })
