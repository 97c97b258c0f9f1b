/**
 * What a server says of itself and of its exports. Nothing is printed here.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import * as Handle from "@effect-nbd/core/Handle"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import type { ListedExport } from "@effect-nbd/core/handshake/List"
import * as MetaContext from "@effect-nbd/core/MetaContext"
import { Transport } from "@effect-nbd/core/Transport"
import * as Data from "effect/Data"
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
 * Most bytes of names, texts and meta contexts that are kept of all exports together. Each connection has the limits of
 * the handshake, and there may be as many connections as exports.
 *
 * @since 0.1.0
 * @category constants
 */
export const mostKept = 67_108_864

/**
 * A server has more to tell about its exports than is kept.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooMuchToldError extends Data.TaggedError("TooMuchToldError")<{
  /** Exports that were described before. */
  readonly exports: number
  /** Exports that are listed. */
  readonly of: number
}> {
  override get message(): string {
    return `the server tells more than ${mostKept} bytes about ${this.exports} of its ${this.of} exports: ` +
      "name one of them in the URI, and leave out --list"
  }
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
    const described = yield* enter(handle, target, "", options)
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
 * content is wanted too, the server knows no NBD_OPT_INFO, or it says to that that the export is empty, the export is
 * entered over a connection of its own, and that after the first one was closed: a server may serve one client at a time.
 *
 * How many exports there are is bounded by what a list may have (`limits` of the handshake), what is kept of all of them
 * by `mostKept`, and the time by the caller.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofServer = (target: Target, options: Options) =>
  Effect.gen(function*() {
    const { agreed, told } = yield* listed(target, options)
    const exports: Array<Described> = []
    let kept = 0
    for (const { answer, of } of told) {
      const described = answer ?? (yield* alone(target, of, options))
      kept += weightOf(described)
      if (kept > mostKept) return yield* new TooMuchToldError({ exports: exports.length, of: told.length })
      exports.push(described)
    }
    return { agreed, exports } satisfies ServerInfo
  })

const weightOf = (described: Described): number => {
  if (described._tag === "Refused") {
    return described.name.length + described.description.length + described.error.message.length
  }
  const { contexts = [], description, export: { name } } = described
  return contexts.reduce((sum, context) => sum + context.length, name.length + description.length)
}

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
      told.push({ of, answer: yield* enter(handle, target, "", options) })
    }
    const agreed = yield* handle.agreed
    yield* Effect.ignore(handle.shutdown)
    return { agreed, told }
  }))

/** A handle that is negotiating, or connected to a server with which there is nothing to negotiate. */
const open = ({ exportName, forceExportName = false, handshakeTimeout, transport }: Target) =>
  Effect.gen(function*() {
    const handle = yield* Handle.make({ optMode: true, exportName, forceExportName, handshakeTimeout })
    yield* handle.connect.pipe(Effect.provideService(Transport, transport))
    // Under extended headers some servers tell all of what they can only to clients that have selected a context.
    if ((yield* handle.isNegotiating) && (yield* handle.agreed).replyStyle === "Extended") {
      yield* handle.configure({ metaContexts: [{ name: MetaContext.baseAllocation, optional: true }] })
    }
    return handle
  })

const whileNegotiating = (handle: Handle.Handle, target: Target, of: ListedExport) =>
  handle.info(of.name).pipe(
    Effect.flatMap((known) =>
      // Some servers have not looked at the disk by then, and say that it is empty: only GO tells (C-056).
      known.size === 0n
        ? Effect.succeed(undefined)
        : Effect.map(contextsOf(handle, of.name), (contexts) => ({ known, contexts }))
    ),
    Effect.flatMap((told) => told === undefined ? Effect.succeed(undefined) : describe(target, told, of.description)),
    Effect.catchTags({
      NbdExportUnknownError: (error) => refused(of, error),
      NbdTlsRequiredError: (error) => refused(of, error),
      NbdOptionRefusedError: () => Effect.succeed(undefined)
    })
  )

const alone = (target: Target, of: ListedExport, options: Options) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* open({ ...target, exportName: of.name })
    const described = yield* enter(handle, { ...target, exportName: of.name }, of.description, options)
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

/**
 * Enters the export that the target names, and tells what the server said then: what it said before, to NBD_OPT_INFO, is
 * advisory, and known to be wrong (C-056).
 */
const enter = (handle: Handle.Handle, target: Target, listedAs: string, options: Options) =>
  Effect.gen(function*() {
    // Nobody can be asked any more once the export has been entered.
    const contexts = yield* contextsOf(handle, target.exportName)
    if (yield* handle.isNegotiating) yield* handle.go(target.exportName)
    const known = yield* handle.exportInfo
    const described = yield* describe(target, { known, contexts }, listedAs)
    return options.content ? { ...described, content: yield* contentOf(handle, known) } : described
  })

const describe = (
  target: Target,
  { contexts, known }: { readonly known: Export; readonly contexts: ReadonlyArray<string> | undefined },
  listedAs: string
): Effect.Effect<Known> =>
  Effect.map(uriOf(target, known.name), (uri) => ({
    _tag: "Known",
    export: known,
    description: listedAs === "" ? Option.getOrElse(known.description, () => "") : listedAs,
    uri,
    contexts,
    content: undefined
  }))

/** A server may know none, and not even the question. */
const contextsOf = (handle: Handle.Handle, exportName: string) =>
  Effect.gen(function*() {
    if (!(yield* handle.isNegotiating)) return undefined
    return yield* handle.listMetaContexts({ exportName, queries: [] }).pipe(
      Effect.catchTags({
        NbdOptionRefusedError: () => Effect.succeed(undefined),
        NbdOptionForbiddenError: () => Effect.succeed(undefined),
        NbdOptionUnavailableError: () => Effect.succeed(undefined),
        // The next question comes to the same, and its answer is the one that matters.
        NbdExportUnknownError: () => Effect.succeed(undefined),
        NbdTlsRequiredError: () => Effect.succeed(undefined)
      })
    )
  })

/** An export that cannot be read, or a computer without file(1), is no reason to tell nothing. */
const contentOf = (handle: Handle.Handle, known: Export) =>
  Effect.gen(function*() {
    const length = Content.lengthToRead(known)
    const bytes = length === 0
      ? new Uint8Array(0)
      : yield* Effect.orElseSucceed(handle.read(0n, length), () => undefined)
    return bytes === undefined ? undefined : yield* Content.describe(bytes)
  })
