/**
 * What an error of this library means, whichever it is: questions that hold for every one of them.
 *
 * Each question is answered from one table, which `docs/errors.md` shows tag by tag.
 *
 * @since 0.1.0
 */
import {
  type ConnectionAfter,
  errorTable,
  type Outcome,
  type Retry,
  retryByErrno,
  retryByReply,
  rowOf,
  shortages
} from "./errors/ErrorTable.ts"
import type { StreamEnded } from "./framing/FrameReader.ts"
import type { Refusal } from "./HandleError.ts"
import type { ConnectError } from "./handshake/ConnectError.ts"
import type { ConnectInterruptedError, ExportNotKnownError, HagglingRefusal } from "./handshake/HandshakeError.ts"
import type { NoUriError, UriError, UriUnsupportedError, UriUnwritableError } from "./NbdUri.ts"
import type { TlsAlreadyStartedError } from "./TlsError.ts"
import type {
  CommandFailure,
  CommandFlagsError,
  HandleClosedError,
  NoMetaContextError,
  RangeRefusal,
  ReadOnlyError,
  TransmissionFault,
  UnsupportedError
} from "./transmission/CommandError.ts"
import type { SshArgumentError, StreamTakenError } from "./TransportError.ts"
import type { UriNotPermittedError } from "./UriPolicy.ts"

/**
 * Every error of this library. Errors of the transports of `@effect-nbd/node` are among them.
 *
 * @since 0.1.0
 * @category errors
 */
export type NbdError =
  | Refusal
  | ConnectError
  | HagglingRefusal
  | ConnectInterruptedError
  | ExportNotKnownError
  | TlsAlreadyStartedError
  | RangeRefusal
  | ReadOnlyError
  | UnsupportedError
  | CommandFlagsError
  | NoMetaContextError
  | CommandFailure
  | HandleClosedError
  | TransmissionFault
  | StreamEnded
  | StreamTakenError
  | SshArgumentError
  | UriError
  | UriUnsupportedError
  | UriUnwritableError
  | UriNotPermittedError
  | NoUriError

export type { Outcome } from "./errors/ErrorTable.ts"

/**
 * An error of this library, and not one of an application or of another package.
 *
 * @since 0.1.0
 * @category guards
 */
export const isNbdError = (u: unknown): u is NbdError =>
  u instanceof Error && "_tag" in u && typeof u._tag === "string" && Object.hasOwn(errorTable, u._tag)

/**
 * What became of what was asked for: `NotSent`, `Refused` or `Failed` by the server, or `Unknown`.
 *
 * @since 0.1.0
 * @category getters
 */
export const outcomeOf = (error: NbdError): Outcome => rowOf(error._tag).outcome

/**
 * The same may succeed if it is tried again, after a while or on another connection, without any change by the caller.
 * It may succeed the next time or never: attempts need a limit.
 *
 * Whether a request that is repeated was done before is another question: see `wasNotSent`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRetryable = (error: NbdError): boolean => retryOf(error) !== "No"

/**
 * The connection is lost, or the server has ended it: the handle can do nothing more, and another one is needed. `false` if
 * this side has ended it, if there never was one, and if a server has only said that it is going (`ESHUTDOWN`).
 *
 * @since 0.1.0
 * @category predicates
 */
export const isConnectionLost = (error: NbdError): boolean => connectionAfter(error) === "Gone"

/**
 * Nothing of what was asked for has reached a server, so it was certainly not done. `false` means that it was refused,
 * has failed, or may have been done.
 *
 * @since 0.1.0
 * @category predicates
 */
export const wasNotSent = (error: NbdError): boolean => outcomeOf(error) === "NotSent"

/**
 * No server was found, and there may be one later: its name does not resolve, it refuses connections or cannot be reached,
 * its program has ended, its queue is full. What a program that starts together with its server waits for.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNotThereYet = (error: NbdError): boolean =>
  connectionAfter(error) === "None" && retryOf(error) === "Later"

const retryOf = (error: NbdError): Retry => {
  const { retry } = rowOf(error._tag)
  switch (retry) {
    case "ByErrno":
      return "errno" in error && error.errno !== undefined ? retryByErrno[error.errno] : "No"
    case "ByReply":
      return "replyType" in error ? retryOfReply(error.reply.replace("NBD_REP_", "")) : "No"
    case "ByCode":
      return "code" in error && shortages.has(error.code) ? "Later" : "No"
    case "ByCause":
      return isNbdError(error.cause) ? retryOf(error.cause) : "Later"
    case "ByReason":
      return "reason" in error && isNbdError(error.reason) ? retryOf(error.reason) : "No"
    case "ByEnder":
      return "by" in error && error.by === "Server" ? "Reconnect" : "No"
    default:
      return retry
  }
}

const retryOfReply = (name: string): Retry => isKnownReply(name) ? retryByReply[name] : retryByReply.ERR_UNSUP

const isKnownReply = (name: string): name is keyof typeof retryByReply => Object.hasOwn(retryByReply, name)

const connectionAfter = (error: NbdError): ConnectionAfter => {
  const { connection } = rowOf(error._tag)
  switch (connection) {
    case "ByReason":
      return "reason" in error && isNbdError(error.reason) && connectionAfter(error.reason) === "Ended"
        ? "Ended"
        : "Gone"
    case "ByEnder":
      return "by" in error && error.by === "Server" ? "Gone" : "Ended"
    default:
      return connection
  }
}
