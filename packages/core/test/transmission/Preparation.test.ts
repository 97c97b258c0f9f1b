/**
 * Which command is sent for a call, and what is refused before anything is.
 */
import { Export, type GrantedContext, type ReplyStyle } from "@effect-nbd/core/Export"
import * as Request from "@effect-nbd/core/Request"
import { idMap } from "@effect-nbd/core/transmission/ContextTable"
import { prepare } from "@effect-nbd/core/transmission/Preparation"
import { strict, type Strictness } from "@effect-nbd/core/transmission/Strictness"
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { concat, u32, u64, zeros } from "../fixtures/HandWritten.ts"
import { statusDetail } from "./ByHand.ts"

const everything = 0x1ffd
const contexts: ReadonlyArray<GrantedContext> = [{ name: "base:allocation", id: 4 }, { name: "x-a:b", id: 9 }]

const exportOf = (replyStyle: ReplyStyle, flags = everything, granted = contexts): Export =>
  new Export({
    name: "",
    size: 2n ** 60n,
    flags: TransmissionFlags(flags),
    replyStyle,
    blockSize: Option.none(),
    canonicalName: Option.none(),
    description: Option.none(),
    contexts: granted
  })

const lax = (...bits: ReadonlyArray<keyof Strictness>): Strictness => ({
  ...strict,
  ...Object.fromEntries(bits.map((bit) => [bit, false]))
})
const structured = exportOf("Structured")
const extended = exportOf("Extended")

describe("flags", () => {
  it("that a command does not know are refused, unless the server is to judge (C-124, C-128)", () => {
    const refused = { _tag: "NbdCommandFlagsError", flags: 2, known: CommandFlags.FUA }
    expect(prepare(structured, strict, new Request.Trim(0n, 1, { flags: 2 }))).toMatchObject({
      ...refused,
      command: "trim"
    })
    expect(prepare(structured, strict, new Request.Write(0n, zeros(1), { flags: 2 }))).toMatchObject({
      ...refused,
      command: "write"
    })
    expect(prepare(structured, strict, new Request.Cache(0n, 1, { flags: 1 }))).toMatchObject({ known: 0 })
    expect(prepare(structured, strict, new Request.ReadStructured(0n, 1, { flags: 1 }))).toMatchObject({
      known: CommandFlags.DF
    })
    expect(prepare(structured, strict, new Request.BlockStatus(0n, 1, { flags: 4 }))).toMatchObject({
      known: CommandFlags.REQ_ONE
    })
    expect(prepare(structured, lax("flags"), new Request.Trim(0n, 1, { flags: 0x8002 }))).toMatchObject({
      name: "trim",
      flags: 0x8002
    })
    expect(prepare(structured, strict, new Request.WriteZeroes(0n, 1, { fua: true, noHole: true, fastZero: true })))
      .toMatchObject({
        flags: 0x13
      })
  })

  it.each([-1, 0x1_0000])("of %d are none, whoever is to judge", (flags) => {
    expect(prepare(structured, lax("flags"), new Request.Trim(0n, 1, { flags }))).toMatchObject({
      _tag: "NbdCommandFlagsError"
    })
    expect(prepare(structured, strict, new Request.Command({ code: 4, flags }))).toMatchObject({
      _tag: "NbdCommandFlagsError"
    })
  })

  it("need what the server advertised, in whichever way they are given (C-106, C-121, C-128, C-131, C-133)", () => {
    const bare = exportOf("Structured", 0x61)
    for (const options of [{ fua: true }, { flags: CommandFlags.FUA }]) {
      expect(prepare(bare, strict, new Request.Trim(0n, 1, options))).toMatchObject({ missing: "NBD_FLAG_SEND_FUA" })
    }
    expect(prepare(bare, strict, new Request.WriteZeroes(0n, 1, { fastZero: true }))).toMatchObject({
      missing: "NBD_FLAG_SEND_FAST_ZERO"
    })
    expect(prepare(bare, strict, new Request.ReadStructured(0n, 1, { df: true }))).toMatchObject({
      missing: "NBD_FLAG_SEND_DF"
    })
    expect(prepare(bare, lax("commands"), new Request.ReadStructured(0n, 1, { df: true }))).toMatchObject({
      flags: CommandFlags.DF
    })
    expect(prepare(exportOf("Simple"), strict, new Request.ReadStructured(0n, 1, { df: true }))).toMatchObject({
      missing: "NBD_FLAG_SEND_DF"
    })
  })
})

describe("PAYLOAD_LEN", () => {
  it("is set under extended headers, and only there, whatever a caller says (C-222, C-223)", () => {
    for (const flags of [0, CommandFlags.PAYLOAD_LEN]) {
      expect(prepare(structured, strict, new Request.Write(0n, zeros(1), { flags }))).toMatchObject({ flags: 0 })
      expect(prepare(extended, strict, new Request.Write(0n, zeros(1), { flags, fua: true }))).toMatchObject({
        flags: 0x21
      })
    }
  })

  it("is the caller's where that is switched off, and checked where checks are on", () => {
    const own = lax("autoFlag")
    expect(prepare(extended, own, new Request.Write(0n, zeros(1), {}))).toMatchObject({ _tag: "NbdCommandFlagsError" })
    expect(prepare(structured, own, new Request.Write(0n, zeros(1), { flags: 0x20 }))).toMatchObject({
      _tag: "NbdCommandFlagsError"
    })
    expect(prepare(extended, own, new Request.Write(0n, zeros(1), { flags: 0x20 }))).toMatchObject({ flags: 0x20 })
    expect(prepare(extended, lax("autoFlag", "commands"), new Request.Write(0n, zeros(1), {}))).toMatchObject({
      flags: 0
    })
  })
})

