/**
 * NBD_OPT_EXTENDED_HEADERS, NBD_OPT_STRUCTURED_REPLY after it, and what is forbidden once headers are extended
 * (C-104, C-105, C-217 to C-220, C-230, H-049).
 */
import { go, goByName } from "@effect-nbd/core/handshake/InfoAndGo"
import { bestReplyStyle, extendedHeaders } from "@effect-nbd/core/handshake/ReplyStyle"
import { describe, expect, it } from "@effect/vitest"
import { concat, infoRequest, opt, option, optionReply, rep, u64, utf8, zeros } from "../fixtures/HandWritten.ts"
import { ack, asked, fixed, goTo, goWith, nothing, plain } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const EXT = opt.EXTENDED_HEADERS
const SR = opt.STRUCTURED_REPLY
const silent = zeros(0)
const errors = Object.entries(rep).filter(([name]) => name.startsWith("ERR_") && name !== "ERR_SHUTDOWN")

const styled = (script: ReadonlyArray<Line>, willing = { extended: true, structured: true }) => {
  const { outcome, unexpected } = converse((reader) => bestReplyStyle(reader, willing), script)
  return { outcome, unexpected }
}
const became = (style: string) => ({ outcome: { _tag: "Succeeded", value: style }, unexpected: silent })
const refusedExt = asked(option(EXT), optionReply(EXT, rep.ERR_UNSUP))

describe("the style of replies", () => {
  it("is extended where the server agrees, and structured replies are not asked for then (C-217, C-230)", () => {
    expect(styled(asked(option(EXT), ack(EXT)))).toStrictEqual(became("Extended"))
  })

  it.each([...errors, ["an error nobody knows", 0x8000_4242] as const])(
    "is structured where it refuses extended headers with %s, on the same connection (C-218)",
    (_, type) => {
      const script = [...asked(option(EXT), optionReply(EXT, type, utf8("no"))), ...asked(option(SR), ack(SR))]
      expect(styled(script)).toStrictEqual(became("Structured"))
    }
  )

  it.each(errors)("is simple where it refuses structured replies too, with %s (C-105)", (_, type) => {
    expect(styled([...refusedExt, ...asked(option(SR), optionReply(SR, type))])).toStrictEqual(became("Simple"))
  })

  it("is what the client is willing to have", () => {
    expect(styled(asked(option(SR), ack(SR)), { extended: false, structured: true })).toStrictEqual(
      became("Structured")
    )
    expect(styled([], { extended: false, structured: false })).toStrictEqual(became("Simple"))
    expect(styled([], { extended: true, structured: false })).toStrictEqual(became("Simple"))
  })

  it("H-051 is not asked about any more once the server says that it is shutting down (C-037)", () => {
    const { outcome, unexpected } = styled(asked(option(EXT), optionReply(EXT, rep.ERR_SHUTDOWN, utf8("bye"))))
    expect(outcome).toMatchObject({
      error: { _tag: "NbdOptionRefusedError", option: "NBD_OPT_EXTENDED_HEADERS", serverMessage: "bye" }
    })
    expect(unexpected).toStrictEqual(silent)
  })
})

describe("the answer to EXTENDED_HEADERS", () => {
  const answer = (...replies: ReadonlyArray<Uint8Array>) =>
    converse(extendedHeaders, asked(option(EXT), ...replies)).outcome

  it("H-022 that acknowledges with data is a broken protocol", () => {
    expect(answer(optionReply(EXT, rep.ACK, zeros(1)))).toMatchObject({ error: { _tag: "NbdProtocolError" } })
  })

  it("H-023 of another option's type is a broken protocol", () => {
    expect(answer(optionReply(EXT, rep.INFO, plain))).toMatchObject({
      error: { _tag: "NbdProtocolError", received: "NBD_REP_INFO", rule: "Option reply types, H-023" }
    })
  })

  it("H-016 to another option is a broken protocol (C-023)", () => {
    expect(answer(ack(SR))).toMatchObject({
      error: { _tag: "NbdProtocolError", received: "one to NBD_OPT_STRUCTURED_REPLY" }
    })
  })
})

describe("once headers are extended", () => {
  const extended = { ...fixed, replyStyle: "Extended" } as const
  const going = (script: ReadonlyArray<Line>) => converse((reader) => go(reader, extended, "", nothing), script)

  it("GO enters the export, and it is extended", () => {
    expect(going(goWith(plain)).outcome).toMatchObject({ value: { replyStyle: "Extended", size: 1_048_576n } })
  })

  it("H-049 GO that is unsupported is a refusal, and never EXPORT_NAME (C-220)", () => {
    const { connection, outcome, unexpected } = going(goTo(optionReply(opt.GO, rep.ERR_UNSUP, utf8("what?"))))
    expect(outcome).toMatchObject({
      error: { _tag: "NbdOptionRefusedError", option: "NBD_OPT_GO", reply: "NBD_REP_ERR_UNSUP" }
    })
    expect(unexpected).toStrictEqual(silent)
    expect(connection.closed).toBe(false)
  })

  it("EXPORT_NAME is forbidden, also to those who force it (C-220)", () => {
    const { outcome, unexpected } = converse((reader) => goByName(reader, extended, "disk"), [])
    expect(outcome).toMatchObject({
      error: {
        _tag: "NbdOptionForbiddenError",
        option: "NBD_OPT_EXPORT_NAME",
        rule: "NBD_OPT_EXTENDED_HEADERS, C-220"
      }
    })
    expect(unexpected).toStrictEqual(silent)
  })
})

describe("while headers are compact", () => {
  it("GO that requires extended ones is refused by that name (C-230)", () => {
    const { outcome, unexpected } = converse(
      (reader) => go(reader, fixed, "", nothing),
      asked(option(opt.GO, infoRequest("")), optionReply(opt.GO, rep.ERR_EXT_HEADER_REQD, utf8("64 bits only")))
    )
    expect(outcome).toMatchObject({
      error: { reply: "NBD_REP_ERR_EXT_HEADER_REQD", serverMessage: "64 bits only" }
    })
    expect(unexpected).toStrictEqual(silent)
  })

  it("EXPORT_NAME may be forced, without asking for GO", () => {
    const { outcome, unexpected } = converse(
      (reader) => goByName(reader, fixed, "disk"),
      asked(option(opt.EXPORT_NAME, utf8("disk")), concat(u64(512n), Uint8Array.of(0, 3)))
    )
    expect(outcome).toMatchObject({ value: { name: "disk", size: 512n, flags: 3 } })
    expect(unexpected).toStrictEqual(silent)
  })
})
