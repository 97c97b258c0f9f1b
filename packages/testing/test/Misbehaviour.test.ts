/** The client before each misbehaviour of the catalogue: what fails, with what, and what goes on. */
import { Handle, Transport } from "@effect-nbd/core"
import type { BlockStatusOptions } from "@effect-nbd/core/transmission/CommandOptions"
import { MemoryPipe, Misbehaviour } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { readFileSync } from "node:fs"
import {
  type Case,
  clientTls,
  connecting,
  content,
  dataAt,
  disk,
  failsOption,
  failsRequest,
  fatal,
  fatalBehindHandshake,
  fatalInHandshake,
  guardedHandshake,
  guardedRequest,
  negotiating,
  serverTls,
  serving,
  settle,
  tolerated,
  toleratedAsking,
  withNeighbour
} from "./fixtures/Misbehaving.ts"

const breach = (rule: string) => ({ _tag: "NbdProtocolError", rule: expect.stringContaining(rule) })
const refusal = (reply: string) => ({ _tag: "NbdOptionRefusedError", reply })
const serverError = (details: object) => ({ _tag: "NbdCommandError", ...details })
const invalid = (rule: string) => ({ _tag: "NbdReplyInvalidError", rule: expect.stringContaining(rule) })
const noTls = (why: string) => ({ _tag: "NbdTlsUnavailableError", why })
const gone = { _tag: "NbdServerDisconnectedError" }

const answered = { _tag: "Right" }

const simple = { server: { structuredReplies: false } }
const extended = { server: { extendedHeaders: true } }
const withContexts = { handle: { metaContexts: ["base:allocation"] } }
const withTwo = { handle: { metaContexts: ["base:allocation", "qemu:allocation-depth"] } }
const oldstyle = { server: { protocol: "oldstyle" }, handle: { exportName: "" } } as const
const requiresTls = { server: { tls: serverTls }, handle: { tls: clientTls("Require") } }
const allowsTls = { server: { tls: serverTls }, handle: { tls: clientTls("Allow") } }

/** Data as it is, and a write that stays. */
const sound = (setting: Parameters<typeof tolerated>[1]) =>
  tolerated((connected) =>
    Effect.gen(function*() {
      expect(yield* connected.read(0n, 2048)).toStrictEqual(dataAt(0, 2048))
      yield* connected.write(512n, Uint8Array.of(1, 2, 3))
      expect(yield* connected.read(512n, 4)).toStrictEqual(Uint8Array.of(1, 2, 3, ...dataAt(515, 1)))
    }), setting)

const list = (handle: Pick<Handle.Handle, "list">) => handle.list
const status = (connected: Pick<Handle.Connected, "blockStatus">) => connected.blockStatus(0n, 65_536)

const greetings: Record<string, Case> = {
  otherProtocol: fatalInHandshake({ _tag: "NbdNotNbdServerError", looksLike: "HTTP" }),
  unknownSecondMagic: fatalInHandshake(breach("C-010")),
  greetingCut: fatalInHandshake({ ...gone, phase: "greeting" }),
  greetingByteByByte: sound({}),
  silentGreeting: guardedHandshake(),
  greetingDrip: guardedHandshake(),
  replyBehindGreeting: fatalInHandshake(breach("C-020")),
  allHandshakeFlags: sound({}),
  newstyleAgainstTls: fatalInHandshake(noTls("NotFixed"), requiresTls),
  notFixedNewstyle: sound({}),
  oldstyleAgainstTls: fatalInHandshake(noTls("Oldstyle"), requiresTls),
  oldstyleAgainstName: fatalInHandshake({ _tag: "NbdOptionUnavailableError", wanted: expect.anything() }),
  oldstyleUpperFlags: fatalInHandshake(breach("C-013"), { handle: { exportName: "" } }),
  oldstylePadding: sound(oldstyle),
  exportNamePadding: sound({ server: { noZeroes: false, protocol: "newstyle" } })
}

