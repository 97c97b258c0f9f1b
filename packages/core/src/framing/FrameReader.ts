/**
 * Takes exactly as many bytes from a connection as the next message needs, and tells an end of the stream at a message
 * boundary from one inside a message.
 *
 * Lengths are the caller's to check before it asks: `take(n)` holds up to `n` bytes and at most 64 KiB more. One fiber
 * reads at a time. It does not decode.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { TaggedError } from "../errors/TaggedError.ts"
import { Traffic } from "../Traffic.ts"
import type { Connection, ConnectionEnd, Receiver } from "../Transport.ts"
import { concat } from "../wire/Bytes.ts"
import { ReceiveBuffer } from "./ReceiveBuffer.ts"

/**
 * The stream ended before the bytes that were asked for had come.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamEnded extends TaggedError("NbdStreamEnded")<{
  readonly end: ConnectionEnd
  /** Bytes that were asked for. */
  readonly wanted: number
  /** The bytes that did come: none of them at a message boundary. */
  readonly received: Uint8Array
}> {
  override get message(): string {
    return `the stream ended after ${this.received.byteLength} of ${this.wanted} bytes`
  }
}

interface Waiting {
  readonly count: number
  readonly most: number
  readonly resume: (outcome: Effect.Effect<Uint8Array, StreamEnded>) => void
}

const readAhead = 65_536

/**
 * @since 0.1.0
 * @category models
 */
export class FrameReader implements Receiver {
  private current: Connection
  private readonly buffer = new ReceiveBuffer()
  private waiting: Waiting | undefined
  private end: ConnectionEnd | undefined
  private paused = false
  private total = 0
  private drained: Array<() => void> = []
  private idleEnd: (() => void) | undefined

  /** What goes over the connection is counted here. */
  readonly traffic: Traffic

  /** Begins to receive from the connection. */
  constructor(connection: Connection, traffic: Traffic = new Traffic()) {
    this.current = connection
    this.traffic = traffic
    connection.receive(this)
  }

  /** The connection that it reads from now. */
  get connection(): Connection {
    return this.current
  }

  /** Goes on over another connection to the same peer. Bytes of the one before must not be left, nor anybody waiting. */
  goOnOver(connection: Connection): void {
    this.current = connection
    this.end = undefined
    this.paused = false
    connection.receive(this)
  }

  /**
   * The next `count` bytes, as soon as they have arrived, and the bytes after them that have arrived too: at most
   * `most` in all.
   */
  take(count: number, most = count): Effect.Effect<Uint8Array, StreamEnded> {
    return Effect.async<Uint8Array, StreamEnded>((resume) => {
      const ready = this.ready(count, most)
      if (ready !== undefined) return resume(ready)
      this.waiting = { count, most, resume }
      if (this.paused) {
        this.paused = false
        this.current.resume()
      }
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  }

  /**
   * The same for the rest of a message of which `head` was taken before: an end of the stream counts from its start, and
   * tells how much was wanted at most.
   */
  takeRest(head: Uint8Array, count: number, most = count): Effect.Effect<Uint8Array, StreamEnded> {
    return Effect.mapError(
      this.take(count, most),
      ({ end, received }) =>
        new StreamEnded({ end, wanted: head.byteLength + most, received: concat([head, received]) })
    )
  }

  /** Sends chunks, and is done when the connection has room for more. */
  send(chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      for (const chunk of chunks) this.traffic.bytesSent += chunk.byteLength
      if (this.current.write(chunks) || this.end !== undefined) return resume(Effect.void)
      const drained = () => resume(Effect.void)
      this.drained.push(drained)
      return Effect.sync(() => {
        this.drained = this.drained.filter((other) => other !== drained)
      })
    })
  }

  /** Bytes that have come since the beginning. */
  get received(): number {
    return this.total
  }

  /** Bytes that came ahead of being asked for. */
  get buffered(): number {
    return this.buffer.length
  }

  /** The bytes not taken yet, at most `count` of them, left in place. */
  peek(count: number): Uint8Array {
    return this.buffer.peek(count)
  }

  /** Everything not taken yet, for the receiver that reads on from here. */
  detach(): Uint8Array {
    return this.buffer.take(this.buffer.length)
  }

  /** Calls back when the stream ends while no reader waits for bytes. */
  whenIdleEnds(callback: () => void): void {
    this.idleEnd = callback
    if (this.end !== undefined) callback()
  }

  /** How the stream ended, once it has. */
  get ended(): ConnectionEnd | undefined {
    return this.end
  }

  onBytes(bytes: Uint8Array): boolean {
    this.total += bytes.byteLength
    this.traffic.bytesReceived += bytes.byteLength
    this.buffer.push(bytes)
    this.wake()
    const wanted = this.waiting?.count ?? 0
    this.paused = this.buffer.length >= wanted + readAhead
    return !this.paused
  }

  onEnd(end: ConnectionEnd): void {
    this.end = end
    const isIdle = this.waiting === undefined
    this.wake()
    this.onDrain()
    if (isIdle) this.idleEnd?.()
  }

  onDrain(): void {
    const drained = this.drained
    this.drained = []
    for (const resume of drained) resume()
  }

  private wake(): void {
    const waiting = this.waiting
    if (waiting === undefined || (this.buffer.length < waiting.count && this.end === undefined)) return
    this.waiting = undefined
    // The bytes are taken when the fiber runs: if it is interrupted before that, they are still there.
    waiting.resume(Effect.suspend(() => this.take(waiting.count, waiting.most)))
  }

  private ready(count: number, most: number): Effect.Effect<Uint8Array, StreamEnded> | undefined {
    if (this.buffer.length >= count) return Effect.succeed(this.buffer.take(Math.min(most, this.buffer.length)))
    if (this.end === undefined) return undefined
    return Effect.fail(new StreamEnded({ end: this.end, wanted: count, received: this.buffer.peek(count) }))
  }
}
