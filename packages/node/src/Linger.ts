/**
 * The end of a stream that somebody may still wait to hear the last of.
 *
 * @since 0.1.0
 * @internal
 */
import * as Effect from "effect/Effect"
import type { Duplex, Writable } from "node:stream"

/**
 * How long, in milliseconds of real time, what was written may take to leave.
 *
 * @since 0.1.0
 * @category constants
 */
export const lingerMillis = 500

/**
 * Ends `writable`, waits until what was written has left, for at most 500 ms, destroys both and waits until `stream` is
 * closed. They are the same, or one is over the other, as TLS is over a socket.
 *
 * @since 0.1.0
 * @category destructors
 */
export const release = (writable: Writable, stream: Duplex): Effect.Effect<void> =>
  Effect.zipRight(flushed(writable), closed(writable, stream))

const flushed = (writable: Writable): Effect.Effect<void> =>
  Effect.async((resume) => {
    const done = (): void => {
      clearTimeout(timer)
      writable.off("finish", done)
      writable.off("close", done)
      resume(Effect.void)
    }
    const timer = setTimeout(done, lingerMillis)
    if (writable.destroyed || writable.writableFinished) return done()
    writable.once("finish", done)
    writable.once("close", done)
    writable.end()
  })

/** A stream of somebody's own making may never tell that it has closed. */
const closed = (writable: Writable, stream: Duplex): Effect.Effect<void> =>
  Effect.async((resume) => {
    const done = (): void => {
      clearTimeout(timer)
      stream.off("close", done)
      resume(Effect.void)
    }
    const timer = setTimeout(done, lingerMillis)
    stream.once("close", done)
    writable.destroy()
    stream.destroy()
    if (stream.closed) done()
  })
