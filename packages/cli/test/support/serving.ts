/** `effect-nbd serve`, running. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Running, startCli } from "./programs.ts"

export interface Served {
  /** Of its first export. */
  readonly uri: string
  readonly port: string
  readonly server: Running
}

/** A running server, and the URI that it prints. */
export const serving = (...args: ReadonlyArray<string>): Effect.Effect<Served, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* startCli("serve", ...args)
    const uri = yield* server.firstLine
    return { uri, port: /:(\d+)\//.exec(uri)?.[1] ?? "", server }
  })
