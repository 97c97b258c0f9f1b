/**
 * How long a copy waits for a server.
 *
 * By default as long as makes sense for what is waited for: a server that has always answered at once has fallen silent
 * after some seconds, one that was slow before or has served for hours is given more time. A time limit of the user's own
 * takes the place of all that.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * All but `reply` are infinite where there is no limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Patience {
  /** Until the connection is there. */
  readonly connect: Duration.Duration
  /** Until the first byte comes, from the beginning on. `undefined` leaves it to the transport. */
  readonly greeting: Duration.Duration | undefined
  /** Until the export is entered: a server may open its disk only then. */
  readonly handshake: Duration.Duration
  /** Without a byte, while there are requests to answer. `undefined` leaves it to what is known of the server. */
  readonly reply: Duration.Duration | undefined
}

/**
 * 30 seconds to connect, 5 over TCP or else 40 until a server speaks, 2 minutes until it has opened its disk. `Silence`
 * knows what holds for replies.
 *
 * @since 0.1.0
 * @category constants
 */
export const usual: Patience = {
  connect: Duration.seconds(30),
  greeting: undefined,
  handshake: Duration.minutes(2),
  reply: undefined
}

/**
 * How long the first byte may take where neither the user nor the transport says: a program that is run for the copy may
 * open its disk before it greets.
 *
 * @since 0.1.0
 * @category constants
 */
export const greetingBeyondTcp = Duration.seconds(40)

/**
 * The same limit for everything; 0 for none at all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (limit: Duration.Duration): Patience => {
  const each = Duration.toMillis(limit) === 0 ? Duration.infinity : limit
  return { connect: each, greeting: each, handshake: each, reply: each }
}
