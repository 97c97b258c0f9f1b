/**
 * Reads the header of a module: the doc comment at the top of its file.
 */
import { readFileSync } from "node:fs"

/**
 * The header's first sentence and its `@since`, or undefined when the file does not start with a doc comment.
 * `internal` is true when it carries `@internal`: such a module is left out of its package's barrel. `public` is true
 * when it carries `@public`: such a module is in the barrel although it stands in a folder.
 */
export const moduleHeader = (file) => {
  const comment = /^\s*\/\*\*(.*?)\*\//s.exec(readFileSync(file, "utf8"))
  if (comment === null) return undefined
  const lines = comment[1].split("\n").map((line) => line.replace(/^\s*\*? ?/, "").trimEnd())
  const text = lines.join("\n").trim()
  const paragraph = text.split(/\n\s*\n|\n?^@/m)[0].replaceAll(/\s+/g, " ").trim()
  const sentence = /^.*?[.!?](?=$| [^a-z])/.exec(paragraph)?.[0] ?? paragraph
  if (sentence === "") return undefined
  return {
    sentence,
    since: /^@since (\S+)/m.exec(text)?.[1],
    internal: /^@internal\b/m.test(text),
    public: /^@public\b/m.test(text)
  }
}