describe("lengths of effect", () => {
  it("have 32 bits, and under extended headers 53", () => {
    expect(prepare(structured, strict, new Request.Trim(0n, 2 ** 32 - 1, {}))).toMatchObject({ length: 2 ** 32 - 1 })
    for (const length of [2 ** 32, 2n ** 32n]) {
      expect(prepare(structured, lax("payload"), new Request.Trim(0n, length, {}))).toMatchObject({
        maximum: 2 ** 32 - 1
      })
      expect(prepare(extended, strict, new Request.Trim(0n, length, {}))).toMatchObject({ length: 2 ** 32 })
    }
    expect(prepare(extended, strict, new Request.BlockStatus(0n, 2n ** 53n - 1n, {}))).toMatchObject({
      length: 2 ** 53 - 1
    })
    expect(prepare(extended, strict, new Request.BlockStatus(0n, 2n ** 53n, {}))).toMatchObject({
      _tag: "NbdRequestTooLargeError"
    })
  })

  it("of block status are cut to what one request can ask about, since its answer may be short (C-192)", () => {
    const about = (strictness: Strictness) =>
      prepare(structured, strictness, new Request.BlockStatus(0n, 2n ** 32n, {}))
    expect(about(strict)).toMatchObject({ length: 0xffff_0000 })
    expect(about(lax("payload"))).toMatchObject({ _tag: "NbdRequestTooLargeError", maximum: 2 ** 32 - 1 })
    expect(prepare(structured, strict, new Request.BlockStatus(0n, 2 ** 32 - 2 ** 16, {}))).toMatchObject({
      length: 0xffff_0000
    })
  })
})

describe("block status", () => {
  it("is asked of all granted contexts, or of those named, without a payload under compact headers (C-231)", () => {
    const request = new Request.BlockStatus(1n, 2)
    expect(prepare(structured, strict, request)).toStrictEqual({
      request,
      name: "blockStatus",
      flags: 0,
      offset: 1n,
      length: 2,
      payload: undefined,
      destination: undefined,
      detail: statusDetail(...contexts)
    })
    // Without a filter the server answers for all, and the rest is left out afterwards.
    expect(prepare(structured, strict, new Request.BlockStatus(1n, 2, { contexts: ["x-a:b"], reqOne: true })))
      .toMatchObject({
        flags: CommandFlags.REQ_ONE,
        payload: undefined,
        detail: { asked: idMap(contexts), kept: idMap(contexts.slice(1)), wanted: contexts.slice(1) }
      })
  })

  it("is filtered by the server where it can (C-224)", () => {
    expect(prepare(extended, strict, new Request.BlockStatus(1n, 2n ** 40n, { contexts: ["x-a:b", "x-a:b"] })))
      .toMatchObject({
        flags: CommandFlags.PAYLOAD_LEN,
        length: 2 ** 40,
        payload: concat(u64(2n ** 40n), u32(9)),
        detail: { asked: idMap(contexts.slice(1)), wanted: [...contexts.slice(1), ...contexts.slice(1)] }
      })
    expect(prepare(extended, strict, new Request.BlockStatus(1n, 2, { contexts: ["x-a:b", "base:allocation"] })))
      .toMatchObject({
        payload: undefined,
        flags: 0
      })
    expect(prepare(exportOf("Extended", 1), strict, new Request.BlockStatus(1n, 2, { contexts: ["x-a:b"] })))
      .toMatchObject({
        payload: undefined,
        detail: { asked: idMap(contexts), kept: idMap(contexts.slice(1)) }
      })
  })

  it("is not asked for a context that was not granted, which is named (C-149)", () => {
    expect(prepare(structured, strict, new Request.BlockStatus(1n, 2, { contexts: ["base:allocation", "qemu:x"] })))
      .toMatchObject({
        _tag: "NbdNoMetaContextError",
        context: "qemu:x",
        granted: ["base:allocation", "x-a:b"]
      })
    const without = exportOf("Structured", everything, [])
    expect(prepare(without, strict, new Request.BlockStatus(1n, 2, {}))).toMatchObject({ context: undefined })
    expect(prepare(without, lax("commands"), new Request.BlockStatus(1n, 2, {}))).toMatchObject({ name: "blockStatus" })
  })
})

describe("a command by its number", () => {
  it("is any that has a reply without data", () => {
    expect(prepare(structured, strict, new Request.Command({ code: 42, flags: 9, offset: 5n, payload: zeros(3) })))
      .toMatchObject({
        name: "command",
        flags: 9,
        offset: 5n,
        length: 3,
        detail: { _tag: "Raw", code: 42 }
      })
    expect(prepare(structured, strict, new Request.Command({ code: 8, length: 7 }))).toMatchObject({
      length: 7,
      payload: undefined
    })
    for (const code of [0, 2, -1, 65_536, 1.5]) {
      expect(prepare(structured, strict, new Request.Command({ code }))).toMatchObject({
        _tag: "NbdCommandFlagsError",
        command: "command"
      })
    }
  })
})
