/**
 * How the checks of servers talk to one: raw, byte by byte, with nothing in between that would keep a rule for it.
 *
 * @since 0.1.0
 */
import type { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { Transport } from "@effect-nbd/core/Transport"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { infoType } from "@effect-nbd/core/wire/Info"
import { chunkType, decodeErrorPayload, isErrorChunk } from "@effect-nbd/core/wire/Reply"
import { hex, isWireError } from "@effect-nbd/core/wire/WireError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import {
  bothFlags,
  open,
  type RawChunk,
  type RawClient,
  type RawCommand,
  type RawRequest,
  type UndecodableError
} from "../../RawClient.ts"
import { type Check, type ConformanceError, expectEqual, type RuleId, skipped, type Target } from "../Check.ts"
import { type Answer, expectError, expectReply, isAck, isRefusal, saw } from "./Judge.ts"

/** What ends a check early, and is no failure. */
class Skip extends Data.TaggedError("Skip")<{ readonly reason: string }> {}

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

type Failure = StreamEnded | UndecodableError | ConformanceError

/**
 * A client behind the greeting, which has agreed to whatever was offered, or to these flags of it.
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
  readonly minimum: number
  readonly maximum: number
  /** A length that the export takes: a multiple of its minimum block size. */
  readonly block: number
  /** The selected contexts, by their ids. */
  readonly contexts: ReadonlyMap<number, string>
  /** The next request's. They have all their bits in use. */
  readonly cookies: { next: bigint }
}

/**
 * Enters the target's export; skips where the server does not offer the style or the contexts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const enter = Effect.fnUntraced(function*(target: Target, wishes: Wishes = {}) {
  const { asksForSizes = true, contexts = [], style = "simple" } = wishes
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
  const replies = yield* client.info("GO", target.exportName, asksForSizes ? sizes : [])
  if (!asksForSizes && isRefusal(replies, "ERR_BLOCK_SIZE_REQD")) return yield* skip("clients have to ask for sizes")
  yield* expectReply("GO", replies, "ACK")
  const infos = replies.flatMap((reply) => reply._tag === "InfoReply" ? [reply.info] : [])
  const about = infos.find((info) => info._tag === "ExportInfo")
  if (about === undefined) return yield* saw("GO", "NBD_INFO_EXPORT", "none")
  const told = infos.find((info) => info._tag === "BlockSizeInfo")
  const minimum = told?.minimum ?? 1
  const talk: Talk = {
    client,
    style,
    size: about.exportSize,
    flags: about.flags,
    minimum,
    maximum: Math.min(told?.maximum ?? 33_554_432, 33_554_432),
    block: Math.max(minimum, 512),
    contexts: selected,
    cookies: { next: 0xfedc_ba98_7654_0000n }
  }
  return talk
})

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

/**
 * Sends one request.
 *
 * @since 0.1.0
 * @category encoding
 */
export const tell = (talk: Talk, command: RawCommand, request: RawRequest = {}) =>
  Effect.suspend(() => {
    const cookie = BigInt(request.cookie ?? talk.cookies.next++)
    const sent = { ...request, cookie }
    const saying = talk.style === "extended" ? talk.client.extended(command, sent) : talk.client.request(command, sent)
    return Effect.as(saying, cookie)
  })

/**
 * Sends one request and takes its answer, which has to come next, repeat the cookie, and have the style agreed on.
 *
 * @since 0.1.0
 * @category decoding
 */
export const ask = (talk: Talk, command: RawCommand, request: RawRequest = {}): Effect.Effect<Answer, Failure> =>
  Effect.flatMap(tell(talk, command, request), (cookie) => answer(talk, command, request, cookie))

/**
 * Takes the answer to a request that was sent.
 *
 * @since 0.1.0
 * @category decoding
 */
export const answer = Effect.fnUntraced(
  function*(talk: Talk, command: RawCommand, request: RawRequest, cookie: bigint) {
    const length = command === "READ" ? Number(request.length ?? 0) : 0
    const what = `reply to ${typeof command === "number" ? hex(command, 2) : command}`
    let reply = yield* talk.client.reply(length)
    yield* expectEqual(`cookie of the ${what}`, reply.cookie, cookie)
    if (reply.style === "simple") {
      const isAllowed = talk.style === "simple" || (talk.style === "structured" && command !== "READ")
      yield* expectEqual(`style of the ${what}`, isAllowed ? reply.style : talk.style, reply.style)
      const simple: Answer = { ...reply, chunks: [] }
      return simple
    }
    yield* expectEqual(`style of the ${what}`, reply.style, talk.style)
    const chunks: Array<RawChunk> = [reply]
    while (!reply.done) {
      reply = {
        style: reply.style,
        ...yield* (reply.style === "structured" ? talk.client.chunk() : talk.client.extendedChunk())
      }
      yield* expectEqual(`cookie of the ${what}`, reply.cookie, cookie)
      chunks.push(reply)
    }
    const data = new Uint8Array(length)
    let error = 0
    for (const { payload, type } of chunks) {
      if (isErrorChunk(type)) error = yield* errorOf(what, type, payload)
      if (type === chunkType.OFFSET_DATA) {
        const at = Number(viewOf(payload).getBigUint64(0) - BigInt(request.offset ?? 0))
        if (at < 0 || at + payload.byteLength - 8 > length) yield* saw(what, "data inside the request", `data at ${at}`)
        data.set(payload.subarray(8), at)
      }
    }
    const whole: Answer = { style: talk.style, error, data, chunks }
    return whole
  }
)

const errorOf = (what: string, type: number, payload: Uint8Array): Effect.Effect<number, ConformanceError> => {
  const decoded = decodeErrorPayload(type, payload)
  if (isWireError(decoded)) return saw(`error chunk of the ${what}`, decoded.expected, decoded.received)
  const error = viewOf(payload).getUint32(0)
  return error === 0 ? saw(`error chunk of the ${what}`, "an error", "0") : Effect.succeed(error)
}

/**
 * The stream is still framed: a read is answered.
 *
 * @since 0.1.0
 * @category guards
 */
export const probe = (talk: Talk): Effect.Effect<void, Failure> =>
  Effect.flatMap(
    ask(talk, "READ", { offset: 0, length: talk.block }),
    (read) => expectError("a read after it", read, "none")
  )
