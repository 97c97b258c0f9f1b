/**
 * The transmission phase of one connection: admits commands, sends them, hands replies back, and knows its end.
 *
 * Plain TypeScript fed with bytes. Checking and registering a command is one synchronous step, so a connection cannot
 * die between the two and leave a command waiting for ever. Only so many commands, and so many bytes of payload, are
 * in flight at once; the others wait in order, without memory of their own.
 *
 * It does not check commands (CommandCheck does), nor read replies (ReplyReader), nor know handle states.
 *
 * @since 0.1.0
 */
import type { Export } from "../Export.ts"
import { fromWireError, ServerDisconnectedError } from "../ProtocolError.ts"
import type { Traffic } from "../Traffic.ts"
import type { Connection, ConnectionEnd, Receiver } from "../Transport.ts"
import type { WireError } from "../wire/WireError.ts"
import { CommandLostError, HandleClosedError, type TransmissionFault } from "./CommandError.ts"
import { type Caller, InFlight, type NeverSent, payloadBytes, PendingCommand } from "./InFlight.ts"
import type { NbdCommand } from "./NbdCommand.ts"
import { ReadMemory } from "./ReadMemory.ts"
import { ReplyReader } from "./ReplyReader.ts"
import { RequestWriter } from "./RequestWriter.ts"
import { WaitingLine } from "./WaitingLine.ts"

/**
 * How much may be in flight at once on one connection. A single command that is larger than `bytes` goes alone.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly requests: number
  /** Bytes of payload, written or to be read. */
  readonly bytes: number
}

/**
 * How a transmission phase came to its end.
 *
 * - `Ended`: in order, after our disconnect or by a close of an idle server.
 * - `Failed`: by a fault.
 *
 * @since 0.1.0
 * @category models
 */
