/**
 * The cookies of a replay in place of those of the recording.
 *
 * @since 0.1.0
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import type { Annotated, Message } from "./Annotation.ts"

interface Cookie {
  readonly start: number
  /** As in the recording. */
  readonly value: bigint
}

const cookiesIn = (messages: ReadonlyArray<Message>): ReadonlyArray<Cookie> =>
  messages.flatMap(({ fields }) =>
    fields.flatMap(({ name, start, value }) => name === "cookie" ? [{ start, value: BigInt(value) }] : [])
  )

/**
 * Learns which cookie stands for which from what the client says, and puts them into what the server says. A reply to no
 * request is left as it is.
 *
 * @since 0.1.0
 * @category models
 */
export class Cookies {
  private readonly asked: ReadonlyArray<Cookie>
  private readonly answered: ReadonlyArray<Cookie>
  private readonly actual = new Map<bigint, bigint>()
  private nextAsked = 0
  private nextAnswered = 0
  /** The client's cookie that has come in part, and how many of its bytes. */
  private readonly partial = new Uint8Array(8)
  private readonly replacement = new Uint8Array(8)
  private saidBytes = 0

  constructor({ client, server }: Annotated) {
    this.asked = cookiesIn(client)
    this.answered = cookiesIn(server)
  }

  /** The client has sent these, `at` bytes after its beginning. */
  heard(at: number, bytes: Uint8Array): void {
    const end = at + bytes.byteLength
    for (let cookie = this.asked[this.nextAsked]; cookie !== undefined && cookie.start < end;) {
      const from = Math.max(at, cookie.start)
      const to = Math.min(end, cookie.start + 8)
      this.partial.set(bytes.subarray(from - at, to - at), from - cookie.start)
      if (to < cookie.start + 8) return
      this.actual.set(cookie.value, viewOf(this.partial).getBigUint64(0))
      cookie = this.asked[++this.nextAsked]
    }
  }

  /** What the server says next, with the cookies of the replay. */
  said(bytes: Uint8Array): Uint8Array {
    const copy = bytes.slice()
    const end = this.saidBytes + bytes.byteLength
    for (let cookie = this.answered[this.nextAnswered]; cookie !== undefined && cookie.start < end;) {
      const at = cookie.start - this.saidBytes
      const [from, to] = [Math.max(0, at), Math.min(copy.byteLength, at + 8)]
      viewOf(this.replacement).setBigUint64(0, this.actual.get(cookie.value) ?? cookie.value)
      copy.set(this.replacement.subarray(from - at, to - at), from)
      if (at + 8 > copy.byteLength) break
      cookie = this.answered[++this.nextAnswered]
    }
    this.saidBytes = end
    return copy
  }
}
