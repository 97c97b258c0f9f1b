/**
 * The six states of a handle, and the one table that says which operation is allowed in which of them.
 *
 * The run-time guard, the error type of every operation, the test of every cell and `docs/handle-states.md` all come
 * from `permitted`. The states are libnbd's, under the same names as on its manual pages.
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import type { Printable } from "./errors/Printed.ts"
import type { Export } from "./Export.ts"
import type { Agreed } from "./handshake/Agreed.ts"
import type { ConnectError } from "./handshake/ConnectError.ts"
import type { ConnectInterruptedError, HagglingFault, HandshakeTimeoutError } from "./handshake/HandshakeError.ts"
import type { SelectedContexts } from "./handshake/MetaContext.ts"
import { type RequestOperation, requestOperations } from "./Request.ts"
import type { TransmissionFault } from "./transmission/CommandError.ts"
import type { OpenError } from "./TransportError.ts"

/**
 * Handle created, before connecting. `lastFailure` is there after an attempt that opened nothing, which may be repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created extends Printable {
  readonly _tag: "Created"
  readonly lastFailure: Option.Option<OpenError>
}

/**
 * The transport is being opened, or the handshake is under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connecting extends Printable {
  readonly _tag: "Connecting"
  /** What is connected to, in words. */
  readonly target: string
}

/**
 * Haggling is in the caller's hands (libnbd: opt mode). It stays so while an option is under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Negotiating extends Printable {
  readonly _tag: "Negotiating"
  readonly peer: string
  readonly agreed: Agreed
  /** What the last successful `info` told. Advisory: `go` may find something else. */
  readonly export: Option.Option<Export>
  /** What the last successful selection of meta contexts came to. */
  readonly contexts: Option.Option<SelectedContexts>
}

/**
 * In the transmission phase: commands are possible.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connected extends Printable {
  readonly _tag: "Connected"
  readonly peer: string
  readonly agreed: Agreed
  readonly export: Export
}

/**
 * Who ended a connection in order: this side, by `shutdown`, `abort` or the end of a scope, or the server, by saying that it
 * is going or by closing between two replies.
 *
 * @since 0.1.0
 * @category models
 */
export type Ender = "Client" | "Server"

/**
 * Ended in order, or ending: commands that were under way when it was shut down are still answered. What was learned
 * about the export stays readable.
 *
 * @since 0.1.0
 * @category models
 */
export interface ShutDown extends Printable {
  readonly _tag: "ShutDown"
  readonly by: Ender
  readonly agreed: Option.Option<Agreed>
  readonly export: Option.Option<Export>
}

/**
 * Why a handle is dead.
 *
 * @since 0.1.0
 * @category models
 */
export type DeathReason =
  | ConnectError
  | ConnectInterruptedError
  | HagglingFault
  | HandshakeTimeoutError
  | TransmissionFault

/**
 * Unrecoverable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dead extends Printable {
  readonly _tag: "Dead"
  readonly reason: DeathReason
}

/**
 * @since 0.1.0
 * @category models
 */
export type HandleState = Created | Connecting | Negotiating | Connected | ShutDown | Dead

/**
 * @since 0.1.0
 * @category models
 */
export type StateTag = HandleState["_tag"]

/**
 * The states in the order of a handle's life.
 *
 * @since 0.1.0
 * @category constants
 */
export const states = [
  "Created",
  "Connecting",
  "Negotiating",
  "Connected",
  "ShutDown",
  "Dead"
] as const satisfies ReadonlyArray<StateTag>

const anyState = states
const beforeConnecting = ["Created"] as const
const whileNegotiating = ["Negotiating"] as const
const whenConnected = ["Connected"] as const
// The names are those of the operations, and every value is the same.
const requests = Object.fromEntries(requestOperations.map((operation) => [operation, whenConnected])) as {
  readonly [Op in RequestOperation]: typeof whenConnected
}
const onceExportIsKnown = ["Negotiating", "Connected", "ShutDown"] as const
const onceConnecting = ["Connecting", "Negotiating", "Connected", "ShutDown", "Dead"] as const

/**
 * In which states each operation is allowed: libnbd's permitted states, call by call.
 *
 * One deliberate difference: while an option is under way libnbd reports `Connecting` and refuses a second option;
 * here the state stays `Negotiating` and the second option waits for the first.
 *
 * @since 0.1.0
 * @category constants
 */
export const permitted = {
  state: anyState,
  changes: anyState,
  awaitState: anyState,
  statistics: anyState,
  isCreated: anyState,
  isConnecting: anyState,
  isNegotiating: anyState,
  isReady: anyState,
  isClosed: anyState,
  isDead: anyState,
  settings: anyState,
  setStrictness: anyState,
  configure: ["Created", "Negotiating"],
  uri: onceConnecting,
  connect: beforeConnecting,
  startConnect: beforeConnecting,
  go: whileNegotiating,
  info: whileNegotiating,
  list: whileNegotiating,
  listMetaContexts: whileNegotiating,
  setMetaContexts: whileNegotiating,
  structuredReplies: whileNegotiating,
  extendedHeaders: whileNegotiating,
  option: whileNegotiating,
  startTls: whileNegotiating,
  abort: whileNegotiating,
  agreed: onceExportIsKnown,
  exportInfo: onceExportIsKnown,
  ...requests,
  extents: whenConnected,
  inFlight: ["Connected", "ShutDown", "Dead"],
  shutdown: ["Negotiating", "Connected"]
} as const satisfies Record<string, ReadonlyArray<StateTag>>

/**
 * @since 0.1.0
 * @category models
 */
export type Operation = keyof typeof permitted

/**
 * The states that admit an operation.
 *
 * @since 0.1.0
 * @category models
 */
export type PermittedTag<Op extends Operation> = (typeof permitted)[Op][number]

/**
 * Which state may follow which. `Connecting` leads back to `Created` when nothing was opened and libnbd allows another
 * try on the same handle. Every state may end in `ShutDown`, by the scope of the handle.
 *
 * @since 0.1.0
 * @category constants
 */
export const transitions: { readonly [Tag in StateTag]: ReadonlyArray<StateTag> } = {
  Created: ["Connecting", "ShutDown"],
  Connecting: ["Created", "Negotiating", "Connected", "ShutDown", "Dead"],
  Negotiating: ["Negotiating", "Connected", "ShutDown", "Dead"],
  Connected: ["ShutDown", "Dead"],
  ShutDown: ["Dead"],
  Dead: []
}
