/**
 * How the checks of servers get to talk to one: raw, byte by byte, with nothing in between that would keep a rule for it.
 *
 * @since 0.1.0
 */
import { Transport } from "@effect-nbd/core/Transport"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { infoType } from "@effect-nbd/core/wire/Info"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { bothFlags, open, type RawClient } from "../../RawClient.ts"
import { type Check, lengthNear, type RuleId, skipped, type Target } from "../Check.ts"
import { expectReply, isAck, isRefusal, Skip } from "./Judge.ts"

/**
 * Ends the check: there is nothing to look at.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skip = (reason: string): Effect.Effect<never, Skip> => Effect.fail(new Skip({ reason }))

/**
 * Goes on where the effect skips.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unlessSkipped = <E, R>(effect: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> =>
  Effect.catchIf(effect, (error) => error instanceof Skip, () => Effect.void)

/**
 * A check whose body may `skip`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (
  name: string,
  rules: ReadonlyArray<RuleId>,
  body: Effect.Effect<void, unknown, Transport | Scope.Scope>
): Check => ({
  name,
  rules,
  run: Effect.catchIf(body, (error) => error instanceof Skip, ({ reason }) => skipped(reason))
})

/**
 * A client behind the greeting, which has agreed to all that was offered, or to these flags of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const greeted = Effect.fnUntraced(function*(target: Target, flags: number = bothFlags) {
  if ((target.protocol ?? "newstyle-fixed") !== "newstyle-fixed") return yield* skip("the server does not haggle")
  const client = yield* open
  yield* client.greet((offered) => offered & flags)
  return client
})

/**
 * The same, under TLS where the transport asks for it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const haggling = Effect.fnUntraced(function*(target: Target, flags?: number) {
  const { tls } = yield* Transport
  const client = yield* greeted(target, flags)
  if (tls?.mode === "Require") yield* expectReply("STARTTLS", yield* client.startTls(tls), "ACK")
  return client
})

/**
 * The information that a client asks for which does not want to be refused for not asking.
 *
 * @since 0.1.0
 * @category constants
 */
export const sizes: ReadonlyArray<number> = [infoType.BLOCK_SIZE]

/**
 * How a client wants to enter the export.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wishes {
  /** `simple` by default. */
  readonly style?: "simple" | "structured" | "extended"
  /** None by default. */
  readonly contexts?: ReadonlyArray<string>
  /** `false`: without asking for the block sizes. */
  readonly asksForSizes?: boolean
  /** The size that the export must have: a block by default, or four pieces. */
  readonly room?: "nothing" | "block" | "pieces"
}

/**
 * A client in the transmission phase.
 *
 * @since 0.1.0
 * @category models
 */
export interface Talk {
  readonly client: RawClient
  readonly style: "simple" | "structured" | "extended"
  readonly size: bigint
  readonly flags: TransmissionFlags
  /** The block sizes that the server told, in bytes. */
  readonly told: { readonly minimum: number; readonly maximum: number } | undefined
  /** 1 where it told none. */
  readonly minimum: number
  /** Longest payload, 32 MiB at most. */
  readonly maximum: number
  /**
   * A length that the export accepts: a multiple of its minimum block size, and not longer than the export if possible.
   */
  readonly block: number
  /** Another such length: 64 KiB, or less if four times as much is more than the maximum payload or the export. */
  readonly piece: number
  /** The length that BLOCK_STATUS is asked about: 256 KiB, or all whole blocks of a shorter export. */
  readonly span: number
  /** The selected contexts, by their ids. */
  readonly contexts: ReadonlyMap<number, string>
  /** The next request's. They have all their bits in use. */
  readonly cookies: { next: bigint }
  /** `mayEnd`: a request that no client may send was refused, and the server may have ended the session. */
  readonly tolerance: { mayEnd: boolean }
}

/**
 * Enters the target's export; skips where the server does not offer the style or the contexts, or the export is too small.
 *
 * @since 0.1.0
 * @category constructors
 */
