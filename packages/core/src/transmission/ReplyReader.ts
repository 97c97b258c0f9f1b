/**
 * Reads replies out of the bytes of a connection, however they are split, and puts what they carry where it belongs.
 *
 * This is the hot path. Headers are parsed in the connection's own receive buffer, and payload is copied once, from
 * there into the caller's memory; or not at all, where a read is lent memory that the connection can put it into. Only a
 * header or small payload that a split runs through is first put together in a buffer of 4 KiB. Lengths are checked from
 * the header alone, before anything is waited for or kept.
 *
 * It does not know who waits for a reply, nor how a connection ends: it reports settled commands and breaches.
 *
 * @since 0.1.0
 */
import type { Export, ReplyStyle } from "../Export.ts"
import type { Traffic } from "../Traffic.ts"
import type { StatusWidth } from "../wire/BlockStatus.ts"
import { ReplyFlags } from "../wire/Flags.ts"
import { magic } from "../wire/Magic.ts"
import { chunkType, decodeCookie, isErrorChunk, payloadHead, size } from "../wire/Reply.ts"
import { hex, isWireError, WireError } from "../wire/WireError.ts"
import type { InFlight, PendingCommand } from "./InFlight.ts"
import { clear } from "./LentMemory.ts"
import { addPiece } from "./Piece.ts"
import {
  acceptContent,
  acceptErrorPayload,
  acceptSimpleRead,
  commandError,
  complete,
  destinationOf
} from "./ReplyAssembly.ts"
import { checkChunk, checkMagic, magicBytes } from "./ReplyCheck.ts"
import { StatusGather } from "./StatusGather.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ReplyEvents {
  /** The final reply of a command has come; its failure, if any, is in it. */
  readonly onSettled: (pending: PendingCommand) => void
  /** The stream makes no sense any more. Nothing is read after this. */
  readonly onBreach: (breach: WireError) => void
}

/**
 * What the next bytes are.
 *
 * - `Header`: the start of a reply.
 * - `Head`: the fixed part of a chunk's payload, or a whole error payload.
 * - `Content`: `remaining` bytes that belong at `position` of the command's range.
 * - `Status`: `remaining` bytes of a block status, which is looked at when it is whole.
 * - `Skipped`: `remaining` bytes of no use.
 */
type Stage = "Header" | "Head" | "Content" | "Status" | "Skipped" | "Broken"

/** Longest payload that is put together before it is looked at: an error with the longest message there is. */
const maxHead = payloadHead.ERROR_OFFSET + 4096

/** Fewer bytes than this are not worth a place of their own: they come along with the header of the next reply. */
const leastPlaced = 4096

/** Behind content of so many bytes more of them are expected, so that a header by itself is worth its own system call. */
const muchContent = 65_536

/** Bytes that a header and little else fit into. */
const headerPlaceBytes = 256

/**
 * @since 0.1.0
 * @category models
 */
export class ReplyReader {
  private readonly inFlight: InFlight
  private readonly replyStyle: ReplyStyle
  private readonly width: StatusWidth
  private readonly status: StatusGather
  private readonly traffic: Traffic
  private readonly events: ReplyEvents
  /** Bytes of the shortest header there can be. */
  private readonly shortest: number

  private stage: Stage = "Header"
  /** Bytes that `Header` and `Head` need in one piece. */
  private wanted: number
  private readonly held = new Uint8Array(Math.max(maxHead, size.chunk))
  private readonly heldView = new DataView(this.held.buffer)
  private heldLength = 0
  /** A view on the connection's buffer, which is the same one every time. */
  private view: DataView = this.heldView

  private pending: PendingCommand | undefined
  private chunk: number = chunkType.NONE
  private isLast = true
  /** The last message had a place for much content, and the next one may have it too. */
  private wasMuch = false
  private readonly headerPlace = new Uint8Array(headerPlaceBytes)
  private contentLength = 0
  private remaining = 0
  private position = 0

  constructor(inFlight: InFlight, { replyStyle, size: exportSize }: Export, traffic: Traffic, events: ReplyEvents) {
    this.inFlight = inFlight
    this.replyStyle = replyStyle
    this.width = replyStyle === "Extended" ? "extended" : "compact"
    this.status = new StatusGather(this.width, exportSize)
    this.traffic = traffic
    this.events = events
    this.shortest = replyStyle === "Extended" ? size.extended : size.simple
    this.wanted = this.shortest
  }

  /** Nothing of a reply has been read yet: the stream may end here. */
  get isAtBoundary(): boolean {
    return this.stage === "Header" && this.heldLength === 0
  }

  /** Bytes of the current message, and bytes it should have as far as is known. */
  get progress(): { readonly received: number; readonly wanted: number } {
    return this.stage === "Content" || this.stage === "Status" || this.stage === "Skipped"
      ? { received: this.contentLength - this.remaining, wanted: this.contentLength }
      : { received: this.heldLength, wanted: this.wanted }
  }

