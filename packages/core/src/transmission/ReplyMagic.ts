/**
 * The magic numbers that may begin a reply, which is settled by the reply style agreed on (C-153, C-158, C-219).
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "../Export.ts"
import { magic } from "../wire/Magic.ts"
import { hex, WireError } from "../wire/WireError.ts"

/**
 * Bytes of a magic number: as many as it takes to know a message that is no reply, however much of it is still to come.
 *
 * @since 0.1.0
 * @category constants
 */
export const magicBytes = 4

const permitted: { readonly [Style in ReplyStyle]: ReadonlyArray<number> } = {
  Simple: [magic.SIMPLE_REPLY],
  Structured: [magic.SIMPLE_REPLY, magic.STRUCTURED_REPLY],
  Extended: [magic.EXTENDED_REPLY]
}

/**
 * What is wrong with the start of a reply; `undefined` for one that may come.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkMagic = (style: ReplyStyle, found: number): WireError | undefined => {
  const expected = permitted[style]
  return expected.includes(found)
    ? undefined
    : new WireError(
      `reply magic ${expected.map((each) => hex(each, magicBytes)).join(" or ")}`,
      hex(found, magicBytes),
      "C-153, C-158, C-219"
    )
}
