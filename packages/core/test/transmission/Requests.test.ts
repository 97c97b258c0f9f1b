/**
 * What the specification asks of requests, command by command: what has to be advertised for them, and what they carry.
 */
import { Export, type ExportFacts } from "@effect-nbd/core/Export"
import * as Request from "@effect-nbd/core/Request"
import { prepare } from "@effect-nbd/core/transmission/Preparation"
import { strict } from "@effect-nbd/core/transmission/Strictness"
import { concat } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags, ReplyFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeChunk, encodeSimpleReply } from "@effect-nbd/core/wire/Reply"
import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import { zeros } from "../fixtures/HandWritten.ts"
import { transmission } from "./ByHand.ts"

const everything = 0x0ffd
const without = (...flags: ReadonlyArray<number>): number => flags.reduce((left, flag) => left & ~flag, everything)

const exportOf = (flags: number, facts: Partial<ExportFacts> = {}): Export =>
  new Export({
    name: "",
    size: 2n ** 40n,
    flags: TransmissionFlags(flags),
    replyStyle: "Structured",
    blockSize: Option.none(),
    canonicalName: Option.none(),
    description: Option.none(),
    contexts: [{ name: "base:allocation", id: 1 }],
    ...facts
  })

const whole = exportOf(everything)

describe("a command that was not advertised is not sent", () => {
  const { CAN_MULTI_CONN, HAS_FLAGS, READ_ONLY, SEND_CACHE, SEND_FLUSH, SEND_TRIM, SEND_WRITE_ZEROES } =
    TransmissionFlags

  it("a flush (C-121, C-140)", () => {
    expect(prepare(exportOf(without(SEND_FLUSH)), strict, new Request.Flush())).toMatchObject({
      _tag: "NbdUnsupportedError",
      missing: "NBD_FLAG_SEND_FLUSH"
    })
    expect(prepare(exportOf(HAS_FLAGS | SEND_FLUSH), strict, new Request.Flush())).toMatchObject({ name: "flush" })
  })

  it("a trim (C-121, C-145)", () => {
    expect(prepare(exportOf(without(SEND_TRIM)), strict, new Request.Trim(0n, 512, {}))).toMatchObject({
      _tag: "NbdUnsupportedError",
      missing: "NBD_FLAG_SEND_TRIM"
    })
    expect(prepare(exportOf(HAS_FLAGS | SEND_TRIM), strict, new Request.Trim(0n, 512, {}))).toMatchObject({
      name: "trim"
    })
  })

  it("zeroes (C-121, C-147)", () => {
    expect(prepare(exportOf(without(SEND_WRITE_ZEROES)), strict, new Request.WriteZeroes(0n, 512, {}))).toMatchObject({
      _tag: "NbdUnsupportedError",
      missing: "NBD_FLAG_SEND_WRITE_ZEROES"
    })
    expect(prepare(exportOf(HAS_FLAGS | SEND_WRITE_ZEROES), strict, new Request.WriteZeroes(0n, 512, {})))
      .toMatchObject({
        name: "writeZeroes"
      })
  })

  it("a prefetch, which has no flags in any case (C-121, C-148)", () => {
    expect(prepare(exportOf(without(SEND_CACHE)), strict, new Request.Cache(0n, 512, {}))).toMatchObject({
      _tag: "NbdUnsupportedError",
      missing: "NBD_FLAG_SEND_CACHE"
    })
    const lax = { ...strict, commands: false }
    expect(prepare(exportOf(without(SEND_CACHE)), lax, new Request.Cache(0n, 512, {}))).toMatchObject({
      name: "cache",
      flags: 0
    })
    expect(prepare(exportOf(without(SEND_CACHE)), lax, new Request.Cache(0n, 512, { flags: CommandFlags.FUA })))
      .toMatchObject({
        _tag: "NbdCommandFlagsError"
      })
  })

  it("what changes the content of a read-only export, whatever else was advertised (C-125)", () => {
    const readOnly = exportOf(everything | READ_ONLY | CAN_MULTI_CONN)
    const refused = (command: string) => ({ _tag: "NbdReadOnlyError", command })
    expect(prepare(readOnly, strict, new Request.Write(0n, zeros(512), {}))).toMatchObject(refused("write"))
    expect(prepare(readOnly, strict, new Request.Trim(0n, 512, {}))).toMatchObject(refused("trim"))
    expect(prepare(readOnly, strict, new Request.WriteZeroes(0n, 512, {}))).toMatchObject(refused("writeZeroes"))
    expect(prepare(readOnly, strict, new Request.Read(0n, 512))).toMatchObject({ name: "read" })
    expect(prepare(readOnly, strict, new Request.Flush())).toMatchObject({ name: "flush" })
  })

  it("and flags without a meaning make no difference (C-122)", () => {
    const unknown = without(SEND_TRIM) | 0xe000
    expect(prepare(exportOf(unknown), strict, new Request.Trim(0n, 512, {}))).toMatchObject({
      missing: "NBD_FLAG_SEND_TRIM"
    })
    expect(prepare(exportOf(unknown), strict, new Request.Flush())).toMatchObject({ name: "flush" })
    expect(prepare(exportOf(unknown), strict, new Request.Read(0n, 512))).toMatchObject({ name: "read", flags: 0 })
  })
})

