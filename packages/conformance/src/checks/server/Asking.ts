/**
 * How the checks of servers ask for something in the transmission phase, and take the answer to pieces.
 *
 * @since 0.1.0
 */
import { StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import { maxStringBytes, viewOf } from "@effect-nbd/core/wire/Bytes"
import { chunkType, decodeErrorPayload, isErrorChunk } from "@effect-nbd/core/wire/Reply"
import { hex, isWireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { boundOfChunks, type UnboundedError } from "../../raw/Bound.ts"
import { type RawChunk, type RawCommand, type RawRequest, UndecodableError } from "../../RawClient.ts"
import { type ConformanceError, expectEqual, type RuleError } from "../Check.ts"
import { about, type Answer, expectDone, expectEnd, saw, Skip } from "./Judge.ts"
import type { Talk } from "./Talk.ts"

type Failure = StreamEnded | UndecodableError | UnboundedError | ConformanceError | RuleError | Skip

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
  Effect.suspend(() => {
    const { client: { reader }, tolerance: { mayEnd } } = talk
    const before = reader.received
    return tell(talk, command, request).pipe(
      Effect.flatMap((cookie) => answer(talk, command, request, cookie)),
      Effect.mapError((error) =>
        mayEnd && error instanceof StreamEnded && reader.received === before ? new Skip({ reason: left }) : error
      )
    )
  })

const left = "the server leaves a client that has broken a rule, as it may"

/**
 * The same with a request that no client may send. Once it is refused, the server may end the session (S-094): if it
 * does, the requests after it are skipped.
 *
 * @since 0.1.0
 * @category decoding
 */
export const breach = (talk: Talk, command: RawCommand, request: RawRequest = {}): Effect.Effect<Answer, Failure> =>
  Effect.tap(ask(talk, command, request), ({ error }) =>
    Effect.sync(() => {
      if (error !== 0) talk.tolerance.mayEnd = true
    }))

/**
 * Sends a request after which the server ends the connection, at once or after an error in reply: what it says before it
 * ends is not laid down, and QEMU says EINVAL.
 *
 * @since 0.1.0
 * @category guards
 */
export const expectEndAfter = (
  what: string,
  talk: Talk,
  command: RawCommand,
  request: RawRequest
): Effect.Effect<void, Failure> =>
  Effect.gen(function*() {
    const answered = yield* Effect.either(ask(talk, command, request))
    if (answered._tag === "Left") {
      return answered.left instanceof StreamEnded ? undefined : yield* answered.left
    }
    if (answered.right.error === 0) return yield* saw(what, "the end of the connection", "success")
    yield* expectEnd(what, talk.client)
  })

/**
 * The data of a READ. Skips the check if the disk makes the READ fail.
 *
 * @since 0.1.0
 * @category decoding
 */
export const content = (talk: Talk, request: RawRequest): Effect.Effect<Uint8Array, Failure> =>
  Effect.flatMap(ask(talk, "READ", request), (read) => Effect.as(expectDone("READ", read), read.data))

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
    const isTheirs = ({ cookie: received }: { readonly cookie: bigint }) =>
      about(
        talk.style === "extended" ? ["S-067", "S-095"] : "S-067",
        expectEqual(`cookie of the ${what}`, received, cookie)
      )
    let reply = yield* framed(talk.client.reply(length))
    yield* isTheirs(reply)
    const styled = ruleOfStyle[talk.style]
    if (reply.style === "simple") {
      const isAllowed = talk.style === "simple" || (talk.style === "structured" && command !== "READ")
      if (!isAllowed) return yield* about(styled, saw(`style of the ${what}`, talk.style, reply.style))
      const simple: Answer = { ...reply, chunks: [] }
      return simple
    }
    yield* about(styled, expectEqual(`style of the ${what}`, reply.style, talk.style))
    const chunks: Array<RawChunk> = [reply]
    const bound = boundOfChunks()
    yield* about("S-072", bound.add(reply.payload.byteLength))
    while (!reply.done) {
      reply = {
        style: reply.style,
        ...yield* framed(reply.style === "structured" ? talk.client.chunk() : talk.client.extendedChunk())
      }
      yield* isTheirs(reply)
      yield* about("S-072", bound.add(reply.payload.byteLength))
      chunks.push(reply)
    }
    const data = new Uint8Array(length)
    let error = 0
    for (const { payload, type } of chunks) {
      if (isErrorChunk(type)) error = yield* about("S-080", errorOf(what, request, type, payload))
      if (type === chunkType.OFFSET_DATA) {
        if (payload.byteLength < 8) {
          return yield* about("S-075", saw(what, "an offset of 8 bytes", `${payload.byteLength} bytes`))
        }
        const at = Number(viewOf(payload).getBigUint64(0) - BigInt(request.offset ?? 0))
        if (at < 0 || at + payload.byteLength - 8 > length) {
          return yield* about("S-075", saw(what, "data inside the request", `data at ${at}`))
        }
        data.set(payload.subarray(8), at)
      }
      if (type === chunkType.OFFSET_HOLE && payload.byteLength !== 12) {
        return yield* about("S-075", saw(what, "a hole of 12 bytes", `${payload.byteLength} bytes`))
      }
    }
    const whole: Answer = { style: talk.style, error, data, chunks }
    return whole
  }
)

const ruleOfStyle = { simple: "S-068", structured: "S-069", extended: "S-095" } as const

/** What is wrong with the head of a chunk has rules of its own. */
const framed = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | RuleError> =>
  Effect.catchIf(
    effect,
    (error) => error instanceof UndecodableError,
    (error) =>
      error.rule === "S-073" || error.rule === "S-074" ? about(error.rule, Effect.fail(error)) : Effect.fail(error)
  )

const errorOf = (
  what: string,
  { length, offset = 0, payload: sent }: RawRequest,
  type: number,
  payload: Uint8Array
): Effect.Effect<number, ConformanceError> => {
  const chunk = `error chunk of the ${what}`
  const decoded = decodeErrorPayload(type, payload)
  if (isWireError(decoded)) return saw(chunk, decoded.expected, decoded.received)
  const error = viewOf(payload).getUint32(0)
  if (error === 0) return saw(chunk, "an error", "0")
  const text = viewOf(payload).getUint16(4)
  if (text > maxStringBytes) return saw(chunk, `${maxStringBytes} bytes of text at most`, text)
  const at = decoded.offset === undefined ? 0n : decoded.offset - BigInt(offset)
  const isInside = decoded.offset === undefined || at >= 0n && at < BigInt(length ?? sent?.byteLength ?? 0)
  return isInside ? Effect.succeed(error) : saw(chunk, "an offset inside the request", decoded.offset)
}

/**
 * The stream is still framed: a read is answered, with data unless the export has none or the disk fails. After a `breach` the
 * session may have ended.
 *
 * @since 0.1.0
 * @category guards
 */
export const probe = (talk: Talk): Effect.Effect<void, Exclude<Failure, Skip>> =>
  ask(talk, "READ", { offset: 0, length: talk.block }).pipe(
    Effect.flatMap((read) => talk.size < talk.block ? Effect.void : expectDone("a read after it", read)),
    Effect.catchAll((error) => error instanceof Skip ? Effect.void : Effect.fail(error))
  )
