/**
 * What a test tells the fake server to do with a request.
 *
 * It decides and it holds back; it executes nothing. However a request is steered, a write that is let through takes
 * effect when it arrives, and only its answer waits; a read is carried out when it is answered.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RecordedRequest } from "./Recording.ts"

/**
 * What to do with one request.
 *
 * - `Continue`: carry it out and answer.
 * - `Delay`: carry it out, answer after a while. Later requests are not held back.
 * - `Hold`: carry it out, answer when it is released.
 * - `Fail`: answer with an error; nothing is carried out.
 * - `Hang`: never answer; nothing is carried out.
 * - `Drop`: break the connection; nothing is carried out.
 *
 * @since 0.1.0
 * @category models
 */
export type Action =
  | { readonly _tag: "Continue" }
  | { readonly _tag: "Delay"; readonly duration: Duration.DurationInput }
  | { readonly _tag: "Hold" }
  | ({ readonly _tag: "Fail" } & Failure)
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Drop" }

/**
 * An error reply. `message` and `offset` reach the client only in error chunks. With an `offset` inside a READ, the
 * bytes before it are sent first; one outside the request is left out (S-080).
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  /** A name of the specification, or any other number to see what a client makes of it. */
  readonly errno: ErrnoName | number
  readonly message?: string
  /** Absolute offset in the export, in bytes. */
  readonly offset?: bigint
}

/**
 * Decides what happens to each request. While an effect runs, its session reads no further requests.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler = (request: RecordedRequest) => Action | Effect.Effect<Action>

/**
 * Carries the request out and answers it.
 *
 * @since 0.1.0
 * @category steering
 */
export const proceed: Action = { _tag: "Continue" }

/**
 * Answers after `duration` on Effect's clock.
 *
 * @since 0.1.0
 * @category steering
 */
export const delay = (duration: Duration.DurationInput): Action => ({ _tag: "Delay", duration })

/**
 * Answers when the request is released.
 *
 * @since 0.1.0
 * @category steering
 */
export const hold: Action = { _tag: "Hold" }

/**
 * Answers with an error.
 *
 * @since 0.1.0
 * @category steering
 */
export const fail = (errno: ErrnoName | number, details?: Omit<Failure, "errno">): Action => ({
  _tag: "Fail",
  errno,
  ...details
})

/**
 * Never answers.
 *
 * @since 0.1.0
 * @category steering
 */
export const hang: Action = { _tag: "Hang" }

/**
 * Breaks the connection.
 *
 * @since 0.1.0
 * @category steering
 */
export const drop: Action = { _tag: "Drop" }

/**
 * A request that waits for its release.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly request: RecordedRequest
  /** Is done when the request is released; interrupting it gives the place up. */
  readonly released: Effect.Effect<void>
}

/**
 * What was decided: `Hold` comes with the wait that was registered for it.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision = Exclude<Action, { readonly _tag: "Hold" }> | ({ readonly _tag: "Hold" } & Held)

interface Waiting {
  readonly request: RecordedRequest
  done: boolean
  resume: () => void
}

/**
 * The steering wheel of one fake server, shared by its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export class Steering {
  /** Every request is held from now on, whatever the handler says. */
  holding = false
  handler: Handler | undefined
  /** In order of arrival. */
  private readonly waiting = new Set<Waiting>()

  /** Requests held now, in order of arrival. */
  get held(): ReadonlyArray<RecordedRequest> {
    return [...this.waiting].map(({ request }) => request)
  }

  /** Decides, and registers a held request in the same step, so that no release can fall in between. */
  decide(request: RecordedRequest): Effect.Effect<Decision> {
    return Effect.suspend(() => {
      if (this.holding) return Effect.succeed(this.register(request))
      if (this.handler === undefined) return proceeding
      const action = this.handler(request)
      return Effect.isEffect(action)
        ? Effect.map(action, (later) => this.settle(request, later))
        : Effect.succeed(this.settle(request, action))
    })
  }

  /** Lets the held requests that match go, in order of arrival, and says how many they were. */
  release(matches: (request: RecordedRequest) => boolean): number {
    const going = [...this.waiting].filter(({ request }) => matches(request))
    for (const waiting of going) {
      this.waiting.delete(waiting)
      waiting.done = true
      waiting.resume()
    }
    return going.length
  }

  /** Gives up the places of a session that is over. */
  forget(session: number): void {
    for (const waiting of this.waiting) {
      if (waiting.request.session === session) this.waiting.delete(waiting)
    }
  }

  private settle(request: RecordedRequest, action: Action): Decision {
    return action._tag === "Hold" ? this.register(request) : action
  }

  private register(request: RecordedRequest): Decision {
    const waiting: Waiting = { request, done: false, resume: () => {} }
    this.waiting.add(waiting)
    const released = Effect.async<void>((resume) => {
      if (waiting.done) return resume(Effect.void)
      waiting.resume = () => resume(Effect.void)
      return Effect.sync(() => {
        this.waiting.delete(waiting)
      })
    })
    return { _tag: "Hold", request, released }
  }
}

const proceeding: Effect.Effect<Decision> = Effect.succeed({ _tag: "Continue" })