  /** Where the next bytes belong, if that is memory which cannot be transferred or shrunk, and long enough to be worth it. */
  place(): Uint8Array | undefined {
    if (this.stage === "Header") return this.wasMuch && this.inFlight.size > 0 ? this.headerPlace : undefined
    if (this.stage !== "Content" || this.remaining < leastPlaced || !isLent(this.pending)) return undefined
    const destination = destinationOf(this.pending, this.contentLength)
    // Half of it at a time: while one half is taken, a server that waits for room writes on (256 KiB: 6 % faster).
    const length = Math.min(this.remaining, Math.max(leastPlaced, this.contentLength >> 1))
    return isShared(this.pending) ? destination?.subarray(this.position, this.position + length) : undefined
  }

  push(bytes: Uint8Array): void {
    const end = bytes.byteLength
    let at = 0
    // The loop ends: each turn consumes some of the bytes that have arrived, or stops. For each command the messages
    // are limited by its length (content, pieces), by the contexts it asks about (status), and by a number (errors).
    while (at < end) {
      switch (this.stage) {
        case "Header":
        case "Head":
          at += this.gather(bytes, at)
          break
        case "Content": {
          const count = Math.min(this.remaining, end - at)
          const destination = destinationOf(this.pending, this.contentLength)
          // What had a place is there already.
          if (destination !== undefined && destination.buffer !== bytes.buffer) {
            destination.set(at === 0 && count === end ? bytes : bytes.subarray(at, at + count), this.position)
          }
          this.position += count
          this.remaining -= count
          at += count
          if (this.remaining === 0) this.endOfMessage()
          break
        }
        case "Status": {
          const count = Math.min(this.remaining, end - at)
          this.status.add(bytes.subarray(at, at + count))
          this.remaining -= count
          at += count
          if (this.remaining === 0) this.readStatus()
          break
        }
        case "Skipped": {
          const count = Math.min(this.remaining, end - at)
          this.remaining -= count
          at += count
          if (this.remaining === 0) this.endOfMessage()
          break
        }
        case "Broken":
          return
      }
    }
  }

  /** Interprets `wanted` bytes once they are there in one piece; returns how many of `bytes` it used up. */
  private gather(bytes: Uint8Array, at: number): number {
    const available = bytes.byteLength - at
    if (this.heldLength === 0 && available >= this.wanted) {
      if (this.view.buffer !== bytes.buffer) this.view = new DataView(bytes.buffer)
      const used = this.wanted
      return this.interpret(this.view, bytes.byteOffset + at, bytes, at) ? used : 0
    }
    const count = Math.min(this.wanted - this.heldLength, available)
    this.held.set(bytes.subarray(at, at + count), this.heldLength)
    this.heldLength += count
    if (this.heldLength < this.wanted) this.checkMagicEarly()
    else if (this.interpret(this.heldView, 0, this.held, 0)) this.heldLength = 0
    return count
  }

  /** Bytes that begin like no reply are a breach at once: the rest of a header may never come. */
  private checkMagicEarly(): void {
    if (this.stage !== "Header" || this.heldLength < magicBytes) return
    const fault = checkMagic(this.replyStyle, this.heldView.getUint32(0))
    if (fault !== undefined) this.fail(fault)
  }

  /** `false`: the header turned out to be longer than `wanted`, which has grown; nothing is used up. */
  private interpret(view: DataView, at: number, bytes: Uint8Array, start: number): boolean {
    if (this.stage === "Head") {
      this.readHead(view, at, bytes, start)
      return true
    }
    const kind = view.getUint32(at)
    const fault = checkMagic(this.replyStyle, kind)
    if (fault !== undefined) this.fail(fault)
    else if (kind === magic.SIMPLE_REPLY) this.readSimple(view, at)
    else if (kind === magic.EXTENDED_REPLY) this.readExtended(view, at)
    else if (this.wanted < size.chunk) {
      this.wanted = size.chunk
      return false
    } else {
      const pending = this.find(view, at)
      if (pending !== undefined) this.readChunk(pending, view, at, view.getUint32(at + 16))
    }
    return true
  }

  private readExtended(view: DataView, at: number): void {
    const pending = this.find(view, at)
    if (pending === undefined) return
    const offset = view.getBigUint64(at + 16)
    if (offset !== pending.command.offset) {
      return this.breach(`the request's offset ${pending.command.offset}`, `${offset}`, "Extended reply, C-226")
    }
    // Exact where it is below any limit, and far above every limit otherwise.
    this.readChunk(pending, view, at, view.getUint32(at + 24) * 0x1_0000_0000 + view.getUint32(at + 28))
  }

