/**
 * `[ PROGRAM ARGUMENTS … ]` on the command line: a server that is run for as long as it is needed.
 *
 * The words become one, so that nobody takes those inside for options or operands. They are joined by what no word on a
 * command line can have in it.
 *
 * @since 0.1.0
 */

const separator = "\0"

/**
 * Makes one word of each bracket and what is in it. Brackets are words of their own; one that is not closed, and one that
 * is empty, is left as it is.
 *
 * @since 0.1.0
 * @category encoding
 */
export const join = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const open = argv.indexOf("[")
  const close = argv.indexOf("]", open)
  if (open === -1 || close <= open + 1) return argv
  return [
    ...argv.slice(0, open),
    argv.slice(open, close + 1).join(separator),
    ...join(argv.slice(close + 1))
  ]
}

/**
 * The program and its arguments, where the word is a bracket.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (word: string): readonly [program: string, ...args: ReadonlyArray<string>] | undefined => {
  const [open, program, ...rest] = word.split(separator)
  return open === "[" && program !== undefined ? [program, ...rest.slice(0, -1)] : undefined
}

/**
 * The word as it was typed.
 *
 * @since 0.1.0
 * @category encoding
 */
export const show = (word: string): string => word.replaceAll(separator, " ")
