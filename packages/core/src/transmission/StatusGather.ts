/**
 * Gathers the payload of a status chunk, which is looked at when it is whole.
 *
 * The first bytes say which context the answer is for. An answer for a context that was not asked about is a breach,
 * and an answer that the caller does not want is skipped. For the other answers memory is allocated when the header has
 * given their length, and never more than the answer to that request can need: a status is about as many bytes as were
 * asked for, and each extent about one of them at least (C-190). All answers to one request together keep `mostExtents`
 * at most.
 *
 * @since 0.1.0
 */
import { Descriptors, statusSize, type StatusWidth } from "../wire/BlockStatus.ts"
import { isWireError, WireError } from "../wire/WireError.ts"
import { extentsKept, mostDescriptors } from "./ContextStatus.ts"
import type { PendingCommand } from "./InFlight.ts"
import { acceptContext, acceptStatus, invalid } from "./ReplyAssembly.ts"

/**
 * @since 0.1.0
 * @category models
 */
export class StatusGather {
  private readonly width: StatusWidth
  private readonly exportSize: bigint
  private payload = new Uint8Array(0)
  private filled = 0

  constructor(width: StatusWidth, exportSize: bigint) {
    this.width = width
    this.exportSize = exportSize
  }

  /** Bytes that give the context of the answer and, under extended headers, the number of its extents. */
  get headBytes(): number {
    return statusSize[this.width].head
  }

  /** From the head of a chunk with `length` bytes of payload: whether the rest is of use. */
  begin(pending: PendingCommand, head: Uint8Array, length: number): boolean | WireError {
    const { descriptor, head: headBytes } = statusSize[this.width]
    const view = new DataView(head.buffer, head.byteOffset)
    const count = (length - headBytes) / descriptor
    if (this.width === "extended" && view.getUint32(4) !== count) {
      const rule = "NBD_REPLY_TYPE_BLOCK_STATUS_EXT, C-228"
      return new WireError(`a count of ${count} extents`, `${view.getUint32(4)}`, rule)
    }
    const kept = acceptContext(pending, view.getUint32(0))
    if (isWireError(kept) || kept === 0) return isWireError(kept) ? kept : false
    if (count > mostDescriptors(pending.command.length)) {
      pending.failure ??= invalid(pending, `at most ${pending.command.length} extents`, `${count}`, "C-190")
      return false
    }
    this.payload = new Uint8Array(headBytes + descriptor * Math.min(count, extentsKept(kept, pending.command.length)))
    this.payload.set(head)
    this.filled = headBytes
    return true
  }

  /** Takes the next bytes; the bytes of extents that are not kept are skipped. */
  add(bytes: Uint8Array): void {
    const room = this.payload.byteLength - this.filled
    if (room <= 0) return
    this.payload.set(bytes.byteLength > room ? bytes.subarray(0, room) : bytes, this.filled)
    this.filled += Math.min(room, bytes.byteLength)
  }

  /** What the whole payload says, told to its command; or why it makes no sense. */
  finish(pending: PendingCommand): WireError | undefined {
    const descriptors = new Descriptors(this.width, this.payload)
    this.payload = new Uint8Array(0)
    return acceptStatus(pending, descriptors, this.exportSize)
  }
}
