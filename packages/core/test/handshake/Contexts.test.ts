/**
 * The meta contexts of a handle: selected on its way into an export, or by hand, and for which export they count.
 */
import * as Handle from "@effect-nbd/core/Handle"
import type { HandleConfig } from "@effect-nbd/core/HandleConfig"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { drive } from "../fixtures/Drive.ts"
import {
  concat,
  context,
  contextRequest,
  newstyleGreeting,
  oldstyleGreeting,
  opt,
  option,
  optionReply,
  rep,
  u16,
  u32,
  u64,
  utf8,
  zeros
} from "../fixtures/HandWritten.ts"
import { ManualConnection } from "../fixtures/ManualConnection.ts"
import { ack, asked } from "./Haggled.ts"
import { goTo, greeting, infoOf, negotiated, over, quiet, select, simple, structured } from "./Negotiated.ts"
import { follow, type Line } from "./ScriptedPeer.ts"

const base = "base:allocation"
const dirty = "qemu:dirty-bitmap:b0"
const silent = zeros(0)
const SET = opt.SET_META_CONTEXT

const noSuchContext = (contexts: ReadonlyArray<string>, why: string) => ({
  _tag: "NbdMetaContextNotGrantedError",
  exportName: "disk",
  contexts,
  why
})

describe("a handle that connects", () => {
  /** Has a handle connect to the script, and says what became of it and what else was sent. */
  const connected = (script: ReadonlyArray<Line>, config: HandleConfig) => {
    const connection = new ManualConnection()
    const running = drive(
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Handle.make({ ...quiet, optMode: false, ...config })
        const exit = yield* Effect.either(handle.connect)
        return { exit, state: yield* handle.state }
      })).pipe(over(connection))
    )
    const unexpected = follow(script, connection, running.outcome)
    const outcome = running.outcome()
    if (outcome._tag !== "Succeeded") throw new Error(outcome._tag)
    return { ...outcome.value, unexpected }
  }
  const wants = { metaContexts: [base, { name: dirty, optional: true }] }

  it("selects the contexts that it wants between structured replies and GO, for the same export (C-107, C-112)", () => {
    const outcome = connected(
      [...greeting(), ...structured, ...select("disk", [base, 0], [dirty, 7]), ...goTo("disk")],
      wants
    )
    expect(outcome).toMatchObject({
      exit: { _tag: "Right" },
      state: { _tag: "Connected", export: { contexts: [{ id: 0, name: base }, { id: 7, name: dirty }] } }
    })
  })

  it("goes in without one that is optional, and knows that it has it not", () => {
    const { state } = connected(
      [...greeting(), ...structured, ...select("disk", [base, 1], [dirty]), ...goTo("disk")],
      wants
    )
    if (state._tag !== "Connected") throw new Error(state._tag)
    expect([base, dirty, "base:"].map((name) => state.export.canMetaContext(name))).toStrictEqual([true, false, false])
  })

  it("does not go in without one that is not optional, and leaves in order (C-029)", () => {
    const outcome = connected([
      ...greeting(),
      ...structured,
      ...select("disk", [base], [dirty, 1]),
      { client: option(opt.ABORT) },
      { server: ack(opt.ABORT) }
    ], wants)
    const error = noSuchContext([base], "NotOffered")
    expect(outcome).toMatchObject({ exit: { left: error }, state: { _tag: "Dead", reason: error } })
    expect(outcome.unexpected).toStrictEqual(silent)
  })

  it("does not ask a server without structured replies, and leaves in order if it must have one (C-109)", () => {
    const must = connected([...greeting(), ...simple, { client: option(opt.ABORT) }, { server: ack(opt.ABORT) }], wants)
    expect(must).toMatchObject({ exit: { left: noSuchContext([base], "NoChunks") }, unexpected: silent })
    const may = connected([...greeting(), ...simple, ...goTo("disk")], {
      metaContexts: [{ name: base, optional: true }]
    })
    expect(may).toMatchObject({ state: { _tag: "Connected", export: { contexts: [] } } })
  })

  it("does not say a word to a server whose handshake has no options (C-019, C-012)", () => {
    const servers = [
      [{ server: newstyleGreeting(2) }, { client: u32(2) }],
      [{ server: oldstyleGreeting({ size: 512n, flags: 1 }) }]
    ]
    for (const script of servers) {
      const outcome = connected(script, { ...wants, exportName: "" })
      expect(outcome.exit).toMatchObject({ left: { ...noSuchContext([base], "NoOptions"), exportName: "" } })
      expect(outcome.unexpected).toStrictEqual(silent)
    }
    const entered = connected(servers[1] ?? [], { exportName: "", metaContexts: [{ name: base, optional: true }] })
    expect(entered).toMatchObject({ state: { _tag: "Connected", export: { contexts: [] } } })
  })

  it("takes the contexts along when it has to enter by EXPORT_NAME (C-042)", () => {
    const outcome = connected([
      ...greeting(),
      ...structured,
      ...select("disk", [base, 4]),
      { client: option(opt.GO, concat(u32(4), utf8("disk"), u16(0))) },
      { server: optionReply(opt.GO, rep.ERR_UNSUP) },
      { client: option(opt.EXPORT_NAME, utf8("disk")) },
      { server: concat(u64(512n), u16(1)) }
    ], { metaContexts: [base] })
    expect(outcome.state).toMatchObject({ _tag: "Connected", export: { contexts: [{ id: 4, name: base }] } })
  })

  it("opens nothing for a name that is none, and may try again (C-110)", () => {
    const outcome = connected([], { metaContexts: [base, "allocation"] })
    expect(outcome).toMatchObject({
      exit: { left: { _tag: "NbdMetaContextInvalidError", context: "allocation" } },
      state: { _tag: "Created", lastFailure: { _tag: "None" } }
    })
  })
})

