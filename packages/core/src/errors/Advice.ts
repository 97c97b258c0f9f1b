/**
 * What to do about each error, in a sentence, for `docs/errors.md`. No program needs it at run time.
 *
 * @since 0.1.0
 */
import type { ErrorTag } from "./ErrorTable.ts"

const wait = "Try again after a while, with a limit on the time or the number of attempts."

const reconnect = "Connect again with another handle, with a limit on the number of attempts."

/**
 * A sentence or two for each tag.
 *
 * @since 0.1.0
 * @category constants
 */
export const advice = {
  NbdNotConnectedError: "Connect the handle first. `Handle.connect` gives a handle that is connected already.",
  NbdStillConnectingError: "Wait with `awaitState`, or for the `connect` that is under way.",
  NbdStillNegotiatingError: "Enter an export with `go`, or leave `optMode` out.",
  NbdAlreadyConnectedError: "Do not connect or negotiate again: the handle is in the transmission phase.",
  NbdShutDownError:
    "If the server has ended the connection, connect again with another handle. If this side has, the handle "
    + "was used after its end: look for the `shutdown`, or for the scope that has closed.",
  NbdHandleDeadError:
    "See `reason`, which is an error of this table. If it may succeed another time, connect with another handle.",
  NbdOutOfBoundsError: "Ask for a range inside `export.size`.",
  NbdUnalignedError: "Ask for offsets and lengths that are multiples of `export.minimumBlockSize`.",
  NbdZeroLengthError: "Leave empty ranges out. Strictness can be changed with `setStrictness` for tests of servers.",
  NbdRequestTooLargeError: "Ask for `maximum` bytes at most, in several requests.",
  NbdReadOnlyError: "Look at `export.isReadOnly` before, or have the server offer the export for writing.",
  NbdUnsupportedError:
    "Look at the capability before (`canTrim`, `canFua` …), and do without it: for example write zeroes instead "
    + "of `writeZeroes`.",
  NbdCommandFlagsError: "Leave out the flags that are not in `known`.",
  NbdNoMetaContextError: "Ask for the context while connecting, with `metaContexts`.",
  NbdExportNotKnownError: "Ask for the export with `info`, or enter it with `go`.",
  NbdUriError: "Correct the URI at `part`.",
  NbdUriUnsupportedError: "Use another transport or another way of TLS: `why` says which is missing.",
  NbdUriUnwritableError: "Change the field that `part` names, or do without a URI.",
  NbdUriNotPermittedError: "Permit it in the `UriPolicy`, if the URI comes from somebody who may ask for it.",
  NbdNoUriError: "Do without a URI: only TCP, Unix sockets, vsock and SSH have one.",
  NbdSshArgumentError:
    "Use a host, user or path of the characters that `reason` allows, or an alias in the configuration of ssh.",
  NbdHostNotFoundError: `Look at the name. If it may be known soon: ${wait}`,
  NbdServiceNotFoundError: "Use the number of the port.",
  NbdConnectionRefusedError: `Look whether the server runs, and where it listens. If it is only starting: ${wait}`,
  NbdUnreachableError:
    `Look at the codes in \`attempts\`: route, firewall, path or permissions. If it is only starting: ${wait}`,
  NbdConnectTimeoutError: wait,
  NbdSocketFolderError: "Look at `TMPDIR`, or at the system's limits: `code` says which.",
  NbdProgramNotFoundError: "Install the program, or correct its path or working directory.",
  NbdProgramExitedError: `Read what it wrote to standard error (\`stderr\`). If it was not ready: ${wait}`,
  NbdStreamNotOpenedError: "See `cause`: it is what the application's own effect failed with.",
  NbdStreamTakenError: "Use `DuplexTransport.make`, which gets a stream for each connection, and not `fromDuplex`.",
  NbdExportNameInvalidError: "Use another name.",
  NbdMetaContextInvalidError: "Use a name of the form `namespace:leaf`.",
  NbdOptionForbiddenError: "Agree on what it needs first: `why` says what.",
  NbdOptionUnavailableError: "Do without it, or use a newer server.",
  NbdTlsAlreadyStartedError: "Do not start TLS again.",
  NbdOptionRefusedError:
    "Read `reply` and `serverMessage`. If the server does not know the option, do without it; if its policy is against it, "
    + "ask its administrator; if it is shutting down, connect again later.",
  NbdExportUnknownError: "Look at the name, for example in what `list` gives.",
  NbdTlsRequiredError: "Connect with TLS: `tls: { mode: \"Require\", … }`.",
  NbdMetaContextNotGrantedError: "Ask for it as an optional one (`{ name, optional: true }`) and do without it.",
  NbdExportRefusedError: "Look at the name, and at the log of the server: it has no way to say why.",
  NbdHandshakeTimeoutError:
    "Look whether it is an NBD server that listens there. If it is only slow: a longer `handshakeTimeout` or "
    + "`greetingTimeout`.",
  NbdConnectInterruptedError: "Nothing: the application has given up the connect by itself.",
  NbdTlsCredentialsError: "Correct the credentials: `part` and `file` say which.",
  NbdTlsUnavailableError:
    "Have the server offer TLS, or use another transport. `tls: { mode: \"Allow\" }` goes on in plaintext.",
  NbdTlsVerificationError:
    "Do not go on: this may be another server than the one that was meant. `check` says what to correct: the "
    + "authorities, the name, the date, the certificate or the key.",
  NbdTlsHandshakeError:
    "Look at `code`, and at own credentials if the server has ended it. If the connection was only lost: connect again.",
  NbdCommandError:
    "Read `errno`. `EIO` may be gone the next time; `ENOSPC` and `ENOMEM` when the server has room again; after `ESHUTDOWN` connect "
    + "again; the others stay as they are.",
  NbdReplyInvalidError:
    "Report it to the server's developers, with `rule`. If the reply has an `errno`, it counts as in `NbdCommandError`.",
  NbdCommandLostError:
    "Connect again with another handle, and repeat what may be done twice: reads, and writes of the same bytes to the same place. "
    + "Writes that were answered before may be lost as well, if no flush was answered since.",
  NbdHandleClosedError: "Close the scope of the handle after its last request was answered.",
  NbdNotNbdServerError: "Look at host and port: `looksLike` says what listens there.",
  NbdProtocolError: `Report it to the server's developers, with \`rule\`. ${reconnect}`,
  NbdServerDisconnectedError: `Look at the log of the server. ${reconnect}`,
  NbdTransportLostError: reconnect,
  NbdStreamEnded: reconnect
} as const satisfies Record<ErrorTag, string>
