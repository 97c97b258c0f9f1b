/**
 * A server that cannot take another client may close its connection before the greeting. The server may not yet have
 * noticed that an earlier client has disconnected, so the connection is tried again.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd, Receiver, Transport } from "@effect-nbd/core/Transport"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/** The pauses before each further try, in milliseconds: 1.3 seconds in all. */
const waits = [20, 40, 80, 160, 320, 640] as const

/** If the server sends nothing for this many milliseconds, the connection is used as it is. */
const longestSilence = 1000

/**
 * Opens connections of a Transport, and opens another one if the server closes a connection without sending anything.
 *
 * @since 0.1.0
 * @category models
 */
export class Patience {
  /** The server closed the last connection without sending anything, and every earlier try too. */
  turnedAway = false

  /** The Transport that tries again. */
  watch(transport: Transport["Type"]): Transport["Type"] {
    return { ...transport, open: this.opening(transport.open, 0) }
  }

  private opening(open: Transport["Type"]["open"], tried: number): Transport["Type"]["open"] {
    return Effect.gen(this, function*() {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const connection = new Beginning(yield* Scope.extend(open, scope))
      yield* connection.hasBegun
      this.turnedAway = connection.isTurnedAway
      const wait = waits[tried]
      if (!this.turnedAway || wait === undefined) return connection
      yield* Scope.close(scope, Exit.void)
      yield* Effect.sleep(wait)
      return yield* this.opening(open, tried + 1)
    })
  }
}

/** A connection whose first bytes have already arrived: its receiver gets them as if they had just arrived. */
class Beginning implements Connection {
  private readonly inner: Connection
  /** The bytes of one read; nothing more is read until there is a receiver. */
  private first: Uint8Array | undefined
  private end: ConnectionEnd | undefined
  private begun: (() => void) | undefined
  private receiver: Receiver | undefined
  private isPaused = false
  private isClosed = false

  constructor(inner: Connection) {
    this.inner = inner
    const begins = () => this.begun?.()
    inner.receive({
      onBytes: (bytes) => {
        this.first = bytes.slice()
        begins()
        return false
      },
      onEnd: (end) => {
        this.end = end
        begins()
      },
      onDrain: () => {}
    })
  }

  get hasBegun(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const begins = () => resume(Effect.void)
      if (this.first === undefined && this.end === undefined) this.begun = begins
      else begins()
    }).pipe(Effect.timeoutTo({ duration: longestSilence, onSuccess: () => {}, onTimeout: () => {} }))
  }

  get isTurnedAway(): boolean {
    return this.first === undefined && this.end !== undefined
  }

  get peer(): string {
    return this.inner.peer
  }

  get prepareTls(): Connection["prepareTls"] {
    return this.inner.prepareTls
  }

  get acceptTls(): Connection["acceptTls"] {
    return this.inner.acceptTls
  }

  receive(receiver: Receiver): void {
    if (this.first === undefined && this.end === undefined) return this.inner.receive(receiver)
    this.receiver = receiver
    // A connection never calls its receiver from inside this.
    queueMicrotask(() => this.deliver(receiver))
  }

  resume(): void {
    const { receiver } = this
    if (!this.isPaused || receiver === undefined) return this.inner.resume()
    this.isPaused = false
    this.inner.receive(receiver)
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    return this.inner.write(chunks)
  }

  endWrites(): void {
    this.inner.endWrites()
  }

  close(): void {
    this.isClosed = true
    this.inner.close()
  }

  private deliver(receiver: Receiver): void {
    if (this.isClosed || this.receiver !== receiver) return
    const { end, first } = this
    this.first = undefined
    this.end = undefined
    const wantsMore = first === undefined || receiver.onBytes(first)
    if (end !== undefined) receiver.onEnd(end)
    else if (wantsMore) this.inner.receive(receiver)
    else this.isPaused = true
  }
}
