/**
 * What a check is, what it needs to know of its server, and the ways in which it finds something wrong.
 *
 * @since 0.1.0
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { Transport } from "@effect-nbd/core/Transport"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Scope from "effect/Scope"
import type { ruleTable } from "./RuleTable.ts"

/**
 * What the suite has to know of the server behind the Transport.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  /**
   * The export to work with, alone for the suite. Its content is lost, unless it is read-only. Checks that need a
   * larger export are skipped: 1 MiB is enough for all but one, which needs more than 64 MiB.
   */
  readonly exportName: string
  /** A name that the server refuses, where it knows its exports by name. */
  readonly unknownExport?: string
  /** The server lists its exports, the one to work with among them. Default: `true`. */
  readonly lists?: boolean
  /** How it shakes hands. Default: `newstyle-fixed`. */
  readonly protocol?: "oldstyle" | "newstyle" | "newstyle-fixed"
  /**
   * `false`: our clients cannot enter the export, because the server breaks a rule before that. `run` then goes on
   * while the server sends a greeting. Otherwise it goes on while the server lets a client enter and answers it.
   * Default: `true`.
   */
  readonly enterable?: boolean
  /** The export cannot be written to: nothing is checked that takes writing. Default: `false`. */
  readonly readOnly?: boolean
  /** Every connection finds what the one before has written. Default: `true`; a command starts afresh each time. */
  readonly keepsContent?: boolean
  /**
   * The server answers EINVAL to commands that it advertised, which is its fault and not a transport's. Default: `false`.
   */
  readonly refusesAdvertised?: boolean
}

/**
 * The number of a rule, as `docs/conformance.md` and `ruleTable` have it: `C-…` for what is asked of clients, `S-…` of
 * servers.
 *
 * @since 0.1.0
 * @category models
 */
export type RuleId = keyof typeof ruleTable

/**
 * There was nothing to check: the server does not offer what it takes.
 *
 * @since 0.1.0
 * @category models
 */
export class Skipped extends Data.TaggedClass("Skipped")<{
  readonly reason: string
}> {}

/**
 * One thing that has to be so. `run` succeeds where it is, or says why it could not be looked at; it fails with what was
 * expected and what was seen, or with what went wrong on the way. It connects for itself, and has no time limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Check {
  readonly name: string
  /** What it exercises; none where it is about this library alone. */
  readonly rules: ReadonlyArray<RuleId>
  readonly run: Effect.Effect<Skipped | void, unknown, Transport | Scope.Scope>
}

/**
 * There is nothing to check, for this reason.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skipped = (reason: string): Effect.Effect<Skipped> => Effect.sync(() => new Skipped({ reason }))

/**
 * A check saw something else than what it expected.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConformanceError extends Data.TaggedError("NbdConformanceError")<{
  readonly what: string
  /**
   * A text of more than 500 characters is cut: the report holds all checks, and a server can send much text in each.
   */
  readonly expected: unknown
  readonly actual: unknown
}> {
  constructor(fields: { readonly what: string; readonly expected: unknown; readonly actual: unknown }) {
    super({ what: cut(fields.what), expected: cut(fields.expected), actual: cut(fields.actual) })
  }

  override get message(): string {
    return `${this.what}: expected ${inWords(this.expected)}, saw ${inWords(this.actual)}`
  }
}

/**
 * The bytes read differ from those written: what the check tests is at fault, unless the export does not store writes.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContentError extends Data.TaggedError("NbdContentError")<{
  readonly error: ConformanceError
}> {
  override get message(): string {
    return this.error.message
  }
}

/**
 * A failure that is about these rules, and not about the other rules of its check.
 *
 * @since 0.1.0
 * @category errors
 */
export class RuleError extends Data.TaggedError("NbdRuleError")<{
  readonly rules: ReadonlyArray<RuleId>
  readonly error: unknown
}> {
  override get message(): string {
    return this.error instanceof Error ? this.error.message : String(this.error)
  }
}

