/**
 * Puts names to the bytes of a transcript: which message each belongs to, and which field of it.
 *
 * It takes whatever bytes there are. What it cannot tell apart stays unknown, from there to the end of what that side
 * sent; no byte is left out, and no byte is in two fields. It judges nobody: a reply that no client would put up with is
 * shown as well as another, as long as it can be told where it ends.
 *
 * @since 0.1.0
 */
import { clientMessage } from "./ClientMessages.ts"
import { Conversation, type Frame } from "./Conversation.ts"
import { type Part, plain } from "./Field.ts"
import { bytesFrom, type Side, type Transcript } from "./Model.ts"
import { serverMessage } from "./ServerMessages.ts"

/**
 * A run of bytes with a meaning.
 *
 * @since 0.1.0
 * @category models
 */
export interface Field {
  /** For example `cookie`; several fields of a message may have the same. */
  readonly name: string
  /** In words: numbers with what they stand for, text in quotes. Empty for data. */
  readonly value: string
  /** Bytes of this side before it, and before its end. */
  readonly start: number
  readonly end: number
}

/**
 * A message: its fields follow one another without gaps.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly from: Side
  /**
   * `newstyle greeting`, `oldstyle greeting`, `client flags`, `option`, `option reply`, `export name reply`, `request`,
   * `extended request`, `simple reply`, `chunk`, `extended chunk`; with `cut short` behind it where the end is missing;
   * or `unknown bytes`.
   */
  readonly kind: string
  readonly start: number
  readonly end: number
  readonly fields: ReadonlyArray<Field>
}

/**
 * What each side said: together the messages of a side are all that it sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Annotated {
  readonly client: ReadonlyArray<Message>
  readonly server: ReadonlyArray<Message>
}

/**
 * @since 0.1.0
 * @category decoding
 */
export const annotate = (transcript: Transcript): Annotated => {
  const conversation = new Conversation()
  const sides = {
    client: new Speaker("client", conversation, bytesFrom("client", transcript)),
    server: new Speaker("server", conversation, bytesFrom("server", transcript))
  }
  for (const event of transcript.events) {
    if (event._tag === "Bytes") sides[event.from].hear(event.bytes.byteLength)
  }
  sides.client.finish()
  sides.server.finish()
  return { client: sides.client.messages, server: sides.server.messages }
}

const decoders = { client: clientMessage, server: serverMessage }

/** One side, of which more and more is heard. */
class Speaker {
  readonly messages: Array<Message> = []
  private readonly from: Side
  private readonly conversation: Conversation
  private readonly bytes: Uint8Array
  private heard = 0
  private at = 0
  private isLost = false

  constructor(from: Side, conversation: Conversation, bytes: Uint8Array) {
    this.from = from
    this.conversation = conversation
    this.bytes = bytes
  }

  hear(count: number): void {
    this.heard += count
    while (!this.isLost && this.at < this.heard) {
      const start = this.start()
      if (start === "More") return
      this.isLost = start === "Unknown"
      if (start === "Unknown" || !this.take(start)) return
    }
  }

  /** What is left belongs to a message that never came to its end, or to none. */
  finish(): void {
    const left = this.bytes.byteLength - this.at
    if (left === 0) return
    const start = this.isLost ? "Unknown" : this.start()
    if (start === "Unknown") return this.add("unknown bytes", [plain("unknown", left)])
    if (start === "More") return this.add("message, cut short", [plain("beginning", left)])
    const rest = left - sizeOf(start.head)
    this.add(
      `${start.kind}, cut short`,
      rest === 0 ? start.head : [...start.head, plain("beginning of the rest", rest)]
    )
  }

  private start(): ReturnType<typeof clientMessage> {
    return decoders[this.from](this.conversation, this.bytes.subarray(this.at, this.heard))
  }

  private take(frame: Frame): boolean {
    const payload = this.at + sizeOf(frame.head)
    if (frame.length > this.heard - payload) return false
    this.add(frame.kind, [...frame.head, ...frame.body(this.bytes.subarray(payload, payload + frame.length))])
    frame.learn()
    return true
  }

  private add(kind: string, parts: ReadonlyArray<Part>): void {
    const start = this.at
    const fields = parts.map(({ name, size, value }): Field => {
      this.at += size
      return { name, value, start: this.at - size, end: this.at }
    })
    this.messages.push({ from: this.from, kind, start, end: this.at, fields })
  }
}

const sizeOf = (parts: ReadonlyArray<Part>): number => parts.reduce((sum, { size }) => sum + size, 0)
