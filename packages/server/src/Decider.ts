/**
 * Who decides: what becomes of each request that a client sends.
 *
 * A decider executes nothing. However it decides, a write that it lets through takes effect when it arrives, and only its
 * answer waits; a read is carried out when it is answered.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Request } from "./ServerRequest.ts"

/**
 * An error reply. `message` and `offset` reach the client only in error chunks. With an `offset` inside a READ, the
 * bytes before it are sent first; one outside the request is left out (S-080).
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  /** A name of the specification, or any other number. */
  readonly errno: ErrnoName | number
  readonly message?: string
  /** Absolute offset in the export, in bytes. */
  readonly offset?: bigint
}

/**
 * What becomes of one request.
 *
 * - `Continue`: it is carried out and answered.
 * - `Delay`: it is carried out, and answered after a while. Later requests are not held back.
 * - `Hold`: it is carried out, and answered when `released` is done. Interrupting that gives the place up.
 * - `Fail`: it is answered with an error; nothing is carried out.
 * - `Hang`: it is never answered; nothing is carried out.
 * - `Drop`: the connection is broken; nothing is carried out.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Continue" }
  | { readonly _tag: "Delay"; readonly duration: Duration.DurationInput }
  | { readonly _tag: "Hold"; readonly released: Effect.Effect<void> }
  | ({ readonly _tag: "Fail" } & Failure)
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Drop" }

/**
 * Decides on the requests of all sessions of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decider {
  /**
   * `undefined`: as `Continue`. While an effect runs, its session reads no further requests. NBD_CMD_DISC is not decided
   * on.
   */
  readonly decide: (session: number, request: Request) => Effect.Effect<Decision> | undefined
  /** The client has disconnected or is gone: all of the session that is held has to be released. */
  readonly release: (session: number) => void
  /** The session is over: nothing of it is waited for any more. */
  readonly forget: (session: number) => void
}

const ignore = (): void => {}

/**
 * Lets every request through: the default.
 *
 * @since 0.1.0
 * @category constants
 */
export const none: Decider = { decide: () => undefined, release: ignore, forget: ignore }
