/**
 * Everything that connecting can fail with.
 *
 * @since 0.1.0
 */
import type { TlsError, TlsUnavailableError } from "../TlsError.ts"
import type { OpenError } from "../TransportError.ts"
import type { ExportRefusedError, GreetingFault, HagglingRefusal, HandshakeTimeoutError } from "./HandshakeError.ts"

/**
 * The transport, the peer, or the server's answer to what was asked of it.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConnectError =
  | OpenError
  | GreetingFault
  | HandshakeTimeoutError
  | HagglingRefusal
  | ExportRefusedError
  | TlsUnavailableError
  | TlsError

/**
 * After these nothing was opened, and libnbd allows another try on the same handle: the name did not resolve, or no
 * address of a TCP host answered. A stream of the program's own, and a Unix socket whose queue stayed full, which libnbd
 * does not wait for, are like those.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetriable = (error: OpenError): boolean => {
  switch (error._tag) {
    case "NbdHostNotFoundError":
    case "NbdServiceNotFoundError":
    case "NbdStreamNotOpenedError":
    case "NbdConnectTimeoutError":
      return true
    case "NbdConnectionRefusedError":
    case "NbdUnreachableError":
      return error.network === "tcp"
    case "NbdSocketFolderError":
    case "NbdProgramNotFoundError":
    case "NbdProgramExitedError":
      return false
  }
}

/**
 * Errors after which a connection that was open is of no more use. The others are refusals: haggling can go on.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFatal = (error: ConnectError): error is Exclude<ConnectError, HagglingRefusal> => {
  switch (error._tag) {
    case "NbdOptionRefusedError":
    case "NbdTlsRequiredError":
    case "NbdOptionUnavailableError":
    case "NbdExportUnknownError":
    case "NbdExportNameInvalidError":
    case "NbdOptionForbiddenError":
    case "NbdMetaContextInvalidError":
    case "NbdMetaContextNotGrantedError":
      return false
    default:
      return true
  }
}
