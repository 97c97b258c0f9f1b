/**
 * Option replies that are not what they should be, row by row of the catalogue (H-015 to H-033, H-060).
 */
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { abort } from "@effect-nbd/core/handshake/Abort"
import { haggle, limits } from "@effect-nbd/core/handshake/Haggling"
import { go } from "@effect-nbd/core/handshake/InfoAndGo"
import { list } from "@effect-nbd/core/handshake/List"
import { structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import type { ConnectionEnd } from "@effect-nbd/core/Transport"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import {
  blockSizeInfo,
  concat,
  descriptionInfo,
  exportInfo,
  infoRequest,
  maxU32,
  nameInfo,
  opt,
  option,
  optionReply,
  rep,
  server,
  u16,
  u32,
  u8,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { broken, finished, ManualConnection } from "../fixtures/ManualConnection.ts"
import { ack, asked, fixed, goTo, goWith, listed, nothing, plain } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const going = (script: ReadonlyArray<Line>) => converse((reader) => go(reader, fixed, "", nothing), script)
const listing = (script: ReadonlyArray<Line>) => converse(list, script)
const breach = (received: string, rule: string) => ({
  _tag: "Failed",
  error: { _tag: "NbdProtocolError", phase: "haggling", received, rule }
})

describe("option replies", () => {
  it("H-015 with a wrong magic are a broken protocol (C-023)", () => {
    const wrong = optionReply(opt.LIST, rep.ACK, zeros(0), { magic: 0x0003_e889_0455_65aan })
    expect(listing(listed(wrong)).outcome).toMatchObject(breach("0x0003e889045565aa", "Fixed newstyle, C-023"))
  })

  it("H-016 to another option are a broken protocol (C-023)", () => {
    expect(listing(listed(ack(opt.GO))).outcome).toMatchObject(breach("one to NBD_OPT_GO", "Fixed newstyle, C-023"))
  })

  it.each([rep.ACK, rep.SERVER, rep.INFO, rep.ERR_UNSUP, 0x8000_4242])(
    "H-017 of type %i that announce 4 GiB are refused by their header alone (C-165)",
    (type) => {
      const { outcome } = listing(listed(optionReply(opt.LIST, type, zeros(0), { length: maxU32 })))
      expect(outcome).toMatchObject(breach("4294967295 bytes", "Fixed newstyle, C-024"))
    }
  )

  it("H-018 with an error text above 4096 bytes are a broken protocol, by their header alone (C-003)", () => {
    const { outcome } = listing(listed(optionReply(opt.LIST, rep.ERR_POLICY, zeros(0), { length: 4097 })))
    expect(outcome).toMatchObject(breach("4097 bytes", "Fixed newstyle, C-024"))
    const longest = listing(listed(optionReply(opt.LIST, rep.ERR_POLICY, utf8("x".repeat(4096)))))
    expect(longest.outcome).toMatchObject({ error: { _tag: "NbdOptionRefusedError", serverMessage: "x".repeat(4096) } })
  })

  it("H-019 with a text that is not UTF-8 or steers a terminal are refusals with a safe text", () => {
    const text = concat(u8(0xc3, 0x28, 0x00), utf8("\u001b[2J\u0007\r\n"))
    expect(listing(listed(optionReply(opt.LIST, rep.ERR_POLICY, text))).outcome).toMatchObject({
      error: { _tag: "NbdOptionRefusedError", serverMessage: "\ufffd(\\x00\\x1b[2J\\x07\\x0d\\x0a" }
    })
  })

  it.each([0x8000_0000, 0x8000_0042, 0xc000_0001, maxU32])(
    "H-020 of the unknown error type %i are final (C-025)",
    (type) => {
      const { connection, outcome, reader } = listing(listed(optionReply(opt.LIST, type, utf8("no"))))
      expect(outcome).toMatchObject({
        _tag: "Failed",
        error: {
          _tag: "NbdOptionRefusedError",
          option: "NBD_OPT_LIST",
          replyType: type,
          reply: `reply type 0x${type.toString(16)}`,
          serverMessage: "no"
        }
      })
      expect(reader.buffered).toBe(0)
      expect(connection.closed).toBe(false)
    }
  )

  it.each([0, 5, 0x7fff_ffff])(
    "H-021 of the unknown type %i are a broken protocol, as nobody knows if they are final",
    (type) => {
      expect(listing(listed(optionReply(opt.LIST, type, u8(1, 2)))).outcome).toMatchObject(
        breach(`reply type 0x${type.toString(16).padStart(8, "0")}`, "Option reply types, H-021")
      )
    }
  )

  it("H-022 that acknowledge with data are a broken protocol", () => {
    expect(listing(listed(optionReply(opt.LIST, rep.ACK, u8(0)))).outcome).toMatchObject(
      breach("1 bytes", "Fixed newstyle, C-024")
    )
  })

  it("H-023 of another option's type are a broken protocol", () => {
    const wrong = "Option reply types, H-023"
    expect(going(goTo(optionReply(opt.GO, rep.SERVER, server("disk")))).outcome).toMatchObject(
      breach("NBD_REP_SERVER", wrong)
    )
    expect(listing(listed(optionReply(opt.LIST, rep.INFO, plain))).outcome).toMatchObject(breach("NBD_REP_INFO", wrong))
    for (const payload of [server("x"), plain]) {
      const type = payload === plain ? rep.INFO : rep.SERVER
      const { outcome } = converse(
        structuredReply,
        asked(option(opt.STRUCTURED_REPLY), optionReply(opt.STRUCTURED_REPLY, type, payload))
      )
      expect(outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule: wrong } })
    }
    const context = optionReply(opt.STRUCTURED_REPLY, rep.META_CONTEXT, concat(u32(1), utf8("base:allocation")))
    expect(converse(structuredReply, asked(option(opt.STRUCTURED_REPLY), context)).outcome).toMatchObject(
      breach("NBD_REP_META_CONTEXT", "Option reply types, H-023")
    )
  })
})

