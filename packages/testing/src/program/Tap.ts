/**
 * What goes over a connection in the transmission phase, seen from between the client and its transport.
 *
 * It counts for itself: requests, those that wait for their reply, and whether anything follows the goodbye. It changes
 * nothing, and holds no more of a message than its header.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import type { Connection, Transport } from "@effect-nbd/core/Transport"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags, ReplyFlags } from "@effect-nbd/core/wire/Flags"
import { magic } from "@effect-nbd/core/wire/Magic"
import { size as replySize } from "@effect-nbd/core/wire/Reply"
import {
  commandCode,
  decodeExtendedRequestHeader,
  decodeRequestHeader,
  extendedHeaderSize,
  headerSize
} from "@effect-nbd/core/wire/RequestHeader"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * A request as it went by.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeenRequest {
  readonly command: number
  readonly offset: bigint
  readonly length: number
}

/** Finds the headers in a stream of bytes, and passes over what `read` says lies behind each; then it is `over`. */
class Messages {
  private readonly sizeOf: (start: number) => number | undefined
  private readonly read: (header: DataView) => number
  private readonly over: () => void
  private readonly header = new Uint8Array(32)
  private filled = 0
  private skip = 0
  private isLost = false

  constructor(
    sizeOf: (start: number) => number | undefined,
    read: (header: DataView) => number,
    over: () => void = () => {}
  ) {
    this.sizeOf = sizeOf
    this.read = read
    this.over = over
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength && !this.isLost;) {
      if (this.skip > 0) {
        const passed = Math.min(this.skip, bytes.byteLength - at)
        this.skip -= passed
        at += passed
        if (this.skip === 0) this.over()
        continue
      }
      this.header[this.filled++] = bytes[at++] ?? 0
      if (this.filled >= 4) this.perhaps()
    }
  }

  private perhaps(): void {
    const view = viewOf(this.header)
    const size = this.sizeOf(view.getUint32(0))
    if (size === undefined) this.isLost = true
    else if (this.filled === size) {
      this.filled = 0
      this.skip = this.read(view)
      if (this.skip === 0) this.over()
    }
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export class Tap {
  /** Requests that have a reply, since `begin`. */
  requests: Array<SeenRequest> = []
  /** Most that were in flight at once. */
  most = 0
  /** What the client did that it must not. */
  readonly problems: Array<string> = []
  private readonly pending = new Map<bigint, SeenRequest>()
  private sent: Messages | undefined
  private received: Messages | undefined
  /** Whose last reply is going by. */
  private settling: bigint | undefined
  private saidGoodbye = false
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** Requests that were sent and whose last reply has not come whole. */
  get unanswered(): number {
    return this.pending.size
  }

  /** The transmission phase begins: until here nothing was looked at. */
  begin(style: ReplyStyle): void {
    const isExtended = style === "Extended"
    const requestSize = isExtended ? extendedHeaderSize : headerSize
    this.sent = new Messages(() => requestSize, (header) => this.request(header, isExtended))
    this.received = new Messages((start) => replySizes.get(start), (header) => this.reply(header), () => this.replied())
  }

  /** The transport, with every connection tapped, under its TLS if there is any. */
  over(transport: Context.Tag.Service<Transport>): Context.Tag.Service<Transport> {
    return { ...transport, open: Effect.map(transport.open, (connection) => this.onto(connection)) }
  }

  private onto(connection: Connection): Connection {
    const { acceptTls, prepareTls } = connection
    return {
      peer: connection.peer,
      receive: (receiver) =>
        connection.receive({
          onBytes: (bytes) => {
            this.received?.push(bytes)
            return receiver.onBytes(bytes)
          },
          place: () => receiver.place?.(),
          onEnd: (end) => receiver.onEnd(end),
          onDrain: () => receiver.onDrain()
        }),
      resume: () => connection.resume(),
      write: (chunks) => {
        for (const chunk of chunks) this.sent?.push(chunk)
        return connection.write(chunks)
      },
      endWrites: () => connection.endWrites(),
      ...(acceptTls === undefined ? {} : { acceptTls }),
      ...(prepareTls === undefined ? {} : {
        prepareTls: (settings) =>
          Effect.map(
            prepareTls.call(connection, settings),
            (upgrade) => Effect.map(upgrade, (secured) => this.onto(secured))
          )
      }),
      close: () => connection.close()
    }
  }

  /** Gives the length of the request's payload. */
  private request(view: DataView, isExtended: boolean): number {
    const header = isExtended ? decodeExtendedRequestHeader(view, 0) : decodeRequestHeader(view, 0)
    if (isWireError(header)) {
      this.problems.push(`a request that is none: ${header.received}`)
      return 0
    }
    const { command, cookie, flags, offset } = header
    const length = Number(header.length)
    if (this.saidGoodbye) this.problems.push(`command ${command} was sent after NBD_CMD_DISC`)
    if (command === commandCode.DISC) {
      this.saidGoodbye = true
      return 0
    }
    if (this.pending.has(cookie)) this.problems.push(`cookie ${cookie} was used again before its reply`)
    const seen = { command, offset, length }
    this.requests.push(seen)
    this.pending.set(cookie, seen)
    this.most = Math.max(this.most, this.pending.size)
    if (this.pending.size > this.limit) this.problems.push(`${this.pending.size} requests in flight, over the limit`)
    const hasPayload = isExtended ? (flags & CommandFlags.PAYLOAD_LEN) !== 0 : command === commandCode.WRITE
    return hasPayload ? length : 0
  }

  /** Gives the length of the reply's payload. */
  private reply(view: DataView): number {
    const cookie = view.getBigUint64(8)
    if (view.getUint32(0) === magic.SIMPLE_REPLY) {
      const answered = this.pending.get(cookie)
      this.settling = cookie
      return answered?.command === commandCode.READ && view.getUint32(4) === 0 ? answered.length : 0
    }
    if ((view.getUint16(4) & ReplyFlags.DONE) !== 0) this.settling = cookie
    return view.getUint32(0) === magic.STRUCTURED_REPLY ? view.getUint32(16) : Number(view.getBigUint64(24))
  }

  private replied(): void {
    if (this.settling !== undefined) this.pending.delete(this.settling)
    this.settling = undefined
  }
}

/** By magic number. */
const replySizes: ReadonlyMap<number, number> = new Map([
  [magic.SIMPLE_REPLY, replySize.simple],
  [magic.STRUCTURED_REPLY, replySize.chunk],
  [magic.EXTENDED_REPLY, replySize.extended]
])
