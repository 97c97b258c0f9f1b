/**
 * Who observes: what a server tells of its clients while it serves them.
 *
 * An observer decides nothing and is never waited for: its functions return at once, and do not throw.
 *
 * @since 0.1.0
 */
import type { TlsError } from "@effect-nbd/core/TlsError"
import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import type { TransportLostError } from "@effect-nbd/core/TransportError"
import type { ClientFlags } from "@effect-nbd/core/wire/Flags"
import type * as Cause from "effect/Cause"
import type { Request } from "./ServerRequest.ts"

/**
 * One option as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReceivedOption {
  readonly session: number
  /** The option's code. */
  readonly option: number
  /** The specification's name, for example `NBD_OPT_GO`. */
  readonly name: string
  /** The data that came with it. */
  readonly data: Uint8Array
  /** The export asked for, where the option names one. */
  readonly exportName: string | undefined
  /** What was asked of meta contexts, where the option asks for some. */
  readonly queries: ReadonlyArray<string> | undefined
  /** It came under TLS. */
  readonly encrypted: boolean
}

/**
 * A rule that a client broke. `fatal` ones ended its session, the others were answered with an error or tolerated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Violation {
  readonly session: number
  readonly expected: string
  readonly received: string
  /** Where the rule stands, for example `Client flags, S-007`. */
  readonly rule: string
  readonly fatal: boolean
}

/**
 * How a session came to its end.
 *
 * - `Disconnected`: by NBD_CMD_DISC.
 * - `Aborted`: by NBD_OPT_ABORT.
 * - `ClientLeft`: the client ended or broke the connection without saying so.
 * - `ExportRefused`: the server closed, the only way to refuse an NBD_OPT_EXPORT_NAME.
 * - `HandshakeTimedOut`: the client had not entered an export in time.
 * - `Displaced`: the client had not entered an export, and another one came that there was no place for.
 * - `TurnedAway`: the server had no place for the client.
 * - `TlsFailed`: the server had agreed to TLS, and it did not come about.
 * - `Misbehaved`: the server closed after a fatal violation.
 * - `ShutDown`: the server ended the session in order.
 * - `Stalled`: the client kept others waiting for memory, and the server broke the connection.
 * - `Killed`: the server broke the connection.
 * - `Died`: a port of the server or another function that it was given died or was interrupted, and the server broke the
 *   connection. The cause is logged too.
 *
 * @since 0.1.0
 * @category models
 */
export type Ending =
  | { readonly _tag: "Disconnected" }
  | { readonly _tag: "Aborted" }
  | { readonly _tag: "ClientLeft"; readonly end: ConnectionEnd }
  | { readonly _tag: "ExportRefused"; readonly exportName: string }
  | { readonly _tag: "HandshakeTimedOut" }
  | { readonly _tag: "Displaced" }
  | { readonly _tag: "TurnedAway" }
  | { readonly _tag: "TlsFailed"; readonly error: TlsError | TransportLostError }
  | { readonly _tag: "Misbehaved"; readonly violation: Violation }
  | { readonly _tag: "ShutDown" }
  | { readonly _tag: "Stalled" }
  | { readonly _tag: "Killed" }
  | { readonly _tag: "Died"; readonly cause: Cause.Cause<never> }

/**
 * What is told, in the order in which it happens. Sessions are numbered from 1 in the order of their opening.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  readonly opened: (session: number) => void
  readonly clientFlags: (session: number, flags: ClientFlags) => void
  readonly option: (option: ReceivedOption) => void
  /** Every request, NBD_CMD_DISC included, before it is decided on. */
  readonly request: (session: number, request: Request) => void
  readonly violation: (violation: Violation) => void
  /** The session's ending is known; its connection may still be open for a moment. */
  readonly ended: (session: number, ending: Ending) => void
  /** The session's connection is closed. */
  readonly closed: (session: number) => void
}

const ignore = (): void => {}

/**
 * Observes nothing: the default.
 *
 * @since 0.1.0
 * @category constants
 */
export const none: Observer = {
  opened: ignore,
  clientFlags: ignore,
  option: ignore,
  request: ignore,
  violation: ignore,
  ended: ignore,
  closed: ignore
}