export const enter = Effect.fnUntraced(function*(target: Target, wishes: Wishes = {}) {
  const { contexts = [], room = "block", style = "simple" } = wishes
  const client = yield* haggling(target)
  if (style !== "simple") {
    const option = style === "structured" ? "STRUCTURED_REPLY" : "EXTENDED_HEADERS"
    if (!isAck(yield* client.option(option))) return yield* skip(`the server does not offer NBD_OPT_${option}`)
  }
  const selected = new Map<number, string>()
  if (contexts.length > 0) {
    for (const reply of yield* client.metaContext("SET_META_CONTEXT", target.exportName, ...contexts)) {
      if (reply._tag === "MetaContextReply") selected.set(reply.id, reply.name)
    }
    if (selected.size < contexts.length) return yield* skip(`the server does not offer ${contexts.join(" and ")}`)
  }
  const talk = yield* going(target, client, style, selected, wishes.asksForSizes)
  const needed = { nothing: 0, block: talk.block, pieces: 4 * talk.piece }[room]
  if (talk.size < needed) return yield* skip(`the export has ${talk.size} bytes, and this takes ${needed}`)
  return talk
})

/**
 * The same for a client that has agreed to the style, and selected the contexts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const going = Effect.fnUntraced(function*(
  target: Target,
  client: RawClient,
  style: Talk["style"],
  contexts: Talk["contexts"] = new Map(),
  asksForSizes = true
) {
  const { flags, size, told } = yield* arriving("GO", target, client, { asksForSizes, byName: style !== "extended" })
  // A separate check tests that, and no other rule is broken by it.
  if (size === undefined || flags === undefined) return yield* skip("GO does not tell of the export (S-031)")
  const minimum = Math.max(1, told?.minimum ?? 1)
  const limits = { minimum, maximum: Math.min(told?.maximum ?? 33_554_432, 33_554_432), size }
  const talk: Talk = {
    client,
    style,
    flags,
    told,
    ...limits,
    block: lengthNear(limits, 512),
    piece: lengthNear(limits, 65_536, 4),
    span: size < 262_144n ? Number(size) - Number(size) % minimum : 262_144,
    contexts,
    cookies: { next: 0xfedc_ba98_7654_0000n },
    tolerance: { mayEnd: false }
  }
  return talk
})

/**
 * A client enters the export, by EXPORT_NAME if the server does not know GO. The result is what the server sent, which
 * should be size and flags. `what` is the name of this step in the message about a refusal.
 *
 * @since 0.1.0
 * @category constructors
 */
export const arriving = Effect.fnUntraced(function*(
  what: string,
  target: Target,
  client: RawClient,
  { asksForSizes = true, byName = true }: { readonly asksForSizes?: boolean; readonly byName?: boolean } = {}
) {
  const replies = yield* client.info("GO", target.exportName, asksForSizes ? sizes : [])
  if (!asksForSizes && isRefusal(replies, "ERR_BLOCK_SIZE_REQD")) return yield* skip("clients have to ask for sizes")
  if (byName && isRefusal(replies, "ERR_UNSUP")) {
    const { exportSize, flags } = yield* client.exportName(target.exportName)
    return { size: exportSize, flags, told: undefined }
  }
  yield* expectReply(what, replies, "ACK")
  const infos = replies.flatMap((reply) => reply._tag === "InfoReply" ? [reply.info] : [])
  const found = infos.find((info) => info._tag === "ExportInfo")
  return {
    size: found?.exportSize,
    flags: found?.flags,
    told: infos.find((info) => info._tag === "BlockSizeInfo")
  }
})

/**
 * The replies to GO; skips the check if the server does not know GO.
 *
 * @since 0.1.0
 * @category constructors
 */
export const goes = (client: RawClient, exportName: string, types: ReadonlyArray<number> = sizes) =>
  Effect.flatMap(
    client.info("GO", exportName, types),
    (replies) => isRefusal(replies, "ERR_UNSUP") ? skip("the server does not know NBD_OPT_GO") : Effect.succeed(replies)
  )

/**
 * A transmission flag by its name.
 *
 * @since 0.1.0
 * @category models
 */
export type FlagName = {
  [Name in keyof typeof TransmissionFlags]: (typeof TransmissionFlags)[Name] extends number ? Name : never
}[keyof typeof TransmissionFlags]

/**
 * Whether the export offers what this flag stands for.
 *
 * @since 0.1.0
 * @category guards
 */
export const has = (talk: Talk, flag: FlagName): boolean => (talk.flags & TransmissionFlags[flag]) !== 0

/**
 * Skips unless the export offers it, or can be written to.
 *
 * @since 0.1.0
 * @category guards
 */
export const needs = (talk: Talk, ...flags: ReadonlyArray<FlagName | "writable">) => {
  const missing = flags.find((flag) => flag === "writable" ? has(talk, "READ_ONLY") : !has(talk, flag))
  if (missing === undefined) return Effect.void
  return skip(missing === "writable" ? "the export is read-only" : `the export does not offer NBD_FLAG_${missing}`)
}
