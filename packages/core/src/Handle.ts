/**
 * The handle: one connection to one export of an NBD server, and the states it goes through.
 *
 * Two ways to use it. `connect` and `negotiate` give narrow views, on which an operation of another state does not even
 * exist; this is what an application wants. `make` gives the whole handle of libnbd, every operation in every state,
 * where an operation that the state does not permit fails with the tagged error of that state.
 *
 * A handle lives in a scope. Closing it admits no more commands, waits for replies that are under way (for a second, or as
 * `closeTimeout` says), says goodbye to the server where the protocol has a word for it, fails what is still in flight,
 * and leaves nothing behind.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Commands from "./Commands.ts"
import type { Export, GrantedContext } from "./Export.ts"
import type { AgreeError, RawOptionError, StartTlsError } from "./handle/ConnectionOptions.ts"
import type {
  GoError,
  InfoError,
  ListError,
  ListMetaContextsError,
  ListMetaContextsOptions,
  SetMetaContextsError,
  SetMetaContextsOptions
} from "./handle/ExportOptions.ts"
import { makeCore } from "./handle/HandleOperations.ts"
import { connectedView, type NegotiatingRefusal, negotiatingView } from "./handle/HandleView.ts"
import type { Adjustment, HandleConfig, Settings } from "./HandleConfig.ts"
import type { HandleDeadError, ShutDownError, StateError } from "./HandleError.ts"
import type { HandleState, StateTag } from "./HandleState.ts"
import type { Agreed } from "./handshake/Agreed.ts"
import type { ConnectError } from "./handshake/ConnectError.ts"
import type { RawReply } from "./handshake/Haggling.ts"
import {
  type ExportNameInvalidError,
  type ExportNotKnownError,
  type MetaContextInvalidError,
  OptionUnavailableError
} from "./handshake/HandshakeError.ts"
import type { ListedExport } from "./handshake/List.ts"
import type { NoUriError, UriUnwritableError } from "./NbdUri.ts"
import type { TlsSettings } from "./Tls.ts"
import type { Statistics } from "./Traffic.ts"
import type { Strictness } from "./transmission/Strictness.ts"
import type { Transport } from "./Transport.ts"

/**
 * What can be asked of a handle, and of every view of it, in every state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observable {
  /** The state now. */
  readonly state: Effect.Effect<HandleState>
  /** The state now, and every state it changes to. Ends with the handle: when it is dead, or its scope has closed. */
  readonly changes: Stream.Stream<HandleState>
  /**
   * The state, as soon as it is one of these. Name `Dead` too, unless waiting for ever is what you want of a handle
   * that dies first.
   */
  readonly awaitState: <Tag extends StateTag>(
    ...tags: readonly [Tag, ...ReadonlyArray<Tag>]
  ) => Effect.Effect<Extract<HandleState, { readonly _tag: Tag }>>
  /** What has gone over its connections so far. */
  readonly statistics: Effect.Effect<Statistics>
  /** What is configured now. */
  readonly settings: Effect.Effect<Settings>
  /** Changes which checks are made of the commands from now on (libnbd: `set_strict_mode`). */
  readonly setStrictness: (change: Partial<Strictness>) => Effect.Effect<void>
}

