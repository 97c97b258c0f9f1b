/**
 * Two joined connections in memory, with a say in how the bytes of one end arrive at the other.
 *
 * It behaves as a socket does: delivery never happens inside a call, bytes arrive in order, a full queue holds the
 * writer back, and what is delivered lies in one small buffer that is written over afterwards, so a receiver that keeps
 * borrowed bytes is found out. Written chunks are kept by reference until delivered, so a writer that changes them is
 * found out too. It has no notion of time and loses nothing. Its TLS is make-believe: it changes every byte, hides
 * nothing and looks at no credentials.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import * as Effect from "effect/Effect"
import { type Delivery, Lane } from "./pipe/Lane.ts"
import { upgrade } from "./pipe/PretendTls.ts"

export {
  /**
   * @since 0.1.0
   * @category models
   */
  type Delivery,
  /**
   * @since 0.1.0
   * @category models
   */
  highWater,
  /**
   * @since 0.1.0
   * @category models
   */
  lowWater
} from "./pipe/Lane.ts"

/**
 * Each write arrives by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const whole: Delivery = { _tag: "Whole" }

/**
 * Every byte arrives by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bytes: Delivery = { _tag: "Bytes" }

/**
 * Everything written in one turn arrives together.
 *
 * @since 0.1.0
 * @category constructors
 */
export const coalesced: Delivery = { _tag: "Coalesced" }

/**
 * Writes are cut and joined at random, the same way for the same seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = (seed: number): Delivery => ({ _tag: "Random", seed })

/**
 * Two joined connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface MemoryPipe {
  readonly client: Connection
  readonly server: Connection
  /** Breaks both ends at once: whatever is under way is lost and both see `ECONNRESET`. */
  readonly reset: () => void
  /** Breaks both ends once what is under way has arrived. */
  readonly sever: () => void
}

const broken = (peer: string): ConnectionEnd => ({
  _tag: "Broken",
  error: new TransportLostError({ peer, code: "ECONNRESET" })
})

const connectionOver = (peer: string, incoming: Lane, outgoing: Lane, otherPeer: string): Connection => {
  let closed = false
  return {
    peer,
    receive: (receiver) => {
      if (!closed) incoming.listen(receiver)
    },
    resume: () => incoming.resume(),
    write: (chunks) => closed || outgoing.write(chunks),
    endWrites: () => outgoing.finish(),
    close: () => {
      if (closed) return
      closed = true
      // As TCP does: leaving bytes unread resets the connection, otherwise what was written still arrives.
      if (incoming.stop()) outgoing.fail(broken(otherPeer))
      else outgoing.finish()
    }
  }
}

/**
 * A pipe whose both directions are delivered as `delivery` says, `whole` by default. `name` is how each end calls its
 * peer, `memory` by default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: { readonly delivery?: Delivery; readonly name?: string }): MemoryPipe => {
  const delivery = options?.delivery ?? whole
  const name = options?.name ?? "memory"
  const up = new Lane(delivery)
  const down = new Lane(delivery)
  up.writer = () => down.receiver
  down.writer = () => up.receiver
  const serverPeer = `${name} client`
  const client = connectionOver(name, down, up, serverPeer)
  const server = connectionOver(serverPeer, up, down, name)
  return {
    client: { ...client, prepareTls: () => Effect.succeed(upgrade(client, "client")) },
    server: { ...server, acceptTls: () => upgrade(server, "server") },
    reset: () => {
      up.fail(broken(serverPeer))
      down.fail(broken(name))
    },
    sever: () => {
      up.failLater(broken(serverPeer))
      down.failLater(broken(name))
    }
  }
}