describe("H-024 replies without an end", () => {
  const many = (reply: Uint8Array, count: number): Uint8Array => {
    const all = zeros(reply.byteLength * count)
    for (let index = 0; index < count; index++) all.set(reply, index * reply.byteLength)
    return all
  }
  const rule = "Fixed newstyle, H-024"
  const long = "x".repeat(4096)

  it("are taken up to a number, and are a broken protocol above it (C-021)", () => {
    const reply = optionReply(opt.LIST, rep.SERVER, server(""))
    const all = many(reply, limits.replies)
    expect(listing(listed(all, ack(opt.LIST))).outcome).toMatchObject({ _tag: "Succeeded" })
    expect(listing(listed(all, reply)).outcome).toMatchObject(
      breach("65537 replies and 262148 bytes without an end", rule)
    )
  })

  it("are taken up to a number of bytes, and are a broken protocol above it (C-021)", () => {
    const reply = optionReply(opt.LIST, rep.SERVER, server(long, long))
    const all = many(reply, Math.floor(limits.bytes / 8196))
    expect(listing(listed(all, ack(opt.LIST))).outcome).toMatchObject({ _tag: "Succeeded" })
    expect(listing(listed(all, reply)).outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule } })
  })

  it("have their bytes counted as bytes, not as characters", () => {
    const reply = optionReply(opt.LIST, rep.SERVER, server("語".repeat(1365), "語".repeat(1365)))
    expect(listing(listed(many(reply, 2100))).outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule } })
  })

  it("are taken up to a number of bytes in all of the handshake, however many options are asked", () => {
    const reply = optionReply(opt.LIST, rep.SERVER, server(long, long))
    const most = many(reply, Math.floor(limits.bytes / 8196))
    const lists = (count: number) =>
      converse(
        (reader) => Effect.repeatN(list(reader), count - 1),
        Array.from({ length: count }, () => listed(most, ack(opt.LIST))).flat()
      ).outcome
    const fit = Math.floor(limits.handshakeBytes / (most.byteLength + 20))
    expect(lists(fit)).toMatchObject({ _tag: "Succeeded" })
    expect(lists(fit + 1)).toMatchObject({ error: { _tag: "NbdProtocolError", rule } })
  })

  it("of a type nobody knows are counted although they are not kept (C-049)", () => {
    const reply = optionReply(opt.GO, rep.INFO, concat(u16(0x4242), zeros(65_534)))
    expect(going(goTo(many(reply, 257))).outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule } })
  })
})

