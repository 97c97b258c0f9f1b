/**
 * What `info` prints: the text of nbdinfo 1.24, and its JSON, field by field and in its order.
 *
 * An export that the server refuses to describe has `error` in place of its facts. What a server says is made safe for
 * a terminal.
 *
 * @since 0.1.0
 */
import type { Export, ReplyStyle } from "@effect-nbd/core/Export"
import * as Option from "effect/Option"
import { oneLine, toJson } from "./Failure.ts"
import type { Described, Known, ServerInfo } from "./Info.ts"
import * as Json from "./Json.ts"
import type { Paint } from "./Paint.ts"
import * as Size from "./Size.ts"

/** libnbd has signed sizes: a larger one it can neither count nor print. */
const maximumSize = 0x7fff_ffff_ffff_ffffn

/**
 * The object that `--json` prints.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJsonObject = ({ agreed, exports }: ServerInfo): Json.JsonObject => ({
  protocol: agreed.protocol,
  TLS: agreed.tls,
  structured: agreed.replyStyle !== "Simple",
  extended: agreed.replyStyle === "Extended",
  exports: exports.map(exportToJson)
})

const exportToJson = (described: Described): Json.JsonObject => {
  if (described._tag === "Refused") {
    return {
      "export-name": described.name,
      description: nonEmpty(described.description),
      error: toJson(described.error)
    }
  }
  const { content, contexts, description, export: known, uri } = described
  const isCountable = known.size <= maximumSize
  return {
    "export-name": nameOf(known),
    description: nonEmpty(description),
    content,
    uri,
    contexts,
    ...Object.fromEntries(abilitiesOf(known)),
    ...Object.fromEntries(blockSizesOf(known)),
    "export-size": isCountable ? known.size : undefined,
    "export-size-str": isCountable ? Size.exact(known.size) : "unavailable"
  }
}

const abilitiesOf = (known: Export): ReadonlyArray<readonly [string, boolean]> => [
  ["is_rotational", known.isRotational],
  ["is_read_only", known.isReadOnly],
  ["can_block_status_payload", known.canBlockStatusPayload],
  ["can_cache", known.canCache],
  ["can_df", known.canDf],
  ["can_fast_zero", known.canFastZero],
  ["can_flush", known.canFlush],
  ["can_fua", known.canFua],
  ["can_multi_conn", known.canMultiConn],
  ["can_trim", known.canTrim],
  ["can_zero", known.canWriteZeroes]
]

const blockSizesOf = ({ blockSize }: Export): ReadonlyArray<readonly [string, number]> =>
  Option.match(blockSize, {
    onNone: () => [],
    onSome: ({ maximum, minimum, preferred }) => [
      ["block_size_minimum", minimum],
      ["block_size_preferred", preferred],
      ["block_size_maximum", maximum]
    ]
  })

/** The server's own name for the export before the one it was asked for by. */
const nameOf = (known: Export): string => Option.getOrElse(known.canonicalName, () => known.name)

const nonEmpty = (text: string): string | undefined => text === "" ? undefined : text

/**
 * The text for people, with its closing line break.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toText = ({ agreed, exports }: ServerInfo, paint: Paint): string => {
  const security = agreed.tls ? "with" : "without"
  const lines = [
    paint("quiet", `protocol: ${agreed.protocol} ${security} TLS, using ${packets[agreed.replyStyle]} packets`)
  ]
  for (const described of exports) lines.push(...exportToText(described, paint))
  if (exports.length === 0) lines.push("no exports are listed")
  return `${lines.join("\n")}\n`
}

const packets = { Simple: "simple", Structured: "structured", Extended: "extended" } as const satisfies Record<
  ReplyStyle,
  string
>

const exportToText = (described: Described, paint: Paint): ReadonlyArray<string> => {
  const name = described._tag === "Refused" ? described.name : nameOf(described.export)
  const heading = paint("heading", `export=${Json.quoted(name)}:`)
  const description = described.description === "" ? [] : [`\tdescription: ${oneLine(described.description)}`]
  return described._tag === "Refused"
    ? [heading, ...description, paint("no", `\terror: ${oneLine(described.error.message)}`)]
    : [
      heading,
      ...[...description, ...headOf(described)].map((line) => paint("heading", line)),
      ...restOf(described, paint)
    ]
}

const headOf = ({ content, export: { size }, uri }: Known): ReadonlyArray<string> => {
  const exact = Size.exact(size)
  const lines = [`\texport-size: ${size}${exact === size.toString() ? "" : ` (${exact})`}`]
  if (content !== undefined) lines.push(`\tcontent: ${oneLine(content)}`)
  if (uri !== undefined) lines.push(`\turi: ${uri}`)
  return lines
}

const restOf = ({ contexts, export: known }: Known, paint: Paint): ReadonlyArray<string> => [
  ...(contexts === undefined ? [] : ["\tcontexts:", ...contexts.map((context) => `\t\t${oneLine(context)}`)])
    .map((line) => paint("quiet", line)),
  ...abilitiesOf(known).map(([name, holds]) => {
    const line = `\t${name}: ${holds}`
    return name.startsWith("can_") ? paint(holds ? "yes" : "no", line) : line
  }),
  ...blockSizesOf(known).map(([name, bytes]) => `\t${name}: ${bytes}`)
]
