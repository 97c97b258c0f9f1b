/**
 * Characters that a terminal obeys or does not show: control characters, DEL and C1 among them, marks that turn the
 * direction of a text or have no width, separators of lines, and halves of surrogate pairs.
 *
 * A server chooses its names and messages, and is not to steer a terminal by them.
 *
 * @since 0.1.0
 */

/**
 * The text with each such character replaced by what is made of it.
 *
 * @since 0.1.0
 * @category encoding
 */
export const replaced = (text: string, by: (char: string) => string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, by)

/**
 * How people are shown one: `\xNN`, `\uNNNN` or `\u{NNNNN}`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const escaped = (char: string): string => {
  const digits = (char.codePointAt(0) ?? 0).toString(16)
  return digits.length <= 2
    ? `\\x${digits.padStart(2, "0")}`
    : digits.length <= 4
    ? `\\u${digits.padStart(4, "0")}`
    : `\\u{${digits}}`
}