describe("H-050 a server that hangs up in place of an answer", () => {
  const hangsUp = (code: number, end: ConnectionEnd) => {
    const { outcome } = converse((reader) => haggle(reader, code, zeros(0), () => undefined), [
      { client: option(code) },
      { end }
    ])
    if (outcome._tag !== "Failed") throw new Error(outcome._tag)
    return outcome.error
  }

  it.each([
    [opt.EXTENDED_HEADERS, "NBD_OPT_EXTENDED_HEADERS, which is not asked with requestExtendedHeaders: false"],
    [opt.STRUCTURED_REPLY, "NBD_OPT_STRUCTURED_REPLY, which is not asked with requestStructuredReplies: false"],
    [opt.SET_META_CONTEXT, "NBD_OPT_SET_META_CONTEXT, which is not asked with no metaContexts"],
    [opt.STARTTLS, "NBD_OPT_STARTTLS, which is not asked with TLS disabled"],
    [opt.GO, "NBD_OPT_GO, which is not asked with forceExportName"],
    [opt.LIST, "NBD_OPT_LIST"]
  ])("to option %i: the error names the option, and what avoids it", (code, words) => {
    expect(hangsUp(code, finished)).toMatchObject({
      _tag: "NbdServerDisconnectedError",
      message: `by hand closed the connection during haggling, in answer to ${words}`
    })
    expect(hangsUp(code, broken)).toMatchObject({
      _tag: "NbdTransportLostError",
      code: "ECONNRESET",
      message: `connection to by hand lost (ECONNRESET), in answer to ${words}`
    })
  })
})

describe("a refusal", () => {
  const refusedGo = (type: number, exportName = "disk") => {
    const { outcome } = converse(
      (reader) => go(reader, { ...fixed, replyStyle: "Extended" }, exportName, nothing),
      asked(option(opt.GO, infoRequest(exportName)), optionReply(opt.GO, type))
    )
    return outcome._tag === "Failed" ? outcome.error.message : outcome._tag
  }

  it("of NBD_OPT_GO names the export, and the way around it where that may help", () => {
    expect(refusedGo(rep.ERR_POLICY)).toBe(
      "the server refused NBD_OPT_GO with NBD_REP_ERR_POLICY for export \"disk\""
    )
    for (const type of [rep.ERR_UNSUP, rep.ERR_INVALID]) {
      expect(refusedGo(type)).toMatch(/; forceExportName enters an export without that option$/)
    }
  })

  it("of an export without a name is a sentence too", () => {
    expect(refusedGo(rep.ERR_UNKNOWN, "")).toBe("the server has no default export")
    expect(refusedGo(rep.ERR_UNKNOWN)).toBe("the server has no export \"disk\"")
    expect(refusedGo(rep.ERR_POLICY, "")).toBe(
      "the server refused NBD_OPT_GO with NBD_REP_ERR_POLICY for the default export"
    )
  })
})

