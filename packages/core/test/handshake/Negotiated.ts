/**
 * A handle that negotiates over a connection by hand, for tests of what it says and what it remembers.
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import type { HandleState } from "@effect-nbd/core/HandleState"
import type * as NbdUri from "@effect-nbd/core/NbdUri"
import { Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import { drive } from "../fixtures/Drive.ts"
import {
  context,
  contextRequest,
  infoRequest,
  newstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u32
} from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { ack, asked, plain } from "./Haggled.ts"
import { follow, type Line } from "./ScriptedPeer.ts"

/** Asks of the server as little as a handle can be made to. */
export const quiet: HandleConfig = {
  optMode: true,
  exportName: "disk",
  requestExtendedHeaders: false,
  requestBlockSize: false,
  fullInfo: false
}

export const greeting = (flags = 3): ReadonlyArray<Line> => [
  { server: newstyleGreeting(flags) },
  { client: u32(flags) }
]
export const structured: ReadonlyArray<Line> = asked(option(opt.STRUCTURED_REPLY), ack(opt.STRUCTURED_REPLY))
export const simple: ReadonlyArray<Line> = asked(
  option(opt.STRUCTURED_REPLY),
  optionReply(opt.STRUCTURED_REPLY, rep.ERR_UNSUP)
)

const told = (code: number) => (name: string): ReadonlyArray<Line> =>
  asked(option(code, infoRequest(name)), optionReply(code, rep.INFO, plain), ack(code))
export const infoOf = told(opt.INFO)
export const goTo = told(opt.GO)

/** SET_META_CONTEXT of these names, of which those with an id are granted. */
export const select = (name: string, ...contexts: ReadonlyArray<readonly [name: string, id?: number]>) =>
  asked(
    option(opt.SET_META_CONTEXT, contextRequest(name, ...contexts.map(([each]) => each))),
    ...contexts.flatMap(([each, id]) =>
      id === undefined ? [] : [optionReply(opt.SET_META_CONTEXT, rep.META_CONTEXT, context(id, each))]
    ),
    ack(opt.SET_META_CONTEXT)
  )

export const over = (connection: ManualConnection, transport: { readonly uri?: NbdUri.NbdUri } = {}) =>
  Effect.provideService(
    Transport,
    Transport.of({ target: "by hand", open: Effect.succeed(connection), ...transport })
  )

/** What came of a program and the state of the handle then, and what the client sent beyond the script. */
export const negotiated = <A, E>(
  script: ReadonlyArray<Line>,
  program: (handle: Handle.Handle) => Effect.Effect<A, E>,
  config: HandleConfig = quiet
) => {
  const connection = new ManualConnection()
  const reports: Array<{ readonly result: Either.Either<A, E>; readonly state: HandleState }> = []
  const running = drive(
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Handle.make(config)
      yield* handle.connect
      const result = yield* Effect.either(program(handle))
      reports.push({ result, state: yield* handle.state })
      // So that what the end of the scope sends is not taken for the program's.
      yield* Effect.never
    })).pipe(over(connection))
  )
  const unexpected = follow(script, connection, running.outcome)
  const { closed } = connection
  running.interruptSoon()
  running.outcome()
  const [report] = reports
  if (report === undefined) throw new Error("the program did not come to its end")
  return { ...report, unexpected, closed }
}
