/**
 * NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT: what block status can be asked about an export.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { GrantedContext } from "../Export.ts"
import type { FrameReader } from "../framing/FrameReader.ts"
import { ProtocolError } from "../ProtocolError.ts"
import { encodeMetaContextRequest } from "../wire/MetaContext.ts"
import { optionCode, optionName } from "../wire/NbdOption.ts"
import { type OptionReply, replyType } from "../wire/OptionReply.ts"
import type { Agreed } from "./Agreed.ts"
import { textFault } from "./ExportName.ts"
import { haggle, refused } from "./Haggling.ts"
import {
  ExportUnknownError,
  type HagglingFault,
  MetaContextInvalidError,
  MetaContextNotGrantedError,
  OptionForbiddenError,
  type OptionRefusedError,
  type TlsRequiredError
} from "./HandshakeError.ts"

/**
 * A meta context to ask for. Without an optional one the export is entered all the same.
 *
 * @since 0.1.0
 * @category models
 */
export interface WantedContext {
  /** Namespace, colon and leaf, for example `base:allocation`; at most 4096 bytes of UTF-8. */
  readonly name: string
  readonly optional: boolean
}

/**
 * What the server has selected for an export, by the last NBD_OPT_SET_META_CONTEXT.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectedContexts {
  /** The selection is good for this export alone (C-149). */
  readonly exportName: string
  readonly contexts: ReadonlyArray<GrantedContext>
}

type Refusal = OptionRefusedError | TlsRequiredError | ExportUnknownError

/**
 * The names of the contexts that the server offers for an export, in its order, duplicates included. `queries` are names
 * or patterns such as `base:`; none ask for all. A result may itself be a pattern, to be asked again (C-117). What came
 * before an error is forgotten (C-113), and ids mean nothing here (C-114).
 *
 * @since 0.1.0
 * @category haggling
 */
