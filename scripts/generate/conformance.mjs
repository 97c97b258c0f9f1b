/**
 * Renders docs/conformance.md: the rules of the specification, from scripts/generate/rules.tsv, and the tests that prove
 * each, from the titles that cite it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { citedIn, citingTitles } from "../lib/citations.mjs"
import { shown, typescriptFiles } from "../lib/sources.mjs"

const list = "scripts/generate/rules.tsv"
/** Made of the list itself: it proves nothing. */
const ruleTable = "packages/conformance/src/checks/RuleTable.ts"

/**
 * The sections of the list, `{ heading, rules }`: a line `# heading` begins one, and each other line is a rule with its
 * number, level, section of the specification, words, and the reason where no test can prove it, between tabs.
 */
export const parseRules = (text) => {
  const sections = []
  for (const line of text.trimEnd().split("\n").slice(1)) {
    if (line.startsWith("# ")) {
      sections.push({ heading: line.slice(2), rules: [] })
      continue
    }
    const [number, level, where, words, reason] = line.split("\t")
    sections.at(-1)?.rules.push({ number, level, where, words, reason })
  }
  return sections
}

/** The fake server's own tests tell what it notices of a client's breach, which proves nothing of this client. */
const isOfServer = (file) =>
  /^packages\/(?:server|testing|conformance)\/test\//.test(file) && basename(file) !== "Conformance.test.ts"

/** The tests of the packages and the conformance suite, with what they cite: `{ file, title, rules }`. */
export const findCitations = (root) => {
  const packages = join(root, "packages")
  const names = existsSync(packages) ? readdirSync(packages).toSorted() : []
  const read = (folder, options) =>
    typescriptFiles(folder).flatMap((path) => {
      const file = shown(root, path)
      return citingTitles(path, options).map(({ rules, title }) => ({
        file,
        title,
        rules: isOfServer(file) ? rules.filter(([kind]) => kind !== "C") : rules
      }))
    })
  return [
    ...names.flatMap((name) => read(join(packages, name, "test"))),
    ...read(join(packages, "conformance/src/checks"), { everyText: true }).filter(({ file }) => file !== ruleTable)
  ]
}

