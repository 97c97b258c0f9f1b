/**
 * Fields of a message as a transcript shows them: a name, and the value in words.
 *
 * @since 0.1.0
 */
import type { WireError } from "@effect-nbd/core/wire/WireError"

/**
 * A field that is not at its place yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Part {
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** In words; empty where the bytes say it all. */
  readonly value: string
}

/**
 * Bytes that say it all, as data and padding do.
 *
 * @since 0.1.0
 * @category constructors
 */
export const plain = (name: string, size: number): Part => ({ name, size, value: "" })

/**
 * A number, and what it stands for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const number = (name: string, size: number, value: number | bigint, meaning = ""): Part => ({
  name,
  size,
  value: meaning === "" ? `${value}` : `${value} ${meaning}`
})

/**
 * The same in hexadecimal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const hexadecimal = (name: string, size: number, value: number, meaning = ""): Part => {
  const digits = `0x${value.toString(16).padStart(2 * size, "0")}`
  return { name, size, value: meaning === "" ? digits : `${digits} ${meaning}` }
}

/**
 * Text, in quotes and escaped as in JSON; nothing where it is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (name: string, size: number, value: string): ReadonlyArray<Part> =>
  size === 0 ? [] : [{ name, size, value: quoted(value) }]

/**
 * Bytes that are not what should stand there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const faulty = (name: string, size: number, { expected, received, rule }: WireError): ReadonlyArray<Part> =>
  size === 0 ? [] : [{ name, size, value: `not ${expected}, but ${received} (${rule})` }]

const quoted = (value: string): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\p{Bidi_Control}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** Core's constants are tables of numbers; those of flags are functions too, with methods beside the numbers. */
const numbersOf = (table: object): ReadonlyArray<readonly [name: string, value: number]> =>
  Object.entries(table).flatMap(([name, value]) => typeof value === "number" ? [[name, value] as const] : [])

/**
 * The specification's name of a value, or `unknown`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const nameIn = (table: object, value: number): string =>
  numbersOf(table).find(([, named]) => named === value)?.[0] ?? "unknown"

/**
 * The names of the bits that are set; what has no name comes last, as a number.
 *
 * @since 0.1.0
 * @category formatting
 */
export const flagsIn = (table: object, value: number): string => {
  const names: Array<string> = []
  let rest = value
  for (const [name, bit] of numbersOf(table)) {
    if ((value & bit) === 0) continue
    names.push(name)
    rest &= ~bit
  }
  if (rest !== 0) names.push(`0x${(rest >>> 0).toString(16)}`)
  return names.join(" ")
}
