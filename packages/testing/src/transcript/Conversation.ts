/**
 * What has to be known of a conversation to tell where its next message ends and what it is.
 *
 * @since 0.1.0
 */
import type { Part } from "./Field.ts"

/**
 * A message of which the head is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frame {
  /** What it is, for example `option reply`. */
  readonly kind: string
  readonly head: ReadonlyArray<Part>
  /** Bytes after the head, of which no more than these may ever come. */
  readonly length: number
  /** The fields of the payload, which must be whole. */
  readonly body: (payload: Uint8Array) => ReadonlyArray<Part>
  /** Tells the conversation of it, once it is whole. */
  readonly learn: () => void
}

/**
 * The frame that bytes begin, `More` where there are too few of them to tell, `Unknown` where they begin none.
 *
 * @since 0.1.0
 * @category models
 */
export type Start = Frame | "More" | "Unknown"

/**
 * Both sides of it share this.
 *
 * @since 0.1.0
 * @category models
 */
export class Conversation {
  greeting: "NewstyleGreeting" | "OldstyleGreeting" | undefined
  /** The client's flags, once it has answered the greeting. */
  clientFlags: number | undefined
  /** Options without a final reply, the oldest first. */
  readonly options: Array<number> = []
  /** By cookie, how many bytes a reply may bring without saying so: of a read its length, of others none. */
  private readonly silent = new Map<bigint, Array<number>>()

  /** A compact request was sent. Cookies may be used twice, though they should not: the first is answered first. */
  asked(cookie: bigint, bytes: number): void {
    const earlier = this.silent.get(cookie)
    if (earlier === undefined) this.silent.set(cookie, [bytes])
    else earlier.push(bytes)
  }

  /** Bytes that a simple reply brings where it tells of success. */
  owed(cookie: bigint): number {
    return this.silent.get(cookie)?.[0] ?? 0
  }

  answered(cookie: bigint): void {
    const left = this.silent.get(cookie)
    left?.shift()
    if (left?.length === 0) this.silent.delete(cookie)
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const nothingToLearn = (): void => undefined

/**
 * @since 0.1.0
 * @category constructors
 */
export const noBody = (): ReadonlyArray<Part> => []
