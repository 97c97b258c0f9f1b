/**
 * All or nothing, at once: what a failed or interrupted attempt had acquired does not wait for the outer scope.
 *
 * @since 0.1.0
 * @internal
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/**
 * Runs the effect in a scope of its own inside the outer one, which is closed at once if the effect does not succeed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inOwnScope = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const outer = yield* Effect.scope
      const inner = yield* Scope.fork(outer, ExecutionStrategy.sequential)
      return yield* restore(Effect.provideService(effect, Scope.Scope, inner)).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(inner, exit))
      )
    })
  )
