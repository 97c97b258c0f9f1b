/**
 * What each error of the library means, tag by tag: what became of what was asked for, what it means for the connection,
 * and whether the same may succeed if it is tried again.
 *
 * Everything that tells errors apart derives from this table: what ends a handle, the predicates of `NbdError`, the exit
 * codes of the program and `docs/errors.md`. An error class takes its tag from here (`TaggedError`), so that one without
 * a row does not compile.
 *
 * @since 0.1.0
 */
import type { ErrnoName } from "../wire/Errno.ts"
import type { ReplyTypeName } from "../wire/OptionReply.ts"

/**
 * What became of what was asked for.
 *
 * - `NotSent`: nothing of it has reached a server.
 * - `Refused`: the server did not want to do it.
 * - `Failed`: the server tried, and says that it failed.
 * - `Unknown`: it may have been done, or not.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "NotSent" | "Refused" | "Failed" | "Unknown"

/**
 * What an error means for the connection.
 *
 * - `None`: there never was one.
 * - `Unchanged`: it is as it was before.
 * - `Negotiating`: haggling can go on.
 * - `Alive`: it is in the transmission phase, and other requests are not affected.
 * - `Ended`: this side has ended it.
 * - `Gone`: it is lost, or the server has ended it.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionAfter = "None" | "Unchanged" | "Negotiating" | "Alive" | "Ended" | "Gone"

/**
 * When the same may succeed.
 *
 * - `No`: not before something else changes.
 * - `Again`: on the same connection.
 * - `Later`: after a while.
 * - `Reconnect`: on another connection.
 *
 * @since 0.1.0
 * @category models
 */
export type Retry = "No" | "Again" | "Later" | "Reconnect"

/**
 * Where a field of the error decides, and not its tag alone.
 *
 * - `ByErrno`, `ByReply`: the server's error value, by the tables `retryByErrno` and `retryByReply`.
 * - `ByCode`: `Later` where the system was short of something (`shortages`), otherwise `No`.
 * - `ByCause`: as its cause says, if that is an error of this library, and otherwise `Later`.
 * - `ByReason`: as its reason says.
 * - `ByEnder`: `No` if this side has ended the connection, `Reconnect` if the server has.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryRule = Retry | "ByErrno" | "ByReply" | "ByCode" | "ByCause" | "ByReason" | "ByEnder"

/**
 * Where a field of the error decides: `ByReason` and `ByEnder` are `Ended` if this side has ended the connection, and `Gone`
 * if not.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionRule = ConnectionAfter | "ByReason" | "ByEnder"

/**
 * The state of a handle whose transport could not be opened: `Created`, so that the same handle can try again, or
 * `Dead`. libnbd differs between TCP and Unix sockets in some cases.
 *
 * @since 0.1.0
 * @category models
 */
export type HandleAfter = "Created" | "Dead" | "CreatedAfterTcp"

/**
 * One line of the table.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorRow =
  | {
    readonly outcome: "NotSent"
    readonly connection: "None"
    readonly handle: HandleAfter
    readonly retry: RetryRule
  }
  | {
    readonly outcome: Outcome
    readonly connection: Exclude<ConnectionRule, "None">
    readonly retry: RetryRule
  }

/** Refused by this side: the caller has to ask for something else, or at another time. */
const refusedByUs = { outcome: "NotSent", connection: "Unchanged", retry: "No" } as const

/** The same while haggling. */
const optionNotSent = { outcome: "NotSent", connection: "Negotiating", retry: "No" } as const

/** Refused by the server while haggling. */
const optionRefused = { outcome: "Refused", connection: "Negotiating", retry: "No" } as const

/** What was under way may have been done. */
const lost = { outcome: "Unknown", connection: "Gone", retry: "Reconnect" } as const

const notThereYet = { outcome: "NotSent", connection: "None", retry: "Later" } as const

/**
 * Every error of the library.
 *
 * @since 0.1.0
 * @category constants
 */
