/**
 * What it takes to haggle: a connection between two options, and the right to send the next one. What has been agreed on
 * so far is in the handle's state, which options change.
 *
 * @since 0.1.0
 */
import type * as Scope from "effect/Scope"
import type { FrameReader } from "../framing/FrameReader.ts"
import type { TlsSettings } from "../Tls.ts"
import type { Turns } from "./Turns.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Channel {
  readonly reader: FrameReader
  /** What TLS is made of when nothing else is said. */
  readonly tls: TlsSettings
  /** Haggling is lockstep, and fibers take turns. */
  readonly turns: Turns
  /** An option has been begun, and not been answered to its end: nothing may be sent, and an end is its own to notice. */
  underWay: boolean
  /** The connection's own scope, in which an option runs to its end even when its caller has gone. */
  readonly scope: Scope.Scope
}
