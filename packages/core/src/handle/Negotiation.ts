/**
 * Haggling in the caller's hands: the options of opt mode.
 *
 * An option that was sent runs to its end in the connection's scope, even when its caller is interrupted, since the
 * reply that would otherwise come unasked-for would be taken for the next option's. Options wait for each other.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { Export } from "../Export.ts"
import type { Settings } from "../HandleConfig.ts"
import type { StateError } from "../HandleError.ts"
import * as Abort from "../handshake/Abort.ts"
import type { Agreed } from "../handshake/Agreed.ts"
import { type ConnectError, isFatal } from "../handshake/ConnectError.ts"
import { checkExportName } from "../handshake/ExportName.ts"
import { refused } from "../handshake/Haggling.ts"
import {
  type ExportNameInvalidError,
  type ExportRefusal,
  type ExportRefusedError,
  type HagglingFault,
  HandshakeTimeoutError,
  type OptionRefusal,
  OptionUnavailableError
} from "../handshake/HandshakeError.ts"
import * as InfoAndGo from "../handshake/InfoAndGo.ts"
import * as List from "../handshake/List.ts"
import * as StartTls from "../handshake/StartTls.ts"
import type { TlsSettings } from "../Tls.ts"
import { TlsAlreadyStartedError, type TlsCredentialsError, type TlsUnavailableError } from "../TlsError.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { replyType } from "../wire/OptionReply.ts"
import { die, enterTransmission, hungUp, shutDownEarly } from "./Enter.ts"
import { type Admitted, type Established, guard, type HandleCell } from "./HandleCell.ts"

/**
 * What ends the connection in the middle of an option.
 *
 * @since 0.1.0
 * @category errors
 */
export type OptionFault = HagglingFault | HandshakeTimeoutError

/**
 * @since 0.1.0
 * @category errors
 */
export type GoError = ExportRefusal | ExportRefusedError | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type InfoError = ExportRefusal | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type ListError = OptionRefusal | OptionFault

/**
 * The refusals leave the handle negotiating, in plaintext or in the TLS that is up; the others end it.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartTlsError =
  | OptionRefusal
  | TlsAlreadyStartedError
  | TlsUnavailableError
  | TlsCredentialsError
  | StartTls.UpgradeFault
  | HandshakeTimeoutError

/** Operations that send an option: all of them on the same row of the table. */
type OptionOperation = "go" | "info" | "list" | "startTls" | "abort"

type Haggling = Admitted<OptionOperation>

/**
 * Enters an export; a refusal leaves the handle negotiating.
 *
 * @since 0.1.0
 * @category haggling
 */
export const go = (
  cell: HandleCell,
  settings: Settings,
  exportName: string | undefined
): Effect.Effect<Extract<Established, { readonly _tag: "Connected" }>, StateError<"go"> | GoError> =>
  named(cell, "go", exportName, (live, exportName) =>
    bounded(
      cell,
      settings,
      live,
      InfoAndGo.go(live.channel.reader, live.state.agreed, exportName, settings.wanted).pipe(
        Effect.flatMap((facts) => {
          const connected = enterTransmission(cell, live.channel.reader, settings, live.state.agreed, facts)
          // Only the end of its scope can have ended the handle in the middle of an option.
          return connected === undefined
            ? Effect.interrupt
            : Effect.succeed(connected)
        })
      )
    ))

/**
 * Asks about an export, and stays negotiating.
 *
 * @since 0.1.0
 * @category haggling
 */
export const info = (
  cell: HandleCell,
  settings: Settings,
  exportName: string | undefined
): Effect.Effect<Export, StateError<"info"> | InfoError> =>
  named(cell, "info", exportName, (live, exportName) =>
    bounded(
      cell,
      settings,
      live,
      needsFixed("NBD_OPT_INFO", live).pipe(
        Effect.zipRight(Effect.sync(() => learn(cell, Option.none()))),
        Effect.zipRight(InfoAndGo.info(live.channel.reader, live.state.agreed, exportName, settings.wanted)),
        Effect.map((facts) => new Export(facts)),
        Effect.tap((known) => Effect.sync(() => learn(cell, Option.some(known))))
      )
    ))

/**
 * Asks for the exports the server shows.
 *
 * @since 0.1.0
 * @category haggling
 */
export const list = (
  cell: HandleCell,
  settings: Settings
): Effect.Effect<ReadonlyArray<List.ListedExport>, StateError<"list"> | ListError> =>
  inTurn(
    cell,
    "list",
    (live) =>
      bounded(
        cell,
        settings,
        live,
        needsFixed("NBD_OPT_LIST", live).pipe(Effect.zipRight(List.list(live.channel.reader)))
      )
  )

/**
 * Encrypts the connection; whatever was agreed on or learned before is forgotten, and has to be asked again (C-078).
 *
 * @since 0.1.0
 * @category haggling
 */
