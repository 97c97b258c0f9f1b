/**
 * What `info` prints: for people, and as JSON with the fields of `nbdinfo --json` 1.24, in its order.
 *
 * Fields of what this client does not ask for are left out: `content`, since nothing is read, and `contexts`.
 *
 * @since 0.1.0
 */
import type { Export } from "@effect-nbd/core/Export"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import * as Option from "effect/Option"
import { oneLine, toJson } from "./Failure.ts"
import type { Described, ServerInfo } from "./Info.ts"
import type { JsonObject } from "./Json.ts"
import * as Size from "./Size.ts"

/** libnbd has signed sizes: a larger one it can neither count nor print. */
const maximumSize = 0x7fff_ffff_ffff_ffffn

/**
 * The object that `--json` prints.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJsonObject = ({ agreed, exports }: ServerInfo): JsonObject => ({
  protocol: agreed.protocol,
  TLS: false,
  structured: agreed.replyStyle === "Structured",
  extended: false,
  exports: exports.map(exportToJson)
})

const exportToJson = (described: Described): JsonObject => {
  if (described._tag === "Refused") {
    return {
      "export-name": described.name,
      description: nonEmpty(described.description),
      error: toJson(described.error)
    }
  }
  const { description, export: known, uri } = described
  const blockSize = Option.getOrUndefined(known.blockSize)
  const isCountable = known.size <= maximumSize
  return {
    "export-name": nameOf(known),
    description: nonEmpty(description),
    uri,
    is_rotational: known.isRotational,
    is_read_only: known.isReadOnly,
    can_block_status_payload: false,
    can_cache: known.canCache,
    can_df: known.canDf,
    can_fast_zero: known.canFastZero,
    can_flush: known.canFlush,
    can_fua: known.canFua,
    can_multi_conn: known.canMultiConn,
    can_trim: known.canTrim,
    can_zero: known.canWriteZeroes,
    block_size_minimum: nonZero(blockSize?.minimum),
    block_size_preferred: nonZero(blockSize?.preferred),
    block_size_maximum: nonZero(blockSize?.maximum),
    "export-size": isCountable ? known.size : undefined,
    "export-size-str": isCountable ? Size.exact(known.size) : "unavailable"
  }
}

/** The server's own name for the export before the one it was asked for by. */
const nameOf = (known: Export): string => Option.getOrElse(known.canonicalName, () => known.name)

const nonEmpty = (text: string): string | undefined => text === "" ? undefined : text

const nonZero = (count: number | undefined): number | undefined => count === 0 ? undefined : count

/**
 * The text for people, with its closing line break.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toText = ({ agreed, exports }: ServerInfo): string => {
  const lines = [`protocol: ${agreed.protocol} without TLS, ${repliesInWords(agreed)}`]
  for (const described of exports) lines.push(...exportToText(described))
  if (exports.length === 0) lines.push("no exports are listed")
  return `${lines.join("\n")}\n`
}

const repliesInWords = (agreed: Agreed): string =>
  agreed.replyStyle === "Structured" ? "structured replies" : "simple replies"

const exportToText = (described: Described): ReadonlyArray<string> => {
  const { description } = described
  const rows: Array<readonly [string, string]> = description === "" ? [] : [["description", oneLine(description)]]
  if (described._tag === "Refused") rows.push(["error", oneLine(described.error.message)])
  else {
    if (described.uri !== undefined) rows.push(["uri", described.uri])
    rows.push(...rowsOf(described.export))
  }
  const name = described._tag === "Refused" ? described.name : nameOf(described.export)
  return [`export ${oneLine(JSON.stringify(name))}`, ...rows.map(([title, value]) => `  ${title}: ${value}`)]
}

const rowsOf = (known: Export): ReadonlyArray<readonly [string, string]> => {
  const abilities: ReadonlyArray<readonly [string, boolean]> = [
    ["flush", known.canFlush],
    ["fua", known.canFua],
    ["trim", known.canTrim],
    ["zero", known.canWriteZeroes],
    ["fast zero", known.canFastZero],
    ["cache", known.canCache],
    ["df", known.canDf],
    ["multi-conn", known.canMultiConn]
  ]
  const which = (wanted: boolean): string =>
    abilities.filter(([, can]) => can === wanted).map(([name]) => name).join(", ") || "nothing of it"
  const exact = Size.exact(known.size)
  return [
    ["size", `${known.size} bytes${exact === known.size.toString() ? "" : ` (${exact})`}`],
    ["access", `${known.isReadOnly ? "read-only" : "read-write"}${known.isRotational ? ", rotational" : ""}`],
    ["can", which(true)],
    ["cannot", which(false)],
    [
      "block size",
      Option.match(known.blockSize, {
        onNone: () => "not advertised",
        onSome: ({ maximum, minimum, preferred }) => `minimum ${minimum}, preferred ${preferred}, maximum ${maximum}`
      })
    ]
  ]
}
