/**
 * Why bytes were not the message that was expected.
 *
 * A decoder is total: it returns the message or a `WireError`, and never throws on what a peer sent.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export class WireError {
  readonly _tag = "WireError"
  /** What the protocol asks for at this place. */
  readonly expected: string
  /** What stood there. */
  readonly received: string
  /** Where the rule stands, for example `Option reply, C-023`. */
  readonly rule: string

  constructor(expected: string, received: string, rule: string) {
    this.expected = expected
    this.received = received
    this.rule = rule
  }
}

/**
 * @since 0.1.0
 * @category guards
 */
export const isWireError = (u: unknown): u is WireError => u instanceof WireError

/**
 * A number as it stands in the specification: `0x00000003`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const hex = (value: number | bigint, bytes: number): string => `0x${value.toString(16).padStart(bytes * 2, "0")}`
