/**
 * Gathers the requests of one turn into one write.
 *
 * Headers are encoded one behind the other into slabs, payloads go by reference between them, and everything leaves
 * together at the end of the turn: one write for many requests costs 30 to 70 times less than one write each
 * (0.2 instead of 6.4 µs a header on two cores of 2026). A slab's bytes are never written twice, so a connection may
 * keep them as long as it likes.
 *
 * While the connection asks for patience, requests wait here; how many that can be is the caller's to bound.
 *
 * @since 0.1.0
 */
import type { Traffic } from "../Traffic.ts"
import type { Connection } from "../Transport.ts"
import {
  commandCode,
  encodeExtendedRequestHeader,
  encodeRequestHeader,
  extendedHeaderSize,
  headerSize
} from "../wire/RequestHeader.ts"
import { codeOf, type NbdCommand } from "./NbdCommand.ts"

const headersInSlab = 512

/**
 * @since 0.1.0
 * @category models
 */
export class RequestWriter {
  private readonly connection: Connection
  private readonly traffic: Traffic
  private readonly sent: () => void
  private readonly isExtended: boolean
  private readonly headerSize: number
  private slab: Uint8Array
  private view: DataView
  /** Where the next header goes, and where the headers that are not in `parts` yet begin. */
  private at = 0
  private begun = 0
  private parts: Array<Uint8Array> = []
  private isScheduled = false
  private isHeldBack = false
  private isOver = false

  /** `sent` is called whenever everything appended so far goes to the connection. */
  constructor(connection: Connection, isExtended: boolean, traffic: Traffic, sent: () => void) {
    this.connection = connection
    this.sent = sent
    this.isExtended = isExtended
    this.traffic = traffic
    this.headerSize = isExtended ? extendedHeaderSize : headerSize
    this.slab = new Uint8Array(headersInSlab * this.headerSize)
    this.view = new DataView(this.slab.buffer)
  }

  append(command: NbdCommand, cookie: number): void {
    const { payload } = command
    // With a filter of block status the header's length is the filter's, which has the range in itself.
    const isFilter = payload !== undefined && command.name === "blockStatus"
    const length = isFilter ? payload.byteLength : command.length
    this.header(command.flags, codeOf(command), cookie, command.offset, length)
    if (payload !== undefined) {
      this.closePart()
      this.parts.push(payload)
      this.traffic.bytesSent += payload.byteLength
    }
    this.schedule()
  }

  /** NBD_CMD_DISC, and after it nothing more: our half of the connection ends (C-199, C-200). */
  disconnect(): void {
    if (this.isOver) return
    this.header(0, commandCode.DISC, 0, 0n, 0)
    this.isOver = true
    this.isHeldBack = false
    this.flush()
    this.connection.endWrites()
  }

  /** The connection has room again. */
  drained(): void {
    this.isHeldBack = false
    this.flush()
  }

  /** Sends at once what would leave at the end of this turn. */
  flushScheduled(): void {
    if (this.isScheduled) this.flush()
  }

  private header(flags: number, code: number, cookie: number, offset: bigint, length: number): void {
    if (this.at === this.slab.byteLength) {
      this.closePart()
      this.slab = new Uint8Array(this.slab.byteLength)
      this.view = new DataView(this.slab.buffer)
      this.at = 0
      this.begun = 0
    }
    if (this.isExtended) encodeExtendedRequestHeader(this.view, this.at, flags, code, cookie, offset, length)
    else encodeRequestHeader(this.view, this.at, flags, code, cookie, offset, length)
    this.at += this.headerSize
    this.traffic.chunksSent += 1
    this.traffic.bytesSent += this.headerSize
  }

  private closePart(): void {
    if (this.begun === this.at) return
    this.parts.push(this.slab.subarray(this.begun, this.at))
    this.begun = this.at
  }

  private schedule(): void {
    if (this.isScheduled || this.isHeldBack) return
    this.isScheduled = true
    queueMicrotask(this.flushLater)
  }

  private readonly flushLater = (): void => {
    this.isScheduled = false
    this.flush()
  }

  private flush(): void {
    if (this.isHeldBack) return
    this.closePart()
    if (this.parts.length === 0) return
    const parts = this.parts
    this.parts = []
    this.sent()
    this.isHeldBack = !this.connection.write(parts)
  }
}