export const listContexts = (
  reader: FrameReader,
  exportName: string,
  queries: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, Refusal | HagglingFault> =>
  Effect.map(
    ask(reader, optionCode.LIST_META_CONTEXT, exportName, queries),
    (contexts) => contexts.map(({ name }) => name)
  )

/**
 * Has the server select contexts for an export, in place of all it had selected before, and that also when it refuses
 * (C-112). What it selected is matched by name (C-116), and may be less than was asked for; to select none is no error.
 *
 * @since 0.1.0
 * @category haggling
 */
export const setContexts = (
  reader: FrameReader,
  exportName: string,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | HagglingFault> =>
  Effect.tap(
    ask(reader, optionCode.SET_META_CONTEXT, exportName, names),
    (granted) => checkGranted(names, granted) ?? Effect.void
  )

const ask = (
  reader: FrameReader,
  option: number,
  exportName: string,
  queries: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | HagglingFault> =>
  haggle(
    reader,
    option,
    encodeMetaContextRequest({ exportName, queries: [...new Set(queries)] }),
    (reply) => reply._tag === "MetaContextReply" ? { id: reply.id, name: reply.name } : undefined
  ).pipe(
    Effect.flatMap(({ final, replies }) =>
      final._tag === "Ack" ? Effect.succeed(replies) : Effect.fail(refusal(option, exportName, final))
    )
  )

const refusal = (
  option: number,
  exportName: string,
  reply: Extract<OptionReply, { readonly _tag: "ErrorReply" }>
): Refusal =>
  reply.type === replyType.ERR_UNKNOWN
    ? new ExportUnknownError({ exportName, serverMessage: reply.message })
    : refused(option, reply)

/**
 * Status could not be told apart if an id or a name came twice. A name that nobody asked for is let pass where its
 * namespace was asked about, since a namespace may have patterns of its own; `base:` has none here (C-117, H-058).
 */
const checkGranted = (
  names: ReadonlyArray<string>,
  granted: ReadonlyArray<GrantedContext>
): Effect.Effect<never, ProtocolError> | undefined => {
  const ids = new Set<number>()
  const seen = new Set<string>()
  const asked = new Set(names)
  const namespaces = new Set(names.map(namespaceOf).filter((namespace) => namespace !== "base:"))
  for (const { id, name } of granted) {
    if (ids.has(id)) return breach("each id once", `${id} again`)
    if (seen.has(name)) return breach("each context once", `${JSON.stringify(name)} again`)
    if (!asked.has(name) && !namespaces.has(namespaceOf(name))) {
      return breach("contexts that were asked for", JSON.stringify(name))
    }
    ids.add(id)
    seen.add(name)
  }
  return undefined
}

const namespaceOf = (name: string): string => name.slice(0, name.indexOf(":") + 1)

const breach = (expected: string, received: string) =>
  Effect.fail(
    new ProtocolError({
      phase: "haggling",
      expected: `${expected} in answer to ${optionName(optionCode.SET_META_CONTEXT)}`,
      received,
      rule: "NBD_OPT_SET_META_CONTEXT, H-058"
    })
  )

/**
 * Refuses, before anything is sent, a query that has no namespace of printable characters before a colon, or that no
 * string of the protocol can carry (C-110).
 *
 * @since 0.1.0
 * @category guards
 */
export const checkContext = (context: string): MetaContextInvalidError | undefined => {
  const reason = textFault(context) ?? (namespace.test(context) ? undefined : "has no namespace before a colon")
  return reason === undefined ? undefined : new MetaContextInvalidError({ context, reason })
}

const namespace = /^[^:\p{Z}\p{C}]+:/u

/**
 * Refuses, before it is sent, an option that makes no sense without replies in chunks (C-107 to C-109).
 *
 * @since 0.1.0
 * @category guards
 */
export const needsChunks = (option: number, { replyStyle }: Agreed): OptionForbiddenError | undefined =>
  replyStyle === "Simple"
    ? new OptionForbiddenError({
      option: optionName(option),
      why: "structured replies have not been agreed on",
      rule: `Metadata querying, ${option === optionCode.SET_META_CONTEXT ? "C-109" : "C-108"}`
    })
    : undefined

/**
 * The contexts to enter an export with, which `set` asks the server for. Those that are not optional must be granted.
 * A refusal that is not about contexts, but about the export or the connection, stays what it is.
 *
 * @since 0.1.0
 * @category haggling
 */
export const obtainContexts = (
  agreed: Agreed,
  exportName: string,
  wanted: ReadonlyArray<WantedContext>,
  set: (
    names: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | HagglingFault>
): Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | MetaContextNotGrantedError | HagglingFault> => {
  if (wanted.length === 0) return Effect.succeed([])
  if (agreed.replyStyle === "Simple") {
    const why = agreed.protocol === "newstyle-fixed" ? "NoChunks" : "NoOptions"
    return Effect.as(requireContexts(exportName, wanted, [], why), [])
  }
  return set(wanted.map(({ name }) => name)).pipe(
    Effect.catchIf(
      (error): error is OptionRefusedError =>
        error._tag === "NbdOptionRefusedError" && error.replyType !== replyType.ERR_SHUTDOWN,
      (error) => Effect.as(requireContexts(exportName, wanted, [], "Refused", error), [])
    ),
    Effect.tap((granted) => requireContexts(exportName, wanted, granted, "NotOffered"))
  )
}

/**
 * Fails if a context that is not optional was not granted.
 *
 * @since 0.1.0
 * @category guards
 */
export const requireContexts = (
  exportName: string,
  wanted: ReadonlyArray<WantedContext>,
  granted: ReadonlyArray<GrantedContext>,
  why: MetaContextNotGrantedError["why"],
  refusal?: OptionRefusedError
): Effect.Effect<void, MetaContextNotGrantedError> => {
  const missing = wanted.filter(({ name, optional }) => !optional && !granted.some((context) => context.name === name))
  if (missing.length === 0) return Effect.void
  const contexts = [...new Set(missing.map(({ name }) => name))]
  const { reply, serverMessage = "" } = refusal ?? {}
  return Effect.fail(new MetaContextNotGrantedError({ exportName, contexts, why, reply, serverMessage }))
}