export type TransmissionEnd = { readonly _tag: "Ended" } | {
  readonly _tag: "Failed"
  readonly fault: TransmissionFault
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TransmissionEvents {
  /** Called once, before the commands that are lost by it are settled. */
  readonly onEnd: (end: TransmissionEnd) => void
  /** The server said ESHUTDOWN: it is going, and no new command should be sent (C-162). */
  readonly onServerShutdown: () => void
}

/**
 * - `Open`: commands are admitted.
 * - `Draining`: no more are admitted; once the last reply has come the server is told goodbye.
 * - `Emptying`: the same, and commands that wait to be sent are not sent any more.
 * - `Leaving`: it was told, and its end of the stream is waited for.
 * - `Over`: nothing comes or goes any more.
 */
type Course = "Open" | "Draining" | "Emptying" | "Leaving" | "Over"

/**
 * @since 0.1.0
 * @category models
 */
export class Transmission implements Receiver {
  readonly export: Export
  private readonly connection: Connection
  private readonly limits: Limits
  private readonly traffic: Traffic
  private readonly events: TransmissionEvents
  private readonly inFlight = new InFlight()
  private readonly memory = new ReadMemory()
  private readonly reader: ReplyReader
  private readonly writer: RequestWriter
  private course: Course = "Open"
  /** Commands that wait for their turn, in order. */
  private readonly queue = new WaitingLine<PendingCommand>()
  private whenLeaving: Array<() => void> = []
  private whenOver: Array<() => void> = []

  constructor(options: {
    readonly connection: Connection
    readonly export: Export
    readonly limits: Limits
    readonly traffic: Traffic
    readonly events: TransmissionEvents
  }) {
    this.export = options.export
    this.connection = options.connection
    this.limits = options.limits
    this.events = options.events
    this.traffic = options.traffic
    this.writer = new RequestWriter(
      options.connection,
      options.export.replyStyle === "Extended",
      options.traffic,
      () => this.inFlight.markSent()
    )
    this.reader = new ReplyReader(this.inFlight, options.export, options.traffic, {
      onSettled: (pending) => this.settled(pending),
      onBreach: (breach) => this.breach(breach)
    })
  }

  /**
   * Takes the connection over, beginning with what its reader has: bytes behind the handshake, and the end of the
   * stream if that has come already.
   */
  start(early: Uint8Array, ended: ConnectionEnd | undefined): void {
    // They were counted when they came.
    if (early.byteLength > 0) this.reader.push(early)
    if (ended === undefined) this.connection.receive(this)
    else this.onEnd(ended)
  }

  /** Commands that were sent and have no final reply yet, abandoned ones included. */
  get requestsInFlight(): number {
    return this.inFlight.size
  }

  /** Commands that wait for their turn. */
  get requestsQueued(): number {
    return this.queue.size
  }

  /** Sends a command, now or when its turn comes. It must have been checked. */
  submit(command: NbdCommand, caller: Caller): PendingCommand {
    return this.sendInTurn(command, caller, this.course === "Open")
  }

  /** Sends the next piece of an admitted command, in the same step in which its previous piece is settled. */
  continue(command: NbdCommand, caller: Caller): PendingCommand {
    return this.sendInTurn(command, caller, this.course === "Open" || this.course === "Draining")
  }

  private sendInTurn(command: NbdCommand, caller: Caller, isAdmitted: boolean): PendingCommand {
    const pending = new PendingCommand(command, caller)
    if (!isAdmitted) pending.settle(neverSent(new HandleClosedError()))
    else if (this.queue.size === 0 && this.hasRoom(command)) this.send(pending)
    else pending.place = this.queue.join(pending)
    return pending
  }

  /**
   * The command is abandoned. If it was sent, its cookie stays until the reply has been drained; if it
   * still waits for its turn, it is never sent.
   */
  abandon(pending: PendingCommand): void {
    pending.abandon()
    // One that stood first may have been what the others waited for.
    if (pending.place !== undefined && this.queue.leave(pending.place)) this.advance()
  }

  /** Admits no more commands, and tells the server goodbye once the last reply has come. */
  drain(): void {
    if (this.course !== "Open") return
    this.course = "Draining"
    this.leaveIfDrained()
  }

  /** Admits no more commands, fails those that wait to be sent, and sends NBD_CMD_DISC after the last reply. */
  empty(): void {
    if (this.course !== "Open" && this.course !== "Draining") return
    this.course = "Emptying"
    this.giveUpQueue(new HandleClosedError())
    this.leaveIfDrained()
  }

  /** Calls back once the server has been told goodbye, or the connection is over. */
  onLeaving(callback: () => void): () => void {
    return this.whenever(this.whenLeaving, this.course === "Leaving" || this.course === "Over", callback)
  }

  /** Calls back once the connection is over. */
  onOver(callback: () => void): () => void {
    return this.whenever(this.whenOver, this.course === "Over", callback)
  }

  /** Drops the connection, whether or not the server has ended its half. */
  drop(): void {
    this.close()
    this.connection.close()
  }

  /** Says goodbye without waiting for replies, and gives up what is in flight. The connection is its scope's to drop. */
  close(): void {
    if (this.course === "Over") return
    if (this.course !== "Leaving") this.writer.disconnect()
    this.finish({ _tag: "Ended" }, new HandleClosedError())
  }

  onBytes(bytes: Uint8Array): boolean {
    this.traffic.bytesReceived += bytes.byteLength
    if (this.course !== "Over") {
      // What was submitted before these came may be what they answer.
      this.writer.flushScheduled()
      this.reader.push(bytes)
    }
    return true
  }

  place(): Uint8Array | undefined {
    this.memory.lent.isPlaced = true
    return this.course === "Over" ? undefined : this.reader.place()
  }

  onDrain(): void {
    this.writer.drained()
  }

  onEnd(end: ConnectionEnd): void {
    if (this.course === "Over") return
    const fault = this.faultOf(end)
    // After our goodbye, and between replies to abandoned commands, any end will do.
    const orderly = this.reader.isAtBoundary && this.inFlight.size === 0 &&
      (this.course === "Leaving" || end._tag === "Finished")
    if (orderly) this.finish({ _tag: "Ended" }, fault)
    else this.finish({ _tag: "Failed", fault }, fault)
    this.connection.close()
  }

  private faultOf(end: ConnectionEnd): TransmissionFault {
    if (end._tag === "Broken") return end.error
    return end.program ?? new ServerDisconnectedError({
      peer: this.connection.peer,
      phase: "transmission",
      ...this.reader.progress,
      ...(this.reader.isAtBoundary ? { received: 0 } : {})
    })
  }

  private breach(error: WireError): void {
    const fault = fromWireError("transmission", error)
    this.finish({ _tag: "Failed", fault }, fault)
    this.connection.close()
  }

  private hasRoom(command: NbdCommand): boolean {
    const { payloadBytes: bytes, size } = this.inFlight
    return size === 0 || (size < this.limits.requests && bytes + payloadBytes(command) <= this.limits.bytes)
  }

  private send(pending: PendingCommand): void {
    const { command } = pending
    this.inFlight.register(pending)
    if (command.name === "read") this.memory.supply(pending)
    this.writer.append(command, pending.cookie)
  }

  /** Sends the commands that are next in line, but never more than the limits allow. */
  private advance(): void {
    for (let next = this.queue.first; next !== undefined && this.hasRoom(next.command); next = this.queue.first) {
      if (next.place !== undefined) this.queue.leave(next.place)
      this.send(next)
    }
  }

  /** Nothing of what waits for its turn is sent any more. */
  private giveUpQueue(reason: TransmissionFault | HandleClosedError): void {
    for (const pending of this.queue.clear()) pending.settle(neverSent(reason))
  }

  private settled(pending: PendingCommand): void {
    this.inFlight.remove(pending)
    const { failure } = pending
    if (pending.lent !== undefined && (failure !== undefined || pending.caller?.isGone() !== false)) pending.takeBack()
    pending.settle(failure)
    if (failure !== undefined && failure._tag !== "NbdCommandLostError" && failure.errno === "ESHUTDOWN") {
      this.events.onServerShutdown()
      this.empty()
    }
    if (this.queue.size > 0) this.advance()
    this.leaveIfDrained()
  }

  private leaveIfDrained(): void {
    if (this.course !== "Draining" && this.course !== "Emptying") return
    if (this.inFlight.size > 0 || this.queue.size > 0) return
    this.course = "Leaving"
    this.writer.disconnect()
    this.call(this.whenLeaving)
  }

  private finish(end: TransmissionEnd, reason: TransmissionFault | HandleClosedError): void {
    this.course = "Over"
    this.events.onEnd(end)
    for (const pending of this.inFlight.removeAll()) {
      const { caller, cookie, command: { length, name: command, offset, request } } = pending
      pending.abandon()
      // One error each: a caller finds its own range in it.
      caller?.settle(
        new CommandLostError({ cookie: BigInt(cookie), command, offset, length, request, reason }),
        pending
      )
    }
    this.giveUpQueue(reason)
    this.call(this.whenLeaving)
    this.call(this.whenOver)
  }

  private whenever(callbacks: Array<() => void>, already: boolean, callback: () => void): () => void {
    if (already) callback()
    else callbacks.push(callback)
    return () => {
      const at = callbacks.indexOf(callback)
      if (at >= 0) callbacks.splice(at, 1)
    }
  }

  private call(callbacks: Array<() => void>): void {
    for (const callback of callbacks.splice(0)) callback()
  }
}

const neverSent = (reason: TransmissionFault | HandleClosedError): NeverSent => ({ _tag: "NeverSent", reason })
