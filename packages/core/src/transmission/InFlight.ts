/**
 * The commands that wait for a reply, by cookie.
 *
 * A cookie stays here until its final reply has come, whether or not anybody still waits for it: a simple reply to a
 * read carries no length of its own, so forgetting the request would lose the framing (C-127, H-080).
 *
 * @since 0.1.0
 */
import { statusSize } from "../wire/BlockStatus.ts"
import type { CommandFailure, HandleClosedError, TransmissionFault } from "./CommandError.ts"
import type { ContextStatus } from "./ContextStatus.ts"
import { extentsKept } from "./ContextStatus.ts"
import { CookieTable } from "./CookieTable.ts"
import { Coverage } from "./Coverage.ts"
import type { Lent, LentMemory } from "./LentMemory.ts"
import type { NbdCommand } from "./NbdCommand.ts"
import type { Piece } from "./Piece.ts"
import type { Place } from "./WaitingLine.ts"

/**
 * The connection ended, or was being closed, while the command waited to be sent: nothing of it was sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface NeverSent {
  readonly _tag: "NeverSent"
  /** The reason, for a caller that has already sent another piece. */
  readonly reason: TransmissionFault | HandleClosedError
}

/**
 * The errors of one reply: their number, and their positions in the range. No content may follow at these positions
 * (H-106).
 *
 * @since 0.1.0
 * @category models
 */
export interface ReportedErrors {
  count: number
  readonly positions: Array<number>
}

/**
 * What waits for a command.
 *
 * @since 0.1.0
 * @category models
 */
export interface Caller {
  /** Called once with what became of the command: `undefined` for success. */
  readonly settle: (failure: CommandFailure | NeverSent | undefined, pending: PendingCommand) => void
  /** It waits no more, without having said so by `abandon`: asked before anything is written to its memory. */
  readonly isGone: () => boolean
}

/**
 * A command on its way, and what its reply has brought so far.
 *
 * @since 0.1.0
 * @category models
 */
export class PendingCommand {
  readonly command: NbdCommand
  /** Where a read goes, once it is sent and as long as anybody waits for it. */
  destination: Uint8Array | undefined
  /** What lends a read its memory, once it is sent and until its content comes. */
  lender: LentMemory | undefined
  /** The memory that it was lent. */
  lent: Lent | undefined
  /** `undefined` once it is abandoned. */
  caller: Caller | undefined
  /** From 1, in order of sending; 0 while it waits for its turn. */
  cookie = 0
  /** Its place in the line of commands that wait to be sent; `undefined` for a command that did not have to wait. */
  place: Place<PendingCommand> | undefined
  /** The first failure; later chunks do not replace it (H-131). */
  failure: CommandFailure | undefined
  /** Errors that chunks have reported. */
  errors: ReportedErrors | undefined
  /** The chunks of a read that wants to know them. */
  pieces: Array<Piece> | undefined
  /** What has been said about each context of a block status, by its id; `undefined` of one that is not kept. */
  status: Map<number, ContextStatus | undefined> | undefined
  private ranges: Coverage | undefined

  constructor(command: NbdCommand, caller: Caller) {
    this.command = command
    this.destination = command.destination
    this.caller = caller
  }

  /** It waits for its turn, or is over without having been sent. */
  get isUnsent(): boolean {
    return this.cookie === 0
  }

  /** Tells its caller what became of it. */
  settle(failure: CommandFailure | NeverSent | undefined): void {
    this.caller?.settle(failure, this)
  }

  /** Memory is lent when content comes for it: it was given back a moment ago then, and is still in the processor's cache. */
  borrow(arriving: number): Uint8Array | undefined {
    const { lender } = this
    if (lender === undefined) return undefined
    this.lender = undefined
    this.lent = lender.take(this.command.length, arriving)
    this.destination = this.lent.bytes
    return this.destination
  }

  /** What has arrived of a read. */
  get coverage(): Coverage {
    return this.ranges ??= new Coverage()
  }

  /** It is abandoned, and its memory is not ours any more. */
  abandon(): void {
    this.caller = undefined
    this.destination = undefined
    this.lender = undefined
    this.takeBack()
  }

  /**
   * What it was lent is not used. Bytes of it that have a place there already are the next to come: before other
   * content, and so before the memory is lent again.
   */
  takeBack(): void {
    this.lent?.giveBack()
    this.lent = undefined
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export class InFlight {
  private readonly byCookie = new CookieTable<PendingCommand>()
  private lastCookie = 0
  private lastSent = 0
  private payload = 0

  get size(): number {
    return this.byCookie.size
  }

  /** Bytes of payload that the commands in flight carry or wait for. */
  get payloadBytes(): number {
    return this.payload
  }

  /** Gives the command its cookie: distinct from all that were, since 2^53 of them do not run out. */
  register(pending: PendingCommand): void {
    this.lastCookie += 1
    pending.cookie = this.lastCookie
    this.byCookie.add(pending)
    this.payload += payloadBytes(pending.command)
  }

  /** Everything registered was handed to the connection. */
  markSent(): void {
    this.lastSent = this.lastCookie
  }

  /** What was sent with this cookie. A command that has not left yet can have no answer (H-078). */
  find(cookie: number): PendingCommand | undefined {
    return cookie > this.lastSent ? undefined : this.byCookie.get(cookie)
  }

  /** After the final reply, and only then. */
  remove(pending: PendingCommand): void {
    if (this.byCookie.delete(pending)) this.payload -= payloadBytes(pending.command)
  }

  /** Everything in flight, in order of sending, which is then in flight no more. */
  removeAll(): ReadonlyArray<PendingCommand> {
    this.payload = 0
    return this.byCookie.clear()
  }
}

/**
 * Most bytes of memory that a command and its reply hold until the reply is complete.
 *
 * @since 0.1.0
 * @category models
 */
export const payloadBytes = (command: NbdCommand): number => {
  if (command.name === "read" || command.name === "write") return command.length
  if (command.detail?._tag === "Status") {
    const { size } = command.detail.kept
    return size * statusSize.extended.descriptor * extentsKept(size, command.length)
  }
  return command.payload?.byteLength ?? 0
}
