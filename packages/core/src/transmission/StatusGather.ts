/**
 * Gathers the payload of a status chunk, which is looked at when it is whole.
 *
 * Its memory is taken once the header has told its length, and is no more than the answer to that request can need: a
 * status is about as many bytes as were asked for, and each extent about one of them at least (C-190).
 *
 * @since 0.1.0
 */
import { decodeBlockStatus, type Descriptors, statusSize, type StatusWidth } from "../wire/BlockStatus.ts"
import { isWireError, type WireError } from "../wire/WireError.ts"
import { mostDescriptors } from "./ContextStatus.ts"
import type { PendingCommand } from "./InFlight.ts"
import { acceptStatus, invalid } from "./ReplyAssembly.ts"

/**
 * @since 0.1.0
 * @category models
 */
export class StatusGather {
  private readonly width: StatusWidth
  private readonly exportSize: bigint
  private payload = new Uint8Array(0)

  constructor(width: StatusWidth, exportSize: bigint) {
    this.width = width
    this.exportSize = exportSize
  }

  /** `false`: the chunk has more extents than the request has bytes. It fails the command, and is of no use. */
  begin(pending: PendingCommand, length: number): boolean {
    const { descriptor, head } = statusSize[this.width]
    if (length > head + descriptor * mostDescriptors(pending.command.length)) {
      const received = `${(length - head) / descriptor}`
      pending.failure ??= invalid(pending, `at most ${pending.command.length} extents`, received, "C-190")
      return false
    }
    this.payload = new Uint8Array(length)
    return true
  }

  /** Takes the next bytes; `remaining` counts those that are still to come, these included. */
  add(bytes: Uint8Array, remaining: number): void {
    this.payload.set(bytes, this.payload.byteLength - remaining)
  }

  /** What the whole payload says, told to its command; or why it makes no sense. */
  finish(pending: PendingCommand): WireError | undefined {
    const descriptors: Descriptors | WireError = decodeBlockStatus(this.width, this.payload)
    this.payload = new Uint8Array(0)
    return isWireError(descriptors) ? descriptors : acceptStatus(pending, descriptors, this.exportSize)
  }
}
