/**
 * NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT: what is asked, what may come of it, and what may not
 * (C-107 to C-118, H-055 to H-059).
 */
import { limits } from "@effect-nbd/core/handshake/Haggling"
import {
  checkContext,
  listContexts,
  maximumMatched,
  needsChunks,
  obtainContexts,
  setContexts,
  type WantedContext
} from "@effect-nbd/core/handshake/MetaContext"
import { describe, expect, it } from "@effect/vitest"
import {
  concat,
  context,
  contextRequest,
  maxU32,
  opt,
  option,
  optionReply,
  rep,
  server,
  u32,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { ack, asked, fixed, notFixed } from "./Haggled.ts"
import { converse, type Line } from "./ScriptedPeer.ts"

const LIST = opt.LIST_META_CONTEXT
const SET = opt.SET_META_CONTEXT
const base = "base:allocation"
const silent = zeros(0)

const granted = (code: number, ...contexts: ReadonlyArray<readonly [id: number, name: string]>): Uint8Array =>
  concat(...contexts.map(([id, name]) => optionReply(code, rep.META_CONTEXT, context(id, name))))

const listing = (queries: ReadonlyArray<string>, ...replies: ReadonlyArray<Uint8Array>) =>
  converse(
    (reader) => listContexts(reader, "disk", queries),
    asked(option(LIST, contextRequest("disk", ...queries)), ...replies)
  )

const setting = (names: ReadonlyArray<string>, ...replies: ReadonlyArray<Uint8Array>) =>
  converse(
    (reader) => setContexts(reader, "disk", names),
    asked(option(SET, contextRequest("disk", ...names)), ...replies)
  )

const breach = (received: string, rule: string) => ({
  _tag: "Failed",
  error: { _tag: "NbdProtocolError", phase: "haggling", received, rule }
})

describe("listing meta contexts", () => {
  it("asks for all without a query, and for what matches with some", () => {
    for (const queries of [[], ["base:", "qemu:dirty-bitmap:b0"]]) {
      const { outcome, unexpected } = listing(queries, ack(LIST))
      expect(outcome).toStrictEqual({ _tag: "Succeeded", value: [] })
      expect(unexpected).toStrictEqual(silent)
    }
  })

  it("asks each query once, however often it is given", () => {
    const { unexpected } = converse(
      (reader) => listContexts(reader, "", ["a:", "b:", "a:"]),
      asked(option(LIST, contextRequest("", "a:", "b:")), ack(LIST))
    )
    expect(unexpected).toStrictEqual(silent)
  })

  it("gives the names in the server's order, patterns and duplicates among them, whatever their ids (C-114, C-117)", () => {
    const replies = granted(LIST, [7, "qemu:dirty-bitmap:"], [7, base], [0, base])
    expect(listing([], replies, ack(LIST)).outcome).toStrictEqual({
      _tag: "Succeeded",
      value: ["qemu:dirty-bitmap:", base, base]
    })
  })

  it("H-024 is a broken protocol if it does not end (C-021)", () => {
    const long = optionReply(LIST, rep.META_CONTEXT, context(1, `base:${"x".repeat(4091)}`))
    const all = concat(...Array.from({ length: Math.floor(limits.bytes / 4100) + 1 }, () => long))
    expect(listing([base], all).outcome).toMatchObject({
      error: { _tag: "NbdProtocolError", rule: "Fixed newstyle, H-024" }
    })
  })

  it("H-055 forgets the contexts that came before an error (C-113)", () => {
    const error = optionReply(LIST, rep.ERR_POLICY, utf8("no"))
    expect(listing([], granted(LIST, [0, base]), error).outcome).toMatchObject({
      _tag: "Failed",
      error: { _tag: "NbdOptionRefusedError", option: "NBD_OPT_LIST_META_CONTEXT", serverMessage: "no" }
    })
  })
})

describe("setting meta contexts", () => {
  it("gives what was granted, by name and in the server's order, and none if none was (C-116)", () => {
    expect(setting([base, "qemu:x"], granted(SET, [9, "qemu:x"], [3, base]), ack(SET)).outcome).toStrictEqual({
      _tag: "Succeeded",
      value: [{ id: 9, name: "qemu:x" }, { id: 3, name: base }]
    })
    expect(setting([base], ack(SET)).outcome).toStrictEqual({ _tag: "Succeeded", value: [] })
    expect(setting([], ack(SET)).outcome).toStrictEqual({ _tag: "Succeeded", value: [] })
  })

  it("H-059 takes any id for one, 0 and the highest too (C-115)", () => {
    expect(setting([base, "x:y"], granted(SET, [0, base], [maxU32, "x:y"]), ack(SET)).outcome).toMatchObject({
      value: [{ id: 0 }, { id: maxU32 }]
    })
  })

  const rule = "NBD_OPT_SET_META_CONTEXT, H-058"

  it("H-058 takes an id that comes twice for a broken protocol, and so a name (C-115)", () => {
    expect(setting([base, "x:y"], granted(SET, [1, base], [1, "x:y"]), ack(SET)).outcome).toMatchObject(
      breach("1 again", rule)
    )
    expect(setting([base], granted(SET, [1, base], [2, base]), ack(SET)).outcome).toMatchObject(
      breach(`"${base}" again`, rule)
    )
  })

  it("H-058 takes a context that nobody asked for, or asked about, for a broken protocol", () => {
    for (const name of ["x:y", "base", "base:other", ":", "qemux:b"]) {
      expect(setting([base, "qemu:b"], granted(SET, [1, name]), ack(SET)).outcome).toMatchObject(
        breach(JSON.stringify(name), rule)
      )
    }
    // `base:` is a pattern in a list alone.
    expect(setting(["base:"], granted(SET, [1, base]), ack(SET)).outcome).toMatchObject(breach(`"${base}"`, rule))
  })

  it("takes one of a namespace that was asked about, which may have patterns of its own", () => {
    expect(setting(["x-log:since=3"], granted(SET, [1, "x-log:3"]), ack(SET)).outcome).toMatchObject({
      value: [{ id: 1, name: "x-log:3" }]
    })
  })

  it("H-058 but none of `qemu:`, whose patterns are for lists alone", () => {
    for (const query of ["qemu:", "qemu:dirty-bitmap:", "qemu:dirty-bitmap:a"]) {
      expect(setting([query], granted(SET, [1, "qemu:dirty-bitmap:b"]), ack(SET)).outcome).toMatchObject(
        breach("\"qemu:dirty-bitmap:b\"", rule)
      )
    }
  })

  it("H-058 ends the connection with the first context that nobody asked for, not with the last reply (C-021)", () => {
    const { outcome } = setting([base], granted(SET, [1, base], [2, "base:x"]))
    expect(outcome).toMatchObject(breach("\"base:x\"", rule))
  })

  it("takes no more than a few that match patterns, however many were asked for by name", () => {
    const names = ["x:*", ...Array.from({ length: 400 }, (_, index) => `x:${index}`)]
    const grants = (matches: number) => [
      ...names.map((name, id) => [id, name] as const),
      ...Array.from({ length: matches }, (_, index) => [1000 + index, `x:match ${index}`] as const)
    ]
    expect(setting(names, granted(SET, ...grants(maximumMatched)), ack(SET)).outcome).toMatchObject({
      _tag: "Succeeded",
      value: { length: 401 + maximumMatched }
    })
    expect(setting(names, granted(SET, ...grants(maximumMatched + 1))).outcome).toMatchObject(breach("more", rule))
  })
})

describe.each([["list", LIST, listing], ["set", SET, setting]] as const)("the answer to a %s", (_, code, asking) => {
  it.each([
    ["ERR_UNSUP", rep.ERR_UNSUP, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_UNSUP" }],
    ["ERR_INVALID", rep.ERR_INVALID, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_INVALID" }],
    ["ERR_TOO_BIG (C-118)", rep.ERR_TOO_BIG, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_TOO_BIG" }],
    ["ERR_SHUTDOWN", rep.ERR_SHUTDOWN, { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_SHUTDOWN" }],
    ["ERR_UNKNOWN", rep.ERR_UNKNOWN, { _tag: "NbdExportUnknownError", exportName: "disk" }],
    ["ERR_TLS_REQD", rep.ERR_TLS_REQD, { _tag: "NbdTlsRequiredError" }],
    ["an error nobody knows", 0x8000_4242, { _tag: "NbdOptionRefusedError", reply: "reply type 0x80004242" }]
  ])("may be %s, which leaves the connection as it was", (_, type, error) => {
    const { connection, outcome, unexpected } = asking([base], optionReply(code, type, utf8("because")))
    expect(outcome).toMatchObject({ _tag: "Failed", error: { ...error, serverMessage: "because" } })
    expect(unexpected).toStrictEqual(silent)
    expect(connection.closed).toBe(false)
  })

  it("H-057 is a broken protocol with a context of no name, or of more than 4096 bytes", () => {
    for (const length of [0, 3, 4]) {
      expect(asking([base], optionReply(code, rep.META_CONTEXT, zeros(length))).outcome).toMatchObject(
        breach(`${length} bytes`, "NBD_REP_META_CONTEXT, C-003")
      )
    }
    const long = context(1, `base:${"x".repeat(4092)}`)
    expect(asking([base], optionReply(code, rep.META_CONTEXT, long)).outcome).toMatchObject(
      breach("4101 bytes", "Fixed newstyle, C-024")
    )
  })

  it("H-023 is a broken protocol with a reply of another option's type", () => {
    expect(asking([base], optionReply(code, rep.SERVER, server("disk"))).outcome).toMatchObject(
      breach("NBD_REP_SERVER", "Option reply types, H-023")
    )
  })
})

describe("the name of a meta context", () => {
  it.each([base, "qemu:dirty-bitmap:b0", "base:", "x-é:name with spaces", "🖴:", `x:${"y".repeat(4094)}`])(
    "may be %s",
    (name) => {
      expect(checkContext(name)).toBe(undefined)
    }
  )

  it.each([
    ["", "has no namespace before a colon"],
    ["allocation", "has no namespace before a colon"],
    [":allocation", "has no namespace before a colon"],
    ["ba se:allocation", "has no namespace before a colon"],
    ["base\t:allocation", "has no namespace before a colon"],
    ["base\u00a0:allocation", "has no namespace before a colon"],
    ["base:a\0", "contains a NUL"],
    ["base:\ud800", "contains an unpaired surrogate"],
    [`x:${"y".repeat(4095)}`, "longer than 4096 bytes"],
    [`x:${"語".repeat(1365)}`, "longer than 4096 bytes"]
  ])("may not be %j (C-110, C-003)", (name, reason) => {
    expect(checkContext(name)).toMatchObject({ _tag: "NbdMetaContextInvalidError", context: name, reason })
  })
})

describe("before structured replies", () => {
  it("neither option may be sent (C-108, C-109)", () => {
    const simple = { ...fixed, replyStyle: "Simple" } as const
    expect(needsChunks(LIST, simple)).toMatchObject({
      _tag: "NbdOptionForbiddenError",
      option: "NBD_OPT_LIST_META_CONTEXT",
      rule: "Metadata querying, C-108"
    })
    expect(needsChunks(SET, simple)).toMatchObject({
      option: "NBD_OPT_SET_META_CONTEXT",
      rule: "Metadata querying, C-109"
    })
    for (const replyStyle of ["Structured", "Extended"] as const) {
      expect(needsChunks(SET, { ...fixed, replyStyle })).toBe(undefined)
    }
  })
})

describe("contexts to enter an export with", () => {
  const must = (name: string): WantedContext => ({ name, optional: false })
  const may = (name: string): WantedContext => ({ name, optional: true })

  const obtaining = (wanted: ReadonlyArray<WantedContext>, script: ReadonlyArray<Line>, agreed = fixed) =>
    converse(
      (reader) => obtainContexts(agreed, "disk", wanted, (names) => setContexts(reader, "disk", names)),
      script
    )
  const answered = (...replies: ReadonlyArray<Uint8Array>) =>
    asked(option(SET, contextRequest("disk", base, "x:y")), ...replies)
  const missing = (contexts: ReadonlyArray<string>, why: string, more: object = {}) => ({
    _tag: "Failed",
    error: { _tag: "NbdMetaContextNotGrantedError", exportName: "disk", contexts, why, ...more }
  })

  it("are not asked for if none are wanted", () => {
    const { outcome, unexpected } = obtaining([], [])
    expect([outcome, unexpected]).toStrictEqual([{ _tag: "Succeeded", value: [] }, silent])
  })

  it("must all be granted that are not optional, and the error names those that are not", () => {
    const both = granted(SET, [1, "x:y"], [2, base])
    expect(obtaining([must(base), must("x:y")], answered(both, ack(SET))).outcome).toMatchObject({
      value: [{ name: "x:y" }, { name: base }]
    })
    const one = granted(SET, [1, "x:y"])
    const refused = obtaining([must(base), must("x:y"), must(base)], answered(one, ack(SET))).outcome
    expect(refused).toMatchObject(missing([base], "NotOffered"))
    expect(refused._tag === "Failed" && refused.error.message).toBe(
      `export "disk" has no meta context "${base}": the server does not offer it`
    )
    expect(obtaining([may(base), must("x:y")], answered(one, ack(SET))).outcome).toMatchObject({
      value: [{ name: "x:y" }]
    })
    expect(obtaining([may(base), may("x:y")], answered(ack(SET))).outcome).toMatchObject({ value: [] })
  })

  it("cannot be had of a server that refuses to say (C-118)", () => {
    const refusal = optionReply(SET, rep.ERR_TOO_BIG, utf8("too many"))
    const { outcome } = obtaining([may(base), must("x:y")], answered(refusal))
    expect(outcome).toMatchObject(
      missing(["x:y"], "Refused", { reply: "NBD_REP_ERR_TOO_BIG", serverMessage: "too many" })
    )
    expect(outcome._tag === "Failed" && outcome.error.message).toBe(
      "export \"disk\" has no meta context \"x:y\": the server refused with NBD_REP_ERR_TOO_BIG; the server says: too many"
    )
    expect(obtaining([may(base), may("x:y")], answered(refusal)).outcome).toMatchObject({ value: [] })
  })

  it.each([
    ["unknown", rep.ERR_UNKNOWN, "NbdExportUnknownError"],
    ["for TLS only", rep.ERR_TLS_REQD, "NbdTlsRequiredError"],
    ["of a server that is shutting down", rep.ERR_SHUTDOWN, "NbdOptionRefusedError"]
  ])("do not hide that the export is %s, whether optional or not", (_, type, tag) => {
    for (const wants of [may, must]) {
      const { outcome } = obtaining([wants(base), wants("x:y")], answered(optionReply(SET, type)))
      expect(outcome).toMatchObject({ error: { _tag: tag } })
    }
  })

  it.each([
    ["simple replies", { ...fixed, replyStyle: "Simple" } as const, "NoChunks", "knows no structured replies"],
    ["newstyle that is not fixed", notFixed, "NoOptions", "speaks a handshake without options"]
  ])("are not asked for under %s (C-107, C-109)", (_, agreed, why, words) => {
    const { outcome, unexpected } = obtaining([may(base), must("x:y")], [], agreed)
    expect(outcome).toMatchObject(missing(["x:y"], why, { reply: undefined, serverMessage: "" }))
    expect(outcome._tag === "Failed" && outcome.error.message).toContain(words)
    expect(unexpected).toStrictEqual(silent)
    expect(obtaining([may(base)], [], agreed).outcome).toStrictEqual({ _tag: "Succeeded", value: [] })
  })

  it("H-061 fail like any option when the server is gone in the middle", () => {
    const reply = concat(granted(SET, [1, base]), u32(0))
    for (const length of [1, 20, 39, 42]) {
      const { outcome } = obtaining([may(base), may("x:y")], [
        ...answered(reply.subarray(0, length)),
        { end: { _tag: "Finished", program: undefined } }
      ])
      expect(outcome).toMatchObject({ error: { _tag: "NbdServerDisconnectedError", phase: "haggling" } })
    }
  })
})
