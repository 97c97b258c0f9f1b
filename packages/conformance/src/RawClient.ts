/**
 * A client that says exactly what it is told to, by core's wire modules and without core's Handle: for tests of servers,
 * which have to bear clients that break the rules.
 *
 * It decodes what comes, and fails where that cannot be decoded, or has no end. It keeps no state beside the bytes that have
 * come, and checks nothing before it sends.
 *
 * @since 0.1.0
 */
import { FrameReader, type StreamEnded } from "@effect-nbd/core/framing/FrameReader"
import type { TlsSettings } from "@effect-nbd/core/Tls"
import { type Connection, Transport } from "@effect-nbd/core/Transport"
import { encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { decodeExportNameReply, replySize } from "@effect-nbd/core/wire/ExportName"
import { ClientFlags } from "@effect-nbd/core/wire/Flags"
import { decodeGreetingStart, decodeNewstyleRest, encodeClientFlags, size } from "@effect-nbd/core/wire/Greeting"
import { magic } from "@effect-nbd/core/wire/Magic"
import { encodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import {
  encodeInfoRequest,
  encodeOption,
  optionCode,
  type OptionName,
  optionName
} from "@effect-nbd/core/wire/NbdOption"
import {
  decodeOptionReply,
  decodeOptionReplyHeader,
  headerSize as optionReplyHeaderSize,
  type OptionReply
} from "@effect-nbd/core/wire/OptionReply"
import { size as replyHeaderSize } from "@effect-nbd/core/wire/Reply"
import { hex, isWireError, WireError } from "@effect-nbd/core/wire/WireError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { boundOfChunks, boundOfReplies, type UnboundedError } from "./raw/Bound.ts"
import { extendedBytes, type RawCommand, type RawRequest, requestBytes } from "./raw/RawRequest.ts"

export { UnboundedError } from "./raw/Bound.ts"
export { extendedBytes, type RawCommand, type RawRequest, requestBytes } from "./raw/RawRequest.ts"

/**
 * The server sent what is no message of the protocol, or not the one that has to come here.
 *
 * @since 0.1.0
 * @category errors
 */
export class UndecodableError extends Data.TaggedError("NbdUndecodableError")<{
  readonly expected: string
  readonly received: string
  /** The rule or the message. */
  readonly rule: string
}> {
  override get message(): string {
    return `expected ${this.expected}, received ${this.received} (${this.rule})`
  }
}

/**
 * Both flags, which is what a present-day client answers.
 *
 * @since 0.1.0
 * @category constants
 */
export const bothFlags: number = ClientFlags.FIXED_NEWSTYLE | ClientFlags.NO_ZEROES

/**
 * One chunk of a structured or extended reply, its payload not decoded.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawChunk {
  readonly done: boolean
  readonly type: number
  readonly cookie: bigint
  /** Of an extended chunk. */
  readonly offset: bigint | undefined
  readonly payload: Uint8Array
}

/**
 * A simple reply to a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawSimpleReply {
  /** 0 where the request succeeded. */
  readonly error: number
  readonly cookie: bigint
  /** None where there is an error. */
  readonly data: Uint8Array
}

/**
 * A simple reply, or one chunk of another.
 *
 * @since 0.1.0
 * @category models
 */
export type RawReply =
  | ({ readonly style: "simple" } & RawSimpleReply)
  | ({ readonly style: "structured" | "extended" } & RawChunk)

const decoded = <A>(message: A | WireError): Effect.Effect<A, UndecodableError> => {
  if (!isWireError(message)) return Effect.succeed(message)
  const { expected, received, rule } = message
  return Effect.fail(new UndecodableError({ expected, received, rule }))
}

type Failure = StreamEnded | UndecodableError

/**
 * One connection, and what can be said over it.
 *
 * @since 0.1.0
 * @category models
 */
export class RawClient {
  reader: FrameReader
  /** NO_ZEROES was offered, and taken up in answer to the greeting. */
  noZeroes = false

  constructor(reader: FrameReader) {
    this.reader = reader
  }

