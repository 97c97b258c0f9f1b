/**
 * The questions of `info --can`: what a word asks about a connection and its export.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import * as MetaContext from "@effect-nbd/core/MetaContext"

/**
 * A question, and its answer out of what the handshake told.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ability {
  /** In its usual spelling. */
  readonly word: string
  /** Meta contexts without which some servers would not say so. */
  readonly contexts: ReadonlyArray<string>
  readonly holds: (agreed: Agreed, known: Export) => boolean
}

const abilities: Readonly<Record<string, Ability["holds"]>> = {
  connect: () => true,
  read: () => true,
  write: (_, known) => !known.isReadOnly,
  tls: ({ tls }) => tls,
  "structured-reply": ({ replyStyle }) => replyStyle !== "Simple",
  "extended-headers": ({ replyStyle }) => replyStyle === "Extended",
  "read-only": (_, known) => known.isReadOnly,
  rotational: (_, known) => known.isRotational,
  "block-status-payload": (_, known) => known.canBlockStatusPayload,
  cache: (_, known) => known.canCache,
  df: (_, known) => known.canDf,
  "fast-zero": (_, known) => known.canFastZero,
  flush: (_, known) => known.canFlush,
  fua: (_, known) => known.canFua,
  "multi-conn": (_, known) => known.canMultiConn,
  trim: (_, known) => known.canTrim,
  zero: (_, known) => known.canWriteZeroes
}

/** QEMU tells clients alone that have selected a context. */
const contextsFor: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["block-status-payload", [MetaContext.baseAllocation]]
])

/** Other words for them, without dashes. */
const synonyms: Readonly<Record<string, string>> = {
  sr: "structuredreply",
  structured: "structuredreply",
  structuredreplies: "structuredreply",
  eh: "extendedheaders",
  extended: "extendedheaders",
  extendedheader: "extendedheaders"
}

/**
 * The words, in their usual spelling.
 *
 * @since 0.1.0
 * @category constants
 */
export const words: ReadonlyArray<string> = Object.keys(abilities)

const byName: ReadonlyMap<string, Ability> = new Map(
  Object.entries(abilities).map(([word, holds]) => [
    word.replaceAll("-", ""),
    { word, contexts: contextsFor.get(word) ?? [], holds }
  ])
)

/**
 * As in nbdinfo, case does not matter, nor whether parts are joined by dashes, underscores, spaces or nothing.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (word: string): Ability | undefined => {
  const name = word.toLowerCase().replace(/[-_ ]/g, "")
  return byName.get(Object.hasOwn(synonyms, name) ? synonyms[name] ?? name : name)
}
