/**
 * The write side of a connection over a Node `Writable`: one system call for the chunks of one `write` where the
 * stream can, and room reported by the stream's own high-water mark.
 *
 * @since 0.1.0
 * @internal
 */
import type { Writable } from "node:stream"

/**
 * @since 0.1.0
 * @category models
 */
export interface StreamWriter {
  /** As `write` of a core `Connection`; chunks for a stream that takes no more are dropped. */
  readonly write: (chunks: ReadonlyArray<Uint8Array>) => boolean
  /** Takes its listener off the stream. */
  readonly detach: () => void
}

/**
 * `onDrain` is called once for each run of writes that were answered `false`, never for others. `highWaterMark` may be
 * above the stream's own, never below.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  writable: Writable,
  onDrain: () => void,
  highWaterMark = writable.writableHighWaterMark
): StreamWriter => {
  let owed = false
  const drain = (): void => {
    if (!owed) return
    owed = false
    onDrain()
  }
  writable.on("drain", drain)
  return {
    write(chunks) {
      if (!writable.writable) return true
      const [only] = chunks
      if (only !== undefined && chunks.length === 1) {
        // The requests of one turn are one chunk most of the time, and corking defers the write by a tick.
        if (only.byteLength > 0) writable.write(only)
      } else {
        writable.cork()
        for (const chunk of chunks) if (chunk.byteLength > 0) writable.write(chunk)
        writable.uncork()
      }
      // What the kernel took at once is already subtracted, so this is more exact than the answer of `write` itself,
      // which counts while corked. The stream has exceeded its mark too, so its 'drain' will come.
      if (writable.writableLength < highWaterMark) return true
      owed = true
      return false
    },
    detach() {
      writable.off("drain", drain)
    }
  }
}