const optionReplies: Record<string, Case> = {
  wrongOptionReplyMagic: fatalInHandshake(breach("C-023")),
  replyToAnotherOption: fatalInHandshake(breach("C-023")),
  optionReplyTooLong: fatalInHandshake(breach("C-024")),
  errorTextTooLong: fatalInHandshake(breach("C-024")),
  hostileErrorText: failsOption(
    { ...refusal("NBD_REP_ERR_POLICY"), serverMessage: "\ufffd(\\x00\\x1b[2J\\x07\\x0d\\x0a" },
    list
  ),
  unknownErrorReply: failsOption({ ...refusal("reply type 0x80004242"), serverMessage: "no" }, list),
  unknownReplyType: fatalInHandshake(breach("H-021")),
  ackWithData: fatalInHandshake(breach("C-024")),
  replyOfAnotherOption: fatalInHandshake(breach("H-023")),
  endlessReplies: fatalInHandshake(breach("H-024"), {
    ask: list,
    server: { exports: [{ ...disk, description: "x".repeat(4000) }] }
  }),
  serverReplyTooShort: fatalInHandshake(breach("C-039"), { ask: list }),
  exportNameOverrun: fatalInHandshake(breach("C-039"), { ask: list }),
  exportNameTooLong: fatalInHandshake(breach("C-003"), { ask: list }),
  descriptionTooLong: fatalInHandshake(breach("C-003"), { ask: list }),
  hostileExportName: toleratedAsking((handle) =>
    Effect.gen(function*() {
      expect(yield* handle.list).toStrictEqual([{ name: "../../etc/\0\u001b[2J", description: "" }])
    })
  ),
  duplicateExportName: toleratedAsking((handle) =>
    Effect.gen(function*() {
      expect((yield* handle.list).map(({ name }) => name)).toStrictEqual(["disk", "disk"])
    })
  ),
  infoTooShort: fatalInHandshake(breach("C-054")),
  exportInfoLength: fatalInHandshake(breach("C-054")),
  blockSizeInfoLength: fatalInHandshake(breach("C-054")),
  nameInfoTooLong: fatalInHandshake(breach("C-054")),
  descriptionInfoTooLong: fatalInHandshake(breach("C-054")),
  unknownInfo: sound({})
}

const size = (bytes: bigint) =>
  tolerated((connected) =>
    Effect.gen(function*() {
      expect(connected.export.size).toBe(bytes)
      expect(yield* Effect.flip(connected.read(bytes, 1))).toMatchObject({ _tag: "NbdOutOfBoundsError" })
      if (bytes > 0n) expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
    })
  )