  private readSimple(view: DataView, at: number): void {
    const pending = this.find(view, at)
    if (pending === undefined) return
    const error = view.getUint32(at + 4)
    const isRead = pending.command.name === "read"
    this.pending = pending
    this.isLast = true
    if (isRead && this.replyStyle !== "Simple") {
      const breach = acceptSimpleRead(pending, error)
      if (breach !== undefined) return this.fail(breach)
    } else if (error !== 0) pending.failure ??= commandError(pending, error, "", undefined)
    else if (pending.command.detail?._tag === "Pieces") {
      addPiece(pending.pieces ??= [], "Data", pending.command.offset, pending.command.length)
    }
    this.content(error === 0 && isRead ? pending.command.length : 0, 0)
  }

  private readChunk(pending: PendingCommand, view: DataView, at: number, length: number): void {
    this.pending = pending
    this.isLast = (view.getUint16(at + 4) & ReplyFlags.DONE) !== 0
    this.chunk = view.getUint16(at + 6)
    const fault = checkChunk(this.chunk, length, this.isLast, pending, this.width)
    if (fault !== undefined) return this.breach(...fault)
    this.remaining = length
    if (this.chunk === chunkType.NONE) return this.endOfMessage()
    if (this.chunk === chunkType.BLOCK_STATUS || this.chunk === chunkType.BLOCK_STATUS_EXT) {
      this.stage = "Head"
      this.wanted = this.status.headBytes
      return
    }
    this.stage = "Head"
    this.wanted = this.chunk === chunkType.OFFSET_DATA
      ? payloadHead.OFFSET_DATA
      : Math.min(length, maxHead)
    // An error without a payload: no further bytes belong to it.
    if (length === 0) this.readHead(view, at, this.held, 0)
  }

  private readHead(view: DataView, at: number, bytes: Uint8Array, start: number): void {
    const { pending } = this
    if (pending === undefined) return
    const head = this.wanted
    this.remaining -= head
    if (isErrorChunk(this.chunk)) {
      const breach = acceptErrorPayload(pending, this.chunk, bytes.subarray(start, start + head), head + this.remaining)
      return breach === undefined ? this.skip() : this.fail(breach)
    }
    if (this.chunk === chunkType.BLOCK_STATUS || this.chunk === chunkType.BLOCK_STATUS_EXT) {
      return this.beginStatus(pending, bytes.subarray(start, start + head))
    }
    const isHole = this.chunk === chunkType.OFFSET_HOLE
    const length = isHole ? view.getUint32(at + 8) : this.remaining
    if (length === 0) return this.breach("a hole of at least one byte", "0 bytes", "C-174")
    const position = acceptContent(pending, isHole ? "Hole" : "Data", view.getBigUint64(at), length)
    if (isWireError(position)) return this.fail(position)
    if (isHole) {
      const destination = destinationOf(pending, length)
      if (destination !== undefined) clear(destination, position, length)
      return this.endOfMessage()
    }
    this.content(this.remaining, position)
  }

  private beginStatus(pending: PendingCommand, head: Uint8Array): void {
    const isOfUse = this.status.begin(pending, head, head.byteLength + this.remaining)
    if (isWireError(isOfUse)) return this.fail(isOfUse)
    if (!isOfUse) return this.skip()
    this.contentLength = this.remaining
    this.stage = "Status"
  }

  private readStatus(): void {
    const { pending } = this
    if (pending === undefined) return
    const breach = this.status.finish(pending)
    if (breach === undefined) this.endOfMessage()
    else this.fail(breach)
  }

  /** Passes over what is left of a payload. */
  private skip(): void {
    if (this.remaining === 0) return this.endOfMessage()
    this.contentLength = this.remaining
    this.stage = "Skipped"
  }

  private content(length: number, position: number): void {
    this.contentLength = length
    this.remaining = length
    this.position = position
    if (length === 0) return this.endOfMessage()
    this.stage = "Content"
  }

  private endOfMessage(): void {
    const { pending } = this
    this.wasMuch = this.contentLength >= muchContent && isShared(pending)
    this.contentLength = 0
    this.stage = "Header"
    this.wanted = this.shortest
    this.pending = undefined
    this.traffic.chunksReceived += 1
    if (!this.isLast || pending === undefined) return
    // A simple reply to a read has brought all of it, and has no chunks to say what.
    if (this.replyStyle !== "Simple" || pending.command.name !== "read") complete(pending)
    this.events.onSettled(pending)
  }

  private find(view: DataView, at: number): PendingCommand | undefined {
    const pending = this.inFlight.find(decodeCookie(view, at))
    if (pending === undefined) {
      this.breach("the cookie of a request in flight", hex(view.getBigUint64(at + 8), 8), "C-154, H-078")
    }
    return pending
  }

  private breach(expected: string, received: string, rule: string): void {
    this.fail(new WireError(expected, received, rule))
  }

  private fail(error: WireError): void {
    this.stage = "Broken"
    this.pending = undefined
    this.events.onBreach(error)
  }
}

const isLent = (pending: PendingCommand | undefined): boolean => pending?.command.detail?._tag === "Lent"

const isShared = (pending: PendingCommand | undefined): boolean => pending?.lent?.isShared === true
