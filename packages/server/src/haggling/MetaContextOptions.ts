/**
 * NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT (S-058 to S-064).
 *
 * @since 0.1.0
 */
import type { MetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import { optionCode, optionName } from "@effect-nbd/core/wire/NbdOption"
import type { OptionReply } from "@effect-nbd/core/wire/OptionReply"
import { isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { Failure } from "../Decider.ts"
import type { ServedContext } from "../ServedContext.ts"
import type { ServedExport } from "../ServedExport.ts"
import type { SelectedContext } from "../session/Terms.ts"
import { type Haggling, quoted } from "./Haggling.ts"

/**
 * Most queries that one request may have, and so most contexts that can be selected; beyond it, NBD_REP_ERR_TOO_BIG.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxQueries = 1024

/** What a sound request is about. */
interface Wanted {
  readonly exportName: string
  readonly queries: ReadonlyArray<string>
  readonly available: ReadonlyArray<ServedContext<Failure>>
}

/**
 * Names of contexts, and what they begin with up to a colon, select; no query at all selects everything (S-060).
 *
 * @since 0.1.0
 * @category constructors
 */
export const listMetaContext = (
  haggling: Haggling,
  request: MetaContextRequest | WireError
): Effect.Effect<undefined> => {
  const option = optionCode.LIST_META_CONTEXT
  const wanted = checked(haggling, option, request)
  if (Effect.isEffect(wanted)) return wanted
  const { available, queries } = wanted
  const listed = available.filter(({ name }) =>
    queries.length === 0 || queries.some((query) => query === name || query.endsWith(":") && name.startsWith(query))
  )
  const replies = listed.map(({ name }): OptionReply => ({ _tag: "MetaContextReply", id: 0, name }))
  return haggling.reply(option, [...replies, { _tag: "Ack" }])
}

/**
 * Names of contexts select. Whatever was selected before is forgotten, also where this fails (S-061).
 *
 * @since 0.1.0
 * @category constructors
 */
export const setMetaContext = (
  haggling: Haggling,
  request: MetaContextRequest | WireError
): Effect.Effect<undefined> => {
  const option = optionCode.SET_META_CONTEXT
  haggling.progress = { ...haggling.progress, selection: undefined }
  const wanted = checked(haggling, option, request)
  if (Effect.isEffect(wanted)) return wanted
  const { available, exportName, queries } = wanted
  const asked = new Set(queries)
  const contexts = available
    .filter(({ name }) => asked.has(name))
    .map((context): SelectedContext => ({ id: haggling.nextContextId(), context }))
  const replies = contexts.map(({ context: { name }, id }): OptionReply => ({ _tag: "MetaContextReply", id, name }))
  return Effect.map(haggling.grant(option, [...replies, { _tag: "Ack" }]), (granted) => {
    if (granted) haggling.progress = { ...haggling.progress, selection: { exportName, contexts } }
    return undefined
  })
}

/** What is asked, or the answer to a request that is not sound. */
const checked = (
  haggling: Haggling,
  option: number,
  request: MetaContextRequest | WireError
): Wanted | Effect.Effect<undefined> => {
  const { progress: { replyStyle }, rules } = haggling
  if (!rules.metaContexts) return haggling.error(option, "ERR_UNSUP", "meta contexts are not supported")
  if (isWireError(request)) return haggling.invalid(option, request)
  if (replyStyle === "Simple") {
    const expected = "structured replies or extended headers first"
    return haggling.invalid(option, new WireError(expected, optionName(option), "C-107, S-064"))
  }
  const { exportName, queries } = request
  if (queries.length > maxQueries) {
    return haggling.error(option, "ERR_TOO_BIG", `more than ${maxQueries} queries`)
  }
  const found = haggling.find(exportName)
  if (found === undefined) return haggling.unknownExport(option, exportName)
  const odd = queries.find((query) => !isQuery(query))
  return odd === undefined
    ? { exportName, queries, available: availableOf(found, replyStyle === "Extended") }
    : haggling.invalid(option, new WireError("a namespace and a colon", quoted(odd), "C-110"))
}

/** Contexts whose flags need 64 bits are not there without extended headers (C-231). */
const availableOf = ({ contexts }: ServedExport, isExtended: boolean): ReadonlyArray<ServedContext<Failure>> =>
  contexts.filter(({ wide = false }) => isExtended || !wide)

/** A namespace of printable characters, and a colon; the rest is up to the namespace. */
const isQuery = (query: string): boolean => /^[^\s:\p{Cc}]+:/u.test(query)