const exportFacts: Record<string, Case> = {
  missingExportInfo: fatalInHandshake(breach("C-053")),
  contradictoryExportInfo: fatalInHandshake(breach("H-035")),
  infoThenError: failsOption(
    { ...refusal("NBD_REP_ERR_POLICY"), option: "NBD_OPT_GO" },
    (handle) => handle.go()
  ),
  noTransmissionFlags: fatalInHandshake(breach("C-123")),
  contradictoryFlags: tolerated((connected) =>
    Effect.gen(function*() {
      const { canDf, canFastZero, canWriteZeroes } = connected.export
      expect([canDf, canFastZero, canWriteZeroes]).toStrictEqual([false, false, false])
      expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
    }), simple),
  hugeExport: size(0xffff_ffff_ffff_ffffn),
  largeExport: size(0x20_0000_0000_0001n),
  emptyExport: size(0n),
  unalignedExport: tolerated((connected) =>
    Effect.gen(function*() {
      expect(connected.export.size).toBe(1_048_552n)
      const tail = yield* Effect.flip(connected.read(1_048_064n, 488))
      expect(tail).toMatchObject({ _tag: "NbdUnalignedError" })
      expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
    })
  ),
  senselessBlockSize: sound({}),
  smallMaximumPayload: tolerated((connected) =>
    Effect.gen(function*() {
      expect(connected.export.maximumPayload).toBe(512)
      yield* connected.write(1024n, dataAt(0, 513))
      const long = connected.readStructured(0n, 513, { df: true })
      expect(yield* Effect.flip(long)).toMatchObject({ _tag: "NbdRequestTooLargeError" })
      expect(yield* connected.read(1024n, 513)).toStrictEqual(dataAt(0, 513))
    })
  ),
  unaskedBlockSize: tolerated((connected) =>
    Effect.gen(function*() {
      expect(connected.export.minimumBlockSize).toBe(512)
      expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
    }), { handle: { requestBlockSize: false } }),
  blockSizeRequired: failsOption(refusal("NBD_REP_ERR_BLOCK_SIZE_REQD"), (handle) => handle.info()),
  tlsRequiredUnderTls: failsOption({ _tag: "NbdTlsRequiredError" }, list, requiresTls),
  goUnsupportedThenClosed: fatalInHandshake({ _tag: "NbdExportRefusedError" }),
  goUnsupported: fatalInHandshake(refusal("NBD_REP_ERR_UNSUP"), extended),
  closesOnOption: fatalInHandshake(gone),
  refusesToShutDown: fatalInHandshake(refusal("NBD_REP_ERR_SHUTDOWN")),
  exportNamePad: fatalBehindHandshake(breach("C-153"), { server: { protocol: "newstyle" } }),
  zeroesBehindGo: fatalBehindHandshake(breach("C-153")),
  replyBehindGo: fatalBehindHandshake(breach("C-154")),
  contextsThenError: failsOption(refusal("NBD_REP_ERR_POLICY"), (handle) => handle.listMetaContexts()),
  contextsRefusedLater: failsOption(refusal("NBD_REP_ERR_POLICY"), (handle) =>
    Effect.zipRight(
      handle.setMetaContexts({ contexts: ["base:allocation"] }),
      handle.setMetaContexts({ contexts: ["base:allocation"] })
    )),
  contextReplyTooShort: fatalInHandshake(breach("C-003"), withContexts),
  contextNameTooLong: fatalInHandshake(breach("C-024"), withContexts),
  duplicateContextIds: fatalInHandshake(breach("H-058"), withTwo),
  unaskedContext: fatalInHandshake(breach("H-058"), withContexts),
  contextIdZero: tolerated((connected) =>
    Effect.gen(function*() {
      expect((yield* status(connected)).map(({ context }) => context)).toStrictEqual(["base:allocation"])
    }), withContexts),
  abortUnanswered: (misbehaviour) =>
    Effect.gen(function*() {
      const server = yield* serving(misbehaviour, {})
      const handle = yield* negotiating(server)
      const leaving = yield* Effect.fork(handle.abort)
      yield* TestClock.adjust("999 millis")
      expect(leaving.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(leaving)
      expect((yield* handle.state)._tag).toBe("ShutDown")
      expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "Aborted" } }])
    }),
  optionReplyCut: fatalInHandshake({ ...gone, phase: "haggling" })
}

const tls: Record<string, Case> = {
  startTlsAckWithData: fatalInHandshake(breach("C-024"), requiresTls),
  plaintextBehindStartTls: fatalInHandshake(breach("C-084"), requiresTls),
  forgedBeforeStartTls: fatalInHandshake(breach("C-023"), requiresTls),
  startTlsRefusedWhereRequired: fatalInHandshake(noTls("Refused"), requiresTls),
  startTlsRefused: sound(allowsTls),
  plaintextInsteadOfTls: fatalInHandshake({ _tag: "NbdTlsHandshakeError" }, requiresTls),
  tlsStalls: guardedHandshake(requiresTls),
  staleReplyStyle: fatal(breach("C-158"), {
    server: { tls: serverTls },
    handle: { tls: clientTls("Require"), requestStructuredReplies: false }
  })
}

