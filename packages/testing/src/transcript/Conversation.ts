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
  /** Lengths of reads without a final reply, by cookie. */
  readonly reads = new Map<bigint, number>()
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
