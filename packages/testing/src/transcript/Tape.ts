/**
 * Takes down what goes over one connection, in bounded memory.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import { make, type Side, type Transcript, type TranscriptEvent } from "./Model.ts"

/**
 * Memory that the tapes of one recording share, in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Budget {
  left: number
}

/** What an event takes besides its bytes, about. */
const eventSize = 128

/**
 * What was said so far on one connection.
 *
 * @since 0.1.0
 * @category models
 */
export class Tape {
  private readonly budget: Budget
  private readonly events: Array<TranscriptEvent> = []
  private readonly current = new Growing()
  private speaker: Side | undefined
  private readonly silent = new Set<Side>()
  private isCut = false

  constructor(budget: Budget) {
    this.budget = budget
  }

  hear(from: Side, bytes: Uint8Array): void {
    if (this.isCut || this.silent.has(from) || bytes.byteLength === 0) return
    if (from !== this.speaker) {
      this.flush()
      if (!this.pay(eventSize)) return
      this.speaker = from
    }
    const count = Math.min(bytes.byteLength, this.budget.left)
    this.budget.left -= count
    this.current.push(bytes.subarray(0, count))
    if (count < bytes.byteLength) this.cut()
  }

  /** Nothing is heard of that side any more. */
  end(from: Side, how: "Finished" | "Broken"): void {
    if (this.isCut || this.silent.has(from)) return
    this.silent.add(from)
    this.mark({ _tag: "Ended", from, how })
  }

  mark(event: TranscriptEvent): void {
    if (this.isCut) return
    this.flush()
    if (this.pay(eventSize)) this.events.push(event)
  }

  get transcript(): Transcript {
    const { current, speaker } = this
    const last: ReadonlyArray<TranscriptEvent> = speaker === undefined || current.length === 0
      ? []
      : [{ _tag: "Bytes", from: speaker, bytes: current.copy() }]
    const events = [...this.events, ...last]
    return make(this.isCut ? [...events, { _tag: "Cut" }] : events)
  }

  private flush(): void {
    const { current, speaker } = this
    if (speaker === undefined || current.length === 0) return
    this.events.push({ _tag: "Bytes", from: speaker, bytes: current.copy() })
    current.clear()
    this.speaker = undefined
  }

  private pay(size: number): boolean {
    if (size > this.budget.left) {
      this.cut()
      return false
    }
    this.budget.left -= size
    return true
  }

  private cut(): void {
    this.flush()
    this.isCut = true
  }
}

/** Bytes that are added to. */
class Growing {
  private store = new Uint8Array(256)
  length = 0

  push(bytes: Uint8Array): void {
    const length = this.length + bytes.byteLength
    if (length > this.store.byteLength) {
      const store = new Uint8Array(Math.max(length, 2 * this.store.byteLength))
      store.set(this.store.subarray(0, this.length))
      this.store = store
    }
    this.store.set(bytes, this.length)
    this.length = length
  }

  copy(): Uint8Array {
    return this.store.slice(0, this.length)
  }

  clear(): void {
    this.length = 0
  }
}

/**
 * The same connection, with everything that goes over it put on the tape. `side` is the side whose connection it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const taped = (connection: Connection, side: Side, tape: Tape): Connection => {
  const other = side === "client" ? "server" : "client"
  const encrypted = <E>(upgrade: Effect.Effect<Connection, E>): Effect.Effect<Connection, E> =>
    Effect.map(upgrade, (inside) => {
      tape.mark({ _tag: "TlsBegan" })
      return taped(inside, side, tape)
    })
  const { acceptTls, prepareTls } = connection
  return {
    peer: connection.peer,
    receive: (receiver) => connection.receive(listening(receiver, other, tape)),
    resume: () => connection.resume(),
    write: (chunks) => {
      for (const chunk of chunks) tape.hear(side, chunk)
      return connection.write(chunks)
    },
    endWrites: () => {
      tape.end(side, "Finished")
      connection.endWrites()
    },
    prepareTls: prepareTls === undefined
      ? undefined
      : (settings) => Effect.map(prepareTls.call(connection, settings), encrypted),
    acceptTls: acceptTls === undefined ? undefined : (settings) => encrypted(acceptTls.call(connection, settings)),
    close: () => {
      tape.end(side, "Finished")
      connection.close()
    }
  }
}

const listening = (receiver: Receiver, from: Side, tape: Tape): Receiver => ({
  onBytes: (bytes) => {
    tape.hear(from, bytes)
    return receiver.onBytes(bytes)
  },
  place: () => receiver.place?.(),
  onEnd: (end: ConnectionEnd) => {
    tape.end(from, end._tag)
    receiver.onEnd(end)
  },
  onDrain: () => receiver.onDrain()
})