export const startTls = (
  cell: HandleCell,
  settings: Settings,
  tls: Omit<TlsSettings, "mode"> | undefined
): Effect.Effect<void, StateError<"startTls"> | StartTlsError> =>
  inTurn(cell, "startTls", (live) =>
    Effect.gen(function*() {
      const { reader, tls: usual } = live.channel
      yield* needsFixed("NBD_OPT_STARTTLS", live)
      const { peer } = reader.connection
      if (live.state.agreed.tls) return yield* new TlsAlreadyStartedError({ peer })
      // Up to here nothing was sent, and whatever is wrong leaves the handle as it was.
      const upgrade = yield* StartTls.prepare(reader.connection, { ...usual, ...tls })
      yield* bounded(
        cell,
        settings,
        live,
        Effect.flatMap(
          StartTls.startTls(reader, upgrade),
          (refusal) => refusal === undefined ? Effect.void : Effect.fail(refused(optionCode.STARTTLS, refusal))
        )
      )
      forget(cell)
    }))

const forget = (cell: HandleCell): void => {
  const live = cell.current
  if (live._tag !== "Negotiating") return
  const agreed: Agreed = { ...live.state.agreed, replyStyle: "Simple", tls: true }
  cell.move({ ...live, state: { ...live.state, agreed, export: Option.none() } })
}

/**
 * Leaves in order.
 *
 * @since 0.1.0
 * @category haggling
 */
export const abort = (cell: HandleCell): Effect.Effect<void, StateError<"abort">> => inTurn(cell, "abort", leave(cell))

const leave = (cell: HandleCell) => ({ channel: { reader }, state: { agreed } }: Haggling): Effect.Effect<void> =>
  Effect.suspend(() => {
    shutDownEarly(cell)
    // Only fixed newstyle knows the option; the others are left by closing.
    return agreed.protocol === "newstyle-fixed" ? Abort.abort(reader) : Effect.void
  }).pipe(Effect.ensuring(Effect.sync(() => reader.connection.close())))

const needsFixed = (wanted: string, { state }: Haggling): Effect.Effect<void, OptionUnavailableError> =>
  state.agreed.protocol === "newstyle"
    ? Effect.fail(new OptionUnavailableError({ wanted, protocol: "newstyle" }))
    : Effect.void

/** What an earlier `info` told does not hold any more once a new one is asked. */
const learn = (cell: HandleCell, known: Option.Option<Export>): void => {
  const live = cell.current
  if (live._tag === "Negotiating") cell.move({ ...live, state: { ...live.state, export: known } })
}

/**
 * An option against the clock, and what its failure does to the handle: a fault kills it, a refusal does not, and a
 * server that is shutting down is left in order (C-037, H-051).
 */
const bounded = <A, E extends ConnectError>(
  cell: HandleCell,
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
      if (error._tag === "NbdOptionRefusedError" && error.replyType === replyType.ERR_SHUTDOWN) return leave(cell)(live)
      if (!isFatal(error)) return Effect.void
      return Effect.sync(() => {
        die(cell, error)
        live.channel.reader.connection.close()
      })
    })
  )

const named = <A, E>(
  cell: HandleCell,
  operation: "go" | "info",
  exportName: string | undefined,
  option: (live: Haggling, exportName: string) => Effect.Effect<A, E>
): Effect.Effect<A, StateError<OptionOperation> | ExportNameInvalidError | E> =>
  guard(cell, operation).pipe(
    Effect.map(({ channel }) => exportName ?? channel.exportName),
    Effect.tap(checkExportName),
    Effect.flatMap((name) => inTurn(cell, operation, (live) => option(live, name)))
  )

/**
 * Waits for the options before it, asks the guard again, and runs in the connection's scope from there on. An
 * interruption while waiting sends nothing; a later one leaves the option running.
 */
const inTurn = <A, E>(
  cell: HandleCell,
  operation: OptionOperation,
  option: (live: Haggling) => Effect.Effect<A, E>
): Effect.Effect<A, StateError<OptionOperation> | E> =>
  guard(cell, operation).pipe(
    Effect.flatMap(({ channel: { scope, turn } }) => {
      const once = guard(cell, operation).pipe(
        Effect.flatMap((live) => whileUnderWay(cell, live, option(live))),
        Effect.interruptible
      )
      return Effect.uninterruptibleMask((restore) =>
        restore(turn.take(1)).pipe(
          Effect.zipRight(Effect.forkIn(Effect.ensuring(once, turn.release(1)), scope)),
          Effect.flatMap((fiber) => restore(Fiber.join(fiber)))
        )
      )
    })
  )

/** An interrupted option stays under way: its answer is still to come, and only the end of the connection ends it. */
const whileUnderWay = <A, E>(
  cell: HandleCell,
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
        hungUp(cell, channel)
      })
    )
  )
