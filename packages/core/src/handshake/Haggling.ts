/**
 * One option and its replies: what every option has in common.
 *
 * Haggling is lockstep: no option is sent before the final reply to the one before (C-020), and bytes that come while
 * none is in flight are a breach (H-007). Who keeps two fibers from haggling at once is not this module's business.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader, StreamEnded } from "../framing/FrameReader.ts"
import { fromWireError, type Phase, ProtocolError, ServerDisconnectedError } from "../ProtocolError.ts"
import type { ConnectionFault } from "../Transport.ts"
import { TransportLostError } from "../TransportError.ts"
import { encodeOption, optionCode, optionName } from "../wire/NbdOption.ts"
import {
  decodeOptionReply,
  decodeOptionReplyHeader,
  decodeRawReplyHeader,
  headerSize,
  type OptionReply,
  replyType,
  replyTypeName
} from "../wire/OptionReply.ts"
import { isWireError, type WireError } from "../wire/WireError.ts"
import { type HagglingFault, OptionRefusedError, TlsRequiredError } from "./HandshakeError.ts"

/**
 * The largest number of replies that one option may have before its final one, and of payload bytes in them together;
 * and the largest number of bytes that a server may send in its whole handshake, over all options, headers included. A
 * server that never ends its replies must not fill the memory (H-024). Each option also has a time limit
 * (`HandleConfig.handshakeTimeout`), and the caller decides how many options are sent.
 *
 * @since 0.1.0
 * @category constants
 */
export const limits = { replies: 65_536, bytes: 16_777_216, handshakeBytes: 67_108_864 } as const

/**
 * What an end of the stream means in the middle of a handshake: always a failure, with the best reason there is.
 *
 * @since 0.1.0
 * @category errors
 */
export const disconnected = (
  reader: FrameReader,
  phase: Phase,
  option?: number
) =>
(ended: StreamEnded): ServerDisconnectedError | ConnectionFault => {
  const asked = option === undefined ? {} : { option: optionName(option), remedy: remedies.get(option) }
  if (ended.end._tag === "Broken") {
    const { error } = ended.end
    if (error._tag !== "NbdTransportLostError") return error
    return new TransportLostError({ peer: error.peer, code: error.code, cause: error.cause, ...asked })
  }
  return ended.end.program ?? new ServerDisconnectedError({
    peer: reader.connection.peer,
    phase,
    received: ended.received.byteLength,
    wanted: ended.wanted,
    ...asked
  })
}

/**
 * Settings with which a handle does not send an option: some servers close the connection at an unknown option (H-050).
 */
const remedies: ReadonlyMap<number, string> = new Map([
  [optionCode.STARTTLS, "TLS disabled"],
  [optionCode.EXTENDED_HEADERS, "requestExtendedHeaders: false"],
  [optionCode.STRUCTURED_REPLY, "requestStructuredReplies: false"],
  [optionCode.SET_META_CONTEXT, "no metaContexts"],
  [optionCode.GO, "forceExportName"]
])

const breach = (error: WireError): ProtocolError => fromWireError("haggling", error)

/**
 * Sends one option.
 *
 * @since 0.1.0
 * @category haggling
 */
export const sendOption = (
  reader: FrameReader,
  option: number,
  data: Uint8Array = new Uint8Array(0)
): Effect.Effect<void, ProtocolError> =>
  Effect.suspend(() => {
    if (reader.buffered > 0) {
      return Effect.fail(
        new ProtocolError({
          phase: "haggling",
          expected: "no byte while no option is in flight",
          received: `${reader.buffered} bytes before ${optionName(option)}`,
          rule: "Fixed newstyle, C-020"
        })
      )
    }
    reader.traffic.chunksSent += 1
    return reader.send([encodeOption(option, data)])
  })

/**
 * The next reply to the option in flight, and the bytes of its payload.
 *
 * @since 0.1.0
 * @category haggling
 */
export const nextReply = (
  reader: FrameReader,
  option: number
): Effect.Effect<{ readonly reply: OptionReply; readonly bytes: number }, HagglingFault> =>
  Effect.gen(function*() {
    const { header, payload } = yield* nextPayload(reader, option, decodeOptionReplyHeader)
    const reply = decodeOptionReply(header, payload)
    return isWireError(reply) ? yield* breach(reply) : { reply, bytes: payload.byteLength }
  })

/**
 * A reply as it came.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawReply {
  readonly type: number
  readonly payload: Uint8Array
}

/**
 * The next reply to the option in flight, of any type, its payload unread.
 *
 * @since 0.1.0
 * @category haggling
 */
export const nextRawReply = (reader: FrameReader, option: number): Effect.Effect<RawReply, HagglingFault> =>
  Effect.map(
    nextPayload(reader, option, decodeRawReplyHeader),
    ({ header, payload }) => ({ type: header.type, payload })
  )

