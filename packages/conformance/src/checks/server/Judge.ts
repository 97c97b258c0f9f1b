/**
 * What a check of servers expects of replies, and how it says that it saw something else.
 *
 * @since 0.1.0
 */
import { errno, type ErrnoName, errnoName } from "@effect-nbd/core/wire/Errno"
import { type OptionReply, replyType, type ReplyTypeName, replyTypeName } from "@effect-nbd/core/wire/OptionReply"
import { hex } from "@effect-nbd/core/wire/WireError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type RawChunk, type RawClient, UndecodableError } from "../../RawClient.ts"
import { ConformanceError, RuleError, type RuleId } from "../Check.ts"

const skipTag = "Skip"

/**
 * The answer to one request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly style: "simple" | "structured" | "extended"
  /** 0 where there is none. */
  readonly error: number
  /** Of a READ, put together. */
  readonly data: Uint8Array
  /** None of a simple reply. */
  readonly chunks: ReadonlyArray<RawChunk>
}

/**
 * The answer is one of these errors; `none` is success.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectError = (
  what: string,
  { error }: Answer,
  ...allowed: ReadonlyArray<ErrnoName | "none">
): Effect.Effect<void, ConformanceError> => {
  const isAllowed = allowed.some((name) => error === (name === "none" ? 0 : errno[name]))
  return isAllowed
    ? Effect.void
    : saw(what, allowed.join(" or "), error === 0 ? "success" : `${errnoName(error)} (${error})`)
}

const circumstances: ReadonlySet<number> = new Set([errno.EIO, errno.ENOMEM, errno.ENOSPC, errno.ESHUTDOWN])

/**
 * The error means that the disk is broken or full, that memory is short, or that the server is shutting down. It does
 * not mean that the request was wrong.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOfCircumstance = (error: number): boolean => circumstances.has(error)

/**
 * The request is carried out, or answered with one of these errors. Skips the check if the request fails for a reason
 * outside the protocol: the disk may be broken or full.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectDone = (
  what: string,
  answer: Answer,
  ...orElse: ReadonlyArray<ErrnoName>
): Effect.Effect<void, ConformanceError | Skip> =>
  isOfCircumstance(answer.error) && !orElse.some((name) => errno[name] === answer.error)
    ? Effect.fail(new Skip({ reason: `${what} failed with ${errnoName(answer.error)}` }))
    : expectError(what, answer, "none", ...orElse)

/**
 * The answer is an error, whichever.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectFailure = (what: string, { error }: Answer): Effect.Effect<void, ConformanceError> =>
  error === 0 ? saw(what, "an error", "success") : Effect.void

/**
 * The server ends the connection without another word.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectEnd = (what: string, client: RawClient): Effect.Effect<void, ConformanceError> =>
  Effect.matchEffect(client.take(1), {
    onSuccess: ([byte]) => saw(what, "the end of the connection", `a byte ${hex(byte ?? 0, 1)}`),
    onFailure: () => Effect.void
  })

/**
 * The final reply is of one of these types.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectReply = (
  what: string,
  replies: ReadonlyArray<OptionReply>,
  ...allowed: ReadonlyArray<ReplyTypeName>
): Effect.Effect<void, ConformanceError> => {
  const last = replies.at(-1)
  const type = last?._tag === "ErrorReply" ? last.type : replyType.ACK
  return allowed.some((name) => replyType[name] === type)
    ? Effect.void
    : saw(`answer to ${what}`, allowed.map((name) => `NBD_REP_${name}`).join(" or "), replyTypeName(type))
}

/**
 * Whether the option was agreed to.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAck = (replies: ReadonlyArray<OptionReply>): boolean => replies.at(-1)?._tag === "Ack"

/**
 * Whether the option was refused with this; without a name: with what a server may answer to any option, since
 * it does not do it, or not for this client or now.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRefusal = (replies: ReadonlyArray<OptionReply>, name?: ReplyTypeName): boolean => {
  const last = replies.at(-1)
  if (last?._tag !== "ErrorReply") return false
  return name === undefined ? atWill.has(last.type) : last.type === replyType[name]
}

const atWill: ReadonlySet<number> = new Set([
  replyType.ERR_UNSUP,
  replyType.ERR_POLICY,
  replyType.ERR_PLATFORM,
  replyType.ERR_SHUTDOWN,
  replyType.ERR_TOO_BIG
])

/**
 * A failure of the effect is one of this rule, or these, and not of the other rules of its check; also where the effect
 * itself names others. What skips the check still does.
 *
 * @since 0.1.0
 * @category guards
 */
export const about = <A, E, R>(
  rules: RuleId | ReadonlyArray<RuleId>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | RuleError, R> =>
  Effect.mapError(effect, (error) => {
    if (Predicate.isTagged(error, skipTag)) return error
    return new RuleError({
      rules: typeof rules === "string" ? [rules] : rules,
      error: error instanceof RuleError ? error.error : error
    })
  })

/**
 * The same of what cannot be decoded alone, or of what cannot because of a rule of the codec's.
 *
 * @since 0.1.0
 * @category guards
 */
export const decodes = <A, E, R>(
  rules: RuleId,
  effect: Effect.Effect<A, E, R>,
  because?: string
): Effect.Effect<A, E | RuleError, R> =>
  Effect.catchIf(effect, (error) => isUndecodable(error, because), (error) => about(rules, Effect.fail(error)))

const isUndecodable = (error: unknown, because: string | undefined): boolean =>
  error instanceof UndecodableError
    ? because === undefined || error.rule === because
    : error instanceof RuleError && isUndecodable(error.error, because)

/**
 * What ends a check early, and is no failure.
 *
 * @since 0.1.0
 * @category errors
 */
export class Skip extends Data.TaggedError(skipTag)<{ readonly reason: string }> {}

/**
 * The check fails.
 *
 * @since 0.1.0
 * @category constructors
 */
export const saw = (what: string, expected: unknown, actual: unknown): Effect.Effect<never, ConformanceError> =>
  Effect.fail(new ConformanceError({ what, expected, actual }))
