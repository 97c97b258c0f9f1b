/**
 * The help text of @effect/cli, closed up.
 *
 * @since 0.1.0
 */
import { stripVTControlCharacters } from "node:util"

/** What it says of every option and argument beside their own descriptions. */
const platitudes: ReadonlySet<string> = new Set([
  "A true or false value.",
  "A user-defined piece of text.",
  "An integer.",
  "This setting is optional.",
  "This option may be repeated zero or more times."
])

/**
 * Leaves out what says nothing, the empty lines between an option, its description and the next option, and the options
 * in the list of commands.
 *
 * @since 0.1.0
 * @category encoding
 */
export const shorten = (help: string): string => {
  let shortened = ""
  let followsDescription = false
  for (const paragraph of help.split("\n\n")) {
    const plain = stripVTControlCharacters(paragraph)
    if (platitudes.has(plain.trim())) continue
    const isDescription = plain.startsWith("  ")
    const isClose = isDescription || (followsDescription && !/^[A-Z]+$/.test(plain))
    shortened += shortened === "" ? paragraph : `${isClose ? "\n" : "\n\n"}${paragraph}`
    followsDescription = isDescription
  }
  return shortened.split("\n").map(withoutOptions).join("\n")
}

/** In the list of commands their options make lines of several hundred characters. */
const withoutOptions = (line: string): string =>
  line.startsWith("  - ") ? line.replace(/ (?:\[[^\]]*\]|--\S+ \S+)/g, "").replace(/(\S) {2,}/, "$1  ").trimEnd() : line
