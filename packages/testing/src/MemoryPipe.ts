/**
 * Two joined connections in memory, with a say in how the bytes of one end arrive at the other.
 *
 * It behaves as a socket does: delivery never happens inside a call, bytes arrive in order, a full queue holds the
 * writer back, and what is delivered lies where the receiver wants it or in one small buffer that is written over
 * afterwards, so a receiver that keeps borrowed bytes is found out. Written chunks are kept by reference until delivered, so
 * a writer that changes them is found out too. Its TLS is make-believe: it changes every byte, hides nothing and looks at no
 * credentials.
 *
 * A delivery says how writes are cut, how long they take and where it ends: `finishAfter(100, delayed("1 second", bytes))`.
 *
 * @since 0.1.0
 */
import type { Connection, ConnectionEnd } from "@effect-nbd/core/Transport"
import { TransportLostError } from "@effect-nbd/core/TransportError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Delivery, type Directions, directionsOf, fromConfig, whole } from "./pipe/Delivery.ts"
import { Lane } from "./pipe/Lane.ts"
import { upgrade } from "./pipe/PretendTls.ts"

export {
  bytes,
  coalesced,
  type Cuts,
  delayed,
  type Delivery,
  type Directions,
  type Fate,
  finishAfter,
  fromConfig,
  policies,
  random,
  resetAfter,
  stallAfter,
  whole
} from "./pipe/Delivery.ts"
export { highWater, lowWater } from "./pipe/Lane.ts"

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
 * What a pipe may be told when it is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How bytes arrive, in both directions or in each. */
  readonly delivery?: Delivery | Directions | undefined
  /** How each end calls its peer; `memory` by default. */
  readonly name?: string | undefined
}

/**
 * A pipe whose bytes are delivered as `delivery` says, `whole` by default. `clock` is what delays are counted on, by
 * default the system's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options & { readonly clock?: Clock.Clock }): MemoryPipe => {
  const { toClient, toServer } = directionsOf(options?.delivery ?? whole)
  const name = options?.name ?? "memory"
  const clock = options?.clock ?? Clock.make()
  const serverPeer = `${name} client`
  const up: Lane = new Lane(toServer, clock, () => {
    down.fail(broken(name))
    return broken(serverPeer)
  })
  const down: Lane = new Lane(toClient, clock, () => {
    up.fail(broken(serverPeer))
    return broken(name)
  })
  up.writer = () => down.receiver
  down.writer = () => up.receiver
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

/**
 * The same on the clock of the Effect, a TestClock for example. A pipe that is told of no delivery takes the one of the
 * setting `EFFECT_NBD_DELIVERY`, whose delays are real ones, since no test knows of them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (options: Options): Effect.Effect<MemoryPipe> =>
  options.delivery === undefined
    ? Effect.map(Effect.orDie(fromConfig), (delivery) => make({ ...options, delivery }))
    : Effect.map(Effect.clock, (clock) => make({ ...options, clock }))
