/**
 * Haggling in the caller's hands: the options about exports and their meta contexts, and leaving.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Export, type GrantedContext } from "../Export.ts"
import { checkNames, contextsToRequest, type Settings, wantedContext, wantedInfo } from "../HandleConfig.ts"
import type { StateError } from "../HandleError.ts"
import { checkExportName } from "../handshake/ExportName.ts"
import {
  type ContextRefusal,
  type ExportRefusal,
  type ExportRefusedError,
  type HagglingRefusal,
  type MetaContextInvalidError,
  type MetaContextNotGrantedError,
  type OptionRefusal
} from "../handshake/HandshakeError.ts"
import * as InfoAndGo from "../handshake/InfoAndGo.ts"
import * as List from "../handshake/List.ts"
import * as MetaContext from "../handshake/MetaContext.ts"
import { optionCode } from "../wire/NbdOption.ts"
import { exportMeant } from "./Configure.ts"
import { askToEnter, enterTransmission } from "./EnterExport.ts"
import { type Established, guard } from "./HandleCell.ts"
import type { HandleContext } from "./HandleContext.ts"
import {
  type Haggling,
  inTurn,
  leave,
  needsFixed,
  type OptionFault,
  type OptionOperation,
  refuseIf,
  runOption,
  updateNegotiating
} from "./OptionRun.ts"

/**
 * @since 0.1.0
 * @category errors
 */
export type GoError = HagglingRefusal | ExportRefusedError | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type InfoError = ExportRefusal | MetaContextInvalidError | MetaContextNotGrantedError | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type ListError = OptionRefusal | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type ListMetaContextsError = ContextRefusal | OptionFault

/**
 * @since 0.1.0
 * @category errors
 */
export type SetMetaContextsError = ContextRefusal | MetaContextNotGrantedError | OptionFault

/**
 * What to list.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListMetaContextsOptions {
  /** Default: the configured one or the transport's. */
  readonly exportName?: string
  /** Names, or patterns such as `base:`; none ask for all. Default: the configured contexts. */
  readonly queries?: ReadonlyArray<string>
}

/**
 * What to select.
 *
 * @since 0.1.0
 * @category models
 */
export interface SetMetaContextsOptions {
  /** Default: the configured one or the transport's. */
  readonly exportName?: string
  /** None select nothing. Default: the configured contexts. */
  readonly contexts?: ReadonlyArray<string | MetaContext.WantedContext>
}

/**
 * Enters an export; a refusal leaves the handle negotiating.
 *
 * @since 0.1.0
 * @category haggling
 */
export const go = (
  handle: HandleContext,
  exportName: string | undefined
): Effect.Effect<Extract<Established, { readonly _tag: "Connected" }>, StateError<"go"> | GoError> =>
  named(handle, "go", exportName, (live, settings, exportName) =>
    Effect.gen(function*() {
      yield* updateNegotiating(handle, { export: Option.none() })
      const contexts = yield* contextsFor(handle, live, settings, exportName)
      const { channel: { reader }, state: { agreed } } = live
      const told = yield* askToEnter(reader, settings, agreed, exportName)
      const connected = enterTransmission(handle.cell, reader, settings, agreed, { ...told, contexts })
      // Only the end of its scope can have ended the handle in the middle of an option.
      return connected === undefined ? yield* Effect.interrupt : connected
    }))

/**
 * Asks about an export, and stays negotiating. What an earlier `info` told does not hold any more once it has begun.
 *
 * @since 0.1.0
 * @category haggling
 */
export const info = (
  handle: HandleContext,
  exportName: string | undefined
): Effect.Effect<Export, StateError<"info"> | InfoError> =>
  named(handle, "info", exportName, (live, settings, exportName) =>
    Effect.gen(function*() {
      yield* needsFixed(optionCode.INFO, live)
      yield* updateNegotiating(handle, { export: Option.none() })
      const contexts = yield* contextsFor(handle, live, settings, exportName)
      const { channel: { reader }, state: { agreed } } = live
      const told = yield* InfoAndGo.info(reader, agreed, exportName, wantedInfo(settings))
      const known = new Export({ ...told, contexts })
      yield* updateNegotiating(handle, { export: Option.some(known) })
      return known
    }))

