/**
 * The one place where the state of a handle stands, and the guard before every operation.
 *
 * Next to the state that users see stands what is alive in it: the haggling of `Negotiating`, the transmission of
 * `Connected`. An operation that passes the guard is given exactly that, and so cannot reach what its state does not have.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  AlreadyConnectedError,
  HandleDeadError,
  NotConnectedError,
  type Refusal,
  ShutDownError,
  type StateError,
  StillConnectingError,
  StillNegotiatingError
} from "../HandleError.ts"
import {
  type Connected,
  type Connecting,
  type Created,
  type Dead,
  type HandleState,
  type Negotiating,
  type Operation,
  permitted,
  type PermittedTag,
  type ShutDown,
  type StateTag,
  transitions
} from "../HandleState.ts"
import { Traffic } from "../Traffic.ts"
import type { Transmission } from "../transmission/Transmission.ts"
import type { Transport } from "../Transport.ts"
import type { Channel } from "./Channel.ts"

/**
 * A state, and what is alive in it.
 *
 * @since 0.1.0
 * @category models
 */
export type LiveState =
  | { readonly _tag: "Created"; readonly state: Created }
  | { readonly _tag: "Connecting"; readonly state: Connecting }
  | { readonly _tag: "Negotiating"; readonly state: Negotiating; readonly channel: Channel }
  | { readonly _tag: "Connected"; readonly state: Connected; readonly transmission: Transmission }
  | { readonly _tag: "ShutDown"; readonly state: ShutDown; readonly transmission: Transmission | undefined }
  | { readonly _tag: "Dead"; readonly state: Dead }

/**
 * Where connecting leads to.
 *
 * @since 0.1.0
 * @category models
 */
export type Established = Extract<LiveState, { readonly _tag: "Negotiating" | "Connected" }>

/**
 * The live states that admit an operation.
 *
 * @since 0.1.0
 * @category models
 */
export type Admitted<Op extends Operation> = Extract<LiveState, { readonly _tag: PermittedTag<Op> }>

/**
 * @since 0.1.0
 * @category models
 */
export class HandleCell {
  readonly traffic = new Traffic()
  /** What was last connected to; it stays known in every later state. */
  transport: Transport["Type"] | undefined = undefined
  private live: LiveState
  private readonly watchers = new Set<(state: HandleState) => void>()
  private readonly whenOver = new Set<() => void>()
  private isOver = false

  constructor(initial: LiveState) {
    this.live = initial
  }

  get current(): LiveState {
    return this.live
  }

  /** Moves to another state. One that may not follow is a defect of this library, never of a peer or caller. */
  move(next: LiveState): void {
    if (!transitions[this.live._tag].includes(next._tag)) {
      throw new Error(`a handle cannot go from ${this.live._tag} to ${next._tag}`)
    }
    this.live = next
    for (const watcher of this.watchers) watcher(next.state)
    if (next._tag === "Dead") this.end()
  }

  /** No other state will follow. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    for (const over of this.whenOver) over()
  }

  /** Calls back at every change, until the returned function is called. */
  watch(watcher: (state: HandleState) => void): () => void {
    this.watchers.add(watcher)
    return () => {
      this.watchers.delete(watcher)
    }
  }

  /** The state now, and every state it changes to, up to the last one. */
  get changes(): Stream.Stream<HandleState> {
    return Stream.asyncPush<HandleState>((emit) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const over = () => emit.end()
          emit.single(this.live.state)
          if (this.isOver) over()
          else this.whenOver.add(over)
          const unwatch = this.watch((state) => emit.single(state))
          return () => {
            this.whenOver.delete(over)
            unwatch()
          }
        }),
        (release) => Effect.sync(release)
      )
    )
  }

  /** The state, as soon as it is one of `tags`. */
  await<Tag extends StateTag>(tags: ReadonlyArray<Tag>): Effect.Effect<Extract<HandleState, { readonly _tag: Tag }>> {
    const isOneOf = (state: HandleState): state is Extract<HandleState, { readonly _tag: Tag }> =>
      tags.some((tag) => tag === state._tag)
    return Effect.async((resume) => {
      if (isOneOf(this.live.state)) return resume(Effect.succeed(this.live.state))
      const unwatch = this.watch((state) => {
        if (!isOneOf(state)) return
        unwatch()
        resume(Effect.succeed(state))
      })
      return Effect.sync(unwatch)
    })
  }
}

const isPermitted = <Op extends Operation>(live: LiveState, operation: Op): live is Admitted<Op> => {
  const tags: ReadonlyArray<StateTag> = permitted[operation]
  return tags.includes(live._tag)
}

const refusalOf = (live: LiveState, operation: Operation): Refusal => {
  const refused = { operation, permitted: permitted[operation] }
  switch (live._tag) {
    case "Created":
      return new NotConnectedError(refused)
    case "Connecting":
      return new StillConnectingError(refused)
    case "Negotiating":
      return new StillNegotiatingError(refused)
    case "Connected":
      return new AlreadyConnectedError(refused)
    case "ShutDown":
      return new ShutDownError({ ...refused, by: live.state.by })
    case "Dead":
      return new HandleDeadError({ ...refused, reason: live.state.reason })
  }
}

/**
 * What the guard says.
 *
 * @since 0.1.0
 * @category models
 */
export type Admission<Op extends Operation> =
  | { readonly _tag: "Admitted"; readonly live: Admitted<Op> }
  | { readonly _tag: "Refused"; readonly refusal: StateError<Op> }

/**
 * The live state if it permits the operation, and otherwise the refusal. Synchronous, so that what follows is one step
 * with it.
 *
 * @since 0.1.0
 * @category guards
 */
export const admit = <Op extends Operation>(cell: HandleCell, operation: Op): Admission<Op> => {
  const live = cell.current
  if (isPermitted(live, operation)) return { _tag: "Admitted", live }
  // The table that just refused is the one the type is computed from; the test of every cell keeps the two together.
  return { _tag: "Refused", refusal: refusalOf(live, operation) as StateError<Op> }
}

/**
 * The same as an Effect.
 *
 * @since 0.1.0
 * @category guards
 */
export const guard = <Op extends Operation>(
  cell: HandleCell,
  operation: Op
): Effect.Effect<Admitted<Op>, StateError<Op>> =>
  Effect.suspend(() => {
    const admission = admit(cell, operation)
    return admission._tag === "Admitted" ? Effect.succeed(admission.live) : Effect.fail(admission.refusal)
  })