describe("a handle that negotiates", () => {
  const negotiating = [...greeting(), ...structured]

  it("selects the configured contexts before GO, stays negotiating without one, and may go without it then", () => {
    const { result, state, unexpected } = negotiated(
      [...negotiating, ...select("disk", [base], [dirty, 2]), ...select("disk", [dirty, 3]), ...goTo("disk")],
      (handle) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(handle.go())
          const meanwhile = yield* handle.state
          yield* handle.configure({ metaContexts: [dirty] })
          yield* handle.go()
          return { error, meanwhile }
        }),
      { ...quiet, metaContexts: [base, dirty] }
    )
    expect(result).toMatchObject({
      right: {
        error: noSuchContext([base], "NotOffered"),
        // The server has selected the other one all the same.
        meanwhile: { _tag: "Negotiating", contexts: { value: { contexts: [{ id: 2, name: dirty }] } } }
      }
    })
    expect(state).toMatchObject({ _tag: "Connected", export: { contexts: [{ id: 3, name: dirty }] } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("selects them before INFO too, and tells of them with the export", () => {
    const { result, state } = negotiated(
      [...negotiating, ...select("other", [base, 9]), ...infoOf("other")],
      (handle) => handle.info("other"),
      { ...quiet, metaContexts: [base] }
    )
    expect(result).toMatchObject({ right: { name: "other", contexts: [{ id: 9, name: base }] } })
    expect(state).toMatchObject({ contexts: { value: { exportName: "other" } }, export: { _tag: "Some" } })
  })

  it("leaves it to the caller where it is told to, and keeps the caller's selection (C-149)", () => {
    const { result, state } = negotiated(
      [...negotiating, ...select("disk", ["x:y", 1], ["x:z", 2]), ...goTo("disk")],
      (handle) =>
        Effect.tap(handle.setMetaContexts({ contexts: ["x:y", { name: "x:z", optional: true }] }), () => handle.go()),
      { ...quiet, metaContexts: [base], requestMetaContexts: false }
    )
    expect(result).toMatchObject({ right: [{ id: 1, name: "x:y" }, { id: 2, name: "x:z" }] })
    expect(state).toMatchObject({ _tag: "Connected", export: { contexts: [{ name: "x:y" }, { name: "x:z" }] } })
  })

  it("does not take a selection for one export into another (C-149)", () => {
    const { state } = negotiated(
      [...negotiating, ...select("other", [base, 1]), ...goTo("disk")],
      ({ go, setMetaContexts }) => Effect.zipRight(setMetaContexts({ exportName: "other", contexts: [base] }), go())
    )
    expect(state).toMatchObject({ _tag: "Connected", export: { name: "disk", contexts: [] } })
  })

  it("H-056 has no selection any more after one that failed (C-112)", () => {
    const { result, state, unexpected } = negotiated(
      [
        ...negotiating,
        ...select("disk", [base, 1]),
        ...asked(option(SET, contextRequest("disk", dirty)), optionReply(SET, rep.ERR_INVALID)),
        ...goTo("disk")
      ],
      ({ go, setMetaContexts }) =>
        Effect.gen(function*() {
          yield* setMetaContexts({ contexts: [base] })
          const error = yield* Effect.flip(setMetaContexts({ contexts: [dirty] }))
          yield* go()
          return error
        })
    )
    expect(result).toMatchObject({ right: { _tag: "NbdOptionRefusedError", reply: "NBD_REP_ERR_INVALID" } })
    expect(state).toMatchObject({ _tag: "Connected", export: { contexts: [] } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("has none after an answer that breaks the protocol, and is dead of it (H-058)", () => {
    const reply = optionReply(SET, rep.META_CONTEXT, context(1, base))
    const { result, state, closed } = negotiated(
      [...negotiating, ...asked(option(SET, contextRequest("disk", base)), reply, reply, ack(SET))],
      ({ setMetaContexts }) => setMetaContexts({ contexts: [base] })
    )
    const breach = { _tag: "NbdProtocolError", rule: "NBD_OPT_SET_META_CONTEXT, H-058" }
    expect(result).toMatchObject({ left: breach })
    expect(state).toMatchObject({ _tag: "Dead", reason: breach })
    expect(closed).toBe(true)
  })

  it("sets by hand what is configured unless told otherwise, and selects nothing with nothing", () => {
    const { result, unexpected } = negotiated(
      [...negotiating, ...select("disk", [base, 1], [dirty]), ...select("disk")],
      ({ setMetaContexts }) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(setMetaContexts())
          return { error, none: yield* setMetaContexts({ contexts: [] }) }
        }),
      { ...quiet, metaContexts: [{ name: base, optional: true }, dirty] }
    )
    expect(result).toMatchObject({ right: { error: noSuchContext([dirty], "NotOffered"), none: [] } })
    expect(unexpected).toStrictEqual(silent)
  })

  it("lists what matches the configured contexts, or all, of any export", () => {
    const list = (name: string, queries: ReadonlyArray<string>, ...found: ReadonlyArray<string>) =>
      asked(
        option(opt.LIST_META_CONTEXT, contextRequest(name, ...queries)),
        ...found.map((each) => optionReply(opt.LIST_META_CONTEXT, rep.META_CONTEXT, context(0, each))),
        ack(opt.LIST_META_CONTEXT)
      )
    const { result, state, unexpected } = negotiated(
      [...negotiating, ...list("disk", [base], base), ...list("disk", [], base, dirty), ...list("other", ["qemu:"])],
      ({ listMetaContexts }) =>
        Effect.all([
          listMetaContexts(),
          listMetaContexts({ queries: [] }),
          listMetaContexts({ exportName: "other", queries: ["qemu:"] })
        ]),
      { ...quiet, metaContexts: [base] }
    )
    expect(result).toMatchObject({ right: [[base], [base, dirty], []] })
    // Listing selects nothing.
    expect(state).toMatchObject({ _tag: "Negotiating", contexts: { _tag: "None" } })
    expect(unexpected).toStrictEqual(silent)
  })

  it.each([
    ["a name that is none", "disk", ["allocation"], "NbdMetaContextInvalidError"],
    ["an export that is none", "\0", [base], "NbdExportNameInvalidError"]
  ])("sends nothing for %s (C-110, C-002)", (_, exportName, names, tag) => {
    const { result, state, unexpected } = negotiated(
      negotiating,
      ({ listMetaContexts, setMetaContexts }) =>
        Effect.all([
          Effect.flip(listMetaContexts({ exportName, queries: names })),
          Effect.flip(setMetaContexts({ exportName, contexts: names }))
        ])
    )
    expect(result).toMatchObject({ right: [{ _tag: tag }, { _tag: tag }] })
    expect([state._tag, unexpected]).toStrictEqual(["Negotiating", silent])
  })

  it("does not send either option before structured replies are agreed on, and does afterwards (C-108, C-109)", () => {
    const { result, unexpected } = negotiated(
      [...greeting(), ...structured, ...select("disk", [base, 1])],
      ({ listMetaContexts, setMetaContexts, structuredReplies }) =>
        Effect.gen(function*() {
          const errors = [yield* Effect.flip(listMetaContexts()), yield* Effect.flip(setMetaContexts())]
          yield* structuredReplies
          return { errors, granted: yield* setMetaContexts() }
        }),
      { ...quiet, requestStructuredReplies: false, metaContexts: [base] }
    )
    expect(result).toMatchObject({
      right: {
        errors: [
          { _tag: "NbdOptionForbiddenError", option: "NBD_OPT_LIST_META_CONTEXT", rule: "Metadata querying, C-108" },
          { _tag: "NbdOptionForbiddenError", option: "NBD_OPT_SET_META_CONTEXT", rule: "Metadata querying, C-109" }
        ],
        granted: [{ name: base }]
      }
    })
    expect(unexpected).toStrictEqual(silent)
  })
})