const cut = <A>(value: A): A | string =>
  typeof value === "string" && value.length > 500
    ? `${value.slice(0, 500)} (of ${value.length} characters)`
    : value

const inWords = (value: unknown): string =>
  typeof value === "bigint" ? `${value}` : JSON.stringify(value) ?? String(value)

/**
 * @since 0.1.0
 * @category guards
 */
export const expectEqual = (what: string, actual: unknown, expected: unknown): Effect.Effect<void, ConformanceError> =>
  Equal.equals(actual, expected) ? Effect.void : Effect.fail(new ConformanceError({ what, expected, actual }))

/**
 * Compares bytes, and tells where they first differ.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectBytes = (
  what: string,
  actual: Uint8Array,
  expected: Uint8Array
): Effect.Effect<void, ConformanceError> =>
  Effect.suspend(() => {
    const at = expected.findIndex((byte, index) => actual[index] !== byte)
    return at === -1 && actual.byteLength === expected.byteLength
      ? Effect.void
      : Effect.fail(
        new ConformanceError({
          what: `${what}, byte ${at}`,
          expected: at === -1 ? `${expected.byteLength} bytes` : expected[at],
          actual: at === -1 ? `${actual.byteLength} bytes` : actual[at]
        })
      )
  })

/**
 * The same comparison, for bytes that were written and then read.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectKept = (
  what: string,
  actual: Uint8Array,
  expected: Uint8Array
): Effect.Effect<void, ContentError> =>
  Effect.mapError(expectBytes(what, actual, expected), (error) => new ContentError({ error }))

/**
 * The effect fails, with this tag.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectTag = <A, E extends { readonly _tag: string }, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  tag: string
): Effect.Effect<void, ConformanceError, R> =>
  Effect.matchEffect(effect, {
    onSuccess: (actual) => Effect.fail(new ConformanceError({ what, expected: tag, actual })),
    onFailure: (error) => expectEqual(what, error._tag, tag)
  })

/**
 * What the server does not offer is refused before it is sent; there is nothing more to check.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectRefusal = <A, E extends { readonly _tag: string }, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  tag = "NbdUnsupportedError"
): Effect.Effect<Skipped, ConformanceError, R> =>
  Effect.zipRight(expectTag(what, effect, tag), skipped(`the server does not offer ${what}`))

/**
 * Connects to the target's export.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = (target: Target) => Handle.connect({ exportName: target.exportName })

/**
 * The limits for requests to an export, in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly minimum: number
  readonly maximum: number
  readonly size: bigint
}

/**
 * A length that the export takes, in bytes: a multiple of its minimum block size and of 512, near what is wanted, of which
 * `count` fit into the longest payload and into the export. Where that is too short for them it is one block. Where the
 * export is shorter than one, it is all whole minimum blocks that there are, or one of them, which there is not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lengthNear = ({ maximum, minimum, size }: Limits, wanted: number, count = 1): number => {
  const block = Math.max(minimum, 512)
  if (size < BigInt(block)) return Math.max(minimum, Number(size) - Number(size) % minimum)
  const fits = size / BigInt(count) < BigInt(maximum) ? Number(size / BigInt(count)) : maximum
  const longest = Math.floor(Math.min(maximum / count, fits) / block) * block
  return Math.max(block, Math.min(Math.ceil(wanted / block) * block, longest))
}

/**
 * The limits of an export that is entered. A server that cannot tell them may have the largest minimum there is.
 *
 * @since 0.1.0
 * @category getters
 */
export const limitsOf = ({ agreed, export: { maximumPayload, minimumBlockSize, size } }: Handle.Connected): Limits => ({
  minimum: agreed.protocol === "newstyle-fixed" ? minimumBlockSize : 65_536,
  maximum: maximumPayload,
  size
})

/**
 * Bytes that tell where they belong: every offset and every seed gives others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pattern = (offset: bigint, length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  const start = Number(offset % 0x1_0000_0000n)
  for (let index = 0; index < length; index++) {
    const mixed = Math.imul(start + index + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)
    bytes[index] = mixed >>> 24
  }
  return bytes
}
