/**
 * Which option is answered where: recording, refusals and TLS that is required come first.
 *
 * @since 0.1.0
 */
import { decodeText } from "@effect-nbd/core/wire/Bytes"
import { decodeMetaContextRequest, type MetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import {
  decodeInfoRequest,
  type InfoRequest,
  optionCode,
  type OptionName,
  optionName
} from "@effect-nbd/core/wire/NbdOption"
import { isWireError, type WireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import type { ClientMisbehavedError } from "../session/SessionContext.ts"
import { enterByName, info, list } from "./ExportOptions.ts"
import type { Haggling } from "./Haggling.ts"
import { listMetaContext, setMetaContext } from "./MetaContextOptions.ts"
import { extendedHeaders, structuredReply } from "./ReplyOptions.ts"
import type { ErrorReplyName, Settled } from "./Rules.ts"
import { startTls } from "./StartTls.ts"

/** An option's data, as far as it can be understood. */
type Asked =
  | { readonly _tag: "Name"; readonly exportName: string }
  | { readonly _tag: "Info"; readonly request: InfoRequest | WireError }
  | { readonly _tag: "MetaContext"; readonly request: MetaContextRequest | WireError }
  | { readonly _tag: "Other" }

const decode = (option: number, data: Uint8Array): Asked => {
  switch (option) {
    case optionCode.EXPORT_NAME:
      return { _tag: "Name", exportName: decodeText(data) }
    case optionCode.INFO:
    case optionCode.GO:
      return { _tag: "Info", request: decodeInfoRequest(data) }
    case optionCode.LIST_META_CONTEXT:
    case optionCode.SET_META_CONTEXT:
      return { _tag: "MetaContext", request: decodeMetaContextRequest(data) }
    default:
      return { _tag: "Other" }
  }
}

const exportNameOf = (asked: Asked): string | undefined => {
  if (asked._tag === "Other") return undefined
  if (asked._tag === "Name") return asked.exportName
  return isWireError(asked.request) ? undefined : asked.request.exportName
}

/**
 * Answers one option; a result ends haggling.
 *
 * @since 0.1.0
 * @category constructors
 */
export const answer = (
  haggling: Haggling,
  option: number,
  data: Uint8Array
): Effect.Effect<Settled | undefined, ClientMisbehavedError> => {
  const asked = decode(option, data)
  const exportName = exportNameOf(asked)
  const queries = asked._tag === "MetaContext" && !isWireError(asked.request) ? asked.request.queries : undefined
  const { observer, session } = haggling.context
  const { encrypted } = haggling.progress
  observer.option({ session, option, name: optionName(option), data, exportName, queries, encrypted })

  const refusal = refusalOf(haggling, option)
  if (refusal !== undefined) {
    return option === optionCode.EXPORT_NAME
      ? Effect.succeed({ _tag: "ExportRefused", exportName: exportName ?? "" })
      : haggling.error(option, refusal.reply, refusal.message)
  }
  switch (asked._tag) {
    case "Name":
      return enterByName(haggling, asked.exportName)
    case "Info":
      return isWireError(asked.request)
        ? haggling.invalid(option, asked.request)
        : info(haggling, option, asked.request)
    case "MetaContext":
      return option === optionCode.SET_META_CONTEXT
        ? setMetaContext(haggling, asked.request)
        : listMetaContext(haggling, asked.request)
    case "Other":
      return answerOther(haggling, option, data)
  }
}

const answerOther = (
  haggling: Haggling,
  option: number,
  data: Uint8Array
): Effect.Effect<Settled | undefined, ClientMisbehavedError> => {
  switch (option) {
    case optionCode.ABORT:
      return Effect.as(haggling.reply(option, [{ _tag: "Ack" }]), { _tag: "Aborted" })
    case optionCode.LIST:
      return list(haggling, data)
    case optionCode.STARTTLS:
      return startTls(haggling, data)
    case optionCode.STRUCTURED_REPLY:
      return structuredReply(haggling, data)
    case optionCode.EXTENDED_HEADERS:
      return extendedHeaders(haggling, data)
    default:
      return haggling.error(option, "ERR_UNSUP", `${optionName(option)} is not supported`)
  }
}

const isOptionName = (name: string): name is OptionName => Object.hasOwn(optionCode, name)

const refusalOf = (
  { context, progress, rules }: Haggling,
  option: number
): { readonly reply: ErrorReplyName; readonly message: string } | undefined => {
  if (context.isShuttingDown && option !== optionCode.ABORT) {
    return { reply: "ERR_SHUTDOWN", message: "the server is shutting down" }
  }
  const isFree = option === optionCode.STARTTLS || option === optionCode.ABORT
  // FORCEDTLS (S-044).
  if (rules.tls?.mode === "Require" && !progress.encrypted && !isFree) {
    return { reply: "ERR_TLS_REQD", message: "this server speaks to no one without TLS" }
  }
  const name = optionName(option).replace(/^NBD_OPT_/, "")
  const refusal = isOptionName(name) ? rules.refuse[name] : undefined
  return typeof refusal === "string" ? { reply: refusal, message: "" } : refusal
}
