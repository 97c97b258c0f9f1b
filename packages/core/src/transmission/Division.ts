/**
 * Requests that are longer than the server takes, sent as several: one rule for all commands.
 *
 * Each piece of a request is sent only after the piece before it has succeeded. So the part of the range that was done
 * is always its beginning. The first failure is the result, and names its piece: everything before that piece was done,
 * and nothing after it was sent. Every piece has the request's flags. If the caller is interrupted, no further pieces
 * are sent.
 *
 * Requests without payload are divided too, because some servers send no block sizes, carry out only a part of a long
 * request, and report success (zeroes over 64 MiB). If a server has sent its block sizes, these requests are not
 * divided at its maximum payload: the specification allows them to be longer (C-096).
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
 * The largest length of one request of this kind. For a request with payload it is the server's maximum payload. For
 * the others it is 32 MiB if the server has sent no block sizes, and otherwise the largest length that the header can
 * express. Block status is not divided: its answer may cover less than was asked for, and says which length it covers.
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
 * A command that is sent in pieces, none longer than `longest`, which is a multiple of the minimum block size.
 *
 * @since 0.1.0
 * @category models
 */
export class DividedCommand implements Caller {
  private readonly transmission: Transmission
  private readonly longest: number
  private readonly caller: Caller
  /** The whole command, and the results of its pieces. It has no cookie. */
  private readonly whole: PendingCommand
  /** The piece whose reply is outstanding. */
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

  /** The caller no longer waits for the command. */
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
    const { detail, flags, name, offset, payload, request } = command
    const end = Math.min(this.done + this.longest, command.length)
    return {
      request,
      name,
      flags,
      offset: offset + BigInt(this.done),
      length: end - this.done,
      payload: payload?.subarray(this.done, end),
      destination: destination?.subarray(this.done, end),
      detail: detail?._tag === "Lent" ? undefined : detail
    }
  }

  /** If some pieces were done already, "nothing was sent" would not be true. */
  private fail(failure: CommandFailure | NeverSent, piece: PendingCommand): void {
    if (failure._tag !== "NeverSent" || this.done === 0) return this.caller.settle(failure, this.whole)
    const { length, name, offset, request } = piece.command
    const { reason } = failure
    const lost = new CommandLostError({
      cookie: BigInt(this.piece?.cookie ?? 0),
      command: name,
      offset,
      length,
      request,
      reason
    })
    this.caller.settle(lost, this.whole)
  }

  /** The owner of the memory has transferred or resized it since the command began. */
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
