/**
 * What a raw client gathers in memory, and no more: a server that never comes to an end is found out.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/**
 * The server said more than any answer takes.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnboundedError extends Data.TaggedError("NbdUnboundedError")<{
  /** What has no end. */
  readonly what: string
  /** How many messages, and how many bytes in them, were taken before that. */
  readonly count: number
  readonly bytes: number
}> {
  override get message(): string {
    return `${this.what} without an end: gave up after ${this.count} with ${this.bytes} bytes`
  }
}

/**
 * Counts the messages of one answer, and their bytes.
 *
 * @since 0.1.0
 * @category models
 */
export class Bound {
  private readonly what: string
  private readonly most: { readonly count: number; readonly bytes: number }
  private count = 0
  private bytes = 0

  constructor(what: string, most: { readonly count: number; readonly bytes: number }) {
    this.what = what
    this.most = most
  }

  /** One message more, of so many bytes. Fails where that is too much. */
  add(bytes: number): Effect.Effect<void, UnboundedError> {
    return Effect.suspend(() => {
      this.count += 1
      this.bytes += bytes
      const isTooMuch = this.count > this.most.count || this.bytes > this.most.bytes
      return isTooMuch
        ? Effect.fail(new UnboundedError({ what: this.what, count: this.count, bytes: this.bytes }))
        : Effect.void
    })
  }
}

/**
 * Of the replies to one option: 65,536 with 16 MiB of payload, which is more than any list takes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const boundOfReplies = (what: string): Bound => new Bound(what, { count: 65_536, bytes: 16_777_216 })

/**
 * Of the chunks of one reply: 131,072, with 64 MiB of data and what is about it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const boundOfChunks = (): Bound => new Bound("a reply in chunks", { count: 131_072, bytes: 68_157_440 })
