/**
 * NBD_OPT_STRUCTURED_REPLY and NBD_OPT_EXTENDED_HEADERS: how requests and replies will look.
 *
 * @since 0.1.0
 */
import type { ReplyStyle } from "@effect-nbd/core/Export"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { Haggling } from "./Haggling.ts"

/**
 * Extended headers take precedence over structured replies (S-100).
 *
 * @since 0.1.0
 * @category constructors
 */
export const structuredReply = (haggling: Haggling, data: Uint8Array): Effect.Effect<undefined> => {
  const option = optionCode.STRUCTURED_REPLY
  const { progress, rules } = haggling
  if (!rules.structuredReplies) return haggling.error(option, "ERR_UNSUP", "structured replies are not supported")
  const stray = haggling.strayData(option, data)
  if (stray !== undefined) return stray
  switch (progress.replyStyle) {
    case "Extended":
      return haggling.error(option, "ERR_EXT_HEADER_REQD", "extended headers were negotiated already")
    case "Structured":
      return haggling.invalid(
        option,
        new WireError("NBD_OPT_STRUCTURED_REPLY once", "a second one", "C-026, S-017")
      )
    case "Simple":
      return agree(haggling, option, "Structured")
  }
}

/**
 * They can be had with or without structured replies before them (S-100).
 *
 * @since 0.1.0
 * @category constructors
 */
export const extendedHeaders = (haggling: Haggling, data: Uint8Array): Effect.Effect<undefined> => {
  const option = optionCode.EXTENDED_HEADERS
  const { progress, rules } = haggling
  if (!rules.extendedHeaders) return haggling.error(option, "ERR_UNSUP", "extended headers are not supported")
  const stray = haggling.strayData(option, data)
  if (stray !== undefined) return stray
  if (progress.replyStyle === "Extended") {
    return haggling.invalid(option, new WireError("NBD_OPT_EXTENDED_HEADERS once", "a second one", "C-026, S-017"))
  }
  return agree(haggling, option, "Extended")
}

const agree = (haggling: Haggling, option: number, replyStyle: ReplyStyle): Effect.Effect<undefined> =>
  Effect.map(haggling.grant(option, [{ _tag: "Ack" }]), (granted) => {
    if (granted) haggling.progress = { ...haggling.progress, replyStyle }
    return undefined
  })