/**
 * Asks for the exports the server shows.
 *
 * @since 0.1.0
 * @category haggling
 */
export const list = (
  handle: HandleContext
): Effect.Effect<ReadonlyArray<List.ListedExport>, StateError<"list"> | ListError> =>
  runOption(
    handle,
    "list",
    (live) => Effect.zipRight(needsFixed(optionCode.LIST, live), List.list(live.channel.reader))
  )

/**
 * Asks for the meta contexts of an export, by default for what the configured ones match.
 *
 * @since 0.1.0
 * @category haggling
 */
export const listMetaContexts = (
  handle: HandleContext,
  options: ListMetaContextsOptions = {}
): Effect.Effect<ReadonlyArray<string>, StateError<"listMetaContexts"> | ListMetaContextsError> =>
  named(handle, "listMetaContexts", options.exportName, (live, settings, exportName) => {
    const queries = options.queries ?? settings.metaContexts.map(({ name }) => name)
    return Effect.zipRight(
      mayAskForContexts(optionCode.LIST_META_CONTEXT, live, queries),
      MetaContext.listContexts(live.channel.reader, exportName, queries)
    )
  })

/**
 * Has the server select meta contexts of an export, by default the configured ones.
 *
 * @since 0.1.0
 * @category haggling
 */
export const setMetaContexts = (
  handle: HandleContext,
  options: SetMetaContextsOptions = {}
): Effect.Effect<ReadonlyArray<GrantedContext>, StateError<"setMetaContexts"> | SetMetaContextsError> =>
  named(handle, "setMetaContexts", options.exportName, (live, settings, exportName) => {
    const wanted = options.contexts?.map(wantedContext) ?? settings.metaContexts
    const names = wanted.map(({ name }) => name)
    return mayAskForContexts(optionCode.SET_META_CONTEXT, live, names).pipe(
      Effect.zipRight(select(handle, live, exportName, names)),
      Effect.tap((granted) => MetaContext.requireContexts(exportName, wanted, granted, "NotOffered"))
    )
  })

/**
 * Leaves in order.
 *
 * @since 0.1.0
 * @category haggling
 */
export const abort = (handle: HandleContext): Effect.Effect<void, StateError<"abort">> =>
  inTurn(handle, "abort", (live) => leave(handle, live, "Client"))

const mayAskForContexts = (option: number, live: Haggling, names: ReadonlyArray<string>) =>
  Effect.zipRight(
    needsFixed(option, live),
    refuseIf(checkNames("", names) ?? MetaContext.needsChunks(option, live.state.agreed))
  )

/** The contexts of an export: those that are to be requested, or else those that were last selected for it (C-149). */
const contextsFor = (handle: HandleContext, live: Haggling, settings: Settings, exportName: string) => {
  const wanted = contextsToRequest(settings)
  const { contexts } = live.state
  return wanted.length > 0
    ? MetaContext.obtainContexts(
      live.state.agreed,
      exportName,
      wanted,
      (names) => select(handle, live, exportName, names)
    )
    : Effect.succeed(
      Option.isSome(contexts) && contexts.value.exportName === exportName ? contexts.value.contexts : []
    )
}

/** From the request on the earlier selection is gone, also when it is refused (C-112, H-056). */
const select = (handle: HandleContext, live: Haggling, exportName: string, names: ReadonlyArray<string>) =>
  updateNegotiating(handle, { contexts: Option.none() }).pipe(
    Effect.zipRight(MetaContext.setContexts(live.channel.reader, exportName, names)),
    Effect.tap((contexts) => updateNegotiating(handle, { contexts: Option.some({ exportName, contexts }) }))
  )

const named = <A, E extends GoError>(
  handle: HandleContext,
  operation: OptionOperation,
  exportName: string | undefined,
  option: (live: Haggling, settings: Settings, exportName: string) => Effect.Effect<A, E>
) =>
  guard(handle.cell, operation).pipe(
    Effect.flatMap(() => {
      const name = exportName ?? exportMeant(handle)
      return Effect.zipRight(
        refuseIf(checkExportName(name)),
        runOption(handle, operation, (live, settings) => option(live, settings, name))
      )
    })
  )
