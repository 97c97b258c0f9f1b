/** Sizes, JSON and failures as text. */
import * as BlockSize from "#cli/BlockSize"
import * as CheckReport from "#cli/CheckReport"
import { CopyError } from "#cli/Copy"
import * as Failure from "#cli/Failure"
import * as Json from "#cli/Json"
import * as Size from "#cli/Size"
import * as Conformance from "@effect-nbd/conformance/Conformance"
import { CommandError, HandshakeError, NbdError, Request, TransportError } from "@effect-nbd/core"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

describe("Size", () => {
  it("reads what people write", () => {
    const sizes: ReadonlyArray<readonly [string, bigint]> = [
      ["0", 0n],
      ["512", 512n],
      ["512b", 512n],
      ["64k", 65_536n],
      ["64KiB", 65_536n],
      ["64 KB", 65_536n],
      ["1.5G", 1_610_612_736n],
      ["0.5K", 512n],
      ["15E", 15n << 60n],
      ["18446744073709551615", (1n << 64n) - 1n]
    ]
    for (const [text, size] of sizes) expect(Size.parse(text)).toBe(size)
    for (
      const text of [
        "",
        "K",
        "-1",
        "1X",
        "1.",
        ".5K",
        "0.3",
        "16E",
        "1e3",
        "0x10",
        " 1",
        "1,5G",
        "18446744073709551616"
      ]
    ) {
      expect(Size.parse(text)).toBeUndefined()
    }
  })

  it("is written as nbdinfo writes it, and read back as the same", () => {
    expect([0n, 1023n, 1024n, 1536n, 1_074_790_400n, 1n << 62n, 1n << 63n].map(Size.exact)).toEqual(
      ["0", "1023", "1K", "1536", "1025M", "4E", "8E"]
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.bigInt(0n, (1n << 64n) - 1n), (size) => Size.parse(Size.exact(size)) === size)
    )
  })

  it("is rounded to what people read", () => {
    expect([0, 1, 1000, 1023, 1536, 10_240, 1_048_576 * 999, (2 ** 30) * 1.5].map(Size.rounded)).toEqual(
      ["0 bytes", "1 byte", "1000 bytes", "1023 bytes", "1.5 KiB", "10 KiB", "999 MiB", "1.5 GiB"]
    )
  })
})

describe("Json", () => {
  it("writes integers of any size exactly", () => {
    expect(Json.format({ size: (1n << 64n) - 1n, more: [9_007_199_254_740_993n], none: undefined, empty: [], "": {} }))
      .toBe(
        "{\n  \"size\": 18446744073709551615,\n  \"more\": [\n    9007199254740993\n  ],\n  \"empty\": [],\n  \"\": {}\n}"
      )
  })

  it("is the same as JSON.stringify for everything else", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.jsonValue(), (value) => {
        const checked: unknown = value
        return !isJson(checked) || Json.format(checked) === JSON.stringify(checked, null, 2)
      })
    )
  })
})

/** Text of any code units, with many that a terminal obeys or does not show among them. */
const anyText = FastCheck.array(
  FastCheck.oneof(
    FastCheck.constantFrom(
      "\u0000",
      "\u001b[31m",
      "\n",
      "\u007f",
      "\u009b31m",
      "\u00ad",
      "\u200f",
      "\u202e",
      "\u2028",
      "\u2066",
      "\ufeff",
      "\u{e0041}",
      "\ud800",
      "\udc00",
      "\\",
      "\"",
      "ü"
    ),
    FastCheck.string16bits({ maxLength: 4 }),
    FastCheck.fullUnicodeString({ maxLength: 4 })
  ),
  { maxLength: 8 }
).map((pieces) => pieces.join(""))

/** What a terminal obeys or does not show. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

describe("text of a server", () => {
  it("is exact in JSON, and has nothing in it that would not be seen", () => {
    FastCheck.assert(FastCheck.property(anyText, (text) => {
      expect(Json.quoted(text)).not.toMatch(unseen)
      expect(JSON.parse(Json.quoted(text))).toBe(text)
      const all = Json.format({ name: text, [text]: [text] })
      expect(all.replaceAll("\n", "")).not.toMatch(unseen)
      expect(JSON.parse(all)).toStrictEqual({ name: text, [text]: [text] })
    }))
  })

  it("is escaped by JSON's own rules", () => {
    expect(Json.quoted("A\u009b31mB\u202eC\u007f\u2028\u{e0041}\ud800\nü")).toBe(
      "\"A\\u009b31mB\\u202eC\\u007f\\u2028\\udb40\\udc41\\ud800\\nü\""
    )
  })

  it("is shown to people on one line, with nothing in it that would not be seen", () => {
    FastCheck.assert(FastCheck.property(anyText, (text) => {
      expect(Failure.oneLine(text)).not.toMatch(unseen)
    }))
    FastCheck.assert(FastCheck.property(FastCheck.string(), (text) => {
      expect(Failure.oneLine(text)).toBe(text.trim())
    }))
  })

  it("makes up no line in the report of check, and is exact in its JSON", () => {
    FastCheck.assert(FastCheck.property(anyText, anyText, anyText, (failed, unclear, skipped) => {
      const verdicts: ReadonlyArray<Conformance.Verdict> = [
        { _tag: "Failed", error: undefined, reason: failed, rules: ["S-001"] },
        { _tag: "Unclear", reason: unclear },
        { _tag: "Skipped", reason: skipped }
      ]
      const report = Conformance.reportOf(verdicts.map((verdict) => ({ name: "check", rules: ["S-001"], verdict })))
      const lines = CheckReport.toText(report).split("\n")
      expect(lines).toHaveLength(12)
      expect(lines.join("")).not.toMatch(unseen)
      expect(JSON.parse(CheckReport.toJson(report))).toMatchObject({
        checks: [{ reason: failed }, { reason: unclear }, { reason: skipped }]
      })
    }))
  })
})

const isJson = (value: unknown): value is Json.Json =>
  value === null || ["string", "number", "boolean"].includes(typeof value) ||
  (Array.isArray(value) ? value.every(isJson) : typeof value === "object" && Object.values(value).every(isJson))

class Sample extends Data.TaggedError("Sample")<{ readonly [name: string]: unknown }> {
  override get message(): string {
    return "something happened"
  }
}

/** One error of the library for each outcome. */
const outcomes = [
  new CommandError.CommandError({
    command: "read",
    offset: 0n,
    length: 512,
    request: new Request.Read(0n, 512),
    errno: "EIO",
    value: 5,
    serverMessage: "",
    errorOffset: undefined
  }),
  new TransportError.HostNotFoundError({ host: "nowhere", code: "ENOTFOUND" }),
  new HandshakeError.ExportUnknownError({ exportName: "disk", serverMessage: "" }),
  new TransportError.TransportLostError({ peer: "x", code: "ECONNRESET" })
]

