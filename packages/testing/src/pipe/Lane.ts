/**
 * One direction of a memory pipe: a queue of written chunks, and the turns in which they are delivered.
 *
 * @since 0.1.0
 */
import type { ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"

/**
 * How writes are cut and joined on their way, at most 65,536 bytes at a time.
 *
 * - `Whole`: each write by itself.
 * - `Bytes`: one byte at a time.
 * - `Coalesced`: everything written in one turn together.
 * - `Random`: cuts and joins that depend on the seed alone.
 *
 * @since 0.1.0
 * @category models
 */
export type Delivery =
  | { readonly _tag: "Whole" }
  | { readonly _tag: "Bytes" }
  | { readonly _tag: "Coalesced" }
  | { readonly _tag: "Random"; readonly seed: number }

/**
 * Bytes on their way in one direction above which `write` answers `false`.
 *
 * @since 0.1.0
 * @category models
 */
export const highWater = 262_144

/**
 * Bytes on their way at or below which `onDrain` is called.
 *
 * @since 0.1.0
 * @category models
 */
export const lowWater = 65_536

const bufferSize = 65_536
/** What the delivery buffer is written over with; neither zero nor the start of any magic. */
const scribble = 0xdb
const finished: ConnectionEnd = { _tag: "Finished", program: undefined }

/**
 * One direction of a pipe.
 *
 * @since 0.1.0
 * @category models
 */
export class Lane {
  receiver: Receiver | undefined
  /** The receiver of the end that writes, for `onDrain`. */
  writer: () => Receiver | undefined = () => undefined
  private readonly pick: (lane: Lane) => number
  private readonly buffer = new Uint8Array(bufferSize)
  private queue: Array<{ readonly bytes: Uint8Array; readonly last: boolean }> = []
  private head = 0
  private within = 0
  private paused = false
  private scheduled = false
  private owesDrain = false
  private end: ConnectionEnd | undefined
  /** The end was delivered, or the reader has left. */
  private over = false
  /** Bytes on their way. */
  queued = 0

  constructor(delivery: Delivery) {
    this.pick = picker(delivery)
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    if (this.end !== undefined || this.over) return true
    const filled = chunks.filter((chunk) => chunk.byteLength > 0)
    filled.forEach((chunk, index) => {
      this.queue.push({ bytes: chunk, last: index === filled.length - 1 })
      this.queued += chunk.byteLength
    })
    this.schedule()
    this.owesDrain ||= this.queued > highWater
    return !this.owesDrain
  }

  listen(receiver: Receiver): void {
    this.receiver = receiver
    this.resume()
  }

  resume(): void {
    this.paused = false
    this.schedule()
  }

  finish(): void {
    this.end ??= finished
    this.schedule()
  }

  fail(end: ConnectionEnd): void {
    if (this.over) return
    this.drop()
    this.end = end
    this.schedule()
  }

  /** Ends like `fail`, but after the bytes that are on their way. */
  failLater(end: ConnectionEnd): void {
    this.end ??= end
    this.schedule()
  }

  /** The reader leaves. Says whether bytes were still on their way to it. */
  stop(): boolean {
    const unread = this.queued > 0
    this.drop()
    this.over = true
    this.receiver = undefined
    if (this.owesDrain) queueMicrotask(() => this.drain())
    return unread
  }

  /** Bytes up to the end of the first write in the queue. */
  firstWrite(): number {
    let length = -this.within
    for (let index = this.head; index < this.queue.length; index++) {
      const entry = this.queue[index]
      if (entry === undefined) break
      length += entry.bytes.byteLength
      if (entry.last || length >= bufferSize) break
    }
    return length
  }

  private drop(): void {
    this.queue = []
    this.head = 0
    this.within = 0
    this.queued = 0
  }

  private get ready(): boolean {
    if (this.receiver === undefined || this.over) return false
    return this.queued > 0 ? !this.paused : this.end !== undefined
  }

  private schedule(): void {
    if (this.scheduled || !this.ready) return
    this.scheduled = true
    queueMicrotask(() => this.turn())
  }

  private turn(): void {
    this.scheduled = false
    if (!this.ready) return
    if (this.queued > 0) this.deliver()
    else if (this.end !== undefined) {
      this.over = true
      this.receiver?.onEnd(this.end)
    }
    if (this.owesDrain && this.queued <= lowWater) this.drain()
    this.schedule()
  }

  private deliver(): void {
    const count = Math.min(this.pick(this), this.queued, bufferSize)
    if (count === 0) return
    this.fill(count)
    const more = this.receiver?.onBytes(this.buffer.subarray(0, count))
    if (more === false) this.paused = true
    this.buffer.fill(scribble, 0, count)
  }

  private fill(count: number): void {
    for (let at = 0; at < count;) {
      const entry = this.queue[this.head]
      if (entry === undefined) break
      const taken = Math.min(count - at, entry.bytes.byteLength - this.within)
      this.buffer.set(entry.bytes.subarray(this.within, this.within + taken), at)
      at += taken
      this.within += taken
      if (this.within === entry.bytes.byteLength) {
        this.head++
        this.within = 0
      }
    }
    this.queued -= count
    // The delivered front of the queue is let go now and then, not by a shift for each chunk.
    if (this.head > 64 && this.head * 2 > this.queue.length || this.queued === 0) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    }
  }

  private drain(): void {
    this.owesDrain = false
    this.writer()?.onDrain()
  }
}

/** How many bytes the next turn delivers; none means: not in this turn. */
const picker = (delivery: Delivery): (lane: Lane) => number => {
  switch (delivery._tag) {
    case "Whole":
      return (lane) => lane.firstWrite()
    case "Bytes":
      return () => 1
    case "Coalesced":
      return (lane) => lane.queued
    case "Random": {
      const next = generator(delivery.seed)
      return (lane) => {
        const kind = next()
        if (kind < 0.2) return 0
        if (kind < 0.5) return 1 + Math.floor(next() * 40)
        return kind < 0.8 ? 1 + Math.floor(next() * Math.min(lane.queued, bufferSize)) : lane.queued
      }
    }
  }
}

/** Mulberry32: numbers from 0 up to 1, good enough to cut bytes by. */
const generator = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}