/** Of two reads the second is answered first, or in the middle of the first. */
const reordered: Case = (misbehaviour) =>
  withNeighbour(
    misbehaviour,
    { server: { chunkSize: 100 } },
    ({ connected, neighbour, server }) =>
      Effect.gen(function*() {
        const first = yield* Effect.fork(connected.read(0n, 512))
        yield* server.awaitRequests(2)
        yield* settle
        expect(first.unsafePoll()).toBe(null)
        expect(yield* connected.read(1024n, 512)).toStrictEqual(dataAt(1024, 512))
        expect(yield* Fiber.join(first)).toStrictEqual(dataAt(0, 512))
        yield* server.release
        expect(yield* Fiber.join(neighbour)).toStrictEqual(dataAt(8192, 512))
      })
  )

const writes = (connected: Handle.Connected) => connected.write(0n, dataAt(0, 512))
const flushes = (connected: Handle.Connected) => connected.flush

const replies: Record<string, Case> = {
  unknownReplyMagic: fatal(breach("C-153")),
  chunkNotAgreedOn: fatal(breach("C-158"), simple),
  otherHeaders: fatal(breach("C-219"), extended),
  unknownCookieSimple: fatal(breach("C-154")),
  unknownCookie: fatal(breach("C-154")),
  secondFinalReply: fatal(breach("C-154"), { first: answered }),
  unknownErrno: failsRequest(serverError({ errno: "EINVAL", value: 9999 }), { send: writes }),
  shutdownReply: (misbehaviour) =>
    withNeighbour(misbehaviour, {}, ({ connected, neighbour, server }) =>
      Effect.gen(function*() {
        expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject(serverError({ errno: "ESHUTDOWN" }))
        expect((yield* connected.state)._tag).toBe("ShutDown")
        expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdShutDownError" })
        yield* server.release
        expect(yield* Fiber.join(neighbour)).toStrictEqual(dataAt(8192, 512))
        expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "Disconnected" } }])
      })),
  simpleReadReply: fatal(breach("C-159")),
  simpleReadError: failsRequest({ ...invalid("C-159"), errno: "EIO" }),
  dataBehindSimpleError: fatal(breach("C-153"), {
    ...simple,
    first: { _tag: "Left", left: serverError({ errno: "EIO" }) }
  }),
  // Nothing tells that it was short, until what follows is no reply any more.
  shortSimpleRead: (misbehaviour) =>
    withNeighbour(misbehaviour, simple, ({ connected, neighbour, server }) =>
      Effect.gen(function*() {
        const short = yield* Effect.fork(connected.read(0n, 512))
        yield* server.awaitRequests(2)
        yield* server.release
        expect((yield* Fiber.join(short)).subarray(0, 256)).toStrictEqual(dataAt(0, 256))
        expect(yield* Effect.flip(Fiber.join(neighbour))).toMatchObject({ _tag: "NbdCommandLostError" })
        expect((yield* connected.state)._tag).toBe("Dead")
      })),
  simpleReadCut: fatal({ ...gone, received: 256, wanted: 512 }, simple),
  dataBehindSimpleReply: fatal(breach("C-153"), { send: writes, first: answered }),
  simpleStatusSuccess: failsRequest(invalid("C-186"), { ...withContexts, send: status }),
  simpleStatusError: failsRequest(serverError({ errno: "EIO" }), { ...withContexts, send: status }),
  lateReply: (misbehaviour) =>
    withNeighbour(misbehaviour, {}, ({ connected, neighbour, server }) =>
      Effect.gen(function*() {
        const late = yield* Effect.fork(Effect.flip(Effect.timeout(connected.read(0n, 512), "5 seconds")))
        yield* server.awaitRequests(2)
        yield* TestClock.adjust("5 seconds")
        expect(yield* Fiber.join(late)).toMatchObject({ _tag: "TimeoutException" })
        expect(yield* connected.inFlight).toBe(2)
        yield* server.release
        expect(yield* Fiber.join(neighbour)).toStrictEqual(dataAt(8192, 512))
        expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
        expect(yield* connected.inFlight).toBe(0)
      })),
  repliesReversed: reordered,
  chunksInterleaved: reordered,
  repliesByteByByte: sound({}),
  errorBeforePayload: failsRequest(serverError({ errno: "EIO" }), {
    send: (connected) => connected.write(0n, content)
  }),
  deafServer: (misbehaviour) =>
    withNeighbour(misbehaviour, {}, ({ connected, neighbour, server }) =>
      Effect.gen(function*() {
        expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
        const writing = yield* Effect.fork(
          Effect.flip(Effect.timeout(connected.write(0n, new Uint8Array(1_048_576)), "5 seconds"))
        )
        yield* settle
        // What it owes it still says, while the client cannot get rid of its payload.
        yield* server.release
        expect(yield* Fiber.join(neighbour)).toStrictEqual(dataAt(8192, 512))
        yield* TestClock.adjust("4 seconds")
        expect(writing.unsafePoll()).toBe(null)
        yield* TestClock.adjust("1 seconds")
        expect(yield* Fiber.join(writing)).toMatchObject({ _tag: "TimeoutException" })
        expect(yield* server.requests).toHaveLength(2)
      })),
  noReply: guardedRequest(),
  replyCut: fatal({ ...gone, phase: "transmission" }),
  endsBehindReply: fatal(gone, { first: answered }),
  staysBehindDisconnect: (misbehaviour) =>
    Effect.gen(function*() {
      const server = yield* serving(misbehaviour, {})
      const connected = yield* connecting(server)
      const leaving = yield* Effect.fork(connected.shutdown)
      yield* server.awaitEnds(1)
      yield* TestClock.adjust("999 millis")
      expect(leaving.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(leaving)
      expect((yield* connected.state)._tag).toBe("ShutDown")
    })
}

