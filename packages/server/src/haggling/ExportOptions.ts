/**
 * NBD_OPT_LIST, NBD_OPT_INFO, NBD_OPT_GO and NBD_OPT_EXPORT_NAME: which exports there are, and the choice of one.
 *
 * @since 0.1.0
 */
import { encodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import { type InfoRequest, optionCode, optionName } from "@effect-nbd/core/wire/NbdOption"
import { type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { ServedExport } from "../ServedExport.ts"
import { type ClientMisbehavedError, misbehaved, note } from "../session/SessionContext.ts"
import type { Terms } from "../session/Terms.ts"
import type { Haggling } from "./Haggling.ts"
import type { Settled } from "./Rules.ts"

/**
 * @since 0.1.0
 * @category constructors
 */
export const list = (haggling: Haggling, data: Uint8Array): Effect.Effect<undefined> => {
  const stray = haggling.strayData(optionCode.LIST, data)
  if (stray !== undefined) return stray
  const servers = haggling.exports.map(({ description, name }): OptionReply => ({ _tag: "Server", name, description }))
  return haggling.reply(optionCode.LIST, [...servers, { _tag: "Ack" }])
}

/**
 * There is no error reply to this option: closing is the refusal (S-021).
 *
 * @since 0.1.0
 * @category constructors
 */
export const enterByName = (
  haggling: Haggling,
  name: string
): Effect.Effect<Settled, ClientMisbehavedError> => {
  const { context, noZeroes, progress } = haggling
  if (progress.replyStyle === "Extended") {
    return misbehaved(context, new WireError("NBD_OPT_GO with extended headers", "NBD_OPT_EXPORT_NAME", "C-220"))
  }
  const found = haggling.find(name)
  if (found === undefined) return Effect.succeed({ _tag: "ExportRefused", exportName: name })
  const terms = termsOf(haggling, found, name)
  const reply = encodeExportNameReply({ exportSize: found.size, flags: terms.flags }, noZeroes)
  const { session } = context
  return Effect.as(context.say([reply], () => ({ _tag: "ExportName", session, noZeroes })), { _tag: "Agreed", terms })
}

/**
 * Both options have the same answers; GO settles on them (S-035).
 *
 * @since 0.1.0
 * @category constructors
 */
export const info = (
  haggling: Haggling,
  option: number,
  { exportName, types }: InfoRequest
): Effect.Effect<Settled | undefined> => {
  const asked = new Set(types)
  if (asked.size !== types.length) {
    const rule = `${optionName(option)}, C-048`
    note(haggling.context, new WireError("each information type once", types.join(", "), rule))
  }
  const found = haggling.find(exportName)
  if (found === undefined) {
    // SELECTIVETLS (S-046). Without TLS at all, such an export does not exist (S-043).
    const isHidden = haggling.rules.tls !== undefined && haggling.rules.exports.some(({ name }) => name === exportName)
    return isHidden
      ? haggling.error(option, "ERR_TLS_REQD", "this export is for clients with TLS")
      : haggling.unknownExport(option, exportName)
  }
  if (haggling.rules.requireBlockSize && found.blockSize !== undefined && !asked.has(infoType.BLOCK_SIZE)) {
    const message = "this export has block size constraints: ask for NBD_INFO_BLOCK_SIZE"
    return haggling.reply(option, [
      { _tag: "InfoReply", info: { _tag: "BlockSizeInfo", ...found.limits } },
      { _tag: "ErrorReply", type: replyType.ERR_BLOCK_SIZE_REQD, message }
    ])
  }
  const terms = termsOf(haggling, found, exportName)
  const replies = infosOf(terms, asked).map((info): OptionReply => ({ _tag: "InfoReply", info }))
  return Effect.map(
    haggling.grant(option, [...replies, { _tag: "Ack" }]),
    (granted): Settled | undefined => granted && option === optionCode.GO ? { _tag: "Agreed", terms } : undefined
  )
}

const infosOf = (
  { export: { canonicalName, description, limits, size }, flags }: Terms,
  asked: ReadonlySet<number>
) => {
  const infos: Array<Info> = [{ _tag: "ExportInfo", exportSize: size, flags }]
  if (asked.has(infoType.NAME)) infos.push({ _tag: "NameInfo", name: canonicalName })
  if (asked.has(infoType.DESCRIPTION) && description !== "") infos.push({ _tag: "DescriptionInfo", description })
  if (asked.has(infoType.BLOCK_SIZE)) infos.push({ _tag: "BlockSizeInfo", ...limits })
  return infos
}

/** Contexts that were selected for another name do not count: the client's name is what it goes by (C-057, C-149). */
const termsOf = ({ progress: { replyStyle, selection } }: Haggling, found: ServedExport, name: string): Terms => {
  const contexts = selection?.exportName === name ? selection.contexts : []
  return { export: found, replyStyle, contexts, flags: found.flags(replyStyle, contexts.length > 0) }
}
