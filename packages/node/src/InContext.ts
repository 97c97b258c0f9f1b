/**
 * What is acquired later and more than once, with the context of now.
 *
 * @since 0.1.0
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * Takes what the effect needs, besides a scope, from the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inContext = <A, E, R = never>(
  acquire: Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<Effect.Effect<A, E, Scope.Scope>, never, R> =>
  Effect.map(
    Effect.context<R>(),
    (context) => Effect.mapInputContext(acquire, (scope: Context.Context<Scope.Scope>) => Context.merge(context, scope))
  )