  /** Sends bytes as they are. */
  send(...chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void> {
    return this.reader.send(chunks)
  }

  /** The next bytes, of any kind. */
  take(count: number): Effect.Effect<Uint8Array, StreamEnded> {
    return this.reader.take(count)
  }

  /** Reads a newstyle greeting, answers it, and gives the server's handshake flags, of which the answer may be made. */
  greet(flags: number | ((offered: number) => number) = bothFlags): Effect.Effect<number, Failure> {
    return Effect.gen(this, function*() {
      yield* decoded(decodeGreetingStart(yield* this.take(size.start)))
      const greeting = yield* decoded(decodeNewstyleRest(yield* this.take(size.newstyleRest)))
      const answer = typeof flags === "number" ? flags : flags(greeting.flags)
      yield* this.send(encodeClientFlags(ClientFlags(answer)))
      this.noZeroes = (greeting.flags & answer & ClientFlags.NO_ZEROES) !== 0
      return Number(greeting.flags)
    })
  }

  /** Sends an option and gathers its replies up to the final one: 65,536 with 16 MiB of payload at most. */
  option(
    option: OptionName | number,
    data: Uint8Array = new Uint8Array(0)
  ): Effect.Effect<ReadonlyArray<OptionReply>, Failure | UnboundedError> {
    const code = typeof option === "number" ? option : optionCode[option]
    return Effect.gen(this, function*() {
      yield* this.send(encodeOption(code, data))
      const replies: Array<OptionReply> = []
      const bound = boundOfReplies(`replies to ${optionName(code)}`)
      while (true) {
        const { bytes, reply } = yield* this.sizedReply(code)
        yield* bound.add(bytes)
        replies.push(reply)
        if (reply._tag === "Ack" || reply._tag === "ErrorReply") return replies
      }
    })
  }

  optionReply(option: number): Effect.Effect<OptionReply, Failure> {
    return Effect.map(this.sizedReply(option), ({ reply }) => reply)
  }

  info(option: "INFO" | "GO", exportName: string, types: ReadonlyArray<number> = []) {
    return this.option(option, encodeInfoRequest({ exportName, types }))
  }

  metaContext(option: "LIST_META_CONTEXT" | "SET_META_CONTEXT", exportName: string, ...queries: ReadonlyArray<string>) {
    return this.option(option, encodeMetaContextRequest({ exportName, queries }))
  }

  /** Enters an export by NBD_OPT_EXPORT_NAME. Padding is expected unless NO_ZEROES was agreed on, or this says otherwise. */
  exportName(name: string, noZeroes = this.noZeroes) {
    return Effect.gen(this, function*() {
      yield* this.send(encodeOption(optionCode.EXPORT_NAME, encodeText(name)))
      return yield* decoded(decodeExportNameReply(yield* this.take(replySize(noZeroes))))
    })
  }

  /** Sends STARTTLS, and begins TLS where the server agrees. */
  startTls(settings: TlsSettings = { mode: "Require" }) {
    return Effect.gen(this, function*() {
      const replies = yield* this.option("STARTTLS")
      if (replies.at(-1)?._tag === "Ack") yield* this.encrypt(settings)
      return replies
    })
  }

  /** Begins TLS. */
  encrypt(settings: TlsSettings = { mode: "Require" }) {
    return Effect.gen(this, function*() {
      const { prepareTls } = this.reader.connection
      if (prepareTls === undefined) {
        const expected = "a connection that can be encrypted"
        return yield* new UndecodableError({ expected, received: "one that cannot", rule: "NBD_OPT_STARTTLS" })
      }
      this.reader = new FrameReader(yield* yield* prepareTls(settings))
    })
  }

  /** Sends a request with a compact header. */
  request(command: RawCommand, request: RawRequest = {}): Effect.Effect<void> {
    return this.send(requestBytes(command, request))
  }

  /** Sends a request with an extended header. */
  extended(command: RawCommand, request: RawRequest = {}): Effect.Effect<void> {
    return this.send(extendedBytes(command, request))
  }

  /** A simple reply, with `length` bytes of data where it reports no error. */
  simple(length = 0): Effect.Effect<RawSimpleReply, Failure> {
    return Effect.zipRight(this.magic(magic.SIMPLE_REPLY, "a simple reply, S-068"), this.simpleRest(length))
  }

  chunk(): Effect.Effect<RawChunk, Failure> {
    const start = this.magic(magic.STRUCTURED_REPLY, "a structured reply chunk, S-069")
    return Effect.zipRight(start, this.chunkRest("structured"))
  }

  extendedChunk(): Effect.Effect<RawChunk, Failure> {
    const start = this.magic(magic.EXTENDED_REPLY, "an extended reply chunk, S-095")
    return Effect.zipRight(start, this.chunkRest("extended"))
  }

  /** A reply of any style, `length` as of `simple`: its first chunk, where it has chunks, which may not be the last. */
  reply(length = 0): Effect.Effect<RawReply, Failure> {
    return Effect.gen(this, function*() {
      const start = viewOf(yield* this.take(4)).getUint32(0)
      if (start === magic.SIMPLE_REPLY) return { style: "simple" as const, ...yield* this.simpleRest(length) }
      if (start === magic.EXTENDED_REPLY) return { style: "extended" as const, ...yield* this.chunkRest("extended") }
      yield* isMagic(start, magic.STRUCTURED_REPLY, "a reply")
      return { style: "structured" as const, ...yield* this.chunkRest("structured") }
    })
  }

  /** Chunks up to the one that is marked as the last: 131,072 with 64 MiB of data at most. */
  chunks(
    style: "structured" | "extended" = "structured"
  ): Effect.Effect<ReadonlyArray<RawChunk>, Failure | UnboundedError> {
    return Effect.gen(this, function*() {
      const chunks: Array<RawChunk> = []
      const bound = boundOfChunks()
      while (true) {
        const chunk = yield* (style === "structured" ? this.chunk() : this.extendedChunk())
        yield* bound.add(chunk.payload.byteLength)
        chunks.push(chunk)
        if (chunk.done) return chunks
      }
    })
  }

  /** How the server's half ends, and how many bytes come before that, which are dropped. */
  end() {
    return Effect.gen(this, function*() {
      for (let unread = 0;; unread += 65_536) {
        const taken = yield* Effect.either(this.take(65_536))
        if (taken._tag === "Right") continue
        const { end, received } = taken.left
        return { _tag: end._tag, unread: unread + received.byteLength }
      }
    })
  }

  private sizedReply(option: number) {
    return Effect.gen(this, function*() {
      const header = yield* decoded(decodeOptionReplyHeader(yield* this.take(optionReplyHeaderSize), option))
      return { bytes: header.length, reply: yield* decoded(decodeOptionReply(header, yield* this.take(header.length))) }
    })
  }

  private magic(wanted: number, rule: string): Effect.Effect<void, Failure> {
    return Effect.flatMap(this.take(4), (start) => isMagic(viewOf(start).getUint32(0), wanted, rule))
  }

  private simpleRest(length: number): Effect.Effect<RawSimpleReply, Failure> {
    return Effect.gen(this, function*() {
      const view = viewOf(yield* this.take(replyHeaderSize.simple - 4))
      const error = view.getUint32(0)
      const data = error === 0 ? yield* this.take(length) : new Uint8Array(0)
      return { error, cookie: view.getBigUint64(4), data }
    })
  }

  private chunkRest(style: "structured" | "extended"): Effect.Effect<RawChunk, Failure> {
    return Effect.gen(this, function*() {
      const size = style === "structured" ? replyHeaderSize.chunk : replyHeaderSize.extended
      const view = viewOf(yield* this.take(size - 4))
      const offset = style === "structured" ? undefined : view.getBigUint64(12)
      const length = style === "structured" ? view.getUint32(12) : Number(view.getBigUint64(20))
      const flags = view.getUint16(0)
      if ((flags & ~1) !== 0) yield* decoded(new WireError("no flag but DONE", hex(flags, 2), "S-073"))
      if (length > longestChunk) yield* decoded(new WireError(`${longestChunk} bytes at most`, `${length}`, "S-074"))
      const payload = yield* this.take(length)
      return { done: flags === 1, type: view.getUint16(2), cookie: view.getBigUint64(4), offset, payload }
    })
  }
}

const isMagic = (found: number, wanted: number, rule: string): Effect.Effect<void, UndecodableError> =>
  found === wanted ? Effect.void : decoded<void>(new WireError(hex(wanted, 4), hex(found, 4), rule))

/** Of what this client has a use for: 64 MiB of data, with its offset. */
const longestChunk = 67_108_872

/**
 * A raw client on a connection.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (connection: Connection): RawClient => new RawClient(new FrameReader(connection))

/**
 * Opens a connection of the Transport, which lives in the scope, for a raw client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = Effect.flatMap(Transport, (transport) => Effect.map(transport.open, make))
