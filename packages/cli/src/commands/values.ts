/**
 * Values on the command line that several commands take.
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * A value that makes no sense, and why.
 *
 * @since 0.1.0
 * @category errors
 */
export const invalid = (reason: string): ValidationError.ValidationError =>
  ValidationError.invalidValue(HelpDoc.p(reason))

/**
 * An operand. One that begins with a dash is a misspelt option, which would otherwise be taken for a file or an address,
 * unless it is `allowed`; an empty one is a variable that is not set.
 *
 * @since 0.1.0
 * @category arguments
 */
export const positional = (name: string, allowed?: "-"): Args.Args<string> =>
  Args.text({ name }).pipe(
    Args.mapEffect((text) =>
      text === ""
        ? Effect.fail(HelpDoc.p(`${name} is empty`))
        : text.startsWith("-") && text !== allowed
        ? Effect.fail(
          HelpDoc.p(text === "-" ? `${name} cannot be -` : `there is no option ${text} here, or it is there twice`)
        )
        : Effect.succeed(text)
    )
  )

/** No argument can have a zero byte. */
const emptyValue = "\0"

/**
 * An option that may be there several times. Its values come through `withEmptyValues`.
 *
 * @since 0.1.0
 * @category options
 */
export const repeatable = (name: Repeatable): Options.Options<ReadonlyArray<string>> =>
  Options.text(name).pipe(
    Options.repeated,
    Options.map((texts) => texts.map((text) => text === emptyValue ? "" : text))
  )

const repeatables = ["export", "bitmap", "map"] as const

/**
 * @since 0.1.0
 * @category models
 */
export type Repeatable = typeof repeatables[number]

/**
 * An empty value of an option that may be there several times, such as the export with the empty name, which @effect/cli
 * would leave out as if the option were not there. `--name=value` is two words here.
 *
 * @since 0.1.0
 * @category decoding
 */
export const withEmptyValues = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const operands = words.indexOf("--")
  return words.map((word, index) =>
    word === "" && (operands === -1 || index < operands) && options.has(words[index - 1] ?? "") ? emptyValue : word
  )
}

const options: ReadonlySet<string> = new Set(repeatables.map((name) => `--${name}`))

/**
 * A time such as `20ms`, `1.5s` or `2m`; `undefined` for anything else.
 *
 * @since 0.1.0
 * @category decoding
 */
export const parseDuration = (text: string): Duration.Duration | undefined => {
  const [, count, unit = ""] = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)$/.exec(text) ?? []
  return count === undefined
    ? undefined
    : Duration.millis(Number(count) * (unit === "ms" ? 1 : unit === "s" ? 1000 : 60_000))
}

/**
 * `--record FILE`, with what is written to it.
 *
 * @since 0.1.0
 * @category options
 */
export const recordOption = (what: string): Options.Options<Option.Option<string>> =>
  Options.text("record").pipe(
    Options.withPseudoName("FILE"),
    Options.mapEffect((path) =>
      path === "" ? Effect.fail(invalid("--record: the name of the file is empty")) : Effect.succeed(path)
    ),
    Options.optional,
    Options.withDescription(what)
  )

/**
 * An option and its opposite; none where neither is there.
 *
 * @since 0.1.0
 * @category options
 */
export const switchOf = (
  on: string,
  off: string,
  aliases: ReadonlyArray<string>,
  description: string
): Options.Options<Option.Option<boolean>> => {
  const option = (name: string, prefix: string, description: string) =>
    Options.boolean(name, { aliases: aliases.map((alias) => `${prefix}${alias}`) }).pipe(
      Options.withDescription(description)
    )
  return Options.all([option(on, "", description), option(off, "no-", `Do not, as --${on} would`)]).pipe(
    Options.mapEffect(([isOn, isOff]) =>
      isOn && isOff
        ? Effect.fail(invalid(`--${on} and --${off} exclude each other`))
        : Effect.succeed(isOn || isOff ? Option.some(isOn) : Option.none())
    )
  )
}

/**
 * How exports are entered.
 *
 * @since 0.1.0
 * @category options
 */
export const forceExportNameOption = Options.boolean("force-export-name").pipe(
  Options.withDescription(
    "Enter exports by NBD_OPT_EXPORT_NAME, for servers that cannot cope with NBD_OPT_GO; without extended headers then"
  )
)
