/**
 * What a server may wrongly or strangely say of an export, row by row of the catalogue (H-034 to H-054).
 */
import { Export } from "@effect-nbd/core/Export"
import { enterByName } from "@effect-nbd/core/handshake/ExportName"
import { go, info, type ToldFacts } from "@effect-nbd/core/handshake/InfoAndGo"
import { list } from "@effect-nbd/core/handshake/List"
import { structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import {
  blockSizeInfo,
  concat,
  descriptionInfo,
  exportInfo,
  infoRequest,
  maxU32,
  maxU64,
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
import { ack, asked, everything, fixed, goTo, goWith, listed, nothing, plain } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const going = (script: ReadonlyArray<Line>, agreed = fixed) =>
  converse((reader) => go(reader, agreed, "", nothing), script)
const breach = (received: string, rule: string) => ({
  _tag: "Failed",
  error: { _tag: "NbdProtocolError", phase: "haggling", received, rule }
})
const factsOf = (...infos: ReadonlyArray<Uint8Array>): ToldFacts => {
  const { outcome } = going(goWith(...infos))
  if (outcome._tag !== "Succeeded") throw new Error(JSON.stringify(outcome))
  return outcome.value
}

describe("an acknowledged GO", () => {
  it("H-034 without NBD_INFO_EXPORT is a broken protocol (C-053)", () => {
    expect(going(goWith()).outcome).toMatchObject(breach("none", "NBD_OPT_GO, C-053"))
    expect(going(goWith(blockSizeInfo(1, 512, 512), nameInfo("disk"))).outcome).toMatchObject(
      breach("none", "NBD_OPT_GO, C-053")
    )
  })

  it("H-035 with NBD_INFO_EXPORT twice is a broken protocol where the two differ, and only there", () => {
    for (const other of [exportInfo(1n, 0x0005), exportInfo(1_048_576n, 0x0007)]) {
      expect(going(goWith(plain, other)).outcome).toMatchObject(breach("two that differ", "NBD_REP_INFO, H-035"))
    }
    expect(factsOf(plain, plain)).toMatchObject({ size: 1_048_576n, flags: 5 })
  })

  it("H-037 with transmission flags of zero is a broken protocol (C-123)", () => {
    expect(going(goWith(exportInfo(1n, 0))).outcome).toMatchObject(breach("0x0000", "Transmission flags, C-123"))
    const willing = { ...nothing, zeroFlags: true }
    expect(converse((reader) => go(reader, fixed, "", willing), goWith(exportInfo(1n, 0))).outcome).toMatchObject({
      _tag: "Succeeded",
      value: { size: 1n, flags: 0 }
    })
  })

  it("H-037 with other flags but not HAS_FLAGS is taken as it is", () => {
    expect(factsOf(exportInfo(1n, 0x0004))).toMatchObject({ flags: 4 })
  })

  it("H-038 with flags that contradict each other has the ones without a meaning masked (C-121)", () => {
    const simple = going(goWith(exportInfo(1n, 0x1881)), { ...fixed, replyStyle: "Simple" }).outcome
    if (simple._tag !== "Succeeded") throw new Error(simple._tag)
    const masked = new Export({ ...simple.value, contexts: [] })
    expect([masked.canDf, masked.canFastZero, masked.flags]).toStrictEqual([false, false, 0x1881])
    const sound = new Export({ ...factsOf(exportInfo(1n, 0x08c1)), contexts: [] })
    expect([sound.canDf, sound.canFastZero]).toStrictEqual([true, true])
  })

  it.each([2n ** 63n, 2n ** 63n + 1n, maxU64 - 1n, maxU64])(
    "H-039 with a size of %s keeps it exact (C-001)",
    (size) => {
      expect(factsOf(exportInfo(size, 1)).size).toBe(size)
    }
  )

  it.each([2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n])("H-040 with a size of %s keeps it exact (C-001)", (size) => {
    expect(factsOf(exportInfo(size, 1)).size).toBe(size)
  })

  it("H-041 with a size of 0 is taken as it is", () => {
    expect(factsOf(exportInfo(0n, 1)).size).toBe(0n)
  })

  it("H-042 with a size that is no multiple of its minimum block size is taken as it is (C-101)", () => {
    expect(factsOf(exportInfo(1000n, 1), blockSizeInfo(512, 512, 512))).toMatchObject({
      size: 1000n,
      blockSize: { value: { minimum: 512, preferred: 512, maximum: 512 } }
    })
  })

  it.each([
    ["a minimum of 0", 0, 512, 512],
    ["a minimum that is no power of two", 3, 512, 1536],
    ["a minimum above 65,536", 131_072, 131_072, 131_072],
    ["a minimum of 2^31", 0x8000_0000, 0x8000_0000, 0x8000_0000],
    ["a preferred size of 0", 1, 0, 512],
    ["a preferred size below 512", 1, 256, 512],
    ["a preferred size below the minimum", 1024, 512, 2048],
    ["a preferred size that is no power of two", 1, 1000, 4000],
    ["a preferred size of 2^32 - 1", 1, maxU32, maxU32],
    ["a maximum of 0", 1, 512, 0],
    ["a maximum below the preferred size", 1, 4096, 2048],
    ["a maximum that is no multiple of the minimum", 4096, 4096, 4097]
  ])("H-043 with %s has the whole advert ignored (C-100)", (_, minimum, preferred, maximum) => {
    expect(factsOf(plain, blockSizeInfo(minimum, preferred, maximum)).blockSize).toStrictEqual(Option.none())
  })

  it.each([
    [1, 512, 512],
    [1, 4096, maxU32],
    [65_536, 65_536, 65_536],
    [1, 0x8000_0000, maxU32],
    [512, 512, 1536]
  ])(
    "H-044 with the valid sizes %i, %i and %i has them obeyed, however small, and none above 64 MiB (C-086, C-090, A-08)",
    (minimum, preferred, maximum) => {
      const facts = factsOf(plain, blockSizeInfo(minimum, preferred, maximum))
      expect(facts.blockSize).toMatchObject({ value: { minimum, preferred, maximum } })
      const known = new Export({ ...facts, contexts: [] })
      expect(known.maximumPayload).toBe(Math.min(maximum, 67_108_864))
      expect(known.minimumBlockSize).toBe(minimum)
    }
  )

  it("H-045 with block sizes that were not asked for has them honoured (C-051)", () => {
    expect(factsOf(plain, blockSizeInfo(512, 512, 512)).blockSize).toMatchObject({ value: { minimum: 512 } })
  })

  it("H-053 and 124 zeroes behind it leaves them for the transmission phase to trip over (C-060)", () => {
    const { outcome, reader } = going([...goWith(plain), { server: zeros(124) }])
    expect(outcome).toMatchObject({ _tag: "Succeeded" })
    expect(reader.detach()).toStrictEqual(zeros(124))
  })
})

describe("a refused GO", () => {
  it("H-036 forgets the information before it (C-055)", () => {
    const replies = [plain, nameInfo("x"), descriptionInfo("y")].map((each) => optionReply(opt.GO, rep.INFO, each))
    const { outcome, reader } = going(goTo(...replies, optionReply(opt.GO, rep.ERR_UNKNOWN, utf8("no"))))
    expect(outcome).toMatchObject({
      _tag: "Failed",
      error: { _tag: "NbdExportUnknownError", exportName: "", serverMessage: "no" }
    })
    expect(reader.buffered).toBe(0)
  })

  it("H-046 for block sizes that were asked for is not asked again (C-059)", () => {
    const request = option(opt.GO, infoRequest("", 1, 2, 3))
    const { outcome, unexpected } = converse(
      (reader) => go(reader, fixed, "", everything),
      asked(request, optionReply(opt.GO, rep.ERR_BLOCK_SIZE_REQD))
    )
    expect(outcome).toMatchObject({
      error: { _tag: "NbdOptionRefusedError", option: "NBD_OPT_GO", reply: "NBD_REP_ERR_BLOCK_SIZE_REQD" }
    })
    expect(unexpected).toStrictEqual(zeros(0))
  })

  it.each([["a close", finished], ["a reset", broken]])(
    "H-048 as unsupported, and then %s in answer to NBD_OPT_EXPORT_NAME, is a refused export (C-064)",
    (_, end) => {
      const { outcome } = going([
        ...goTo(optionReply(opt.GO, rep.ERR_UNSUP)),
        { client: option(opt.EXPORT_NAME) },
        { end }
      ])
      expect(outcome).toMatchObject({ _tag: "Failed", error: { _tag: "NbdExportRefusedError", exportName: "" } })
    }
  )
})

describe("H-050 an old server closes instead of answering an option it does not know", () => {
  const closes = {
    _tag: "Failed",
    error: { _tag: "NbdServerDisconnectedError", phase: "haggling", received: 0, wanted: 20, peer: "by hand" }
  }
  it("which is a failure that says so", () => {
    const end = [{ end: finished }]
    expect(converse(structuredReply, [{ client: option(opt.STRUCTURED_REPLY) }, ...end]).outcome).toMatchObject(closes)
    expect(converse(list, [{ client: option(opt.LIST) }, ...end]).outcome).toMatchObject(closes)
    expect(going([{ client: option(opt.GO, infoRequest("")) }, ...end]).outcome).toMatchObject(closes)
  })
})

describe("H-051 NBD_REP_ERR_SHUTDOWN", () => {
  const refusal = (name: string) => ({
    _tag: "Failed",
    error: { _tag: "NbdOptionRefusedError", option: name, replyType: rep.ERR_SHUTDOWN, serverMessage: "bye" }
  })
  const bye = (code: number): Uint8Array => optionReply(code, rep.ERR_SHUTDOWN, utf8("bye"))

  it("to LIST, INFO and GO is a refusal that the handle can tell from others (C-037)", () => {
    expect(converse(list, listed(bye(opt.LIST))).outcome).toMatchObject(refusal("NBD_OPT_LIST"))
    expect(going(goTo(bye(opt.GO))).outcome).toMatchObject(refusal("NBD_OPT_GO"))
    const script = asked(option(opt.INFO, infoRequest("")), bye(opt.INFO))
    const asking = converse((reader) => info(reader, fixed, "", nothing), script)
    expect(asking.outcome).toMatchObject(refusal("NBD_OPT_INFO"))
  })
})

describe("H-052 the answer to NBD_OPT_EXPORT_NAME", () => {
  const reply = concat(u64(512n), u16(1))
  const byName = (noZeroes: boolean, answer: Uint8Array) =>
    converse((reader) => enterByName(reader, "", noZeroes), [{ client: option(opt.EXPORT_NAME) }, { server: answer }])

  it("has padding although none was agreed on: it is left for the transmission phase to trip over (C-063)", () => {
    const { outcome, reader } = byName(true, concat(reply, zeros(124)))
    expect(outcome).toStrictEqual({ _tag: "Succeeded", value: { exportSize: 512n, flags: 1 } })
    expect(reader.buffered).toBe(124)
  })

  it("has no padding although none was agreed away: it is waited for, against the handshake's deadline (C-063)", () => {
    expect(byName(false, reply).outcome).toStrictEqual({ _tag: "Waiting" })
  })
})

describe("H-054 replies of the transmission phase behind GO's acknowledgement", () => {
  it("are no business of the handshake, which keeps them", () => {
    const glued = concat(optionReply(opt.GO, rep.INFO, plain), ack(opt.GO), zeros(16).fill(7))
    const { outcome, reader } = going(goTo(glued))
    expect(outcome).toMatchObject({ _tag: "Succeeded" })
    expect(reader.detach()).toStrictEqual(zeros(16).fill(7))
  })
})

describe("a server that says one thing with INFO and another with GO", () => {
  it("H-152 is believed the second time (C-056)", () => {
    const { outcome } = converse(
      (reader) => Effect.all([info(reader, fixed, "a", nothing), go(reader, fixed, "a", nothing)]),
      [
        ...asked(
          option(opt.INFO, infoRequest("a")),
          optionReply(opt.INFO, rep.INFO, exportInfo(1n, 1)),
          ack(opt.INFO)
        ),
        ...asked(option(opt.GO, infoRequest("a")), optionReply(opt.GO, rep.INFO, exportInfo(2n, 3)), ack(opt.GO))
      ]
    )
    expect(outcome).toMatchObject({ value: [{ size: 1n, flags: 1 }, { size: 2n, flags: 3 }] })
  })
})
