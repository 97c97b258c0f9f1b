/**
 * One direction of a memory pipe: a queue of written chunks, and the turns in which they are delivered.
 *
 * @since 0.1.0
 */
import type { ConnectionEnd, Receiver } from "@effect-nbd/core/Transport"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import { bufferSize, picker } from "./Cutting.ts"
import type { Delivery, Fate } from "./Delivery.ts"
import { Postponement } from "./Postponement.ts"

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

/** What the delivery buffer is written over with; neither zero nor the start of any magic. */
const scribble = 0xdb
const finished: ConnectionEnd = { _tag: "Finished", program: undefined }

/** What comes after it comes in a microtask, for a fraction of what `queueMicrotask` takes: once for each byte. */
const settled = Promise.resolve()

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
  private readonly fate: Fate
  private readonly onReset: () => ConnectionEnd
  /** Holds back what takes its time. */
  private readonly postponement: Postponement | undefined
  /** Bytes until the fate comes true. */
  private left: number
  private doomed = false
  private readonly buffer = new Uint8Array(bufferSize)
  /** What the last turn filled of it: deliveries are often as long as the one before. */
  private filled = this.buffer
  /** Where the next bytes go, asked when those before had been delivered; so the first ones have none. */
  private place: Uint8Array | undefined
  private queue: Array<{ readonly bytes: Uint8Array; readonly last: boolean }> = []
  private head = 0
  private within = 0
  private paused = false
  private scheduled = false
  private owesDrain = false
  private end: ConnectionEnd | undefined
  private endArrived = false
  /** The end was delivered, or the reader has left. */
  private over = false
  /** Bytes on their way, those that never arrive included. */
  queued = 0
  /** Bytes that can be delivered. */
  arrived = 0

  /** `onReset` breaks the other direction, and gives the end that this one comes to. */
  constructor(delivery: Delivery, clock: Clock.Clock, onReset: () => ConnectionEnd) {
    this.pick = picker(delivery.cuts)
    this.fate = delivery.fate
    this.onReset = onReset
    this.left = this.fate._tag === "Open" ? Infinity : this.fate.after
    this.postponement = Duration.isZero(delivery.delay) ? undefined : new Postponement(clock, delivery.delay)
    this.meetFate()
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    if (this.end !== undefined || this.over) return true
    const filled = chunks.filter((chunk) => chunk.byteLength > 0)
    let count = 0
    filled.forEach((chunk, index) => {
      this.queued += chunk.byteLength
      const bytes = chunk.subarray(0, this.left)
      this.left -= bytes.byteLength
      count += bytes.byteLength
      if (bytes.byteLength > 0) this.queue.push({ bytes, last: index === filled.length - 1 || this.left === 0 })
    })
    this.later(() => {
      this.arrived += count
    })
    this.meetFate()
    this.owesDrain ||= this.queued > highWater
    return !this.owesDrain
  }

  listen(receiver: Receiver): void {
    this.receiver = receiver
    this.place = undefined
    this.resume()
  }

  resume(): void {
    this.paused = false
    this.schedule()
  }

  finish(): void {
    this.endAfterBytes(finished)
  }

  fail(end: ConnectionEnd): void {
    if (this.over) return
    this.drop()
    this.end = end
    this.endArrived = true
    this.schedule()
  }

  /** Ends like `fail`, but after the bytes that are on their way. */
  failLater(end: ConnectionEnd): void {
    this.endAfterBytes(end)
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

  private endAfterBytes(end: ConnectionEnd): void {
    if (this.end !== undefined || this.over) return
    this.end = end
    // What has stalled never arrives, its end no more than the rest of it.
    if (this.fate._tag !== "Stall" || !this.doomed) {
      this.later(() => {
        this.endArrived = true
      })
    }
  }

  /** What the fate says, once its bytes have been written. */
  private meetFate(): void {
    if (this.left > 0 || this.doomed) return
    this.doomed = true
    if (this.fate._tag === "Finish" || this.fate._tag === "Reset") this.finish()
  }

  private later(arrive: () => void): void {
    const act = () => {
      arrive()
      this.schedule()
    }
    if (this.postponement === undefined) act()
    else this.postponement.after(act)
  }

  private drop(): void {
    this.postponement?.stop()
    this.queue = []
    this.head = 0
    this.within = 0
    this.queued = 0
    this.arrived = 0
  }

  private get ready(): boolean {
    if (this.receiver === undefined || this.over) return false
    return this.arrived > 0 ? !this.paused : this.endArrived
  }

  private schedule(): void {
    if (this.scheduled || !this.ready) return
    this.scheduled = true
    void settled.then(this.turn)
  }

  private readonly turn = (): void => {
    this.scheduled = false
    if (!this.ready) return
    if (this.arrived > 0) this.deliver()
    else if (this.end !== undefined) {
      this.over = true
      const resets = this.fate._tag === "Reset" && this.doomed && this.end._tag === "Finished"
      this.receiver?.onEnd(resets ? this.onReset() : this.end)
    }
    if (this.owesDrain && this.queued <= lowWater) this.drain()
    this.schedule()
  }

  private deliver(): void {
    const { place } = this
    const count = Math.min(this.pick(this), this.arrived, place?.byteLength ?? bufferSize)
    if (count === 0) return
    const bytes = place?.subarray(0, count) ?? this.delivery(count)
    this.fill(bytes)
    const more = this.receiver?.onBytes(bytes)
    if (more === false) this.paused = true
    // As the system does, it keeps the answer until there are bytes, and puts them there whatever happens meanwhile.
    this.place = this.paused ? undefined : this.receiver?.place?.()
    if (place !== undefined) return
    if (count === 1) bytes[0] = scribble
    else bytes.fill(scribble)
  }

  private delivery(count: number): Uint8Array {
    if (this.filled.byteLength !== count) this.filled = this.buffer.subarray(0, count)
    return this.filled
  }

  private fill(bytes: Uint8Array): void {
    const count = bytes.byteLength
    for (let at = 0; at < count;) {
      const entry = this.queue[this.head]
      if (entry === undefined) break
      const taken = Math.min(count - at, entry.bytes.byteLength - this.within)
      if (taken === 1) bytes[at] = entry.bytes[this.within] ?? 0
      else bytes.set(entry.bytes.subarray(this.within, this.within + taken), at)
      at += taken
      this.within += taken
      if (this.within === entry.bytes.byteLength) {
        this.head++
        this.within = 0
      }
    }
    this.queued -= count
    this.arrived -= count
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
