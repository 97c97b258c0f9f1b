/**
 * The end of a stream whose other side may still wait to hear the last of it.
 *
 * @since 0.1.0
 * @internal
 */
import * as Effect from "effect/Effect"
import type { Duplex, Writable } from "node:stream"

/**
 * How long, in milliseconds of real time, what was written may take to leave, and a stream to close.
 *
 * @since 0.1.0
 * @category constants
 */
export const lingerMillis = 500

/**
 * How to release the stream, made before anything is done with it: ends `writable`, waits until what was written has
 * left, for at most 500 ms, destroys both and waits until the stream has closed. `writable` is the stream or something
 * over it, as TLS is over a socket.
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch = (stream: Duplex): (writable: Writable) => Effect.Effect<void> => {
  // `closed` is true of a socket before its descriptor is.
  let isGone = stream.closed
  stream.once("close", () => {
    isGone = true
  })
  return (writable) =>
    Effect.zipRight(
      flushed(writable),
      Effect.suspend(() => {
        writable.destroy()
        stream.destroy()
        return isGone ? Effect.void : closed(stream)
      })
    )
}

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

/** A stream of somebody's own making may never tell. */
const closed = (stream: Duplex): Effect.Effect<void> =>
  Effect.promise(() =>
    new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        stream.off("close", done)
        resolve()
      }
      const timer = setTimeout(done, lingerMillis)
      stream.once("close", done)
    })
  )
