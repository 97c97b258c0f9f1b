/**
 * How an export is chosen and entered: GO, INFO and EXPORT_NAME as the rules C-041 to C-064 have them.
 */
import { checkExportName, enterByName } from "@effect-nbd/core/handshake/ExportName"
import { go, info, type Wanted } from "@effect-nbd/core/handshake/InfoAndGo"
import { structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import {
  blockSizeInfo,
  concat,
  descriptionInfo,
  infoRequest,
  nameInfo,
  opt,
  option,
  optionReply,
  rep,
  u16,
  u64,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { broken, finished } from "../fixtures/ManualConnection.ts"
import { ack, asked, everything, fixed, goTo, goWith, notFixed, nothing, plain } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const going = (script: ReadonlyArray<Line>, wanted: Wanted = nothing, name = "") =>
  converse((reader) => go(reader, fixed, name, wanted), script)
const silent = zeros(0)
const short = concat(u64(512n), u16(0x0003))

describe("which option enters an export", () => {
  it("is GO where the server is fixed newstyle (C-041, C-044, C-045)", () => {
    const { outcome, unexpected } = going(goWith(plain))
    expect(outcome).toMatchObject({ _tag: "Succeeded" })
    expect(unexpected).toStrictEqual(silent)
  })

  it("is EXPORT_NAME after GO was unsupported, on the same connection (C-042)", () => {
    const { connection, outcome, unexpected } = going(
      [
        { client: option(opt.GO, infoRequest("disk", 3)) },
        { server: optionReply(opt.GO, rep.ERR_UNSUP, utf8("what?")) },
        { client: option(opt.EXPORT_NAME, utf8("disk")) },
        { server: short }
      ],
      { fullInfo: false, blockSize: true },
      "disk"
    )
    expect(outcome).toStrictEqual({
      _tag: "Succeeded",
      value: {
        name: "disk",
        size: 512n,
        flags: 3,
        replyStyle: "Structured",
        blockSize: Option.none(),
        canonicalName: Option.none(),
        description: Option.none()
      }
    })
    expect(unexpected).toStrictEqual(silent)
    expect(connection.closed).toBe(false)
  })

  it.each([
    ["ERR_POLICY", rep.ERR_POLICY, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_POLICY" }],
    ["ERR_INVALID", rep.ERR_INVALID, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_INVALID" }],
    ["ERR_PLATFORM", rep.ERR_PLATFORM, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_PLATFORM" }],
    ["ERR_TLS_REQD", rep.ERR_TLS_REQD, { _tag: "NbdTlsRequiredError", option: "NBD_OPT_GO" }],
    ["ERR_UNKNOWN", rep.ERR_UNKNOWN, { _tag: "NbdExportUnknownError", exportName: "disk" }],
    ["ERR_SHUTDOWN", rep.ERR_SHUTDOWN, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_SHUTDOWN" }],
    ["ERR_BLOCK_SIZE_REQD", rep.ERR_BLOCK_SIZE_REQD, { _tag: "NbdOptionRefusedError" }],
    ["ERR_TOO_BIG", rep.ERR_TOO_BIG, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_TOO_BIG" }],
    ["an error nobody knows", 0x8000_4242, { _tag: "NbdOptionRefusedError", reply: "reply type 0x80004242" }]
  ])("is not EXPORT_NAME after %s (C-043, C-058)", (_, type, error) => {
    const { outcome, unexpected } = going(
      [
        { client: option(opt.GO, infoRequest("disk", 1, 2, 3)) },
        { server: optionReply(opt.GO, type, utf8("because")) }
      ],
      everything,
      "disk"
    )
    expect(outcome).toMatchObject({ _tag: "Failed", error: { ...error, serverMessage: "because" } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("is never EXPORT_NAME for INFO, which is only asking (C-043)", () => {
    const { outcome, unexpected } = converse(
      (reader) => info(reader, fixed, "disk", nothing),
      asked(option(opt.INFO, infoRequest("disk")), optionReply(opt.INFO, rep.ERR_UNSUP))
    )
    expect(outcome).toMatchObject({ error: { _tag: "NbdOptionRefusedError", option: "NBD_OPT_INFO" } })
    expect(unexpected).toStrictEqual(silent)
  })
})

describe("what GO and INFO ask for", () => {
  it.each([
    ["nothing", nothing, []],
    ["block sizes (C-046)", { fullInfo: false, blockSize: true }, [3]],
    ["name and description", { fullInfo: true, blockSize: false }, [1, 2]],
    ["everything, no type of it twice (C-048)", everything, [1, 2, 3]]
  ])("is %s", (_, wanted, types) => {
    const asking = converse((reader) => info(reader, fixed, "диск", wanted), [
      { client: option(opt.INFO, infoRequest("диск", ...types)) }
    ])
    expect([asking.outcome, asking.unexpected]).toStrictEqual([{ _tag: "Waiting" }, silent])
    const entering = going([{ client: option(opt.GO, infoRequest("диск", ...types)) }], wanted, "диск")
    expect([entering.outcome, entering.unexpected]).toStrictEqual([{ _tag: "Waiting" }, silent])
  })

  it("is the default export with a name of no bytes (C-062)", () => {
    expect(going([{ client: option(opt.GO, infoRequest("")) }]).unexpected).toStrictEqual(silent)
  })

  it("is asked again, once and with block sizes, when the server requires them (C-059)", () => {
    const required = optionReply(opt.GO, rep.ERR_BLOCK_SIZE_REQD)
    const again: ReadonlyArray<Line> = [...goTo(required), { client: option(opt.GO, infoRequest("", 3)) }]
    const accepted = going([
      ...again,
      { server: concat(optionReply(opt.GO, rep.INFO, plain), ack(opt.GO)) }
    ])
    expect(accepted.outcome).toMatchObject({ value: { size: 1_048_576n } })
    const refused = going([...again, { server: required }])
    expect(refused.outcome).toMatchObject({ error: { reply: "NBD_REP_ERR_BLOCK_SIZE_REQD" } })
    expect(refused.unexpected).toStrictEqual(silent)
  })
})

describe("what GO is told", () => {
  const told = [plain, nameInfo("canonical"), descriptionInfo("text"), blockSizeInfo(512, 4096, 65_536)]

  it("is the same in whatever order it comes (C-050)", () => {
    const orders = FastCheck.shuffledSubarray(told, { minLength: told.length })
    FastCheck.assert(FastCheck.property(orders, (infos) => {
      expect(going(goWith(...infos)).outcome).toMatchObject({
        _tag: "Succeeded",
        value: {
          name: "",
          size: 1_048_576n,
          flags: 5,
          replyStyle: "Structured",
          blockSize: { value: { minimum: 512, preferred: 4096, maximum: 65_536 } },
          canonicalName: Option.some("canonical"),
          description: Option.some("text")
        }
      })
    }))
  })

  it("may be more than was asked for, of known types and of unknown ones (C-049, C-051)", () => {
    expect(going(goWith(concat(u16(9), zeros(3)), ...told)).outcome).toMatchObject({
      value: { description: Option.some("text") }
    })
  })

  it("may be less than was asked for (C-052)", () => {
    const script: ReadonlyArray<Line> = [
      { client: option(opt.GO, infoRequest("", 1, 2, 3)) },
      { server: concat(optionReply(opt.GO, rep.INFO, plain), ack(opt.GO)) }
    ]
    expect(going(script, everything).outcome).toMatchObject({
      value: { blockSize: Option.none(), canonicalName: Option.none(), description: Option.none() }
    })
  })

  it("may be another name than was asked for, which is kept beside it (C-057)", () => {
    const script: ReadonlyArray<Line> = [
      { client: option(opt.GO, infoRequest("alias")) },
      { server: concat(...told.map((each) => optionReply(opt.GO, rep.INFO, each)), ack(opt.GO)) }
    ]
    expect(going(script, nothing, "alias").outcome).toMatchObject({
      value: { name: "alias", canonicalName: Option.some("canonical") }
    })
  })

  it("ends with the acknowledgement, whatever was agreed on about zeroes: no padding follows (C-060)", () => {
    for (const noZeroes of [true, false]) {
      const { outcome, reader } = converse((reader) => go(reader, { ...fixed, noZeroes }, "", nothing), goWith(plain))
      expect(outcome).toMatchObject({ _tag: "Succeeded" })
      expect(reader.buffered).toBe(0)
    }
  })
})

describe("EXPORT_NAME", () => {
  const request: ReadonlyArray<Line> = [{ client: option(opt.EXPORT_NAME, utf8("disk")) }]
  const byName = (noZeroes: boolean, script: ReadonlyArray<Line>, split?: number) =>
    converse((reader) => enterByName(reader, "disk", noZeroes), [...request, ...script], split)

  it.each([[true, 10], [false, 134]])(
    "with NO_ZEROES agreed (%s) has an answer of %i bytes (C-063)",
    (noZeroes, size) => {
      for (const split of [undefined, 1]) {
        const { outcome, reader } = byName(noZeroes, [{ server: concat(short, zeros(size - 10)) }], split)
        expect(outcome).toStrictEqual({ _tag: "Succeeded", value: { exportSize: 512n, flags: 3 } })
        expect(reader.buffered).toBe(0)
      }
      expect(byName(noZeroes, [{ server: concat(short, zeros(124)).subarray(0, size - 1) }]).outcome).toStrictEqual({
        _tag: "Waiting"
      })
    }
  )

  it.each([["a close", finished], ["a reset", broken]])("answered by %s is a refused export (C-064)", (_, end) => {
    expect(byName(true, [{ end }]).outcome).toMatchObject({
      _tag: "Failed",
      error: { _tag: "NbdExportRefusedError", exportName: "disk" }
    })
  })

  it("answered by a part of an answer and a close is a fault, not a refusal (C-064)", () => {
    for (let length = 1; length < 10; length++) {
      expect(byName(true, [{ server: short.subarray(0, length) }, { end: finished }]).outcome).toMatchObject({
        error: { _tag: "NbdServerDisconnectedError", phase: "haggling", received: length, wanted: 10 }
      })
      expect(byName(true, [{ server: short.subarray(0, length) }, { end: broken }]).outcome).toMatchObject({
        error: { _tag: "NbdTransportLostError" }
      })
    }
  })

  it("with flags of zero is refused by GO's way to it (C-123)", () => {
    const { outcome } = converse((reader) => go(reader, notFixed, "disk", nothing), [
      ...request,
      { server: concat(u64(512n), u16(0), zeros(124)) }
    ])
    expect(outcome).toMatchObject({ error: { _tag: "NbdProtocolError", rule: "Transmission flags, C-123" } })
  })
})

describe("the name of an export", () => {
  const check = (name: string) => checkExportName(name)?.reason

  it("is refused before anything is sent with a NUL in it (C-002)", () => {
    expect(check("a\0b")).toBe("contains a NUL")
  })

  it("is refused above 4096 bytes, counted in bytes (C-003, T-10)", () => {
    expect(check("x".repeat(4096))).toBe(undefined)
    expect(check("x".repeat(4097))).toBe("longer than 4096 bytes")
    expect(check("語".repeat(1365))).toBe(undefined)
    expect(check("語".repeat(1366))).toBe("longer than 4096 bytes")
    expect(check("🖴".repeat(1025))).toBe("longer than 4096 bytes")
  })

  it("is refused with half a character in it, which UTF-8 cannot carry (C-005)", () => {
    for (const name of ["\ud800", "a\udc00b", "\udc00\ud800"]) {
      expect(check(name)).toBe("contains an unpaired surrogate")
    }
    expect(check("🖴\u0001/../ ")).toBe(undefined)
  })
})

describe("STRUCTURED_REPLY", () => {
  const request = option(opt.STRUCTURED_REPLY)

  it("acknowledged means replies in chunks, and is sent without data (C-104)", () => {
    expect(converse(structuredReply, asked(request, ack(opt.STRUCTURED_REPLY))).outcome).toStrictEqual({
      _tag: "Succeeded",
      value: true
    })
  })

  it.each([rep.ERR_UNSUP, rep.ERR_POLICY, rep.ERR_INVALID, 0x8000_4242])(
    "refused with %i means simple replies, and goes on (C-105)",
    (type) => {
      const reply = optionReply(opt.STRUCTURED_REPLY, type)
      expect(converse(structuredReply, asked(request, reply)).outcome).toStrictEqual({
        _tag: "Succeeded",
        value: false
      })
    }
  )
})
