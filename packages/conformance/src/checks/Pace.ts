/**
 * How long a server takes to say something: what tells one that is slow from one that has nothing to say.
 *
 * It looks at no byte, and changes none.
 *
 * @since 0.1.0
 */
import type { Connection, Receiver, Transport } from "@effect-nbd/core/Transport"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** A silence means something when it is so many times as long as any that ended. */
const patience = 3

/**
 * Watches the connections of a Transport. Times are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class Pace {
  private readonly clock: Clock.Clock
  private last: number
  private held = 0
  /** The longest that the server took to say something, up to now. */
  longest = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.last = clock.unsafeCurrentTimeMillis()
  }

  /** Since when nothing was said, by either side; 0 while the server has not taken what it was sent. */
  get silence(): number {
    return this.held > 0 ? 0 : this.clock.unsafeCurrentTimeMillis() - this.last
  }

  /** Such a silence is much longer than any before which the server went on. */
  isHanging(silence: number): boolean {
    return silence > patience * this.longest
  }

  /** A check begins: what an earlier one has left does not count. */
  begin(): void {
    this.last = this.clock.unsafeCurrentTimeMillis()
    this.held = 0
  }

  /** The Transport, watched. */
  watch(transport: Transport["Type"]): Transport["Type"] {
    return { ...transport, open: Effect.map(transport.open, (connection) => this.watched(connection)) }
  }

  private watched(connection: Connection): Connection {
    this.said()
    const { prepareTls } = connection
    let isHeld = false
    const drained = () => {
      if (isHeld) this.held -= 1
      isHeld = false
      this.said()
    }
    return {
      peer: connection.peer,
      receive: (receiver) => connection.receive(this.receiving(receiver, drained)),
      resume: () => connection.resume(),
      write: (chunks) => {
        this.said()
        const hasRoom = connection.write(chunks)
        if (!hasRoom && !isHeld) {
          isHeld = true
          this.held += 1
        }
        return hasRoom
      },
      endWrites: () => connection.endWrites(),
      prepareTls: prepareTls && ((settings) =>
        Effect.map(
          prepareTls(settings),
          (upgrade) => Effect.map(upgrade, (encrypted) => this.watched(encrypted))
        )),
      acceptTls: connection.acceptTls,
      close: () => connection.close()
    }
  }

  private receiving(receiver: Receiver, drained: () => void): Receiver {
    return {
      onBytes: (bytes) => {
        this.longest = Math.max(this.longest, this.clock.unsafeCurrentTimeMillis() - this.last)
        this.said()
        return receiver.onBytes(bytes)
      },
      place: () => receiver.place?.(),
      onEnd: (end) => receiver.onEnd(end),
      onDrain: () => {
        drained()
        receiver.onDrain()
      }
    }
  }

  private said(): void {
    this.last = this.clock.unsafeCurrentTimeMillis()
  }
}
