/**
 * The operations of a handle, each behind the guard.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { CommandOperation, Commands } from "../Commands.ts"
import { printable } from "../errors/Printed.ts"
import type { Export } from "../Export.ts"
import type { Adjustment, HandleConfig } from "../HandleConfig.ts"
import type { Refusal, StateError } from "../HandleError.ts"
import type { StateTag } from "../HandleState.ts"
import { ExportNotKnownError } from "../handshake/HandshakeError.ts"
import { operationOf } from "../Request.ts"
import type { TlsSettings } from "../Tls.ts"
import type { Strictness } from "../transmission/Strictness.ts"
import { Transmission } from "../transmission/Transmission.ts"
import { methodsOf } from "./CommandMethods.ts"
import * as Configure from "./Configure.ts"
import * as Connect from "./Connect.ts"
import * as ConnectionOptions from "./ConnectionOptions.ts"
import { dispatchOver } from "./Dispatch.ts"
import * as ExportOptions from "./ExportOptions.ts"
import { admit, guard, HandleCell } from "./HandleCell.ts"
import { Configuration, type HandleContext } from "./HandleContext.ts"
import { beginShutDown, called } from "./HandleEnd.ts"
import { traced, tracedExtents } from "./Tracing.ts"

/**
 * A handle and what is behind it, for the views.
 *
 * @since 0.1.0
 * @category models
 */
export type Core = Effect.Effect.Success<ReturnType<typeof makeCore>>

/**
 * A cell in its first state, with its operations and a scope that ends with the caller's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeCore = (config: HandleConfig) =>
  Effect.gen(function*() {
    const cell = new HandleCell({ _tag: "Created", state: printable({ _tag: "Created", lastFailure: Option.none() }) })
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope, exit) => Effect.zipRight(closeWithoutTrace(scope, exit), Connect.close(cell))
    )
    const handle: HandleContext = { cell, configuration: new Configuration(config), scope }
    const connect = Connect.connect(handle)
    return { ...handle, connect, operations: operationsOf(handle, Effect.asVoid(connect)) }
  })

/**
 * A finalizer runs with the fiber refs of the fiber that acquired, and to give back the closing fiber's own makes the
 * history of each of them longer. The transport is opened in another fiber, so a caller that connects again and again would
 * carry some 20 KB of every former connection along.
 */
const closeWithoutTrace = (scope: Scope.CloseableScope, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.getFiberRefs,
    (before) => Effect.ensuring(Scope.close(scope, exit), Effect.updateFiberRefs(() => before))
  )

const operationsOf = <E, R>(
  handle: HandleContext,
  connect: Effect.Effect<void, E, R>
) => ({
  ...observe(handle),
  ...commandsOf((operation): Transmission | StateError<CommandOperation> => {
    const admission = admit(handle.cell, operation)
    return admission._tag === "Admitted" ? admission.live.transmission : admission.refusal
  }, handle.configuration),
  isCreated: is(handle.cell, "Created"),
  isConnecting: is(handle.cell, "Connecting"),
  isNegotiating: is(handle.cell, "Negotiating"),
  isReady: is(handle.cell, "Connected"),
  isClosed: is(handle.cell, "ShutDown"),
  isDead: is(handle.cell, "Dead"),
  configure: (adjustment: Adjustment) => Configure.configure(handle, adjustment),
  uri: Configure.uri(handle),
  connect,
  startConnect: Effect.asVoid(Connect.begin(handle, "startConnect")),
  go: (exportName?: string) => Effect.asVoid(ExportOptions.go(handle, exportName)),
  info: (exportName?: string) => ExportOptions.info(handle, exportName),
  list: ExportOptions.list(handle),
  listMetaContexts: (options?: ExportOptions.ListMetaContextsOptions) =>
    ExportOptions.listMetaContexts(handle, options),
  setMetaContexts: (options?: ExportOptions.SetMetaContextsOptions) => ExportOptions.setMetaContexts(handle, options),
  structuredReplies: ConnectionOptions.structuredReplies(handle),
  extendedHeaders: ConnectionOptions.extendedHeaders(handle),
  option: (code: number, data?: Uint8Array) => ConnectionOptions.option(handle, code, data),
  startTls: (tls?: Omit<TlsSettings, "mode">) => ConnectionOptions.startTls(handle, tls),
  abort: ExportOptions.abort(handle),
  agreed: Effect.flatMap(
    guard(handle.cell, "agreed"),
    ({ state }) => state._tag === "ShutDown" ? known(state.agreed) : Effect.succeed(state.agreed)
  ),
  exportInfo: Effect.flatMap(
    guard(handle.cell, "exportInfo"),
    ({ state }) => state._tag === "Connected" ? Effect.succeed(state.export) : known(state.export)
  ),
  inFlight: Effect.map(
    guard(handle.cell, "inFlight"),
    (live) => live._tag === "Dead" ? 0 : live.transmission?.requestsInFlight ?? 0
  ),
  shutdown: leaveFromAnyState(handle)
})

/**
 * The commands behind a guard, as the settings want them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const commandsOf = <R extends Refusal>(
  admit: (operation: CommandOperation) => Transmission | R,
  configuration: Configuration
): Commands<R> => {
  const dispatch = dispatchOver((request) => admit(operationOf(request)), configuration)
  const target = Effect.suspend((): Effect.Effect<Export, R> => {
    const admission = admit("extents")
    return admission instanceof Transmission ? Effect.succeed(admission.export) : Effect.fail(admission)
  })
  if (!configuration.current.traceCommands) return methodsOf(dispatch, target)
  const methods = methodsOf(traced(dispatch), target)
  return { ...methods, extents: (options) => tracedExtents(methods.extents(options)) }
}

/**
 * What can be asked in every state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const observe = ({ cell, configuration }: HandleContext) => ({
  state: Effect.sync(() => cell.current.state),
  changes: cell.changes,
  statistics: Effect.sync(() => cell.traffic.statistics),
  awaitState: <Tag extends StateTag>(...tags: readonly [Tag, ...ReadonlyArray<Tag>]) => cell.await(tags),
  settings: Effect.sync(() => configuration.current),
  setStrictness: (change: Partial<Strictness>) => Effect.sync(() => configuration.setStrictness(change))
})

const is = (cell: HandleCell, tag: StateTag): Effect.Effect<boolean> => Effect.sync(() => cell.current._tag === tag)

const known = <A>(option: Option.Option<A>): Effect.Effect<A, ExportNotKnownError> =>
  Option.match(option, { onNone: () => Effect.fail(new ExportNotKnownError()), onSome: Effect.succeed })

/** An abort waits for the option under way, after which the handle may be in another state: so the guard is asked again. */
const leaveFromAnyState = (handle: HandleContext): Effect.Effect<void, StateError<"shutdown">> =>
  Effect.flatMap(guard(handle.cell, "shutdown"), (live) =>
    live._tag === "Connected"
      ? endTransmission(handle.cell, live.transmission)
      : Effect.catchAll(ExportOptions.abort(handle), () => leaveFromAnyState(handle)))

const endTransmission = (cell: HandleCell, transmission: Transmission): Effect.Effect<void> =>
  Effect.gen(function*() {
    beginShutDown(cell, "Client")
    yield* called((callback) => transmission.onLeaving(callback))
    // The server has been told; one that keeps the connection open is left too (H-097).
    yield* Effect.timeoutOption(called((callback) => transmission.onOver(callback)), "1 second")
    transmission.drop()
  })
