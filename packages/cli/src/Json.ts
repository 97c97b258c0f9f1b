/**
 * JSON text with exact integers: a `bigint` is written with all its digits, where `JSON.stringify` would throw and a
 * `number` would round.
 *
 * @since 0.1.0
 */

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
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (isList(value)) return enclosed("[", value.map((item) => format(item, inner)), "]", indent)
  const fields: Array<string> = []
  for (const [name, field] of Object.entries(value)) {
    if (field !== undefined) fields.push(`${JSON.stringify(name)}: ${format(field, inner)}`)
  }
  return enclosed("{", fields, "}", indent)
}

// `Array.isArray` does not narrow readonly arrays.
const isList = (value: ReadonlyArray<Json> | JsonObject): value is ReadonlyArray<Json> => Array.isArray(value)

const enclosed = (open: string, items: ReadonlyArray<string>, close: string, indent: string): string =>
  items.length === 0
    ? open + close
    : `${open}\n${items.map((item) => `${indent}  ${item}`).join(",\n")}\n${indent}${close}`
