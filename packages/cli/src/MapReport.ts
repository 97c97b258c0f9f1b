/**
 * What `info --map` prints: the text and the JSON of nbdinfo for one context, and forms of its own for several.
 *
 * @since 0.1.0
 */
import type { ContextFlags, MappedExtent } from "@effect-nbd/core/Extents"
import * as Chunk from "effect/Chunk"
import * as Stream from "effect/Stream"
import { meaningOf, type Total } from "./ExtentMap.ts"
import { oneLine } from "./Failure.ts"
import * as Json from "./Json.ts"
import type { Paint, Style } from "./Paint.ts"

type Status = ReadonlyArray<ContextFlags>

/**
 * A line for each extent.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toText = <E, R>(
  extents: Stream.Stream<MappedExtent, E, R>,
  paint: Paint
): Stream.Stream<string, E, R> => {
  const labelOf = shared((status) => ({ text: textOf(status), style: styleOf(status) }))
  return byChunk(extents, ({ length, offset, status }) => {
    const { style, text } = labelOf(status)
    const line = `${String(offset).padStart(10)}  ${String(length).padStart(10)}  ${text}`
    return style === undefined ? `${line}\n` : `${paint(style, line)}\n`
  })
}

const textOf = (status: Status): string => {
  const [first, ...others] = status
  if (first === undefined) return ""
  if (others.length > 0) {
    return status.map((one) => `${oneLine(one.context)}: ${one.flags} ${describe(one)}`.trimEnd()).join("; ")
  }
  return `${String(first.flags).padStart(3)}  ${describe(first)}`.trimEnd()
}

const styleOf = ([first, ...others]: Status): Style | undefined =>
  first === undefined || others.length > 0 ? undefined : styles[describe(first)]

const describe = ({ context, flags }: ContextFlags): string => meaningOf(context, flags) ?? ""

const styles: { readonly [description: string]: Style | undefined } = {
  data: "heading",
  local: "heading",
  dirty: "no",
  clean: "yes"
}

/**
 * An array with an object for each extent, one a line.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = <E, R>(extents: Stream.Stream<MappedExtent, E, R>): Stream.Stream<string, E, R> => {
  const labelOf = shared(jsonOf)
  let before = "[\n"
  return byChunk(extents, ({ length, offset, status }) => {
    const line = `${before}{ "offset": ${offset}, "length": ${length}, ${labelOf(status)} }`
    before = ",\n"
    return line
  }).pipe(Stream.concat(Stream.suspend(() => Stream.make(before === ",\n" ? "\n]\n" : "[]\n"))))
}

const jsonOf = (status: Status): string => {
  const [first, ...others] = status
  if (first !== undefined && others.length === 0) return typeToJson(first)
  const types = status.map((one) => `{ "context": ${Json.quoted(one.context)}, ${typeToJson(one)} }`)
  return `"status": [${types.join(", ")}]`
}

const typeToJson = ({ context, flags }: ContextFlags): string => {
  const description = meaningOf(context, flags)
  return `"type": ${flags}${description === undefined ? "" : `, "description": ${Json.quoted(description)}`}`
}

/** One piece of text for all that one pull of the stream brings: a million extents are a few hundred pieces. */
const byChunk = <E, R>(
  extents: Stream.Stream<MappedExtent, E, R>,
  format: (extent: MappedExtent) => string
): Stream.Stream<string, E, R> =>
  Stream.mapChunks(extents, (chunk) => {
    // Joined, since a string that grows by concatenation is a tree of all its pieces.
    const lines: Array<string> = []
    for (const extent of chunk) lines.push(format(extent))
    return Chunk.of(lines.join(""))
  })

/** Extents of the same status often share it, and so they do what it comes to. */
const shared = <A extends {}>(compute: (status: Status) => A): (status: Status) => A => {
  const known = new Map<Status, A>()
  return (status) => {
    const found = known.get(status)
    if (found !== undefined) return found
    const computed = compute(status)
    if (known.size >= 16) known.clear()
    known.set(status, computed)
    return computed
  }
}

/**
 * Totals of a range of so many bytes, a line for each type.
 *
 * @since 0.1.0
 * @category encoding
 */
export const totalsToText = (totals: ReadonlyArray<Total>, size: bigint, paint: Paint): string => {
  const isOne = totals.every(({ context }) => context === totals[0]?.context)
  let heading = ""
  return totals.map((total) => {
    const description = describe(total)
    const percent = rounded(percentOf(total, size), 1).toFixed(1).padStart(5)
    const line = `${String(total.size).padStart(10)} ${percent}% ${String(total.flags).padStart(3)} ${description}`
    const style = styles[description]
    const above = isOne || heading === total.context ? "" : `${oneLine(total.context)}:\n`
    heading = total.context
    return `${above}${style === undefined ? line.trimEnd() : paint(style, line)}\n`
  }).join("")
}

/**
 * An array with an object for each type; with several contexts it names its own.
 *
 * @since 0.1.0
 * @category encoding
 */
export const totalsToJson = (totals: ReadonlyArray<Total>, size: bigint): string => {
  const isOne = totals.every(({ context }) => context === totals[0]?.context)
  const lines = totals.map((total) => {
    const of = isOne ? "" : `"context": ${Json.quoted(total.context)}, `
    const percent = toSixDigits(percentOf(total, size))
    return `{ ${of}"size": ${total.size}, "percent": ${percent}, ${typeToJson(total)} }`
  })
  return lines.length === 0 ? "[]\n" : `[\n${lines.join(",\n")}\n]\n`
}

const percentOf = (total: Total, size: bigint): number => 100 * Number(total.size) / Number(size)

const toSixDigits = (percent: number): number => {
  const [, exponent = ""] = percent.toExponential().split("e")
  return rounded(percent, 5 - Number(exponent))
}

/** To so many decimals, as C's `printf` does it: halves go to the even digit. */
const rounded = (value: number, decimals: number): number => {
  const isHalf = value * 2 ** (decimals + 1) % 2 === 1
  if (!isHalf) return Number(value.toFixed(decimals))
  const digits = Math.floor(value * 10 ** decimals)
  return (digits + digits % 2) / 10 ** decimals
}