export const errorTable = {
  // The handle is in another state.
  NbdNotConnectedError: refusedByUs,
  NbdStillConnectingError: refusedByUs,
  NbdStillNegotiatingError: refusedByUs,
  NbdAlreadyConnectedError: refusedByUs,
  NbdShutDownError: { outcome: "NotSent", connection: "ByEnder", retry: "ByEnder" },
  NbdHandleDeadError: { outcome: "NotSent", connection: "ByReason", retry: "ByReason" },
  // The request is not possible.
  NbdOutOfBoundsError: refusedByUs,
  NbdUnalignedError: refusedByUs,
  NbdZeroLengthError: refusedByUs,
  NbdRequestTooLargeError: refusedByUs,
  NbdReadOnlyError: refusedByUs,
  NbdUnsupportedError: refusedByUs,
  NbdCommandFlagsError: refusedByUs,
  NbdNoMetaContextError: refusedByUs,
  NbdExportNotKnownError: refusedByUs,
  // The address is not possible.
  NbdUriError: refusedByUs,
  NbdUriUnsupportedError: refusedByUs,
  NbdUriUnwritableError: refusedByUs,
  NbdUriNotPermittedError: refusedByUs,
  NbdNoUriError: refusedByUs,
  NbdSshArgumentError: refusedByUs,
  // Nothing was opened.
  NbdHostNotFoundError: { ...notThereYet, handle: "Created" },
  NbdServiceNotFoundError: { outcome: "NotSent", connection: "None", handle: "Created", retry: "No" },
  NbdConnectionRefusedError: { ...notThereYet, handle: "CreatedAfterTcp" },
  NbdUnreachableError: { ...notThereYet, handle: "CreatedAfterTcp" },
  NbdConnectTimeoutError: { ...notThereYet, handle: "Created" },
  NbdSocketFolderError: { outcome: "NotSent", connection: "None", handle: "Dead", retry: "ByCode" },
  NbdProgramNotFoundError: { outcome: "NotSent", connection: "None", handle: "Dead", retry: "ByCode" },
  // If it ends later, requests that were sent fail with NbdCommandLostError, and this is its reason.
  NbdProgramExitedError: { ...notThereYet, handle: "Dead" },
  NbdStreamNotOpenedError: { outcome: "NotSent", connection: "None", handle: "Created", retry: "ByCause" },
  NbdStreamTakenError: refusedByUs,
  // Haggling.
  NbdExportNameInvalidError: optionNotSent,
  NbdMetaContextInvalidError: optionNotSent,
  NbdOptionForbiddenError: optionNotSent,
  NbdOptionUnavailableError: optionNotSent,
  NbdTlsAlreadyStartedError: optionNotSent,
  NbdOptionRefusedError: { outcome: "Refused", connection: "Negotiating", retry: "ByReply" },
  NbdExportUnknownError: optionRefused,
  NbdTlsRequiredError: optionRefused,
  NbdMetaContextNotGrantedError: optionRefused,
  NbdExportRefusedError: { outcome: "Refused", connection: "Gone", retry: "No" },
  NbdHandshakeTimeoutError: lost,
  NbdConnectInterruptedError: { outcome: "Unknown", connection: "Ended", retry: "No" },
  // TLS.
  NbdTlsCredentialsError: { outcome: "NotSent", connection: "Ended", retry: "No" },
  NbdTlsUnavailableError: { outcome: "Refused", connection: "Gone", retry: "No" },
  NbdTlsVerificationError: { outcome: "Unknown", connection: "Gone", retry: "No" },
  NbdTlsHandshakeError: lost,
  // The answer to a request, or none.
  NbdCommandError: { outcome: "Failed", connection: "Alive", retry: "ByErrno" },
  NbdReplyInvalidError: { outcome: "Unknown", connection: "Alive", retry: "ByErrno" },
  NbdCommandLostError: { outcome: "Unknown", connection: "ByReason", retry: "ByReason" },
  NbdHandleClosedError: { outcome: "Unknown", connection: "Ended", retry: "No" },
  // The end of a connection.
  NbdNotNbdServerError: { outcome: "NotSent", connection: "Gone", retry: "No" },
  NbdProtocolError: lost,
  NbdServerDisconnectedError: lost,
  NbdTransportLostError: lost,
  NbdStreamEnded: lost
} as const satisfies Record<`Nbd${string}`, ErrorRow>

/**
 * The tag of an error of the library.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorTag = keyof typeof errorTable

/**
 * The tags of errors that leave the connection like this.
 *
 * @since 0.1.0
 * @category models
 */
export type TagsByConnection<Connection extends ConnectionRule> = {
  readonly [Tag in ErrorTag]: (typeof errorTable)[Tag]["connection"] extends Connection ? Tag : never
}[ErrorTag]

/**
 * The row of a tag.
 *
 * @since 0.1.0
 * @category getters
 */
export const rowOf = (tag: ErrorTag): ErrorRow => errorTable[tag]

/**
 * Whether a request that the server failed may succeed another time, by the name of its error.
 *
 * @since 0.1.0
 * @category constants
 */
export const retryByErrno = {
  EPERM: "No",
  EIO: "Again",
  ENOMEM: "Later",
  EINVAL: "No",
  ENOSPC: "Later",
  EOVERFLOW: "No",
  ENOTSUP: "No",
  ESHUTDOWN: "Reconnect"
} as const satisfies Record<ErrnoName, Retry>

/**
 * Whether an option that the server refused may succeed another time, by its reply. A reply that is not known counts as
 * `ERR_UNSUP`.
 *
 * @since 0.1.0
 * @category constants
 */
export const retryByReply = {
  ERR_UNSUP: "No",
  ERR_POLICY: "No",
  ERR_INVALID: "No",
  ERR_PLATFORM: "No",
  ERR_TLS_REQD: "No",
  ERR_UNKNOWN: "No",
  ERR_SHUTDOWN: "Reconnect",
  ERR_BLOCK_SIZE_REQD: "No",
  ERR_TOO_BIG: "No",
  ERR_EXT_HEADER_REQD: "No"
} as const satisfies Record<Extract<ReplyTypeName, `ERR_${string}`>, Retry>

/**
 * The system's codes for being short of something: processes, descriptors, memory, or a file that is being written.
 *
 * @since 0.1.0
 * @category constants
 */
export const shortages: ReadonlySet<string> = new Set([
  "EAGAIN",
  "EBUSY",
  "EINTR",
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "ENOSPC",
  "ETXTBSY"
])
