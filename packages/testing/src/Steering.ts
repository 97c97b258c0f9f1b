/**
 * What a test tells the fake server to do with a request.
 *
 * It decides and it holds back; it executes nothing. However a request is steered, a write that is let through takes
 * effect when it arrives, and only its answer waits; a read is carried out when it is answered.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "@effect-nbd/core/wire/Errno"
import type { Decider, Decision, Failure } from "@effect-nbd/server/Decider"
import type { Request } from "@effect-nbd/server/ServerRequest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { recordedOf, type RecordedRequest } from "./Recording.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Failure
} from "@effect-nbd/server/Decider"

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
export class Steering implements Decider {
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
  readonly decide = (session: number, received: Request): Effect.Effect<Decision> | undefined => {
    if (this.holding) return Effect.sync(() => this.register(recordedOf(session, received)))
    const { handler } = this
    if (handler === undefined) return undefined
    return Effect.suspend(() => {
      const request = recordedOf(session, received)
      const action = handler(request)
      return Effect.isEffect(action)
        ? Effect.map(action, (later) => this.settle(request, later))
        : Effect.succeed(this.settle(request, action))
    })
  }

  /** Lets go what is held of a session whose client has disconnected. */
  readonly release = (session: number): void => {
    this.releaseWhere((request) => request.session === session)
  }

  /** Lets the held requests that match go, in order of arrival, and says how many they were. */
  releaseWhere(matches: (request: RecordedRequest) => boolean): number {
    const going = [...this.waiting].filter(({ request }) => matches(request))
    for (const waiting of going) {
      this.waiting.delete(waiting)
      waiting.done = true
      waiting.resume()
    }
    return going.length
  }

  /** Gives up the places of a session that is over. */
  readonly forget = (session: number): void => {
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
    return { _tag: "Hold", released }
  }
}