const nextPayload = (reader: FrameReader, option: number, decode: typeof decodeOptionReplyHeader) =>
  Effect.gen(function*() {
    const head = yield* reader.take(headerSize)
    reader.traffic.chunksReceived += 1
    const header = decode(head, option)
    if (isWireError(header)) return yield* breach(header)
    const sum = reader.received - reader.buffered + header.length
    if (sum > limits.handshakeBytes) {
      return yield* new ProtocolError({
        phase: "haggling",
        expected: `at most ${limits.handshakeBytes} bytes in all of the handshake`,
        received: `${sum} bytes with the answer to ${optionName(option)}`,
        rule: "Fixed newstyle, H-024"
      })
    }
    return { header, payload: yield* reader.takeRest(head, header.length) }
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "NbdStreamEnded" ? disconnected(reader, "haggling", option)(error) : error
    )
  )

const replyNames = {
  Server: "NBD_REP_SERVER",
  InfoReply: "NBD_REP_INFO",
  MetaContextReply: "NBD_REP_META_CONTEXT"
} as const

/**
 * What came of an option: everything it was answered before the final reply, and that reply.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer<A> {
  readonly replies: ReadonlyArray<A>
  readonly final: Extract<OptionReply, { readonly _tag: "Ack" | "ErrorReply" }>
}

/**
 * Sends an option and gathers its replies up to the final one. `pick` takes the replies that belong to this option;
 * any other kind is a breach (H-023). `check` may find one in what was picked.
 *
 * @since 0.1.0
 * @category haggling
 */
export const haggle = <A>(
  reader: FrameReader,
  option: number,
  data: Uint8Array,
  pick: (reply: Exclude<OptionReply, Answer<unknown>["final"]>) => A | undefined,
  check: (picked: A) => ProtocolError | undefined = () => undefined
): Effect.Effect<Answer<A>, HagglingFault> =>
  Effect.gen(function*() {
    yield* sendOption(reader, option, data)
    const replies: Array<A> = []
    const endless = endlessness(option)
    // `endless` limits the replies and bytes, `nextPayload` the bytes of all options, and the caller limits the time.
    while (true) {
      const { bytes: weight, reply } = yield* nextReply(reader, option)
      if (reply._tag === "Ack" || reply._tag === "ErrorReply") {
        yield* Effect.logDebug(reply._tag === "Ack" ? "accepted" : `refused with ${replyTypeName(reply.type)}`)
        return { replies, final: reply }
      }
      const picked = pick(reply)
      if (picked === undefined) {
        return yield* new ProtocolError({
          phase: "haggling",
          expected: `a reply that belongs to ${optionName(option)}`,
          received: replyNames[reply._tag],
          rule: "Option reply types, H-023"
        })
      }
      const fault = check(picked) ?? endless(weight)
      if (fault !== undefined) return yield* fault
      // `pick` decides about an information reply of an unknown type; it is not kept.
      if (!(reply._tag === "InfoReply" && reply.info._tag === "UnknownInfo")) replies.push(picked)
    }
  }).pipe(
    Effect.annotateLogs("nbd.option", optionName(option)),
    Effect.withSpan(`nbd.${optionName(option)}`, { kind: "client", captureStackTrace: false })
  )

/**
 * Counts the replies to an option, each by the bytes of its payload: the error of one that is too many.
 *
 * @since 0.1.0
 * @category guards
 */
export const endlessness = (option: number): (bytes: number) => ProtocolError | undefined => {
  let count = 0
  let sum = 0
  return (bytes) => {
    count += 1
    sum += bytes
    if (count <= limits.replies && sum <= limits.bytes) return undefined
    return new ProtocolError({
      phase: "haggling",
      expected: `at most ${limits.replies} replies and ${limits.bytes} bytes to ${optionName(option)}`,
      received: `${count} replies and ${sum} bytes without an end`,
      rule: "Fixed newstyle, H-024"
    })
  }
}

/**
 * A refusal for any reason except that the export does not exist.
 *
 * @since 0.1.0
 * @category errors
 */
export const refused = (
  option: number,
  reply: Extract<OptionReply, { readonly _tag: "ErrorReply" }>,
  exportName?: string
): OptionRefusedError | TlsRequiredError =>
  reply.type === replyType.ERR_TLS_REQD
    ? new TlsRequiredError({ option: optionName(option), serverMessage: reply.message })
    : refusedFor(option, reply, exportName)

const refusedFor = (
  option: number,
  reply: Extract<OptionReply, { readonly _tag: "ErrorReply" }>,
  exportName?: string
): OptionRefusedError =>
  new OptionRefusedError({
    option: optionName(option),
    exportName,
    reply: replyTypeName(reply.type),
    replyType: reply.type,
    serverMessage: reply.message
  })

/**
 * Whether the server agrees to an option without data, which it only says yes or no to. No is not a failure: the
 * connection goes on without (C-105, C-218). Only from a server that is shutting down nothing more is to be had (C-037).
 *
 * @since 0.1.0
 * @category haggling
 */
export const agreesTo = (
  reader: FrameReader,
  option: number
): Effect.Effect<boolean, OptionRefusedError | HagglingFault> =>
  haggle(reader, option, new Uint8Array(0), () => undefined).pipe(
    Effect.flatMap(({ final }) =>
      final._tag === "ErrorReply" && final.type === replyType.ERR_SHUTDOWN
        ? Effect.fail(refusedFor(option, final))
        : Effect.succeed(final._tag === "Ack")
    )
  )
