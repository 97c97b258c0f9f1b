/**
 * Greetings that are not what they should be, row by row of the catalogue (H-001 to H-014).
 */
import { greet } from "@effect-nbd/core/handshake/Greet"
import { go } from "@effect-nbd/core/handshake/InfoAndGo"
import { list } from "@effect-nbd/core/handshake/List"
import { structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  concat,
  maxU64,
  newstyleGreeting,
  oldstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u16,
  u32,
  u64,
  u8,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { broken, finished } from "../fixtures/ManualConnection.ts"
import { ack, notFixed, nothing } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const both = HandshakeFlags(HandshakeFlags.FIXED_NEWSTYLE | HandshakeFlags.NO_ZEROES)
const greeted = (script: ReadonlyArray<Line>, willing = both) => converse((reader) => greet(reader, willing), script)

describe("H-001 the first magic is wrong", () => {
  it.each([
    ["HTTP", utf8("HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1.1 400 Bad Request\\x0d\\x0a\\x0d\\x0a"],
    ["HTTP", utf8("<html><body>"), "<html><body>"],
    ["SSH", utf8("SSH-2.0-OpenSSH_9.2\r\n"), "SSH-2.0-OpenSSH_9.2\\x0d\\x0a"],
    ["VNC", utf8("RFB 003.008\n"), "RFB 003.008\\x0a"],
    ["SMTP", utf8("220 mail.example ESMTP"), "220 mail.example ESMTP"],
    ["TLS", u8(0x15, 3, 3, 0, 2, 2, 0x28, 0), "\\x15\\x03\\x03\\x00\\x02\\x02(\\x00"],
    ["unknown", zeros(18), "\\x00".repeat(18)],
    ["unknown", utf8("NBDMAGIX and more"), "NBDMAGIX and more"]
  ])("says what the peer looks like (%s), and sends it nothing (C-009)", (looksLike, bytes, received) => {
    const { outcome, unexpected } = greeted([{ server: bytes }])
    expect(outcome).toMatchObject({
      _tag: "Failed",
      error: { _tag: "NbdNotNbdServerError", peer: "by hand", looksLike, received }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it("shows at most 64 bytes of what it sent", () => {
    expect(greeted([{ server: utf8("x".repeat(500)) }]).outcome).toMatchObject({ error: { received: "x".repeat(64) } })
  })

  it.each([
    ["SSH", "SSH-2"],
    ["SMTP", "220 x"],
    ["VNC", "RFB 00"],
    ["HTTP", "<!"],
    ["unknown", "login: "],
    ["unknown", "> "],
    ["unknown", "NBDMAGI?"],
    ["unknown", "NBDX"]
  ])(
    "is told at once of %s that says %j, whether it waits then or leaves, and what came is told as it came",
    (looksLike, text) => {
      for (const then of [[], [{ end: finished }], [{ end: broken }]]) {
        for (const split of [1, 100]) {
          const { outcome, unexpected } = converse(
            (reader) => greet(reader, both),
            [{ server: utf8(text) }, ...then],
            split
          )
          if (outcome._tag !== "Failed" || outcome.error._tag !== "NbdNotNbdServerError") throw new Error(outcome._tag)
          expect(text.startsWith(outcome.error.received)).toBe(true)
          if (split === 100) expect(outcome.error).toMatchObject({ received: text, looksLike })
          expect(unexpected).toStrictEqual(zeros(0))
        }
      }
    }
  )

  it("waits for more of what may still be a greeting", () => {
    for (let length = 1; length < 8; length++) {
      expect(greeted([{ server: utf8("NBDMAGIC".slice(0, length)) }]).outcome).toStrictEqual({ _tag: "Waiting" })
    }
  })

  it("recognises a peer that says less than a greeting and closes", () => {
    const { outcome } = greeted([{ server: u8(0x15, 3, 1, 0, 2, 2, 0x0a) }, { end: finished }])
    expect(outcome).toMatchObject({ error: { _tag: "NbdNotNbdServerError", looksLike: "TLS" } })
  })
})

describe("H-002 the second magic is unknown", () => {
  it("is a broken protocol, and is sent nothing (C-010)", () => {
    const { outcome, unexpected } = greeted([{ server: concat(utf8("NBDMAGIC"), u64(maxU64), u16(3)) }])
    expect(outcome).toMatchObject({
      _tag: "Failed",
      error: {
        _tag: "NbdProtocolError",
        phase: "greeting",
        received: "0xffffffffffffffff",
        rule: "Greeting, C-010"
      }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it.each([
    ["its first byte", utf8("X"), "0x58"],
    ["a byte in the middle", utf8("IHAVEX"), "0x494841564558"],
    ["its last byte", utf8("IHAVEOPX"), "0x49484156454f5058"],
    ["oldstyle's last byte", u8(0, 0, 0x42, 0x02, 0x81, 0x86, 0x12, 0x54), "0x0000420281861254"],
    ["oldstyle's, begun as newstyle's", u8(0x49, 0x48, 0x42), "0x494842"]
  ])("is known by %s that cannot be right, whether the peer waits then or leaves (C-010)", (_, second, received) => {
    for (const then of [[], [{ end: finished }], [{ end: broken }]]) {
      for (const split of [1, 100]) {
        const { outcome, unexpected } = converse(
          (reader) => greet(reader, both),
          [{ server: concat(utf8("NBDMAGIC"), second) }, ...then],
          split
        )
        expect(outcome).toMatchObject({
          _tag: "Failed",
          error: { _tag: "NbdProtocolError", phase: "greeting", rule: "Greeting, C-010" }
        })
        if (outcome._tag !== "Failed" || outcome.error._tag !== "NbdProtocolError") throw new Error(outcome._tag)
        // All that is wrong here is the last byte: it does not matter in how many pieces they come.
        expect(outcome.error.received).toBe(received)
        expect(unexpected).toStrictEqual(zeros(0))
      }
    }
  })

  it("is waited for as long as it can be right (C-010)", () => {
    for (const greeting of [newstyleGreeting(3), oldstyleGreeting({ size: 1n, flags: 1 })]) {
      for (let length = 8; length < 16; length++) {
        expect(greeted([{ server: greeting.subarray(0, length) }]).outcome._tag).toBe("Waiting")
      }
    }
  })
})

describe("H-003 the peer is gone inside the greeting", () => {
  const styles = [
    ["newstyle", newstyleGreeting(3)],
    ["oldstyle", oldstyleGreeting({ size: 1n, flags: 1 })]
  ] as const

  it.each(styles)("closed at any byte of a %s greeting: one typed error that names the phase", (_, greeting) => {
    for (let length = 0; length < greeting.byteLength; length++) {
      const { outcome, unexpected } = greeted([{ server: greeting.subarray(0, length) }, { end: finished }])
      expect(outcome, `${length} bytes`).toMatchObject({
        _tag: "Failed",
        error: { _tag: "NbdServerDisconnectedError", phase: "greeting", peer: "by hand" }
      })
      expect(unexpected).toStrictEqual(zeros(0))
    }
  })

  it.each(styles)("broken at any byte of a %s greeting: the transport's own reason", (_, greeting) => {
    for (let length = 0; length < greeting.byteLength; length++) {
      const { outcome } = greeted([{ server: greeting.subarray(0, length) }, { end: broken }])
      expect(outcome).toMatchObject({ _tag: "Failed", error: { _tag: "NbdTransportLostError", code: "ECONNRESET" } })
    }
  })

  it("counts none of its bytes only when none came", () => {
    for (const length of [0, 1, 8, 16, 17]) {
      const { outcome } = greeted([{ server: newstyleGreeting(3).subarray(0, length) }, { end: finished }])
      if (outcome._tag !== "Failed" || outcome.error._tag !== "NbdServerDisconnectedError") {
        throw new Error(outcome._tag)
      }
      expect(outcome.error.received === 0, `${length} bytes`).toBe(length === 0)
    }
  })
})

describe("H-004 the greeting comes in pieces", () => {
  it.each([1, 2, 3, 8, 16, 17])("of %i bytes: the result is the same", (split) => {
    const newstyle = converse(
      (reader) => greet(reader, both),
      [{ server: newstyleGreeting(3) }, { client: u32(3) }],
      split
    )
    expect(newstyle.outcome).toStrictEqual({
      _tag: "Succeeded",
      value: { _tag: "Newstyle", fixed: true, noZeroes: true }
    })
    const old = converse((reader) => greet(reader, both), [{ server: oldstyleGreeting({ size: 9n, flags: 3 }) }], split)
    expect(old.outcome).toStrictEqual({
      _tag: "Succeeded",
      value: { _tag: "Oldstyle", greeting: { _tag: "OldstyleGreeting", exportSize: 9n, flags: 3 } }
    })
  })
})

describe("H-007 bytes come right behind the greeting", () => {
  const unsolicited = concat(newstyleGreeting(3), ack(opt.STRUCTURED_REPLY))

  it("and are a breach as soon as an option would be sent, which it is not (C-020)", () => {
    const { outcome, unexpected } = converse(
      (reader) => Effect.zipRight(greet(reader, both), structuredReply(reader)),
      [{ server: unsolicited }, { client: u32(3) }]
    )
    expect(outcome).toMatchObject({
      error: {
        _tag: "NbdProtocolError",
        phase: "haggling",
        received: "20 bytes before NBD_OPT_STRUCTURED_REPLY",
        rule: "Fixed newstyle, C-020"
      }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it("and are a breach before an export name is sent as well", () => {
    const { outcome, unexpected } = converse(
      (reader) => Effect.zipRight(greet(reader, both), go(reader, notFixed, "disk", nothing)),
      [{ server: concat(newstyleGreeting(0), u8(1)) }, { client: u32(0) }]
    )
    expect(outcome).toMatchObject({
      error: { _tag: "NbdProtocolError", received: "1 bytes before NBD_OPT_EXPORT_NAME" }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it("or behind the final reply to an option, before the next one", () => {
    const { outcome } = converse(
      (reader) => Effect.zipRight(list(reader), list(reader)),
      [{ client: option(opt.LIST) }, { server: concat(ack(opt.LIST), optionReply(opt.LIST, rep.ERR_POLICY)) }]
    )
    expect(outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule: "Fixed newstyle, C-020" } })
  })
})

describe("H-008 the handshake flags are all ones", () => {
  it("and only bits 0 and 1 come back (C-014, C-017)", () => {
    const { outcome, unexpected } = greeted([{ server: newstyleGreeting(0xffff) }, { client: u32(3) }])
    expect(outcome).toMatchObject({ value: { fixed: true, noZeroes: true } })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it.each([
    [0, 3, 0],
    [1, 3, 1],
    [2, 3, 2],
    [3, 3, 3],
    [3, 1, 1],
    [3, 2, 2],
    [3, 0, 0],
    [0xfffc, 3, 0]
  ])("offered %i and willing %i, the client flags are %i (C-015, C-016, C-017)", (offered, willing, sent) => {
    const { outcome, unexpected } = greeted(
      [{ server: newstyleGreeting(offered) }, { client: u32(sent) }],
      HandshakeFlags(willing)
    )
    expect(outcome).toStrictEqual({
      _tag: "Succeeded",
      value: { _tag: "Newstyle", fixed: (sent & 1) !== 0, noZeroes: (sent & 2) !== 0 }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })
})

describe("H-010 the server is not fixed newstyle", () => {
  it("and is entered by NBD_OPT_EXPORT_NAME, the only option it knows, sent once (C-019)", () => {
    const { outcome, unexpected } = converse((reader) => go(reader, notFixed, "disk", nothing), [
      { client: option(opt.EXPORT_NAME, utf8("disk")) },
      { server: concat(u64(512n), u16(1), zeros(124)) }
    ])
    expect(outcome).toMatchObject({ value: { name: "disk", size: 512n, flags: 1, replyStyle: "Simple" } })
    expect(unexpected).toStrictEqual(zeros(0))
  })
})

describe("H-013 an oldstyle greeting has bits in the upper half of its flags", () => {
  it("and is a broken protocol (C-013)", () => {
    const { outcome } = greeted([{ server: oldstyleGreeting({ size: 1n, flags: 1, upper: 0x8000 }) }])
    expect(outcome).toMatchObject({
      error: {
        _tag: "NbdProtocolError",
        phase: "greeting",
        received: "0x8000",
        rule: "Oldstyle negotiation, C-013"
      }
    })
  })
})

describe("H-014 padding is not zero", () => {
  it("in an oldstyle greeting, which is taken as it is, 152 bytes of it, and answered by nothing (C-011)", () => {
    const greeting = oldstyleGreeting({ size: maxU64, flags: 0xffff, padding: zeros(124).fill(0xff) })
    const { outcome, reader, unexpected } = greeted([{ server: concat(greeting, u8(7)) }])
    expect(outcome).toMatchObject({ value: { greeting: { exportSize: maxU64, flags: 0xffff } } })
    expect(unexpected).toStrictEqual(zeros(0))
    expect(reader.peek(9)).toStrictEqual(u8(7))
  })

  it("in the answer to an export name", () => {
    const { outcome } = converse((reader) => go(reader, notFixed, "", nothing), [
      { client: option(opt.EXPORT_NAME) },
      { server: concat(u64(512n), u16(1), zeros(124).fill(0xff)) }
    ])
    expect(outcome).toMatchObject({ value: { size: 512n, flags: 1 } })
  })
})