const chunks: Record<string, Case> = {
  chunkTooLong: fatal(breach("C-173")),
  dataWithoutOffset: fatal(breach("C-173")),
  dataWithoutBytes: fatal(breach("C-173")),
  dataOutside: fatal(breach("C-173")),
  dataWraps: fatal(breach("C-173")),
  duplicateData: fatal(breach("C-176")),
  duplicateForGap: fatal(breach("C-176")),
  gapInData: failsRequest(invalid("C-176")),
  contentOverError: fatal(breach("H-106")),
  noneWithoutDone: fatal(breach("C-172")),
  noneWithPayload: fatal(breach("C-169")),
  doneMissing: guardedRequest(),
  chunkBehindDone: fatal(breach("C-154"), { first: answered }),
  singleByteChunks: sound({}),
  fragmentedDespiteDf: fatal(breach("C-179"), {
    send: (connected) => connected.readStructured(0n, 512, { df: true })
  }),
  holeLength: fatal(breach("C-174")),
  emptyHole: fatal(breach("C-174")),
  holeOutside: fatal(breach("C-173")),
  unknownChunkType: fatal(breach("C-167")),
  unknownReplyFlags: sound({}),
  contentForOtherCommand: fatal(breach("C-173"), { send: flushes }),
  statusForRead: fatal(breach("C-168")),
  overflow: failsRequest(serverError({ errno: "EOVERFLOW" })),
  errorTooShort: failsRequest(invalid("C-180")),
  errorTextOverrun: failsRequest({ ...invalid("C-180"), errno: "EIO" }),
  errorOffsetTooShort: failsRequest({ ...invalid("C-180"), errno: "EIO" }),
  longErrorText: failsRequest(serverError({ errno: "EIO", serverMessage: "x".repeat(4096) })),
  bytesBehindErrorText: failsRequest(serverError({ errno: "EIO", serverMessage: "so far" })),
  errorOfZero: failsRequest(invalid("C-180")),
  unknownErrnoInChunk: failsRequest(serverError({ errno: "EINVAL", value: 9999 })),
  errorOffsetOutside: failsRequest(serverError({ errno: "EIO", errorOffset: undefined })),
  unknownErrorType: failsRequest(serverError({ errno: "EIO", serverMessage: "of a new kind" })),
  errorThenContent: failsRequest(serverError({ errno: "EIO", serverMessage: "early" })),
  errorThenSilence: guardedRequest(),
  severalErrors: failsRequest(serverError({ errno: "EIO", serverMessage: "the first" })),
  hostileErrorMessage: failsRequest(serverError({ serverMessage: "\ufffd(\\x00\\x1b[2J\\x07\\x0d\\x0a" }))
}

