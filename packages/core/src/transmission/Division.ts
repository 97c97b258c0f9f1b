/**
 * Requests that are longer than the server takes, sent as several: one rule for all commands.
 *
 * A request's pieces follow each other, each sent when the one before it has succeeded, so that whatever happens what was
 * done is the beginning of the range. The first failure is the result, and names its piece: everything before it was done,
 * and nothing behind it was sent. Flags go with every piece. Whoever is interrupted has no more of them sent.
 *
 * Why effects are cut that carry no payload: servers are known that say nothing of their limits, do less than a long
 * request asks for, and answer that it was done (zeroes over 64 MiB). A server that has named its block sizes has thought
 * about it; the specification lets effects be longer than its largest payload, and they are (C-096).
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import type { Export } from "../Export.ts"
import { longestEffect } from "./CommandCheck.ts"
import { type CommandFailure, CommandLostError } from "./CommandError.ts"
import { type Caller, type NeverSent, PendingCommand } from "./InFlight.ts"
import type { NbdCommand } from "./NbdCommand.ts"
import { addPiece } from "./Piece.ts"
import { invalid } from "./ReplyAssembly.ts"
import type { Transmission } from "./Transmission.ts"

/**
 * Most bytes that one request of this kind is sent for. With what carries payload it is the server's maximum; with the rest
 * 32 MiB where the server has named no block sizes, and otherwise what its header can say. Block status is not cut: its
 * answer may be about less than was asked for, and tells about how much it is.
 *
 * @since 0.1.0
 * @category constants
 */
export const longestRequest = (target: Export, { name }: NbdCommand): number => {
  switch (name) {
    case "read":
    case "write":
      return target.maximumPayload
    case "trim":
    case "writeZeroes":
    case "cache":
      return Option.isNone(target.blockSize) ? target.maximumPayload : longestEffect(target)
    default:
      return Infinity
  }
}

/**
 * A command on its way in pieces, none longer than `longest`, a multiple of the minimum block size.
 *
 * @since 0.1.0
 * @category models
 */
export class DividedCommand implements Caller {
  private readonly transmission: Transmission
  private readonly longest: number
  private readonly caller: Caller
  /** The command as it was asked for, and what its pieces bring. It has no cookie. */
  private readonly whole: PendingCommand
  /** The piece that is under way. */
  private piece: PendingCommand | undefined
  /** Bytes of the pieces that have succeeded. */
  private done = 0

  constructor(transmission: Transmission, command: NbdCommand, longest: number, caller: Caller) {
    this.transmission = transmission
    this.longest = longest
    this.caller = caller
    this.whole = new PendingCommand(command, caller)
    if (command.name === "read") {
      const bytes = command.destination ?? new Uint8Array(command.length)
      this.whole.destination = bytes
      if (command.detail?._tag === "Lent") this.whole.lent = { bytes, isShared: false, giveBack: () => {} }
    }
    this.piece = transmission.submit(this.next(), this)
  }

  /** Nobody waits for it any more. */
  abandon(): void {
    if (this.piece !== undefined) this.transmission.abandon(this.piece)
  }

  isGone(): boolean {
    return this.caller.isGone()
  }

  settle(failure: CommandFailure | NeverSent | undefined, piece: PendingCommand): void {
    if (failure !== undefined) return this.fail(failure, piece)
    this.done += piece.command.length
    for (const { _tag, length, offset } of piece.pieces ?? []) {
      addPiece(this.whole.pieces ??= [], _tag, offset, length)
    }
    if (this.done === this.whole.command.length) this.caller.settle(undefined, this.whole)
    else if (this.memoryIsGone()) this.caller.settle(this.withoutMemory(), this.whole)
    else if (!this.caller.isGone()) this.piece = this.transmission.continue(this.next(), this)
  }

  private next(): NbdCommand {
    const { command, destination } = this.whole
    const { detail, flags, name, offset, payload } = command
    const end = Math.min(this.done + this.longest, command.length)
    return {
      name,
      flags,
      offset: offset + BigInt(this.done),
      length: end - this.done,
      payload: payload?.subarray(this.done, end),
      destination: destination?.subarray(this.done, end),
      detail: detail?._tag === "Lent" ? undefined : detail
    }
  }

  /** With something done already, "nothing was sent" would not be true. */
  private fail(failure: CommandFailure | NeverSent, piece: PendingCommand): void {
    if (failure._tag !== "NeverSent" || this.done === 0) return this.caller.settle(failure, this.whole)
    const { length, name, offset } = piece.command
    const { reason } = failure
    const lost = new CommandLostError({
      cookie: BigInt(this.piece?.cookie ?? 0),
      command: name,
      offset,
      length,
      reason
    })
    this.caller.settle(lost, this.whole)
  }

  /** Its owner has transferred or resized it meanwhile. */
  private memoryIsGone(): boolean {
    const { command, destination } = this.whole
    const memory = command.payload ?? destination
    return memory !== undefined && memory.byteLength !== command.length
  }

  private withoutMemory(): CommandFailure {
    const { length } = this.whole.command
    return invalid(
      this.whole,
      `memory of ${length} bytes`,
      "memory that was transferred or resized since",
      "readInto, write"
    )
  }
}
