/**
 * A connection that does nothing by itself: a test reads what was written to it and says what arrives.
 */
import { Export, type GrantedContext, type ReplyStyle } from "@effect-nbd/core/Export"
import { Flush } from "@effect-nbd/core/Request"
import { Traffic } from "@effect-nbd/core/Traffic"
import type { CommandFailure } from "@effect-nbd/core/transmission/CommandError"
import type { ContextStatus } from "@effect-nbd/core/transmission/ContextStatus"
import { idMap } from "@effect-nbd/core/transmission/ContextTable"
import type { NeverSent, PendingCommand } from "@effect-nbd/core/transmission/InFlight"
import type { CommandDetail, NbdCommand } from "@effect-nbd/core/transmission/NbdCommand"
import { type Limits, Transmission, type TransmissionEnd } from "@effect-nbd/core/transmission/Transmission"
import type { Connection, ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"
import { concat, viewOf } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { decodeRequestHeader, headerSize, type RequestHeader } from "@effect-nbd/core/wire/RequestHeader"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import * as Option from "effect/Option"

export class ByHandConnection implements Connection {
  readonly peer = "by hand"
  readonly written: Array<Uint8Array> = []
  writes = 0
  hasRoom = true
  endedWrites = false
  closed = false
  private receiver: Receiver | undefined

  receive(receiver: Receiver): void {
    this.receiver = receiver
  }
  resume(): void {}
  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    this.writes += 1
    this.written.push(...chunks.map((chunk) => chunk.slice()))
    return this.hasRoom
  }
  endWrites(): void {
    this.endedWrites = true
  }
  close(): void {
    this.closed = true
  }

  /** Delivers from a buffer that is written over afterwards, as a real connection does. */
  arrive(bytes: Uint8Array, split: number = bytes.byteLength): void {
    for (let at = 0; at < bytes.byteLength; at += split) {
      const lent = bytes.slice(at, at + split)
      this.receiver?.onBytes(lent)
      lent.fill(0xee)
    }
  }
  end(end: ConnectionEnd = { _tag: "Finished", program: undefined }): void {
    this.receiver?.onEnd(end)
  }
  drain(): void {
    this.hasRoom = true
    this.receiver?.onDrain()
  }

  /** The requests written so far; payloads of writes are skipped over. */
  get requests(): ReadonlyArray<RequestHeader> {
    const bytes = concat(this.written)
    const requests: Array<RequestHeader> = []
    for (let at = 0; at < bytes.byteLength;) {
      const header = decodeRequestHeader(viewOf(bytes), at)
      if (isWireError(header)) throw new Error(header.received)
      requests.push(header)
      at += headerSize + (header.command === 1 ? header.length : 0)
    }
    return requests
  }
}

/** The request of commands that were made by hand, without one. */
export const anyRequest = new Flush()

export type Outcome = CommandFailure | NeverSent | "ok"

/** A transmission by hand, with the outcome of every command that was submitted, in order of submission. */
export const transmission = (
  options: {
    readonly replyStyle?: ReplyStyle
    readonly limits?: Partial<Limits>
    readonly size?: bigint
    readonly contexts?: ReadonlyArray<GrantedContext>
  } = {}
) => {
  const connection = new ByHandConnection()
  const ends: Array<TransmissionEnd> = []
  const outcomes: Array<Outcome | undefined> = []
  const state = { serverShutdowns: 0 }
  const engine = new Transmission({
    connection,
    export: new Export({
      name: "",
      size: options.size ?? 2n ** 63n,
      flags: TransmissionFlags(0x0ffd),
      replyStyle: options.replyStyle ?? "Structured",
      blockSize: Option.none(),
      canonicalName: Option.none(),
      description: Option.none(),
      contexts: options.contexts ?? []
    }),
    traffic: new Traffic(),
    limits: { requests: 1024, bytes: 67_108_864, ...options.limits },
    events: {
      onEnd: (end) => ends.push(end),
      onServerShutdown: () => {
        state.serverShutdowns += 1
      }
    }
  })
  engine.start(new Uint8Array(0), undefined)
  const submit = (command: Partial<NbdCommand> & Pick<NbdCommand, "name">) => {
    const at = outcomes.push(undefined) - 1
    return engine.submit(
      {
        request: anyRequest,
        flags: 0,
        offset: 0n,
        length: 0,
        payload: undefined,
        destination: undefined,
        detail: undefined,
        ...command
      },
      {
        settle: (failure) => {
          if (outcomes[at] !== undefined) throw new Error(`command ${at} was settled twice`)
          outcomes[at] = failure ?? "ok"
        },
        isGone: () => false
      }
    )
  }
  return { connection, engine, ends, outcomes, state, submit }
}

/** Block status about these contexts, all of which are kept. */
export const statusDetail = (...contexts: ReadonlyArray<GrantedContext>): CommandDetail => {
  const asked = idMap(contexts)
  return { _tag: "Status", asked, kept: asked, wanted: contexts }
}

/** What was kept of the answers to a block status, in the order of their coming. */
export const statuses = ({ status }: PendingCommand): ReadonlyArray<ContextStatus> =>
  [...(status ?? new Map<number, ContextStatus | undefined>()).values()].filter((each) => each !== undefined)
