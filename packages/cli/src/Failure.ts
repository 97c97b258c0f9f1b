/**
 * Failures as the program tells them: one line for people, an object for programs.
 *
 * @since 0.1.0
 */
import * as NbdError from "@effect-nbd/core/NbdError"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Json, JsonObject } from "./Json.ts"
import * as Unseen from "./Unseen.ts"

/**
 * What every failure of this program has: a tag that says what happened, and a sentence for people.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fault {
  readonly _tag: string
  readonly message: string
}

/**
 * The command line makes no sense.
 *
 * @since 0.1.0
 * @category errors
 */
export class UsageError extends Data.TaggedError("UsageError")<{
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

/**
 * Nobody reads what is printed any more.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutputError extends Data.TaggedError("OutputError")<{
  readonly code: string
}> {
  override get message(): string {
    return `cannot write to standard output (${this.code})`
  }
}

/**
 * The reader of standard output has gone, as `head` does: that is its right, and nobody is there to be told.
 *
 * @since 0.1.0
 * @category guards
 */
export const isReaderGone = (fault: unknown): boolean =>
  fault instanceof OutputError
    ? fault.code === "EPIPE"
    : fault instanceof Error && fault.cause instanceof OutputError && isReaderGone(fault.cause)

/**
 * The exit code of a program that has failed: 141 if its output is not read any more, as a shell says of a program that
 * SIGPIPE has ended, and otherwise that of the failure's outcome. 2 and 3 are answers to questions, and no failures.
 *
 * @since 0.1.0
 * @category getters
 */
export const exitCodeOf = (fault: unknown): number =>
  isReaderGone(fault) ? 141 : NbdError.isNbdError(fault) ? exitCodes[NbdError.outcomeOf(fault)] : 1

const exitCodes = { NotSent: 1, Refused: 1, Failed: 1, Unknown: 1 } as const satisfies Record<NbdError.Outcome, number>

/**
 * Text that is safe on one line of a terminal: line breaks become `; `, and what would not be seen `\xNN` or `\uNNNN`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const oneLine = (text: string): string =>
  Unseen.replaced(text.trim().replace(/\s*[\r\n]+\s*/g, "; "), Unseen.escaped)

/**
 * What the cause comes to; a defect is reported as one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofCause = (cause: Cause.Cause<Fault>): Fault =>
  Option.getOrElse(Cause.failureOption(cause), () => ({
    _tag: "Defect",
    message: `this is a fault of effect-nbd: ${Cause.pretty(cause)}`
  }))

/**
 * The object for `--json`: tag, message, and whatever else the failure carries.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = (fault: Fault): JsonObject => ({ tag: fault._tag, message: fault.message, ...facts(fault) })

/** Not facts: what every error has. A cause is one if it is a failure of ours; what the platform threw is not. */
const hidden: ReadonlySet<string> = new Set(["_tag", "message", "name", "stack", "cause"])

const facts = (value: object, seen: ReadonlyArray<object> = []): JsonObject => {
  const found: Record<string, Json> = {}
  for (const [name, field] of Object.entries(value)) {
    const json = hidden.has(name) ? undefined : jsonOf(field, [...seen, value])
    if (json !== undefined) found[name] = json
  }
  // Errors keep it out of their entries.
  return "cause" in value && isFault(value.cause) ? { ...found, cause: toJson(value.cause) } : found
}

const jsonOf = (value: unknown, seen: ReadonlyArray<object>): Json | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "bigint":
      return value
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "object":
      if (value === null) return null
      if (seen.includes(value)) return undefined
      if (Duration.isDuration(value)) return Duration.toMillis(value)
      if (Option.isOption(value)) return Option.isSome(value) ? jsonOf(value.value, seen) : undefined
      if (Array.isArray(value)) return value.map((item: unknown) => jsonOf(item, [...seen, value]) ?? null)
      return isFault(value)
        ? { tag: value._tag, message: value.message, ...facts(value, seen) }
        : facts(value, seen)
    default:
      return undefined
  }
}

const isFault = (value: unknown): value is Fault =>
  value instanceof Error && "_tag" in value && typeof value._tag === "string"
