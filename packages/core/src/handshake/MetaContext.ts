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
 * A meta context to ask for. Where an optional one is not granted, the export is entered without it.
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
 * A context that was not asked for ends the connection at once: each such context would cost memory, and would add
 * chunks to every block status reply.
 *
 * @since 0.1.0
 * @category haggling
 */
export const setContexts = (
  reader: FrameReader,
  exportName: string,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | HagglingFault> =>
  ask(reader, optionCode.SET_META_CONTEXT, exportName, names, grantOf(names))

const ask = (
  reader: FrameReader,
  option: number,
  exportName: string,
  queries: ReadonlyArray<string>,
  check?: (context: GrantedContext) => ProtocolError | undefined
): Effect.Effect<ReadonlyArray<GrantedContext>, Refusal | HagglingFault> =>
  haggle(
    reader,
    option,
    encodeMetaContextRequest({ exportName, queries: [...new Set(queries)] }),
    (reply) => reply._tag === "MetaContextReply" ? { id: reply.id, name: reply.name } : undefined,
    check
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
    : refused(option, reply, exportName)

/**
 * The largest number of contexts that a server may select in addition to those that were asked for by name. It may do
 * so only in a namespace that has patterns of its own.
 *
 * @since 0.1.0
 * @category constants
 */
export const maximumMatched = 256

/**
 * Namespaces in which SET takes names and nothing else: `base:` by the specification, `qemu:` by its document. Another
 * namespace may have patterns of its own (C-117).
 */
const withoutPatterns: ReadonlySet<string> = new Set(["base:", "qemu:"])

/**
 * Judges what the server grants, one context after another: each id and each name may come once, since the contexts of
 * a status could not be distinguished otherwise, and each context must have been asked for or be able to match a
 * pattern (H-058).
 */
const grantOf = (names: ReadonlyArray<string>): (context: GrantedContext) => ProtocolError | undefined => {
  const asked = new Set(names)
  const patterned = new Set(names.map(namespaceOf).filter((namespace) => !withoutPatterns.has(namespace)))
  const ids = new Set<number>()
  const seen = new Set<string>()
  let matched = 0
  return ({ id, name }) => {
    if (ids.has(id)) return breach("each id once", `${id} again`)
    if (seen.has(name)) return breach("each context once", `${JSON.stringify(name)} again`)
    if (!asked.has(name)) {
      if (!patterned.has(namespaceOf(name))) return breach("contexts that were asked for", JSON.stringify(name))
      matched += 1
      if (matched > maximumMatched) return breach(`at most ${maximumMatched} contexts to match patterns`, "more")
    }
    ids.add(id)
    seen.add(name)
    return undefined
  }
}

const namespaceOf = (name: string): string => name.slice(0, name.indexOf(":") + 1)

const breach = (expected: string, received: string): ProtocolError =>
  new ProtocolError({
    phase: "haggling",
    expected: `${expected} in answer to ${optionName(optionCode.SET_META_CONTEXT)}`,
    received,
    rule: "NBD_OPT_SET_META_CONTEXT, H-058"
  })

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
  const names = new Set(granted.map(({ name }) => name))
  const missing = wanted.filter(({ name, optional }) => !optional && !names.has(name))
  if (missing.length === 0) return Effect.void
  const contexts = [...new Set(missing.map(({ name }) => name))]
  const { reply, serverMessage = "" } = refusal ?? {}
  return Effect.fail(new MetaContextNotGrantedError({ exportName, contexts, why, reply, serverMessage }))
}
