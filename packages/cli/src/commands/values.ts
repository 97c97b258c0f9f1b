/**
 * Values on the command line that several commands take.
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"

/**
 * A value that makes no sense, and why.
 *
 * @since 0.1.0
 * @category errors
 */
export const invalid = (reason: string): ValidationError.ValidationError =>
  ValidationError.invalidValue(HelpDoc.p(reason))

/**
 * An operand. One that begins with a dash is a misspelt option, which would otherwise be taken for a file or an address.
 *
 * @since 0.1.0
 * @category arguments
 */
export const positional = (name: string): Args.Args<string> =>
  Args.text({ name }).pipe(
    Args.mapEffect((text) =>
      text.startsWith("-") ? Effect.fail(HelpDoc.p(`there is no option ${text} here`)) : Effect.succeed(text)
    )
  )