describe("NBD_REP_SERVER", () => {
  const withPayload = (payload: Uint8Array) =>
    listing(listed(optionReply(opt.LIST, rep.SERVER, payload), ack(opt.LIST)))
  const names = (...replies: ReadonlyArray<Uint8Array>) =>
    listing(listed(...replies.map((reply) => optionReply(opt.LIST, rep.SERVER, reply)), ack(opt.LIST))).outcome

  it("H-025 of less than 4 bytes is a broken protocol (C-039)", () => {
    for (let length = 0; length < 4; length++) {
      expect(withPayload(zeros(length)).outcome).toMatchObject(breach(`${length} bytes`, "NBD_REP_SERVER, C-039"))
    }
  })

  it.each([5, 0x7fff_ffff, 0x8000_0000, maxU32 - 3, maxU32])(
    "H-026 with a name of %i bytes in a payload of 8 is a broken protocol (C-039)",
    (length) => {
      expect(withPayload(concat(u32(length), utf8("disk"))).outcome).toMatchObject(
        breach(`${length} bytes`, "NBD_REP_SERVER, C-039")
      )
    }
  )

  it("H-027 with a string above 4096 bytes is a broken protocol (C-003)", () => {
    expect(withPayload(server("x".repeat(4097))).outcome).toMatchObject(breach("4097 and 0 bytes", "C-003"))
    expect(withPayload(server("", "x".repeat(4097))).outcome).toMatchObject(breach("0 and 4097 bytes", "C-003"))
    expect(names(server("x".repeat(4096), "y".repeat(4096)))).toMatchObject({ _tag: "Succeeded" })
  })

  it("H-028 with a name of slashes, dots, NUL and control characters is taken as it is", () => {
    const name = "../../etc/\0\u001b[2J"
    expect(names(server(name))).toStrictEqual({ _tag: "Succeeded", value: [{ name, description: "" }] })
  })

  it("H-029 with a name that came before is listed again", () => {
    expect(names(server("a", "1"), server("a", "1"), server(""))).toStrictEqual({
      _tag: "Succeeded",
      value: [{ name: "a", description: "1" }, { name: "a", description: "1" }, { name: "", description: "" }]
    })
  })

  it("that came before an error is forgotten: the error is the final reply (C-021)", () => {
    const { outcome } = listing(
      listed(optionReply(opt.LIST, rep.SERVER, server("a")), optionReply(opt.LIST, rep.ERR_POLICY))
    )
    expect(outcome).toMatchObject({ error: { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_POLICY" } })
  })
})

describe("NBD_REP_INFO", () => {
  const rule = "NBD_REP_INFO, C-054"

  it("H-030 of less than 2 bytes is a broken protocol (C-054)", () => {
    for (const length of [0, 1]) {
      expect(going(goWith(zeros(length))).outcome).toMatchObject(breach(`${length} bytes`, rule))
    }
  })

  it.each([2, 11, 13])("H-031 with NBD_INFO_EXPORT in %i bytes is a broken protocol (C-054)", (length) => {
    const payload = concat(exportInfo(1n, 1), zeros(1)).subarray(0, length)
    expect(going(goWith(payload)).outcome).toMatchObject(breach(`${length} bytes`, rule))
  })

  it.each([2, 13, 15])("H-031 with NBD_INFO_BLOCK_SIZE in %i bytes is a broken protocol (C-054)", (length) => {
    const payload = concat(blockSizeInfo(1, 512, 512), zeros(1)).subarray(0, length)
    expect(going(goWith(payload)).outcome).toMatchObject(breach(`${length} bytes`, rule))
  })

  it("H-032 with a name or description above 4096 bytes is a broken protocol (C-054)", () => {
    for (const info of [nameInfo, descriptionInfo]) {
      expect(going(goWith(plain, info("x".repeat(4096)))).outcome).toMatchObject({ _tag: "Succeeded" })
      expect(going(goWith(plain, info("x".repeat(4097)))).outcome).toMatchObject(breach("4097 bytes", rule))
    }
  })

  it("H-033 of an unknown type is ignored up to 65,536 bytes, and a broken protocol above (C-049)", () => {
    for (const length of [2, 3, 12, 14, 65_536]) {
      const unknown = concat(u16(0xffff), zeros(length - 2))
      expect(going(goWith(unknown, plain, unknown)).outcome).toMatchObject({ value: { size: 1_048_576n } })
    }
    const longer = optionReply(opt.GO, rep.INFO, zeros(0), { length: 65_537 })
    expect(going(goTo(longer)).outcome).toMatchObject(breach("65537 bytes", "Fixed newstyle, C-024"))
  })
})

describe("H-061 the peer is gone inside an option reply", () => {
  it("and none of its bytes are counted only when none came", () => {
    const reply = optionReply(opt.LIST, rep.SERVER, server("disk"))
    for (const length of [0, 1, 19, 20, 21, 27]) {
      const { outcome } = converse(list, [...listed(reply.subarray(0, length)), { end: finished }])
      if (outcome._tag !== "Failed" || outcome.error._tag !== "NbdServerDisconnectedError") {
        throw new Error(outcome._tag)
      }
      expect(outcome.error.received === 0, `${length} bytes`).toBe(length === 0)
    }
  })
})

describe("H-060 NBD_OPT_ABORT", () => {
  it.each([
    ["acknowledged", [{ server: ack(opt.ABORT) }]],
    ["answered by a close", [{ end: finished }]],
    ["answered by half a reply and a close", [{ server: ack(opt.ABORT).subarray(0, 9) }, { end: finished }]],
    ["answered by a reset", [{ end: broken }]],
    ["answered by an error", [{ server: optionReply(opt.ABORT, rep.ERR_INVALID) }]],
    ["answered by nonsense", [{ server: zeros(20) }]]
  ])("%s is over at once, and never a failure (C-034, C-036)", (_, answer) => {
    const { connection, outcome, unexpected } = converse(abort, [{ client: option(opt.ABORT) }, ...answer])
    expect(outcome).toStrictEqual({ _tag: "Succeeded", value: undefined })
    expect(unexpected).toStrictEqual(zeros(0))
    expect(connection.endedWrites).toBe(true)
  })

  it.effect("never answered is over after a second (C-036)", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(abort(new FrameReader(new ManualConnection())))
      yield* TestClock.adjust("999 millis")
      expect(fiber.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
    }))
})
