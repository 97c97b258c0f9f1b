/**
 * What a server says of itself and of its exports. Nothing is printed here, and nothing is read from an export.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import * as Handle from "@effect-nbd/core/Handle"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import type { ConnectError } from "@effect-nbd/core/handshake/ConnectError"
import type { ListedExport } from "@effect-nbd/core/handshake/List"
import * as NbdUri from "@effect-nbd/core/NbdUri"
import { Transport } from "@effect-nbd/core/Transport"
import * as NodeTransport from "@effect-nbd/node/NodeTransport"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Fault } from "./Failure.ts"

/**
 * An export, or why the server does not tell about one that it has listed.
 *
 * @since 0.1.0
 * @category models
 */
export type Described =
  | {
    readonly _tag: "Known"
    readonly export: Export
    readonly description: string
    /** `undefined` for a name that no URI can hold. */
    readonly uri: string | undefined
  }
  | { readonly _tag: "Refused"; readonly name: string; readonly description: string; readonly error: Fault }

/**
 * @since 0.1.0
 * @category models
 */
export interface ServerInfo {
  readonly agreed: Agreed
  readonly exports: ReadonlyArray<Described>
}

/**
 * Everything that asking can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type InfoError =
  | NodeTransport.UriFailure
  | ConnectError
  | Effect.Effect.Error<Handle.Negotiating["list"]>

/**
 * The export that the URI names.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofExport = (uri: string): Effect.Effect<ServerInfo, InfoError> =>
  at(
    uri,
    (target) =>
      Effect.gen(function*() {
        const { agreed, known } = yield* enter(target.exportName)
        return { agreed, exports: [yield* describe(known, target)] }
      })
  )

/**
 * Every export that the server lists, in its order. The name in the URI does not matter, unless the server is an
 * oldstyle one: that has one export and no list.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofServer = (uri: string): Effect.Effect<ServerInfo, InfoError> =>
  at(uri, (target) =>
    Effect.gen(function*() {
      const handle = yield* Handle.negotiate()
      const agreed = yield* handle.agreed
      const exports: Array<Described> = []
      for (const listed of yield* handle.list) exports.push(yield* ask(handle, listed, target))
      yield* Effect.ignore(handle.abort)
      return { agreed, exports }
    })).pipe(
      Effect.catchIf(
        (error) => error._tag === "NbdOptionUnavailableError" && error.protocol === "oldstyle",
        () => ofExport(uri)
      )
    )

const at = <E>(
  uri: string,
  body: (target: NbdUri.NbdUri) => Effect.Effect<ServerInfo, E, Transport | Scope.Scope>
): Effect.Effect<ServerInfo, E | NodeTransport.UriFailure> =>
  Effect.gen(function*() {
    const { transport } = yield* NodeTransport.fromUri(uri)
    const target = yield* NbdUri.parse(uri)
    return yield* body(target).pipe(Effect.provideService(Transport, transport), Effect.scoped)
  })

/** In a connection of its own, left in order. */
const enter = (exportName: string) =>
  Effect.scoped(Effect.gen(function*() {
    const { agreed, export: known, shutdown } = yield* Handle.connect({ exportName })
    yield* Effect.ignore(shutdown)
    return { agreed, known }
  }))

/** A server that lists exports but cannot tell about them (no NBD_OPT_INFO) is asked by entering them. */
const ask = (handle: Handle.Negotiating, listed: ListedExport, target: NbdUri.NbdUri) =>
  handle.info(listed.name).pipe(
    Effect.catchIf(
      (error) => error._tag === "NbdOptionRefusedError" && error.reply === "NBD_REP_ERR_UNSUP",
      () => Effect.map(enter(listed.name), ({ known }) => known)
    ),
    Effect.flatMap((known) => describe(known, target, listed.description)),
    Effect.catchTags({
      NbdExportUnknownError: (error) => refused(listed, error),
      NbdTlsRequiredError: (error) => refused(listed, error),
      NbdOptionRefusedError: (error) => refused(listed, error)
    })
  )

const refused = (listed: ListedExport, error: Fault): Effect.Effect<Described> =>
  Effect.succeed({ _tag: "Refused", ...listed, error })

const describe = (known: Export, target: NbdUri.NbdUri, listedAs = ""): Effect.Effect<Described> =>
  NbdUri.format({ ...target, exportName: known.name }).pipe(
    Effect.orElseSucceed(() => undefined),
    Effect.map((uri) => ({
      _tag: "Known",
      export: known,
      description: Option.getOrElse(known.description, () => listedAs),
      uri
    }))
  )
