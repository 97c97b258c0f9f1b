/**
 * The handshake of a connection that was opened: the greeting, and what is haggled about before or without opt mode.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { printable } from "../errors/Printed.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { contextsToRequest, type Settings } from "../HandleConfig.ts"
import type { Agreed } from "../handshake/Agreed.ts"
import type { ConnectError } from "../handshake/ConnectError.ts"
import { greet, type Greeted } from "../handshake/Greet.ts"
import { OptionUnavailableError } from "../handshake/HandshakeError.ts"
import { flagsOrSetting, type ToldFacts } from "../handshake/InfoAndGo.ts"
import { obtainContexts, setContexts } from "../handshake/MetaContext.ts"
import { bestReplyStyle } from "../handshake/ReplyStyle.ts"
import * as StartTls from "../handshake/StartTls.ts"
import { ProtocolError } from "../ProtocolError.ts"
import { type Channel, Turns } from "./Channel.ts"
import { askToEnter, enterTransmission } from "./EnterExport.ts"
import type { Established, HandleCell } from "./HandleCell.ts"
import { hungUp } from "./HandleEnd.ts"

/**
 * A connection that was opened, and what is wanted of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Opened = Omit<Channel, "turns" | "underWay"> & {
  readonly exportName: string
  /** How long the server may take to say its first byte. */
  readonly patience: Duration.Duration
}

/**
 * Greets and haggles, up to `Connected` or, in opt mode, up to `Negotiating`.
 *
 * @since 0.1.0
 * @category transitions
 */
export const connectHandshake = (
  cell: HandleCell,
  settings: Settings,
  opened: Opened
): Effect.Effect<Established, ConnectError> =>
  Effect.gen(function*() {
    const { exportName, patience, reader, tls } = opened
    const intent = yield* StartTls.intend(reader.connection, tls)
    const greeted = yield* greet(reader, settings.handshakeFlags, patience)
    if (greeted._tag === "Oldstyle") {
      yield* StartTls.checkCanEncrypt(reader, intent, "Oldstyle")
      return yield* enterOldstyle(cell, settings, reader, greeted, exportName)
    }
    if (!greeted.fixed) yield* StartTls.checkCanEncrypt(reader, intent, "NotFixed")
    // First of all options: until it is settled, nothing is said that others should not hear (C-072, C-079, C-083).
    const encrypted = greeted.fixed ? yield* StartTls.secure(reader, intent) : false
    return yield* agree(cell, settings, opened, greeted, encrypted)
  })

const agree = (
  cell: HandleCell,
  settings: Settings,
  opened: Opened,
  { fixed, noZeroes }: Extract<Greeted, { readonly _tag: "Newstyle" }>,
  tls: boolean
): Effect.Effect<Established, ConnectError> =>
  Effect.gen(function*() {
    const { exportName, reader } = opened
    const protocol = fixed ? "newstyle-fixed" : "newstyle"
    const willing = { extended: settings.requestExtendedHeaders, structured: settings.requestStructuredReplies }
    const replyStyle = fixed ? yield* bestReplyStyle(reader, willing) : "Simple"
    const agreed: Agreed = { protocol, replyStyle, noZeroes, tls }
    if (settings.optMode) return yield* startNegotiating(cell, agreed, opened)
    const contexts = yield* obtainContexts(
      agreed,
      exportName,
      contextsToRequest(settings),
      (names) => setContexts(reader, exportName, names)
    )
    const told = yield* askToEnter(reader, settings, agreed, exportName)
    return yield* entered(enterTransmission(cell, reader, settings, agreed, { ...told, contexts }))
  })

/** Interrupted: the scope is already closed. */
const entered = <A>(established: A | undefined): Effect.Effect<A> =>
  established === undefined ? Effect.interrupt : Effect.succeed(established)

/** An oldstyle server has one export, without a name: to enter it in place of a named one would be to serve another disk (H-012). */
const enterOldstyle = (
  cell: HandleCell,
  settings: Settings,
  reader: FrameReader,
  { greeting }: Extract<Greeted, { readonly _tag: "Oldstyle" }>,
  exportName: string
): Effect.Effect<Established, ConnectError> =>
  Effect.suspend((): Effect.Effect<Established, ConnectError> => {
    if (exportName !== "") {
      return Effect.fail(
        new OptionUnavailableError({ wanted: `export ${JSON.stringify(exportName)}`, protocol: "oldstyle" })
      )
    }
    if (greeting.flags === 0 && !settings.acceptZeroFlags) {
      return Effect.fail(
        new ProtocolError({
          phase: "greeting",
          expected: flagsOrSetting,
          received: "0x0000",
          rule: "Transmission flags, C-123"
        })
      )
    }
    const told: ToldFacts = {
      name: "",
      size: greeting.exportSize,
      flags: greeting.flags,
      replyStyle: "Simple",
      blockSize: Option.none(),
      canonicalName: Option.none(),
      description: Option.none()
    }
    const agreed: Agreed = { protocol: "oldstyle", replyStyle: "Simple", noZeroes: false, tls: false }
    return Effect.flatMap(
      obtainContexts(agreed, exportName, contextsToRequest(settings), () => Effect.succeed([])),
      (contexts) => entered(enterTransmission(cell, reader, settings, agreed, { ...told, contexts }))
    )
  })

const startNegotiating = (
  cell: HandleCell,
  agreed: Agreed,
  opened: Opened
): Effect.Effect<Established> =>
  Effect.suspend(() => {
    if (cell.current._tag !== "Connecting") return Effect.interrupt
    const { reader, scope, tls } = opened
    const channel: Channel = { reader, scope, tls, turns: new Turns(), underWay: false }
    const negotiating = {
      _tag: "Negotiating",
      state: printable({
        _tag: "Negotiating",
        peer: reader.connection.peer,
        agreed,
        export: Option.none(),
        contexts: Option.none()
      }),
      channel
    } as const
    cell.move(negotiating)
    // A server may hang up between two options: the handle does not wait for the next one to notice.
    reader.whenIdleEnds(() => hungUp(cell, channel))
    return Effect.succeed(negotiating)
  })