const asksStatus = { ...withContexts, send: status }
const asksStatusOf64 = { ...asksStatus, ...extended }

const extents = (
  options: BlockStatusOptions,
  expected: ReadonlyArray<readonly [length: bigint, flags: bigint]>,
  length = 65_536,
  setting = {}
) =>
  tolerated((connected) =>
    Effect.gen(function*() {
      const found = yield* connected.blockStatus(0n, length, options)
      expect(found.map((each) => [...each].map(({ flags, length }) => [length, flags]))).toStrictEqual([expected])
    }), { ...withContexts, ...setting })

const blockStatus: Record<string, Case> = {
  statusLength: fatal(breach("C-187"), asksStatus),
  unknownContextId: fatal(breach("C-188"), asksStatus),
  contextTwice: fatal(breach("C-188"), asksStatus),
  contextMissing: failsRequest(invalid("C-186"), { ...withTwo, send: status }),
  emptyExtent: fatal(breach("C-189"), asksStatus),
  extentsBeyondNeed: failsRequest(invalid("C-190"), asksStatus),
  severalExtentsForOne: extents({ reqOne: true }, [[4096n, 0n]], 4096),
  // The answer goes beyond what was asked for, as it may, and not beyond the export.
  lastExtentLonger: extents({}, [[69_632n, 0n]]),
  extentsBeyondExport: extents({}, [[1_048_576n, 0n]]),
  unalignedExtents: extents({}, [[100n, 0n], [65_436n, 0n]]),
  tooManyExtents: fatal(breach("C-187"), asksStatus),
  reservedStatusBits: extents({}, [[65_536n, 0xffff_fff0n]]),
  statusWithoutContexts: fatal(breach("C-188"), {
    handle: { strictness: { commands: false } },
    send: status
  }),
  otherStatusType: fatal(breach("C-228"), asksStatus),
  wrongExtentCount: fatal(breach("C-228"), asksStatusOf64),
  wideStatus: extents({}, [[65_536n, 0x100_0000_0000n]], 65_536, extended),
  otherOffset: fatal(breach("C-226"), asksStatusOf64)
}

const sessions: Record<string, Case> = {
  otherExportNext: (misbehaviour) =>
    Effect.gen(function*() {
      const server = yield* serving(misbehaviour, {})
      const sizes = yield* Effect.forEach([1, 2], () => Effect.map(connecting(server), (each) => each.export.size))
      expect(sizes).toStrictEqual([1_048_576n, 524_288n])
    }),
  // Whether to use several connections is for whoever has them to say: each tells what holds for it.
  lacksMultiConnNext: (misbehaviour) =>
    Effect.gen(function*() {
      const server = yield* serving(misbehaviour, {})
      const told = yield* Effect.forEach([1, 2], () => Effect.map(connecting(server), (it) => it.export.canMultiConn))
      expect(told).toStrictEqual([true, false])
    }),
  goDiffersFromInfo: toleratedAsking((handle) =>
    Effect.gen(function*() {
      expect((yield* handle.info()).size).toBe(524_288n)
    })
  ),
  notPermitted: failsRequest(serverError({ errno: "EPERM" }), { send: writes }),
  notSupported: failsRequest(serverError({ errno: "ENOTSUP" }), {
    send: (connected) => connected.writeZeroes(524_288n, 512)
  })
}

