/**
 * What a server says of itself and of its exports. Nothing is printed here.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import * as Handle from "@effect-nbd/core/Handle"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import type { ListedExport } from "@effect-nbd/core/handshake/List"
import { Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Content from "./Content.ts"
import type { Fault } from "./Failure.ts"
import { type Target, uriOf } from "./Target.ts"

/**
 * What is known of an export.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  readonly _tag: "Known"
  readonly export: Export
  readonly description: string
  /** Only where the server is there for longer than this program. */
  readonly uri: string | undefined
  /** The meta contexts that the server offers; `undefined` where it does not tell. */
  readonly contexts: ReadonlyArray<string> | undefined
  /** What its first bytes look like, where that was asked for and can be told. */
  readonly content: string | undefined
}

/**
 * An export, or why the server does not tell about one that it has listed.
 *
 * @since 0.1.0
 * @category models
 */
export type Described =
  | Known
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
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Read the first bytes of each export, and have file(1) say what they look like. */
  readonly content: boolean
}

/**
 * Everything that asking can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type InfoError = Effect.Effect.Error<ReturnType<typeof ofExport> | ReturnType<typeof ofServer>>

/**
 * The export that the target names.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofExport = (target: Target, options: Options) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* open(target)
    const known = yield* ask(handle, target.exportName)
    const described = yield* describe(handle, target, known, "", options)
    // Found out last, since a server may have nothing to negotiate.
    const agreed = yield* handle.agreed
    yield* Effect.ignore(handle.shutdown)
    return { agreed, exports: [described] } satisfies ServerInfo
  }))

/**
 * Every export that the server lists, in its order. The name in the target does not matter, unless the server is an
 * oldstyle one: that has one export and no list.
 *
 * They are asked about while negotiating, over the connection that listed them. Where that is not enough, because the
 * content is wanted too or the server knows no NBD_OPT_INFO, each export is entered over a connection of its own, and
 * that after the first one was closed: a server may serve one client at a time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofServer = (target: Target, options: Options) =>
  Effect.gen(function*() {
    const { agreed, told } = yield* listed(target, options)
    const exports: Array<Described> = []
    for (const { answer, of } of told) {
      exports.push(answer ?? (yield* alone(target, of, options)))
    }
    return { agreed, exports } satisfies ServerInfo
  })

interface Told {
  readonly of: ListedExport
  /** `undefined`: it has to be entered. */
  readonly answer: Described | undefined
}

const listed = (target: Target, options: Options) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* open({ ...target, exportName: "" })
    const told: Array<Told> = []
    if (yield* handle.isNegotiating) {
      const names = yield* handle.list
      for (const of of names) {
        told.push({ of, answer: options.content ? undefined : yield* whileNegotiating(handle, target, of) })
      }
    } else {
      const of = { name: "", description: "" }
      told.push({ of, answer: yield* describe(handle, target, yield* handle.exportInfo, "", options) })
    }
    const agreed = yield* handle.agreed
    yield* Effect.ignore(handle.shutdown)
    return { agreed, told }
  }))

/** A handle that is negotiating, or connected to a server with which there is nothing to negotiate. */
const open = ({ exportName, handshakeTimeout, transport }: Target) =>
  Effect.gen(function*() {
    const handle = yield* Handle.make({ optMode: true, exportName, handshakeTimeout })
    yield* handle.connect.pipe(Effect.provideService(Transport, transport))
    return handle
  })

/** Asks about an export, by entering it where the server takes no other question. */
const ask = (handle: Handle.Handle, exportName: string) =>
  Effect.gen(function*() {
    if (!(yield* handle.isNegotiating)) return yield* handle.exportInfo
    return yield* handle.info(exportName).pipe(
      Effect.catchTags({
        NbdOptionRefusedError: () => Effect.zipRight(handle.go(exportName), handle.exportInfo),
        NbdOptionUnavailableError: () => Effect.zipRight(handle.go(exportName), handle.exportInfo)
      })
    )
  })

const whileNegotiating = (handle: Handle.Handle, target: Target, of: ListedExport) =>
  handle.info(of.name).pipe(
    Effect.flatMap((known) => describe(handle, target, known, of.description, { content: false })),
    Effect.catchTags({
      NbdExportUnknownError: (error) => refused(of, error),
      NbdTlsRequiredError: (error) => refused(of, error),
      NbdOptionRefusedError: () => Effect.succeed(undefined)
    })
  )

const alone = (target: Target, of: ListedExport, options: Options) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* open({ ...target, exportName: of.name })
    const described = yield* describe(handle, target, yield* ask(handle, of.name), of.description, options)
    yield* Effect.ignore(handle.shutdown)
    return described
  })).pipe(
    Effect.catchTags({
      NbdExportUnknownError: (error) => refused(of, error),
      NbdTlsRequiredError: (error) => refused(of, error),
      NbdOptionRefusedError: (error) => refused(of, error),
      NbdExportRefusedError: (error) => refused(of, error)
    })
  )

const refused = (listed: ListedExport, error: Fault): Effect.Effect<Described> =>
  Effect.succeed({ _tag: "Refused", ...listed, error })

const describe = (
  handle: Handle.Handle,
  target: Target,
  known: Export,
  listedAs: string,
  options: Options
) =>
  Effect.gen(function*() {
    return {
      _tag: "Known",
      export: known,
      description: listedAs === "" ? Option.getOrElse(known.description, () => "") : listedAs,
      uri: yield* uriOf(target, known.name),
      contexts: yield* contextsOf(handle, known.name),
      // Last, since the export has to be entered for it.
      content: options.content ? yield* contentOf(handle, known) : undefined
    } satisfies Described
  })

/** A server may know none, and not even the question. Nobody can be asked once the export has been entered. */
const contextsOf = (handle: Handle.Handle, exportName: string) =>
  Effect.gen(function*() {
    if (!(yield* handle.isNegotiating)) return undefined
    return yield* handle.listMetaContexts({ exportName, queries: [] }).pipe(
      Effect.catchTags({
        NbdOptionRefusedError: () => Effect.succeed(undefined),
        NbdOptionForbiddenError: () => Effect.succeed(undefined),
        NbdOptionUnavailableError: () => Effect.succeed(undefined),
        NbdExportUnknownError: () => Effect.succeed(undefined)
      })
    )
  })

/** An export that cannot be read, or a computer without file(1), is no reason to tell nothing. */
const contentOf = (handle: Handle.Handle, known: Export) =>
  Effect.gen(function*() {
    if (yield* handle.isNegotiating) yield* handle.go(known.name)
    const length = Content.lengthToRead(known)
    const bytes = length === 0
      ? new Uint8Array(0)
      : yield* Effect.orElseSucceed(handle.read(0n, length), () => undefined)
    return bytes === undefined ? undefined : yield* Content.describe(bytes)
  })
