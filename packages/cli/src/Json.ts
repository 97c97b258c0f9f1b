/**
 * JSON text with exact integers: a `bigint` is written with all its digits, where `JSON.stringify` would throw and a
 * `number` would round. What a terminal obeys or does not show is escaped as JSON has it, so that the text is the same
 * wherever it goes, and what is read from it is exact.
 *
 * @since 0.1.0
 */

import * as Unseen from "./Unseen.ts"

/**
 * What can be written. A field that is `undefined` is left out.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = string | number | bigint | boolean | null | ReadonlyArray<Json> | JsonObject

/**
 * @since 0.1.0
 * @category models
 */
export interface JsonObject {
  readonly [field: string]: Json | undefined
}

/**
 * The text, indented by two spaces a level, with fields in the order in which they were given.
 *
 * @since 0.1.0
 * @category encoding
 */
export const format = (value: Json, indent = ""): string => {
  if (typeof value === "bigint") return value.toString()
  if (typeof value === "string") return quoted(value)
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (isList(value)) return enclosed("[", value.map((item) => format(item, inner)), "]", indent)
  const fields: Array<string> = []
  for (const [name, field] of Object.entries(value)) {
    if (field !== undefined) fields.push(`${quoted(name)}: ${format(field, inner)}`)
  }
  return enclosed("{", fields, "}", indent)
}

/**
 * A text in quotes, on one line.
 *
 * @since 0.1.0
 * @category encoding
 */
export const quoted = (text: string): string =>
  Unseen.replaced(JSON.stringify(text), (char) =>
    // JSON knows code units: what is beyond 16 bits is two of them.
    char.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""))

// `Array.isArray` does not narrow readonly arrays.
const isList = (value: ReadonlyArray<Json> | JsonObject): value is ReadonlyArray<Json> => Array.isArray(value)

const enclosed = (open: string, items: ReadonlyArray<string>, close: string, indent: string): string =>
  items.length === 0
    ? open + close
    : `${open}\n${items.map((item) => `${indent}  ${item}`).join(",\n")}\n${indent}${close}`