/**
 * A handle with every operation. Each fails with exactly the refusals of the states that do not permit it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handle extends Observable, Commands.Commands<StateError<Commands.CommandOperation>> {
  readonly isCreated: Effect.Effect<boolean>
  readonly isConnecting: Effect.Effect<boolean>
  readonly isNegotiating: Effect.Effect<boolean>
  /** Connected: commands are possible. */
  readonly isReady: Effect.Effect<boolean>
  /** Shut down in order. */
  readonly isClosed: Effect.Effect<boolean>
  readonly isDead: Effect.Effect<boolean>
  /**
   * Changes settings before connecting or between options: all that is given, or nothing if there is a fault in it. When
   * another export is meant from then on, what was learned of the one before is forgotten.
   */
  readonly configure: (
    adjustment: Adjustment
  ) => Effect.Effect<void, StateError<"configure"> | ExportNameInvalidError | MetaContextInvalidError>
  /** A URI of what the handle is connected to, with the export that it has entered or means. */
  readonly uri: Effect.Effect<string, StateError<"uri"> | NoUriError | UriUnwritableError>
  /**
   * Connects, up to `Connected`, or up to `Negotiating` in opt mode (an oldstyle server, which cannot haggle, goes on
   * to `Connected` even then). After a failure the handle is `Dead`, or `Created` again where nothing was opened.
   */
  readonly connect: Effect.Effect<void, StateError<"connect"> | ConnectError, Transport>
  /** Begins to connect and returns at once, as `nbd_aio_connect_tcp` and its like do: the state tells what comes of it. */
  readonly startConnect: Effect.Effect<void, StateError<"startConnect">, Transport>
  /**
   * Enters an export, by default the configured one or the transport's, with the configured meta contexts, or else those
   * that `setMetaContexts` has selected for it. A refusal leaves the handle negotiating.
   */
  readonly go: (exportName?: string) => Effect.Effect<void, StateError<"go"> | GoError>
  /** Asks about an export without entering it. Selects meta contexts as `go` does. */
  readonly info: (exportName?: string) => Effect.Effect<Export, StateError<"info"> | InfoError>
  /** Asks for the exports that the server shows. */
  readonly list: Effect.Effect<ReadonlyArray<ListedExport>, StateError<"list"> | ListError>
  /**
   * Asks for the meta contexts of an export that match the queries, by default the configured contexts; without any, for
   * all. A result that ends in a colon is a pattern, to be asked about again.
   */
  readonly listMetaContexts: (
    options?: ListMetaContextsOptions
  ) => Effect.Effect<ReadonlyArray<string>, StateError<"listMetaContexts"> | ListMetaContextsError>
  /**
   * Selects meta contexts of an export, in place of all that were selected before, and gives those that the server
   * granted. One that is not optional and not granted is an error, which leaves the others selected.
   */
  readonly setMetaContexts: (
    options?: SetMetaContextsOptions
  ) => Effect.Effect<ReadonlyArray<GrantedContext>, StateError<"setMetaContexts"> | SetMetaContextsError>
  /** Whether replies come in chunks: asks for it, unless it has been agreed on. */
  readonly structuredReplies: Effect.Effect<boolean, StateError<"structuredReplies"> | AgreeError>
  /** Whether headers are extended: asks for it, unless it has been agreed on. */
  readonly extendedHeaders: Effect.Effect<boolean, StateError<"extendedHeaders"> | AgreeError>
  /**
   * Sends any option, by its number, with any data, and gives every reply as it came, the final one last: for those who
   * test servers. Not for NBD_OPT_EXPORT_NAME, whose answer is no reply. An acknowledged NBD_OPT_GO, NBD_OPT_STARTTLS or
   * NBD_OPT_ABORT ends haggling, and with it the handle.
   */
  readonly option: (
    code: number,
    data?: Uint8Array
  ) => Effect.Effect<ReadonlyArray<RawReply>, StateError<"option"> | RawOptionError>
  /**
   * Encrypts the connection after all, where TLS was disabled or refused before; `tls` is laid over what the config or
   * the transport says. What was agreed on and learned before is forgotten: structured replies, contexts, exports.
   * A refusal leaves the handle negotiating in plaintext. It is for trying servers out; to be safe, require TLS instead.
   */
  readonly startTls: (tls?: Omit<TlsSettings, "mode">) => Effect.Effect<void, StateError<"startTls"> | StartTlsError>
  /** Leaves while negotiating: the handle is `ShutDown`. */
  readonly abort: Effect.Effect<void, StateError<"abort">>
  /** What was agreed on about the connection. */
  readonly agreed: Effect.Effect<Agreed, StateError<"agreed"> | ExportNotKnownError>
  /** What is known of the export: while negotiating, what the last `info` told. */
  readonly exportInfo: Effect.Effect<Export, StateError<"exportInfo"> | ExportNotKnownError>
  /** Commands that wait for a reply, abandoned ones included. */
  readonly inFlight: Effect.Effect<number, StateError<"inFlight">>
  /**
   * Ends in order: no more commands from now on; waits for those under way, says goodbye, and waits a second at most for
   * the server to close. While negotiating it is `abort`.
   */
  readonly shutdown: Effect.Effect<void, StateError<"shutdown">>
}

/**
 * @since 0.1.0
 * @category tags
 */
export const Handle = Context.GenericTag<Handle>("@effect-nbd/core/Handle")

/**
 * A connected handle: what an application works with. The server may end it at any time, so every command can still be
 * refused for being shut down or dead.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connected extends Observable, Commands.Commands<ShutDownError | HandleDeadError> {
  /** The peer in words. */
  readonly peer: string
  readonly agreed: Agreed
  readonly export: Export
  /** As on the handle. */
  readonly uri: Effect.Effect<string, NoUriError | UriUnwritableError>
  /** Commands that wait for a reply. */
  readonly inFlight: Effect.Effect<number>
  /** As on the handle. */
  readonly shutdown: Effect.Effect<void, ShutDownError | HandleDeadError>
}