const cases: Record<string, Case> = {
  ...greetings,
  ...optionReplies,
  ...exportFacts,
  ...tls,
  ...replies,
  ...chunks,
  ...blockStatus,
  ...sessions
}

describe("a client before a server that misbehaves", () => {
  for (const misbehaviour of Misbehaviour.all) {
    const { name, reaction, rule } = misbehaviour
    it.scoped(`${rule} ${name}: ${reaction}`, () => cases[name]?.(misbehaviour) ?? Effect.dieMessage("has no case"))
  }
})

describe("the catalogue", () => {
  const { all, elsewhere } = Misbehaviour

  it("has each of H-001 to H-156 by name, or says why not, and a case here for each name", () => {
    const rules = Array.from({ length: 156 }, (_, index) => `H-${`${index + 1}`.padStart(3, "0")}`)
    const named = new Set(all.map(({ rule }) => rule))
    expect(rules.filter((rule) => !named.has(rule))).toStrictEqual(elsewhere.map(({ rule }) => rule))
    expect(all.map(({ rule }) => rule).filter((rule) => !rules.includes(rule))).toStrictEqual([])
    expect(all.map(({ name }) => name).toSorted()).toStrictEqual(Object.keys(cases).toSorted())
    const exported: Record<string, unknown> = Misbehaviour
    expect(all.filter(({ name }) => exported[name] === undefined)).toStrictEqual([])
  })

  it("differs from the list of rules where that leaves a choice, and nowhere else", () => {
    const levels = { CONN: "Connection", REQUEST: "Request", OPTION: "Option", TOLERATE: "Tolerated", GUARD: "Guarded" }
    const list = readFileSync(new URL("../../../scripts/generate/rules.tsv", import.meta.url), "utf8")
    const listed = new Map(
      [...list.matchAll(/^(H-\d+)\t(\w+)/gm)].map((
        [, rule, level]
      ) => [rule, Object.entries(levels).find(([name]) => name === level)?.[1]])
    )
    const differing = all.filter(({ reaction, rule }) => listed.get(rule) !== reaction)
    expect(differing.map(({ name, reaction, rule }) => [rule, name, reaction])).toStrictEqual([
      // The text is tolerated; what it comes with is an error.
      ["H-019", "hostileErrorText", "Option"],
      // An error ends with its header; whether a success brings data is for nobody to say.
      ["H-083", "simpleReadError", "Request"],
      // As H-019.
      ["H-132", "hostileErrorMessage", "Request"],
      // Cut at the end of the export.
      ["H-141", "extentsBeyondExport", "Tolerated"],
      // A handle connects once: each is believed for itself, and a copy refuses or uses one of them.
      ["H-150", "otherExportNext", "Tolerated"],
      ["H-151", "lacksMultiConnNext", "Tolerated"]
    ])
  })
})

