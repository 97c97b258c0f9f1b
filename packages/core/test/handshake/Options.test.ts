/**
 * What every option in the caller's hands has in common: turns, interruptions, deadlines, refusals and ends
 * (C-019, C-020, C-036, C-037, H-003, H-005, H-051).
 */
import * as Handle from "@effect-nbd/core/Handle"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import {
  concat,
  contextRequest,
  infoRequest,
  opt,
  option,
  optionReply,
  rep,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { broken, finished, ManualConnection } from "../fixtures/ManualConnection.ts"
import { ack, listed, plain } from "./Haggled.ts"
import { greeting, negotiated, over, quiet, structured } from "./Negotiated.ts"
import type { Line } from "./ScriptedPeer.ts"

const base = "base:allocation"
const silent = zeros(0)

/** An option: what runs it, what it sends first, and an answer that it takes. */
interface Kind {
  readonly run: (handle: Handle.Handle) => Effect.Effect<unknown, { readonly _tag: string }>
  readonly code: number
  readonly sends: Uint8Array
  readonly answer: Uint8Array
  /** It need not be agreed on before. */
  readonly structured?: false
}

const told = (code: number) => concat(optionReply(code, rep.INFO, plain), ack(code))

const plainOption: Kind = {
  run: ({ list }) => list,
  code: opt.LIST,
  sends: option(opt.LIST),
  answer: ack(opt.LIST)
}

const kinds: { readonly [name: string]: Kind } = {
  go: {
    run: ({ go }) => go(),
    code: opt.GO,
    sends: option(opt.GO, infoRequest("disk")),
    answer: told(opt.GO)
  },
  info: {
    run: ({ info }) => info(),
    code: opt.INFO,
    sends: option(opt.INFO, infoRequest("disk")),
    answer: told(opt.INFO)
  },
  list: plainOption,
  listMetaContexts: {
    run: ({ listMetaContexts }) => listMetaContexts({ queries: [base] }),
    code: opt.LIST_META_CONTEXT,
    sends: option(opt.LIST_META_CONTEXT, contextRequest("disk", base)),
    answer: ack(opt.LIST_META_CONTEXT)
  },
  setMetaContexts: {
    run: ({ setMetaContexts }) => setMetaContexts({ contexts: [{ name: base, optional: true }] }),
    code: opt.SET_META_CONTEXT,
    sends: option(opt.SET_META_CONTEXT, contextRequest("disk", base)),
    answer: ack(opt.SET_META_CONTEXT)
  },
  structuredReplies: {
    run: ({ structuredReplies }) => structuredReplies,
    code: opt.STRUCTURED_REPLY,
    sends: option(opt.STRUCTURED_REPLY),
    answer: ack(opt.STRUCTURED_REPLY),
    structured: false
  },
  extendedHeaders: {
    run: ({ extendedHeaders }) => extendedHeaders,
    code: opt.EXTENDED_HEADERS,
    sends: option(opt.EXTENDED_HEADERS),
    answer: optionReply(opt.EXTENDED_HEADERS, rep.ERR_UNSUP)
  },
  option: {
    run: ({ option }) => option(0x4242, Uint8Array.of(1, 2)),
    code: 0x4242,
    sends: option(0x4242, Uint8Array.of(1, 2)),
    answer: optionReply(0x4242, rep.ERR_UNSUP)
  }
}

const configOf = (kind: Kind) => ({ ...quiet, requestStructuredReplies: kind.structured !== false })
const openingOf = (kind: Kind): ReadonlyArray<Line> => [
  ...greeting(),
  ...(kind.structured === false ? [] : structured)
]

const settle = Effect.forEach(Array.from({ length: 80 }), () => Effect.yieldNow(), { discard: true })

/** A handle that negotiates, with nothing under way. */
const negotiating = (kind: Kind) =>
  Effect.gen(function*() {
    const connection = new ManualConnection()
    const handle = yield* Handle.make(configOf(kind))
    const connecting = yield* Effect.fork(over(connection)(handle.connect))
    for (const line of openingOf(kind)) {
      yield* settle
      if ("server" in line) connection.arrive(line.server)
    }
    yield* Fiber.join(connecting)
    connection.takeWritten()
    return { connection, handle }
  })

describe.each(Object.entries(kinds))("%s", (name, kind) => {
  const { answer, code, run, sends } = kind

  it.scoped("is alone on the connection: what is asked meanwhile waits, and whoever stops waiting is not asked for (C-020)", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating(kind)
      const first = yield* Effect.fork(Effect.either(run(handle)))
      yield* settle
      expect(connection.takeWritten()).toStrictEqual(sends)
      const second = yield* Effect.fork(Effect.either(handle.list))
      const third = yield* Effect.fork(Effect.either(handle.list))
      yield* settle
      yield* Fiber.interrupt(second)
      expect(connection.takeWritten()).toStrictEqual(silent)
      connection.arrive(answer)
      yield* Fiber.join(first)
      yield* settle
      if (name === "go") {
        expect(yield* Fiber.join(third)).toMatchObject({ left: { _tag: "NbdAlreadyConnectedError" } })
        return
      }
      expect(connection.takeWritten()).toStrictEqual(option(opt.LIST))
      connection.arrive(ack(opt.LIST))
      expect(yield* Fiber.join(third)).toMatchObject({ right: [] })
    }))

  it.scoped("that was sent runs to its end, also when its caller is interrupted: the next one waits for its answer (C-020)", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating(kind)
      const asking = yield* Effect.fork(run(handle))
      yield* settle
      yield* Fiber.interrupt(asking)
      const next = yield* Effect.fork(Effect.either(handle.list))
      yield* settle
      expect(connection.takeWritten()).toStrictEqual(sends)
      connection.arrive(answer)
      yield* settle
      if (name === "go") {
        expect(yield* handle.isReady).toBe(true)
        return
      }
      expect(connection.takeWritten()).toStrictEqual(option(opt.LIST))
      connection.arrive(ack(opt.LIST))
      expect(yield* Fiber.join(next)).toMatchObject({ right: [] })
    }))

  it.scoped("H-005 never answered is over when its time is up, and so is the handle", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating(kind)
      const asking = yield* Effect.fork(Effect.flip(run(handle)))
      yield* settle
      yield* TestClock.adjust("29999 millis")
      expect(asking.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
      expect(yield* handle.state).toMatchObject({ _tag: "Dead", reason: { _tag: "NbdHandshakeTimeoutError" } })
      expect(connection.closed).toBe(true)
    }))

  it.each([
    ["closes", finished, "NbdServerDisconnectedError"],
    ["breaks", broken, "NbdTransportLostError"]
  ])("H-061 fails at once when the connection %s at any byte of the answer", (_, end, tag) => {
    for (let length = 0; length < answer.byteLength; length++) {
      const { result, state } = negotiated(
        [...openingOf(kind), { client: sends }, { server: answer.subarray(0, length) }, { end }],
        run,
        configOf(kind)
      )
      expect(result).toMatchObject({ left: { _tag: tag } })
      expect(state).toMatchObject({ _tag: "Dead", reason: { _tag: tag } })
    }
  })

  it("H-051 answered with NBD_REP_ERR_SHUTDOWN ends in order, by NBD_OPT_ABORT (C-037)", () => {
    const { result, state, unexpected } = negotiated(
      [
        ...openingOf(kind),
        { client: sends },
        { server: optionReply(code, rep.ERR_SHUTDOWN, utf8("bye")) },
        { client: option(opt.ABORT) },
        { server: ack(opt.ABORT) }
      ],
      run,
      configOf(kind)
    )
    if (name === "option") expect(result).toMatchObject({ right: [{ type: rep.ERR_SHUTDOWN }] })
    else expect(result).toMatchObject({ left: { _tag: "NbdOptionRefusedError", replyType: rep.ERR_SHUTDOWN } })
    expect(state._tag).toBe("ShutDown")
    expect(unexpected).toStrictEqual(silent)
  })

  it("H-016 answered for another option is a broken protocol (C-023)", () => {
    const { result, state } = negotiated(
      [...openingOf(kind), { client: sends }, { server: ack(0x77) }],
      run,
      configOf(kind)
    )
    expect(result).toMatchObject({ left: { _tag: "NbdProtocolError", received: "one to option 0x00000077" } })
    expect(state._tag).toBe("Dead")
  })

  it("H-007 is not sent over bytes that nobody asked for (C-020)", () => {
    const { result, state, unexpected } = negotiated(
      [...openingOf(kind), ...listed(ack(opt.LIST), Uint8Array.of(1))],
      (handle) => Effect.zipRight(handle.list, run(handle)),
      configOf(kind)
    )
    expect(result).toMatchObject({ left: { _tag: "NbdProtocolError", rule: "Fixed newstyle, C-020" } })
    expect([state._tag, unexpected]).toStrictEqual(["Dead", silent])
  })

  it("is possible with a newstyle server that is not fixed only where that has a way to it (C-019)", () => {
    if (name === "go") return expect(kind.code).toBe(opt.GO)
    const { result, state, unexpected } = negotiated(greeting(2), run)
    expect(result).toMatchObject({ left: { _tag: "NbdOptionUnavailableError", protocol: "newstyle" } })
    expect([state._tag, unexpected]).toStrictEqual(["Negotiating", silent])
  })
})

describe("a transport that holds writes back", () => {
  it.scoped("has the option wait, and its time goes on", () =>
    Effect.gen(function*() {
      const { connection, handle } = yield* negotiating(plainOption)
      connection.hasRoom = false
      const asking = yield* Effect.fork(Effect.flip(handle.list))
      yield* settle
      yield* TestClock.adjust("30 seconds")
      expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "NbdHandshakeTimeoutError" })
    }))
})
