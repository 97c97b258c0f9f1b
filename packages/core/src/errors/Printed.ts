/**
 * Values as any logger can print them: what JSON knows, and nothing that must not be seen.
 *
 * A `bigint` becomes its decimal digits, bytes become their number, a `Duration` its milliseconds, an `Option` its value
 * or `null`. What has a `toJSON` of its own decides itself, so a `Redacted` stays one. Of an error that is not ours only
 * name, message, code and cause are shown: its other fields may hold anything.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/**
 * What is printed of a value.
 *
 * @since 0.1.0
 * @category models
 */
export type Printed =
  | string
  | number
  | boolean
  | null
  | ReadonlyArray<Printed>
  | { readonly [field: string]: Printed }

/**
 * A value with all that is below it. Functions, symbols and `undefined` are left out.
 *
 * @since 0.1.0
 * @category encoding
 */
export const print = (value: unknown): Printed => printed(value, []) ?? null

/**
 * The fields of an object, with `first` before them, as its own `toJSON` gives them.
 *
 * @since 0.1.0
 * @category encoding
 */
export const printFields = (
  value: object,
  first: { readonly [field: string]: Printed } = {}
): { readonly [field: string]: Printed } => ({ ...first, ...fieldsOf(value, [value], new Set(Object.keys(first))) })

/**
 * An object whose `toJSON` prints all its fields. They are those of `fields`, and no more: `toJSON` is inherited.
 *
 * @since 0.1.0
 * @category constructors
 */
export const printable = <const A extends object>(fields: A): A & Printable =>
  Object.assign(Object.create(printing), fields)

/**
 * What prints itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Printable {
  /** What any logger can print: numbers beyond 53 bits are decimal strings, and no secret is shown. */
  toJSON(): unknown
}

/** A literal and no class: what inherits from it is shown like any object. */
const printing: Printable = {
  toJSON() {
    return printFields(this)
  }
}

const printed = (value: unknown, above: ReadonlyArray<object>): Printed | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "bigint":
      return value.toString()
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "object":
      return value === null ? null : printedObject(value, above)
    default:
      return undefined
  }
}

const printedObject = (value: object, above: ReadonlyArray<object>): Printed => {
  if (above.includes(value)) return "[Circular]"
  const inside = [...above, value]
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (Duration.isDuration(value)) return printed(Duration.toMillis(value), inside) ?? null
  if (Option.isOption(value)) return Option.isSome(value) ? printed(value.value, inside) ?? null : null
  if (Array.isArray(value)) return value.map((item: unknown) => printed(item, inside) ?? null)
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return printed(ownJson(value.toJSON, value), inside) ?? null
  }
  return value instanceof Error ? foreignError(value, inside) : fieldsOf(value, inside)
}

/** It may be anyone's: what a cause does when it is printed must not reach the logger. */
const ownJson = (toJson: Function, value: object): unknown => {
  try {
    return toJson.call(value)
  } catch {
    return "[toJSON failed]"
  }
}

const foreignError = (error: Error, above: ReadonlyArray<object>): Printed => {
  const { cause, message, name } = error
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {}
  const because = cause === undefined ? {} : { cause: printed(cause, above) ?? null }
  return { name, message, ...code, ...because }
}

const fieldsOf = (
  value: object,
  above: ReadonlyArray<object>,
  except: ReadonlySet<string> = new Set()
): { readonly [field: string]: Printed } => {
  const found: Record<string, Printed> = {}
  for (const [name, field] of Object.entries(value)) {
    const shown = except.has(name) ? undefined : printed(field, above)
    if (shown !== undefined) found[name] = shown
  }
  // The constructor of `Error` keeps it out of the entries.
  if (value instanceof Error && value.cause !== undefined) found["cause"] = printed(value.cause, above) ?? null
  return found
}