describe("misbehaviours", () => {
  it.scoped("apply together, each to what the one before has made of it", () =>
    Effect.gen(function*() {
      const server = yield* serving(undefined, {})
      const connected = yield* connecting(server)
      const { chunksReceived } = yield* connected.statistics
      yield* server.misbehave([Misbehaviour.unknownReplyFlags(), Misbehaviour.gapInData])
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject(invalid("C-176"))
      // Three chunks of one byte, 29 bytes each, and half a header.
      yield* server.misbehave([Misbehaviour.singleByteChunks, Misbehaviour.replyCut({ after: 97, by: "Break" })])
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({
        _tag: "NbdCommandLostError",
        reason: { _tag: "NbdTransportLostError", code: "ECONNRESET" }
      })
      expect((yield* connected.statistics).chunksReceived - chunksReceived).toBe(1n + 3n)
    }))

  it.scoped("stay at their place: that session, that request, so many times", () =>
    Effect.gen(function*() {
      const server = yield* serving(undefined, {})
      const [first, second] = [yield* connecting(server), yield* connecting(server)]
      const failing = Misbehaviour.at(Misbehaviour.overflow, {
        session: 2,
        request: ({ offset }) => offset === 512n,
        nth: 2,
        times: 2
      })
      yield* server.misbehave([failing])
      const outcomes = (connected: Handle.Connected, offset: bigint) =>
        Effect.replicateEffect(Effect.isFailure(connected.read(offset, 512)), 5)
      expect(yield* outcomes(first, 512n)).toStrictEqual([false, false, false, false, false])
      expect(yield* outcomes(second, 0n)).toStrictEqual([false, false, false, false, false])
      expect(yield* outcomes(second, 512n)).toStrictEqual([false, true, true, false, false])
      yield* server.misbehave([Misbehaviour.at(failing, { nth: 1, times: 1 })])
      expect(yield* outcomes(second, 512n)).toStrictEqual([true, false, false, false, false])
      yield* server.misbehave([failing])
      yield* server.misbehave([])
      expect(yield* outcomes(second, 512n)).toStrictEqual([false, false, false, false, false])
    }))

  it.scoped("stay at their option", () =>
    Effect.gen(function*() {
      const server = yield* serving(Misbehaviour.at(Misbehaviour.unknownErrorReply(), { option: "LIST" }), {})
      const handle = yield* negotiating(server)
      yield* handle.info()
      expect(yield* Effect.flip(handle.list)).toMatchObject(refusal("reply type 0x80004242"))
      const connected = yield* handle.go()
      expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
    }))

  it.scoped("go by what was said: an option whose acknowledgement became an error is not agreed on", () =>
    Effect.gen(function*() {
      const refusing = (option: "STRUCTURED_REPLY" | "SET_META_CONTEXT" | "STARTTLS") =>
        Misbehaviour.at(Misbehaviour.unknownErrorReply(), { option })
      for (const option of ["STRUCTURED_REPLY", "SET_META_CONTEXT", "STARTTLS"] as const) {
        const server = yield* serving(refusing(option), allowsTls)
        const metaContexts = [{ name: "base:allocation", optional: true }]
        const connected = yield* connecting(server, { ...allowsTls.handle, metaContexts })
        expect(connected.agreed.replyStyle).toBe(option === "STRUCTURED_REPLY" ? "Simple" : "Structured")
        expect(yield* connected.read(0n, 512)).toStrictEqual(dataAt(0, 512))
        expect(yield* server.violations).toStrictEqual([])
      }
    }))

  it.scoped("do not answer again, when the server shuts down, what was answered before its payload", () =>
    Effect.gen(function*() {
      const server = yield* serving(Misbehaviour.errorBeforePayload, {})
      const connected = yield* connecting(server)
      yield* server.hold
      expect(yield* Effect.flip(connected.write(0n, content))).toMatchObject(serverError({ errno: "EIO" }))
      yield* server.awaitRequests(1)
      const waiting = yield* Effect.fork(Effect.flip(connected.read(0n, 512)))
      yield* server.awaitRequests(2)
      yield* server.disconnectAll
      expect(yield* Fiber.join(waiting)).toMatchObject(serverError({ errno: "ESHUTDOWN" }))
    }))

  it.scoped("break connections that were made elsewhere too", () =>
    Effect.gen(function*() {
      const server = yield* serving(Misbehaviour.replyCut({ after: 11, by: "Break" }), {})
      const pipe = MemoryPipe.make()
      yield* Effect.forkScoped(server.serve(pipe.server))
      const transport = { target: "a pipe", open: Effect.succeed(pipe.client) }
      const connected = yield* Effect.provideService(
        Handle.connect({ exportName: "disk" }),
        Transport.Transport,
        transport
      )
      expect(yield* Effect.flip(connected.read(0n, 512))).toMatchObject({ _tag: "NbdCommandLostError" })
      expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "Killed" } }])
    }))
})