describe("Failure", () => {
  it("is an object with tag, message and facts", () => {
    const error = new Sample({
      offset: 9_007_199_254_740_993n,
      timeout: Duration.seconds(2),
      where: Option.some("here"),
      nowhere: Option.none(),
      attempts: [{ address: "::1", code: "EIO" }],
      reason: new Sample({ cause: new Error("not told") }),
      cause: new Error("not told")
    })
    expect(Failure.toJson(error)).toEqual({
      tag: "Sample",
      message: "something happened",
      offset: 9_007_199_254_740_993n,
      timeout: 2000,
      where: "here",
      attempts: [{ address: "::1", code: "EIO" }],
      reason: { tag: "Sample", message: "something happened" }
    })
    const nested = new CopyError({ operation: "read", of: "a", offset: 1n, cause: new Sample({}) })
    expect(Failure.toJson(nested)).toMatchObject({ tag: "CopyError", cause: { tag: "Sample" } })
  })

  it("does not follow circles", () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    expect(Failure.toJson(new Sample({ circle }))).toEqual({ tag: "Sample", message: "something happened", circle: {} })
  })

  it("fits on one line, and steers no terminal", () => {
    expect(Failure.oneLine("a\n  b\r\nc\n")).toBe("a; b; c")
    expect(Failure.oneLine("\u001b[31mred\u0000\u009b\u202e\u2028ü")).toBe("\\x1b[31mred\\x00\\x9b\\u202e\\u2028ü")
    expect(Failure.oneLine("\u007f\u00ad\ufeff\u{e0041}\ud800")).toBe("\\x7f\\xad\\ufeff\\u{e0041}\\ud800")
  })

  it("has exit code 1, and 141 if the output is not read any more", () => {
    const closed = new Failure.OutputError({ code: "EPIPE" })
    expect(Failure.exitCodeOf(closed)).toBe(141)
    expect(Failure.exitCodeOf(new CopyError({ operation: "write", of: "-", offset: 0n, cause: closed }))).toBe(141)
    for (const fault of [undefined, new Sample({}), new Failure.OutputError({ code: "ENOSPC" }), ...outcomes]) {
      expect(Failure.exitCodeOf(fault)).toBe(1)
    }
    const sorted = outcomes.map(NbdError.outcomeOf).toSorted()
    expect(sorted).toEqual(["Failed", "NotSent", "Refused", "Unknown"])
  })

  it("names a defect as one", () => {
    expect(Failure.ofCause(Cause.die(new Error("oops")))).toMatchObject({ _tag: "Defect" })
  })
})

describe("BlockSize", () => {
  it("is read from one to three sizes, what is left out has defaults (S-051, S-053)", () => {
    expect(BlockSize.parse("512")).toEqual({ minimum: 512, preferred: 4096, maximum: 33_554_432 })
    expect(BlockSize.parse("64K")).toEqual({ minimum: 65_536, preferred: 65_536, maximum: 33_554_432 })
    expect(BlockSize.parse("1,512")).toEqual({ minimum: 1, preferred: 512, maximum: 33_554_432 })
    expect(BlockSize.parse("4K,64K,1M")).toEqual({ minimum: 4096, preferred: 65_536, maximum: 1_048_576 })
  })
  it.each([
    ["", /not sizes/],
    ["x", /not sizes/],
    ["512,", /not sizes/],
    ["-1", /not sizes/],
    ["1,512,1M,1", /not sizes/],
    ["0", /the minimum has to be/],
    ["513", /the minimum has to be/],
    ["128K", /the minimum has to be/],
    ["1,256", /the preferred size has to be/],
    ["4K,512", /the preferred size has to be/],
    ["1,3K", /the preferred size has to be/],
    ["1,4K,2K", /the maximum has to be/],
    ["4K,4K,5000", /the maximum has to be/],
    ["1,512,4G", /the maximum has to be/]
  ])("%s is none", (text, reason) => {
    expect(BlockSize.parse(text)).toMatch(reason)
  })
})
