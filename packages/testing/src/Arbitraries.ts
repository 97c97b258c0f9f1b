/**
 * Arbitraries of `effect/FastCheck` for everything there is in NBD: the messages of the protocol, URIs, exports, servers,
 * and requests to an export.
 *
 * They give models, which core's encoders make bytes of; what they give shrinks to short texts, small numbers and few
 * flags.
 *
 * @since 0.1.0
 */
export { blockSize, exportConfig, type ExportOptions, serverConfig } from "./arbitraries/Exports.ts"
export { anyBytes, displayText, flagsOf, text, u16, u32, u64 } from "./arbitraries/Fields.ts"
export {
  clientFlags,
  exportNameReply,
  info,
  infoRequest,
  metaContextReply,
  metaContextRequest,
  newstyleGreeting,
  oldstyleGreeting,
  option,
  optionReply,
  transmissionFlags
} from "./arbitraries/HandshakeMessages.ts"
export {
  type Area,
  type Command,
  isLegal,
  type Request,
  request,
  requests,
  strayRequest
} from "./arbitraries/Requests.ts"
export {
  blockStatus,
  chunk,
  chunkHeader,
  extendedChunkHeader,
  extendedRequestHeader,
  requestHeader,
  simpleReply,
  statusDescriptor,
  statusFilter
} from "./arbitraries/TransmissionMessages.ts"
export { oddUriText, uri, uriText } from "./arbitraries/Uris.ts"
