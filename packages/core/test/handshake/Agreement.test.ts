/**
 * What is agreed on while negotiating and what that forgets, options sent by their number, and EXPORT_NAME by force.
 */
import { limits } from "@effect-nbd/core/handshake/Haggling"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  concat,
  contextRequest,
  infoRequest,
  opt,
  option,
  optionReply,
  rep,
  server,
  u16,
  u64,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { ack, asked, plain } from "./Haggled.ts"
import { goTo, greeting, infoOf, negotiated, quiet, select, simple, structured } from "./Negotiated.ts"

const base = "base:allocation"
const silent = zeros(0)
const SR = opt.STRUCTURED_REPLY
const EXT = opt.EXTENDED_HEADERS
const unstyled = { ...quiet, requestStructuredReplies: false }
const extended = asked(option(EXT), ack(EXT))

describe("structured replies", () => {
  it("are asked for once, and agreed on for good (C-026)", () => {
    const { result, unexpected } = negotiated(
      [...greeting(), ...structured],
      ({ agreed, structuredReplies }) =>
        Effect.gen(function*() {
          const before = (yield* agreed).replyStyle
          const answers = [yield* structuredReplies, yield* structuredReplies]
          return { before, answers, after: (yield* agreed).replyStyle }
        }),
      unstyled
    )
    expect(result).toMatchObject({ right: { before: "Simple", answers: [true, true], after: "Structured" } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("may be refused, asked for again, and then agreed on (C-105)", () => {
    const { result } = negotiated(
      [...greeting(), ...simple, ...structured],
      ({ structuredReplies }) => Effect.all([structuredReplies, structuredReplies]),
      unstyled
    )
    expect(result).toMatchObject({ right: [false, true] })
  })

  it("are had with extended headers, and not asked for then (C-230)", () => {
    const { result, state, unexpected } = negotiated(
      [...greeting(), ...extended],
      ({ structuredReplies }) => structuredReplies,
      { ...quiet, requestExtendedHeaders: true }
    )
    expect(result).toMatchObject({ right: true })
    expect(state).toMatchObject({ agreed: { replyStyle: "Extended" } })
    expect(unexpected).toStrictEqual(silent)
  })
})

describe("extended headers", () => {
  it("may follow structured replies, and what was learned before does not hold any more", () => {
    const { result, state, unexpected } = negotiated(
      [...greeting(), ...structured, ...select("disk", [base, 1]), ...infoOf("disk"), ...extended],
      ({ extendedHeaders, info, setMetaContexts, state }) =>
        Effect.gen(function*() {
          yield* setMetaContexts({ contexts: [base] })
          yield* info()
          const before = yield* state
          return { before, answers: [yield* extendedHeaders, yield* extendedHeaders] }
        })
    )
    expect(result).toMatchObject({
      right: { before: { export: { _tag: "Some" }, contexts: { _tag: "Some" } }, answers: [true, true] }
    })
    expect(state).toMatchObject({
      agreed: { replyStyle: "Extended" },
      export: { _tag: "None" },
      contexts: { _tag: "None" }
    })
    expect(unexpected).toStrictEqual(silent)
  })

  it("that are refused leave everything as it was (C-218)", () => {
    const { result, state } = negotiated(
      [...greeting(), ...structured, ...infoOf("disk"), ...asked(option(EXT), optionReply(EXT, rep.ERR_POLICY))],
      ({ extendedHeaders, info }) => Effect.zipRight(info(), extendedHeaders)
    )
    expect(result).toMatchObject({ right: false })
    expect(state).toMatchObject({ agreed: { replyStyle: "Structured" }, export: { _tag: "Some" } })
  })
})

describe("any option", () => {
  const replied = (type: number, payload: Uint8Array = silent) => ({ type, payload })

  it("is sent by its number with its data, and its replies are given as they came, the final one too", () => {
    const { result, state, unexpected } = negotiated(
      [
        ...greeting(),
        ...asked(
          option(0xffff_fffe, Uint8Array.of(1, 2, 3)),
          optionReply(0xffff_fffe, rep.SERVER, server("x")),
          optionReply(0xffff_fffe, 0x1234, Uint8Array.of(9)),
          optionReply(0xffff_fffe, rep.META_CONTEXT, Uint8Array.of(1)),
          optionReply(0xffff_fffe, 0xffff_ffff, utf8("what?"))
        )
      ],
      (handle) => handle.option(0xffff_fffe, Uint8Array.of(1, 2, 3)),
      unstyled
    )
    expect(result).toMatchObject({
      right: [
        replied(rep.SERVER, server("x")),
        replied(0x1234, Uint8Array.of(9)),
        replied(rep.META_CONTEXT, Uint8Array.of(1)),
        replied(0xffff_ffff, utf8("what?"))
      ]
    })
    expect([state._tag, unexpected]).toStrictEqual(["Negotiating", silent])
  })

  it("has no data unless some is given", () => {
    const { result } = negotiated([...greeting(), ...asked(option(4), ack(4))], (handle) => handle.option(4), unstyled)
    expect(result).toMatchObject({ right: [replied(rep.ACK)] })
  })

  it.each([
    ["that is no number of 32 bits", [-1, 2 ** 32, 1.5, Number.NaN], "Newstyle negotiation"],
    ["whose answer is no reply", [opt.EXPORT_NAME], "Newstyle negotiation, C-063"]
  ])("%s is not sent", (_, codes, rule) => {
    for (const code of codes) {
      const { result, unexpected } = negotiated(greeting(), (handle) => handle.option(code), unstyled)
      expect(result).toMatchObject({ left: { _tag: "NbdOptionForbiddenError", rule } })
      expect(unexpected).toStrictEqual(silent)
    }
  })

  it("H-024 without an end to its replies is a broken protocol (C-021)", () => {
    const reply = optionReply(7777, 0x1234, zeros(65_536))
    const all = concat(...Array.from({ length: Math.floor(limits.bytes / 65_536) + 1 }, () => reply))
    const { result, state } = negotiated(
      [...greeting(), ...asked(option(7777), all)],
      (handle) => handle.option(7777),
      unstyled
    )
    expect(result).toMatchObject({ left: { _tag: "NbdProtocolError", rule: "Fixed newstyle, H-024" } })
    expect(state._tag).toBe("Dead")
  })

  it("H-017 with a reply above 65,536 bytes is a broken protocol (C-024)", () => {
    const { result } = negotiated(
      [...greeting(), ...asked(option(7777), optionReply(7777, 0x1234, silent, { length: 65_537 }))],
      (handle) => handle.option(7777),
      unstyled
    )
    expect(result).toMatchObject({ left: { _tag: "NbdProtocolError", received: "65537 bytes" } })
  })

  it.each(
    [
      ["structured replies", SR, "Structured"],
      ["extended headers", EXT, "Extended"]
    ] as const
  )("that agrees on %s does so for the handle", (_, code, replyStyle) => {
    const { state } = negotiated(
      [...greeting(), ...asked(option(code), ack(code))],
      (handle) => handle.option(code),
      unstyled
    )
    expect(state).toMatchObject({ _tag: "Negotiating", agreed: { replyStyle } })
    const refused = negotiated(
      [...greeting(), ...asked(option(code), optionReply(code, rep.ERR_POLICY))],
      (handle) => handle.option(code),
      unstyled
    )
    expect(refused.state).toMatchObject({ agreed: { replyStyle: "Simple" } })
  })

  it("that repeats what is agreed on does not take it back (C-026)", () => {
    const { state } = negotiated(
      [...greeting(), ...extended, ...structured, ...asked(option(EXT), optionReply(EXT, rep.ERR_INVALID))],
      (handle) => Effect.zipRight(handle.option(SR), handle.option(EXT)),
      { ...quiet, requestExtendedHeaders: true }
    )
    expect(state).toMatchObject({ agreed: { replyStyle: "Extended" } })
  })

  it.each([rep.ACK, rep.ERR_INVALID])("that sets contexts has the handle forget its own (C-112)", (type) => {
    const data = contextRequest("disk", "x:y")
    const { state } = negotiated(
      [
        ...greeting(),
        ...structured,
        ...select("disk", [base, 1]),
        ...asked(option(opt.SET_META_CONTEXT, data), optionReply(opt.SET_META_CONTEXT, type))
      ],
      (handle) =>
        Effect.zipRight(handle.setMetaContexts({ contexts: [base] }), handle.option(opt.SET_META_CONTEXT, data))
    )
    expect(state).toMatchObject({ _tag: "Negotiating", contexts: { _tag: "None" } })
  })

  it.each([["GO", opt.GO], ["STARTTLS", opt.STARTTLS], ["ABORT", opt.ABORT]])(
    "that ends haggling when it is acknowledged, as %s does, ends the handle, and not when it is refused",
    (_, code) => {
      const data = code === opt.GO ? infoRequest("disk") : silent
      const send = (...replies: ReadonlyArray<Uint8Array>) =>
        negotiated([...greeting(), ...asked(option(code, data), ...replies)], (handle) => handle.option(code, data), {
          ...unstyled
        })
      const info = code === opt.GO ? [optionReply(code, rep.INFO, plain)] : []
      const acknowledged = send(...info, ack(code))
      expect(acknowledged.result).toMatchObject({ _tag: "Right" })
      expect([acknowledged.state._tag, acknowledged.closed, acknowledged.unexpected]).toStrictEqual([
        "ShutDown",
        true,
        silent
      ])
      const refused = send(...info, optionReply(code, rep.ERR_INVALID))
      expect([refused.state._tag, refused.closed]).toStrictEqual(["Negotiating", false])
    }
  )
})

describe("NBD_OPT_EXPORT_NAME by force", () => {
  const byName = asked(option(opt.EXPORT_NAME, utf8("disk")), concat(u64(512n), u16(1)))

  it("enters without GO, and does not ask for extended headers, which forbid it", () => {
    const { requestExtendedHeaders: _, ...config } = quiet
    const { state, unexpected } = negotiated(
      [...greeting(), ...structured, ...select("disk", [base, 1]), ...byName],
      ({ go }) => go(),
      { ...config, forceExportName: true, metaContexts: [base] }
    )
    expect(state).toMatchObject({ _tag: "Connected", export: { size: 512n, contexts: [{ name: base }] } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("is refused once headers are extended; without force the way is GO (C-220)", () => {
    const { result, state } = negotiated(
      [...greeting(), ...extended, ...goTo("disk")],
      ({ configure, go }) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(go())
          yield* configure({ forceExportName: false })
          yield* go()
          return error
        }),
      { ...quiet, requestExtendedHeaders: true, forceExportName: true }
    )
    expect(result).toMatchObject({ right: { _tag: "NbdOptionForbiddenError", option: "NBD_OPT_EXPORT_NAME" } })
    expect(state).toMatchObject({ _tag: "Connected", export: { replyStyle: "Extended" } })
  })

  it("is answered by a close where the server refuses (C-064)", () => {
    const { result, state } = negotiated(
      [
        ...greeting(),
        { client: option(opt.EXPORT_NAME, utf8("disk")) },
        { end: { _tag: "Finished", program: undefined } }
      ],
      ({ go }) => go(),
      { ...unstyled, forceExportName: true }
    )
    expect(result).toMatchObject({ left: { _tag: "NbdExportRefusedError", exportName: "disk" } })
    expect(state._tag).toBe("Dead")
  })
})
