/**
 * What a server does wrong when a program says so.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FakeServerService } from "../FakeServer.ts"
import { type Action, delay, fail, proceed } from "../Steering.ts"
import type { Fault } from "./Step.ts"

/**
 * A server that can be told to do wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface Faults {
  readonly inject: (fault: Fault) => Effect.Effect<void>
  /** Nothing is held or failed from now on. */
  readonly clear: Effect.Effect<void>
}

/**
 * A fake server that can be told to. It decides about every request from here on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const faultsOf = (server: FakeServerService): Effect.Effect<Faults> => {
  const next: Array<Action> = []
  const then = (action: Action) => Effect.sync(() => void next.push(action))
  return Effect.as(server.onRequest(() => next.shift() ?? proceed), {
    inject: (fault) => {
      switch (fault._tag) {
        case "Hold":
          return server.hold
        case "Release":
          return server.release
        case "Delay":
          return then(delay("1 millis"))
        case "Fail":
          return then(fail(fault.errno))
        case "Disconnect":
          return server.disconnectAll
        case "Reset":
          return server.killAll
      }
    },
    clear: Effect.zipRight(
      server.release,
      Effect.sync(() => {
        next.length = 0
      })
    )
  })
}