describe("an empty range is not asked about", () => {
  it.each([
    ["a read (C-134)", prepare(whole, strict, new Request.Read(0n, 0))],
    ["a structured read (C-134)", prepare(whole, strict, new Request.ReadStructured(0n, 0, {}))],
    ["a write (C-135)", prepare(whole, strict, new Request.Write(0n, zeros(0), {}))],
    ["a trim (C-136)", prepare(whole, strict, new Request.Trim(0n, 0, {}))],
    ["zeroes (C-137)", prepare(whole, strict, new Request.WriteZeroes(0n, 0n, {}))],
    ["block status (C-138)", prepare(whole, strict, new Request.BlockStatus(0n, 0n, {}))],
    ["a prefetch", prepare(whole, strict, new Request.Cache(0n, 0, {}))]
  ])("by %s", (_, prepared) => {
    expect(prepared).toMatchObject({ _tag: "NbdZeroLengthError", offset: 0n })
  })
})

describe("what a command carries", () => {
  it("a flush has neither offset nor length, nor flags (C-141)", async () => {
    const prepared = prepare(whole, strict, new Request.Flush())
    if ("_tag" in prepared) throw new Error(prepared._tag)
    const { connection, submit } = transmission()
    submit(prepared)
    await Promise.resolve()
    expect(connection.requests).toStrictEqual([{ flags: 0, command: 3, cookie: 1n, offset: 0n, length: 0 }])
  })

  it("zeroes ask for a range to stay allocated, though the server does not trim (C-129)", () => {
    const target = exportOf(without(TransmissionFlags.SEND_TRIM))
    expect(prepare(target, strict, new Request.WriteZeroes(0n, 512, { noHole: true }))).toMatchObject({
      flags: CommandFlags.NO_HOLE
    })
    expect(prepare(target, strict, new Request.WriteZeroes(0n, 512, {}))).toMatchObject({ flags: 0 })
  })

  it("a read asks for one chunk only when that is wanted, and offered (C-130, C-131)", () => {
    expect(prepare(whole, strict, new Request.ReadStructured(0n, 512, { df: true }))).toMatchObject({
      flags: CommandFlags.DF
    })
    expect(prepare(whole, strict, new Request.ReadStructured(0n, 512, {}))).toMatchObject({ flags: 0 })
    expect(
      prepare(exportOf(without(TransmissionFlags.SEND_DF)), strict, new Request.ReadStructured(0n, 512, { df: true }))
    )
      .toMatchObject({ missing: "NBD_FLAG_SEND_DF" })
  })

  it("cookies of all pending requests are distinct, and none comes twice (C-126)", async () => {
    const { connection, submit } = transmission({ replyStyle: "Simple" })
    const cookies = new Set<bigint>()
    for (let round = 0; round < 50; round++) {
      for (let index = 0; index < 20; index++) submit({ name: "flush" })
      await Promise.resolve()
      for (const { cookie } of connection.requests.slice(round * 20)) {
        cookies.add(cookie)
        // Every other one is answered, so that finished and pending ones alternate.
        if (cookie % 2n === 0n) connection.arrive(encodeSimpleReply({ cookie, error: 0 }))
      }
    }
    expect(cookies.size).toBe(1000)
  })
})

describe("payloads of replies", () => {
  /** One chunk with all of a read in it. */
  const answered = (length: number, blockSize: ExportFacts["blockSize"]) => {
    const prepared = prepare(exportOf(everything, { blockSize }), strict, new Request.Read(512n, length))
    if ("_tag" in prepared) return prepared._tag
    const { connection, ends, outcomes, submit } = transmission()
    submit(prepared)
    const data = zeros(length)
    data.set([1, 2, 3], length - 3)
    connection.arrive(concat(encodeChunk(1n, ReplyFlags(1), { _tag: "OffsetData", offset: 512n, data })), 2 ** 20)
    return ends.length === 0 ? outcomes[0] : ends[0]
  }

  it.each([65_536, 33_554_432, 67_108_864])(
    "of %i bytes come in one chunk, with 8 bytes of offset before them (C-097, C-098)",
    (length) => {
      expect(answered(length, Option.none())).toBe("ok")
      // Longer than what the server said that it takes and sends.
      expect(answered(length, Option.some({ minimum: 1, preferred: 4096, maximum: 4096 }))).toBe("ok")
    }
  )

  it("over 64 MiB are never asked for, and no others come (C-099)", () => {
    expect(answered(67_108_865, Option.none())).toBe("NbdRequestTooLargeError")
  })
})
