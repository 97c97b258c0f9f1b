/** What each error means, by the predicates that applications ask, and that no error is left out. */
import { NbdError, TransportError } from "@effect-nbd/core"
import { advice } from "@effect-nbd/core/errors/Advice"
import { errorTable, type ErrorTag, retryByErrno, retryByReply } from "@effect-nbd/core/errors/ErrorTable"
import { TaggedError } from "@effect-nbd/core/errors/TaggedError"
import { type ConnectError, isFatal, isOpenError, isRetriable } from "@effect-nbd/core/handshake/ConnectError"
import type { HagglingRefusal } from "@effect-nbd/core/handshake/HandshakeError"
import { errno, type ErrnoName } from "@effect-nbd/core/wire/Errno"
import { replyType } from "@effect-nbd/core/wire/OptionReply"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import {
  commandError,
  commandLost,
  handleDead,
  optionRefused,
  programNotFound,
  replyInvalid,
  sampleList,
  samples,
  shutDown,
  streamNotOpened,
  streamTaken
} from "../fixtures/Errors.ts"

/** What an error says to each predicate: R retryable, L connection lost, N was not sent, T not there yet. */
const said = (error: NbdError.NbdError): string =>
  [
    NbdError.isRetryable(error) ? "R" : "-",
    NbdError.isConnectionLost(error) ? "L" : "-",
    NbdError.wasNotSent(error) ? "N" : "-",
    NbdError.isNotThereYet(error) ? "T" : "-"
  ].join("")

/** Written out once more beside the table, so that neither can change alone. */
const expected: { readonly [Tag in ErrorTag]: string } = {
  NbdNotConnectedError: "--N-",
  NbdStillConnectingError: "--N-",
  NbdStillNegotiatingError: "--N-",
  NbdAlreadyConnectedError: "--N-",
  NbdShutDownError: "--N-",
  NbdHandleDeadError: "RLN-",
  NbdOutOfBoundsError: "--N-",
  NbdUnalignedError: "--N-",
  NbdZeroLengthError: "--N-",
  NbdRequestTooLargeError: "--N-",
  NbdReadOnlyError: "--N-",
  NbdUnsupportedError: "--N-",
  NbdCommandFlagsError: "--N-",
  NbdNoMetaContextError: "--N-",
  NbdExportNotKnownError: "--N-",
  NbdUriError: "--N-",
  NbdUriUnsupportedError: "--N-",
  NbdUriUnwritableError: "--N-",
  NbdUriNotPermittedError: "--N-",
  NbdNoUriError: "--N-",
  NbdSshArgumentError: "--N-",
  NbdHostNotFoundError: "R-NT",
  NbdServiceNotFoundError: "--N-",
  NbdConnectionRefusedError: "R-NT",
  NbdUnreachableError: "R-NT",
  NbdConnectTimeoutError: "R-NT",
  NbdSocketFolderError: "--N-",
  NbdProgramNotFoundError: "--N-",
  NbdProgramExitedError: "R-NT",
  NbdStreamNotOpenedError: "R-NT",
  NbdStreamTakenError: "--N-",
  NbdExportNameInvalidError: "--N-",
  NbdMetaContextInvalidError: "--N-",
  NbdOptionForbiddenError: "--N-",
  NbdOptionUnavailableError: "--N-",
  NbdTlsAlreadyStartedError: "--N-",
  NbdOptionRefusedError: "----",
  NbdExportUnknownError: "----",
  NbdTlsRequiredError: "----",
  NbdMetaContextNotGrantedError: "----",
  NbdExportRefusedError: "-L--",
  NbdHandshakeTimeoutError: "RL--",
  NbdConnectInterruptedError: "----",
  NbdTlsCredentialsError: "--N-",
  NbdTlsUnavailableError: "-L--",
  NbdTlsVerificationError: "-L--",
  NbdTlsHandshakeError: "RL--",
  NbdCommandError: "R---",
  NbdReplyInvalidError: "R---",
  NbdCommandLostError: "RL--",
  NbdHandleClosedError: "----",
  NbdNotNbdServerError: "-LN-",
  NbdProtocolError: "RL--",
  NbdServerDisconnectedError: "RL--",
  NbdTransportLostError: "RL--",
  NbdStreamEnded: "RL--"
}

