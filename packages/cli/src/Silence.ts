/**
 * Notices servers that do not answer any more, by looking at their connections once a second.
 *
 * Time that this program or its machine has slept is not the server's: however late a look is, it counts for two seconds
 * at most.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * Requests wait for a reply, and nothing has come for too long.
 *
 * @since 0.1.0
 * @category errors
 */
export class SilentServerError extends Data.TaggedError("SilentServerError")<{
  /** The end that it serves. */
  readonly server: string
  /** Requests that wait on the connection. */
  readonly waiting: number
  readonly silence: Duration.Duration
}> {
  override get message(): string {
    const requests = this.waiting === 1 ? "1 request" : `${this.waiting} requests`
    return `${this.server} has said nothing for ${
      Duration.format(this.silence)
    } while ${requests} waited for an answer (--timeout gives it more time, 0 all of it)`
  }
}

/**
 * What is seen of a connection at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sight {
  /** Requests that wait for a reply. */
  readonly waiting: number
  /** Bytes that have come so far. */
  readonly received: bigint
}

/** Milliseconds. */
const between = 1000

/** Milliseconds that one look counts for at most. */
const longestLook = 2 * between

/** Milliseconds that a server which has answered before may be silent. */
const least = 15_000

/** Milliseconds that none need to be silent, but for long requests. */
const most = 120_000

interface Seen extends Sight {
  readonly silent: number
}

/**
 * What is known of the connections to one server. Times are in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class Silence<Connection> {
  private readonly limit: number | undefined
  private readonly seen = new Map<Connection, Seen>()
  private elapsed = 0
  private hasAnswered = false
  private longest = 0

  /** A limit of the user's own, or none. */
  constructor(limit: number | undefined) {
    this.limit = limit
  }

  /**
   * How long it may be silent now: 2 minutes until it has answered for the first time; then 15 seconds, or five times as
   * long as it ever was silent before it answered, or a tenth of the time that has passed, up to 2 minutes. To a long
   * request, which may be about as much as the whole copy, it may take as long as all has taken so far.
   */
  patience(isLong: boolean): number {
    if (this.limit !== undefined) return this.limit
    if (isLong) return Math.max(most, this.elapsed)
    return this.hasAnswered ? Math.min(most, Math.max(least, 5 * this.longest, this.elapsed / 10)) : most
  }

  /** Time has passed since the last look. */
  pass(millis: number): void {
    this.elapsed += Math.min(millis, longestLook)
  }

  /** Answers with how long a connection has been silent while requests waited. */
  look(connection: Connection, now: Sight, millis: number): number {
    const before = this.seen.get(connection)
    const hasSpoken = before !== undefined && now.received > before.received
    if (hasSpoken) {
      this.hasAnswered = true
      this.longest = Math.max(this.longest, before.silent)
    }
    const isSilent = before !== undefined && before.waiting > 0 && now.waiting > 0 && !hasSpoken
    const silent = isSilent ? before.silent + Math.min(millis, longestLook) : 0
    this.seen.set(connection, { ...now, silent })
    return silent
  }
}

/**
 * Looks for ever, and fails when a connection has been silent for too long. `connections` are those that are there now, and
 * `isLong` says whether one of the requests may take long.
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch = <Connection>(
  server: string,
  limit: Duration.Duration | undefined,
  look: () => {
    readonly connections: ReadonlyArray<readonly [Connection, Effect.Effect<Sight>]>
    readonly isLong: boolean
  }
): Effect.Effect<never, SilentServerError> =>
  Effect.suspend(() => {
    const silence = new Silence<Connection>(limit === undefined ? undefined : Duration.toMillis(limit))
    const lookAtAll = (millis: number) =>
      Effect.suspend(() => {
        silence.pass(millis)
        const { connections, isLong } = look()
        return Effect.forEach(connections, ([connection, sight]) =>
          Effect.flatMap(sight, (now) => {
            const silent = silence.look(connection, now, millis)
            return silent < silence.patience(isLong)
              ? Effect.void
              : new SilentServerError({
                server,
                waiting: now.waiting,
                silence: Duration.seconds(Math.round(silent / 1000))
              })
          }), { discard: true })
      })
    const lookAgain = (last: number): Effect.Effect<never, SilentServerError> =>
      Effect.flatMap(Effect.zipRight(Effect.sleep(between), Clock.currentTimeMillis), (now) =>
        Effect.zipRight(lookAtAll(now - last), lookAgain(now)))
    return Effect.zipRight(lookAtAll(0), Effect.flatMap(Clock.currentTimeMillis, lookAgain))
  })
