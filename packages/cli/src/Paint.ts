/**
 * Colours of a report.
 *
 * @since 0.1.0
 */

const codes = {
  heading: "1",
  quiet: "90",
  yes: "32",
  no: "31",
  data: "1",
  depth: "36"
} as const

/**
 * What a line is, which says how it looks.
 *
 * @since 0.1.0
 * @category models
 */
export type Style = keyof typeof codes

/**
 * Gives a piece of text its colour, or leaves it as it is.
 *
 * @since 0.1.0
 * @category models
 */
export type Paint = (style: Style, text: string) => string

/**
 * @since 0.1.0
 * @category constructors
 */
export const colours: Paint = (style, text) => `\u001b[${codes[style]}m${text}\u001b[0m`

/**
 * @since 0.1.0
 * @category constructors
 */
export const plain: Paint = (_style, text) => text