/** Every citation in the sources of the packages, comments and all, of a rule that there is not. */
const findUnknown = (root, numbers) => {
  const kinds = new Set([...numbers].map(([kind]) => kind))
  return typescriptFiles(join(root, "packages"))
    .filter((file) => !/\/(?:dist|build)\//.test(shown(root, file)))
    .flatMap((file) =>
      readFileSync(file, "utf8").split("\n").flatMap((line, at) =>
        citedIn(line)
          .filter((rule) => kinds.has(rule[0]) && !numbers.has(rule))
          .map((rule) => `${shown(root, file)}:${at + 1} cites ${rule}, which ${list} does not have`)
      )
    )
}

/** An underscore inside a word is no emphasis. */
const escaped = (text) => text.replaceAll(/[\\|`*<>[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, "\\$&")

const isCitation = (part) => /^(?:[CHS]-\d{3}|to|and| )+$/.test(part)

/** A title without the citations in parentheses, or before a word, that the row speaks of anyway. */
const bare = (title) =>
  escaped(
    title
      .replaceAll(/\s*\(([^()]*)\)/g, (whole, inside) => {
        const parts = inside.split(", ")
        const others = parts.filter((part) => !isCitation(part))
        if (others.length === parts.length) return whole
        return others.length === 0 ? "" : ` (${others.join(", ")})`
      })
      .replaceAll(/\b[CHS]-\d{3} (?=\S)/g, "")
      .trim()
  )

const row = (cells) => `| ${cells.join(" | ")} |`

/** Titles in a row, what surrounds them said once for those that stand together. */
const inRow = (titles) => {
  let around = ""
  return titles.map((title) => {
    const at = title.lastIndexOf(" › ") + 1
    const own = at > 0 && title.slice(0, at) === around ? title.slice(at) : title
    around = title.slice(0, at)
    return own
  }).join("; ")
}

const testsOf = (citations) => {
  const files = new Map()
  for (const { file, title } of citations) files.set(file, new Set([...files.get(file) ?? [], bare(title)]))
  return [...files].map(([file, titles]) => `[${basename(file)}](../${file}): ${inRow([...titles])}`).join("<br>")
}

const columns = ["rule", "level", "section", "in words", "tests"]

/** The kinds of rules, by the letter of their numbers. */
const parts = [
  {
    kind: "C",
    heading: "Clients",
    intro:
      `The level is the specification's keyword; IMPL marks what follows from the wire format or from the server's duties, EXT-
what only the branch of extended headers asks for.`,
    columns
  },
  {
    kind: "S",
    heading: "Servers",
    intro: "What it asks of servers, and the tests of the fake server: an index, which is not complete.",
    columns
  },
  {
    kind: "H",
    heading: "Hostile servers",
    intro:
      `What servers may do wrong, and the tests that see the client through it: an index, which is not complete. CONN: the
connection ends, and every pending command fails once with a typed error. REQUEST, OPTION: that request or option
fails, and no other. TOLERATE: nothing fails. GUARD: a limit of the client ends the connection, where no byte is wrong.`,
    columns: ["rule", "reaction", "what the server does", "tests"]
  }
]

const proof = ({ number, reason }, citations) => {
  const tests = citations.filter(({ rules }) => rules.includes(number))
  if (tests.length > 0) return testsOf(tests)
  return reason === undefined ? "**no test yet**" : `no test: ${reason}`
}

const section = ({ heading, rules }, columns, citations) => {
  const cells = (rule) => {
    const { level, number, where, words } = rule
    return [number, level, ...columns.length === 5 ? [where] : [], words, proof(rule, citations)]
  }
  const lines = [row(columns), row(columns.map(() => "---")), ...rules.map((rule) => row(cells(rule)))]
  return [`### ${heading}`, lines.join("\n")].join("\n\n")
}

const count = (rules, citations) => {
  const cited = new Set(citations.flatMap(({ rules }) => rules))
  const tested = rules.filter(({ number }) => cited.has(number)).length
  const reasoned = rules.filter(({ number, reason }) => !cited.has(number) && reason !== undefined).length
  const missing = rules.length - tested - reasoned
  return [
    `${rules.length} rules: ${tested} with tests`,
    ...reasoned > 0 ? [`${reasoned} that no test can prove, with the reason`] : [],
    ...missing > 0 ? [`${missing} without a test yet`] : []
  ].join(", ")
}

const part = ({ columns, heading, intro, kind }, sections, citations) => {
  const own = sections.filter(({ rules }) => rules[0]?.number.startsWith(kind))
  if (own.length === 0) return []
  const rules = own.flatMap(({ rules }) => rules)
  return [
    `## ${heading}`,
    intro,
    `${count(rules, citations)}.`,
    ...own.map((each) => section(each, columns, citations))
  ]
}

/** The page's text. */
export const renderConformance = (sections, citations) => {
  const intro = `<!-- Generated by scripts/generate.mjs from ${list} and the titles of the tests: do not edit. -->

# Conformance

What the [specification](https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md) asks, rule by rule in this
project's own numbers, and the tests that prove each.`
  return `${[intro, ...parts.flatMap((each) => part(each, sections, citations))].join("\n\n")}\n`
}

/** The page, and a line for each fault of the list and each citation of a rule that is not in it. */
export const conformance = (root) => {
  const sections = parseRules(readFileSync(join(root, list), "utf8"))
  const rules = sections.flatMap(({ rules }) => rules)
  const numbers = new Set(rules.map(({ number }) => number))
  const citations = findCitations(root)
  const cited = new Set(citations.flatMap(({ rules }) => rules))
  const violations = findUnknown(root, numbers)
  if (numbers.size < rules.length) violations.push(`${list}:1 a rule stands in it twice`)
  for (const { number, reason, words } of rules) {
    if (!/^[CHS]-\d{3}$/.test(number) || (words ?? "") === "") violations.push(`${list}:1 ${number} is not complete`)
    if (reason !== undefined && cited.has(number)) {
      violations.push(`${list}:1 ${number} has a reason, and tests as well`)
    }
    // What servers and hostile peers do is an index; what a client must do is proved.
    if (number.startsWith("C-") && reason === undefined && !cited.has(number)) {
      violations.push(`${list}:1 ${number} has neither a test nor a reason why no test can prove it`)
    }
  }
  return { text: renderConformance(sections, citations), violations }
}