describe("the table of errors", () => {
  it("has exactly the tags of the classes", () => {
    expectTypeOf<NbdError.NbdError["_tag"]>().toEqualTypeOf<ErrorTag>()
    expect(Object.keys(advice).toSorted()).toStrictEqual(Object.keys(errorTable).toSorted())
  })

  it("gives a class its tag, and none to one without a row", () => {
    class Made extends TaggedError("NbdStreamEnded")<{ readonly n: bigint }> {}
    expect(new Made({ n: 1n }).toJSON()).toStrictEqual({ _tag: "NbdStreamEnded", message: "", n: "1" })
    // @ts-expect-error A tag that has no row does not compile.
    expect(TaggedError("NbdUnheardOfError")).toBeDefined()
  })

  it("is where every error class of core and node has its tag from", () => {
    const ownTags: Array<string> = []
    for (const name of ["core", "node"]) {
      const source = new URL(`../../../${name}/src/`, import.meta.url)
      for (const file of readdirSync(source, { recursive: true, encoding: "utf8" })) {
        if (!file.endsWith(".ts") || file === "errors/TaggedError.ts") continue
        // Errors of files say nothing of a connection: they are devices' errors, as those of the block package are.
        if (name === "node" && (file === "FileDevice.ts" || file.startsWith("file/"))) continue
        if (/Data\.(Tagged)?Error\(/.test(readFileSync(new URL(file, source), "utf8"))) ownTags.push(`${name}: ${file}`)
      }
    }
    expect(ownTags).toStrictEqual([])
  })

  it.each(sampleList.map((error) => [error._tag, error] as const))("says what %s means", (tag, error) => {
    expect(tag.startsWith("Nbd")).toBe(true)
    expect(NbdError.isNbdError(error)).toBe(true)
    expect(said(error)).toBe(expected[tag])
  })

  it("is not asked about errors of others", () => {
    for (const other of [undefined, null, "NbdUriError", new Error("x"), { _tag: "NbdUriError" }]) {
      expect(NbdError.isNbdError(other)).toBe(false)
    }
    expect(NbdError.isNbdError(Object.assign(new Error("x"), { _tag: "toString" }))).toBe(false)
  })
})

describe("an error whose fields decide", () => {
  const retried: ReadonlySet<string> = new Set(["EIO", "ENOMEM", "ENOSPC", "ESHUTDOWN"])
  // The keys of `errno` are these names.
  it.each(Object.keys(errno) as ReadonlyArray<ErrnoName>)("%s: as the server's error value says", (name) => {
    const meaning = retried.has(name) ? "R---" : "----"
    expect(said(commandError(name))).toBe(meaning)
    expect(said(replyInvalid(name))).toBe(meaning)
    expect(retryByErrno[name] !== "No").toBe(retried.has(name))
  })

  it("of a reply that makes no sense: no, if it carries no error", () => {
    expect(said(replyInvalid(undefined))).toBe("----")
  })

  it("of an option: as the reply says", () => {
    for (const name of Object.keys(retryByReply)) {
      // The keys of `retryByReply` are among those of `replyType`.
      const refused = optionRefused(`NBD_REP_${name}`, replyType[name as keyof typeof retryByReply])
      expect([name, said(refused)]).toStrictEqual([name, name === "ERR_SHUTDOWN" ? "R---" : "----"])
    }
    expect(said(optionRefused("reply type 0x80001234", 0x8000_1234))).toBe("----")
  })

  it("of the end of a handle: who ended it", () => {
    expect(said(shutDown("Client"))).toBe("--N-")
    expect(said(shutDown("Server"))).toBe("RLN-")
    expect(shutDown("Client").message).toBe(
      "read: the handle is ShutDown, it must be Connected; this side has shut it down"
    )
    expect(shutDown("Server").message).toBe(
      "read: the handle is ShutDown, it must be Connected; the server has ended the connection"
    )
  })

  it("of a dead handle: what killed it", () => {
    expect(said(handleDead(samples.NbdTlsVerificationError))).toBe("-LN-")
    expect(said(handleDead(samples.NbdConnectInterruptedError))).toBe("--N-")
    expect(said(handleDead(samples.NbdConnectionRefusedError))).toBe("RLN-")
    expect(said(handleDead(samples.NbdExportUnknownError))).toBe("-LN-")
  })

  it("of a lost command: what it was lost by", () => {
    expect(said(commandLost(samples.NbdHandleClosedError))).toBe("----")
    expect(said(commandLost(samples.NbdProgramExitedError))).toBe("RL--")
    expect(said(commandLost(samples.NbdProtocolError))).toBe("RL--")
  })

  it("of a program or socket that cannot be had: whether the system was short of something", () => {
    expect(said(programNotFound("EAGAIN"))).toBe("R-NT")
    expect(said(programNotFound("EACCES"))).toBe("--N-")
    expect(said(new TransportError.SocketFolderError({ folder: "/tmp", code: "EMFILE" }))).toBe("R-NT")
  })

  it("of a stream that the application did not give: its cause, if that is an error of this library", () => {
    expect(said(streamNotOpened("no"))).toBe("R-NT")
    expect(said(streamNotOpened(streamTaken))).toBe("--N-")
    expect(said(streamNotOpened(samples.NbdHostNotFoundError))).toBe("R-NT")
  })
})

describe("connecting", () => {
  it("knows refusals, after which haggling goes on, by the table", () => {
    const fatal = (error: ConnectError) => isFatal(error) ? error : undefined
    expectTypeOf(fatal).returns.toEqualTypeOf<Exclude<ConnectError, HagglingRefusal> | undefined>()
    expect(isFatal(samples.NbdExportUnknownError)).toBe(false)
    expect(isFatal(samples.NbdOptionForbiddenError)).toBe(false)
    expect(isFatal(samples.NbdExportRefusedError)).toBe(true)
    expect(isFatal(samples.NbdHostNotFoundError)).toBe(true)
  })

  it("knows what opened nothing", () => {
    const unopened = (error: ConnectError) => isOpenError(error) ? error : undefined
    expectTypeOf(unopened).returns.toEqualTypeOf<TransportError.OpenError | undefined>()
    expect(isOpenError(samples.NbdProgramNotFoundError)).toBe(true)
    expect(isOpenError(samples.NbdTransportLostError)).toBe(false)
  })

  it("knows after what the same handle may try again, as libnbd does", () => {
    const refused = (network: "tcp" | "unix") =>
      new TransportError.ConnectionRefusedError({ target: "x", network, attempts: [] })
    const unreachable = (network: "tcp" | "unix") =>
      new TransportError.UnreachableError({ target: "x", network, attempts: [] })
    const may = [samples.NbdHostNotFoundError, samples.NbdServiceNotFoundError, samples.NbdStreamNotOpenedError]
    const mayNot = [samples.NbdSocketFolderError, samples.NbdProgramNotFoundError, samples.NbdProgramExitedError]
    expect([...may, samples.NbdConnectTimeoutError, refused("tcp"), unreachable("tcp")].every(isRetriable)).toBe(true)
    expect([...mayNot, refused("unix"), unreachable("unix")].some(isRetriable)).toBe(false)
  })
})