/**
 * @since 0.1.0
 * @category tags
 */
export const Connected = Context.GenericTag<Connected>("@effect-nbd/core/Connected")

/**
 * A handle whose haggling is in the caller's hands (libnbd: opt mode).
 *
 * @since 0.1.0
 * @category models
 */
export interface Negotiating extends Observable {
  /** The peer in words. */
  readonly peer: string
  /** What has been agreed on about the connection so far: options change it. */
  readonly agreed: Effect.Effect<Agreed, HandleDeadError>
  /** Enters an export, by default the configured one. A refusal leaves the handle negotiating, and `go` possible. */
  readonly go: (exportName?: string) => Effect.Effect<Connected, NegotiatingRefusal | GoError>
  readonly info: (exportName?: string) => Effect.Effect<Export, NegotiatingRefusal | InfoError>
  readonly list: Effect.Effect<ReadonlyArray<ListedExport>, NegotiatingRefusal | ListError>
  /** As on the handle, and so are the others. */
  readonly listMetaContexts: (
    options?: ListMetaContextsOptions
  ) => Effect.Effect<ReadonlyArray<string>, NegotiatingRefusal | ListMetaContextsError>
  readonly setMetaContexts: (
    options?: SetMetaContextsOptions
  ) => Effect.Effect<ReadonlyArray<GrantedContext>, NegotiatingRefusal | SetMetaContextsError>
  readonly structuredReplies: Effect.Effect<boolean, NegotiatingRefusal | AgreeError>
  readonly extendedHeaders: Effect.Effect<boolean, NegotiatingRefusal | AgreeError>
  readonly option: (
    code: number,
    data?: Uint8Array
  ) => Effect.Effect<ReadonlyArray<RawReply>, NegotiatingRefusal | RawOptionError>
  /** As on the handle. */
  readonly startTls: (tls?: Omit<TlsSettings, "mode">) => Effect.Effect<void, NegotiatingRefusal | StartTlsError>
  readonly configure: (
    adjustment: Adjustment
  ) => Effect.Effect<void, NegotiatingRefusal | ExportNameInvalidError | MetaContextInvalidError>
  readonly uri: Effect.Effect<string, NoUriError | UriUnwritableError>
  readonly abort: Effect.Effect<void, NegotiatingRefusal>
}

/**
 * A handle in its first state, `Created`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (config: HandleConfig = {}): Effect.Effect<Handle, never, Scope.Scope> =>
  Effect.map(makeCore(config), ({ operations }) => operations)

/**
 * Connects and enters the configured export. `optMode` is not looked at.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = (config: HandleConfig = {}): Effect.Effect<Connected, ConnectError, Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const core = yield* makeCore({ ...config, optMode: false })
    const established = yield* notYetUsed(core.connect)
    return established._tag === "Connected"
      ? connectedView(core, established)
      : yield* Effect.dieMessage("a handle without opt mode stopped to negotiate")
  })

/**
 * Connects and stops in `Negotiating`; `optMode` is not looked at. An oldstyle server cannot haggle, which is an
 * `OptionUnavailableError`; on newstyle servers that are not fixed, `go` alone is possible.
 *
 * @since 0.1.0
 * @category constructors
 */
export const negotiate = (
  config: HandleConfig = {}
): Effect.Effect<Negotiating, ConnectError, Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const core = yield* makeCore({ ...config, optMode: true })
    const established = yield* notYetUsed(core.connect)
    if (established._tag === "Negotiating") return negotiatingView(core, established)
    yield* Effect.ignore(core.operations.shutdown)
    return yield* new OptionUnavailableError({ wanted: "opt mode", protocol: "oldstyle" })
  })

/**
 * A connected handle as a service, for as long as the layer lives.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (config: HandleConfig = {}): Layer.Layer<Connected, ConnectError, Transport> =>
  Layer.scoped(Connected, connect(config))

// A handle that no other code has seen cannot be in another state than `Created`.
const notYetUsed = <A, R>(
  connecting: Effect.Effect<A, StateError<"connect"> | ConnectError, R>
): Effect.Effect<A, ConnectError, R> =>
  Effect.catchTags(connecting, {
    NbdStillConnectingError: Effect.die,
    NbdStillNegotiatingError: Effect.die,
    NbdAlreadyConnectedError: Effect.die,
    NbdShutDownError: Effect.die,
    NbdHandleDeadError: Effect.die
  })
