/** NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT, by bytes. */
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import { optionCode } from "@effect-nbd/core/wire/NbdOption"
import { type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { type ServedContext } from "@effect-nbd/server"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, filled, type RawClient } from "./fixtures/RawClient.ts"

const heat: ServedContext.ServedContext = {
  name: "x-test:heat",
  status: (_, length) => Effect.succeed([{ length, flags: 7n }])
}
const wide: ServedContext.ServedContext = { ...heat, name: "x-test:wide", wide: true }

const disk = {
  name: "disk",
  size: 1_048_576,
  allocationDepth: true,
  dirtyBitmaps: [{ name: "monday" }, { name: "tuesday" }],
  contexts: [heat, wide]
}
const plain = { name: "plain", size: 4096 }
const names = [
  "base:allocation",
  "qemu:allocation-depth",
  "qemu:dirty-bitmap:monday",
  "qemu:dirty-bitmap:tuesday",
  "x-test:heat"
]

const ack: OptionReply = { _tag: "Ack" }
const error = (type: number) => ({ _tag: "ErrorReply", type, message: expect.any(String) })

/** A client after the greeting, and after STRUCTURED_REPLY unless it is to be without. */
const greeted = (
  config: Partial<FakeServer.FakeServerConfig> & { readonly structured?: boolean },
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const { structured = true, ...rest } = config
    const server = yield* FakeServer.make({ exports: [disk, plain], ...rest })
    const client = yield* connect(server)
    yield* client.greet()
    if (structured) yield* client.option("STRUCTURED_REPLY")
    yield* test(client, server)
  })

const named = (replies: ReadonlyArray<OptionReply>): ReadonlyArray<string> =>
  replies.map((reply) => reply._tag === "MetaContextReply" ? reply.name : reply._tag)

const idsOf = (replies: ReadonlyArray<OptionReply>): ReadonlyArray<number> =>
  replies.flatMap((reply) => reply._tag === "MetaContextReply" ? [reply.id] : [])

describe("LIST_META_CONTEXT", () => {
  it.scoped("S-060 S-063: no query lists everything, with ids of 0", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const replies = yield* client.metaContext("LIST_META_CONTEXT", "disk")
        expect(named(replies)).toEqual([...names, "Ack"])
        expect(idsOf(replies)).toEqual([0, 0, 0, 0, 0])
      })))

  it.scoped.each(
    [
      ["base:", ["base:allocation"]],
      ["qemu:", names.slice(1, 4)],
      ["qemu:dirty-bitmap:", names.slice(2, 4)],
      ["qemu:dirty-bitmap:tuesday", names.slice(3, 4)],
      ["x-test:heat", names.slice(4)],
      ["base:nothing", []],
      ["qemu:dirty-bitmap:mon", []],
      ["x-nobody:", []],
      ["x-nobody:anything at all", []],
      ["base:allocation:", []]
    ] as const
  )("S-059 S-060: %s lists %j", ([query, expected]) =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        expect(named(yield* client.metaContext("LIST_META_CONTEXT", "disk", query))).toEqual([...expected, "Ack"])
        expect(yield* server.violations).toEqual([])
        expect((yield* server.options).at(-1)).toMatchObject({ exportName: "disk", queries: [query], encrypted: false })
      })))

  it.scoped("S-060: a context that several queries match is listed once", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const replies = yield* client.metaContext("LIST_META_CONTEXT", "disk", "qemu:", "base:allocation", "base:")
        expect(named(replies)).toEqual([...names.slice(0, 4), "Ack"])
      })))

  it.scoped("contexts of 64 bits are listed under extended headers only", () =>
    greeted({ structured: false }, (client) =>
      Effect.gen(function*() {
        yield* client.option("EXTENDED_HEADERS")
        const replies = yield* client.metaContext("LIST_META_CONTEXT", "disk", "x-test:")
        expect(named(replies)).toEqual(["x-test:heat", "x-test:wide", "Ack"])
      })))

  it.scoped("S-061: listing selects nothing", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        yield* client.metaContext("LIST_META_CONTEXT", "disk", "base:allocation")
        yield* client.info("GO", "disk")
        yield* client.request("BLOCK_STATUS", { length: 512 })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
      })))
})

describe("SET_META_CONTEXT", () => {
  it.scoped("S-062: one reply for each context, each with an id of its own, and no id ever again", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const queries = ["qemu:dirty-bitmap:monday", "base:allocation"]
        const first = yield* client.metaContext("SET_META_CONTEXT", "disk", ...queries, "base:allocation")
        expect(named(first)).toEqual(["base:allocation", "qemu:dirty-bitmap:monday", "Ack"])
        expect(idsOf(first)).toEqual([0, 1])
        expect(idsOf(yield* client.metaContext("SET_META_CONTEXT", "disk", ...queries))).toEqual([2, 3])
      })))

  it.scoped.each(["base:", "qemu:", "qemu:dirty-bitmap:", "base:other", "x-nobody:", "x-test:wide", "x-nobody:x"])(
    "S-059 S-060: %s selects nothing, and is no error",
    (query) =>
      greeted({}, (client, server) =>
        Effect.gen(function*() {
          expect(yield* client.metaContext("SET_META_CONTEXT", "disk", query)).toEqual([ack])
          expect(yield* server.violations).toEqual([])
        }))
  )

  it.scoped("S-061: no query selects nothing", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.metaContext("SET_META_CONTEXT", "disk")).toEqual([ack])
      })))

  const replacements: ReadonlyArray<
    readonly [string, (client: RawClient) => Effect.Effect<unknown, unknown>]
  > = [
    ["one without queries", (client) => client.metaContext("SET_META_CONTEXT", "disk")],
    [
      "one that fails: an unknown export",
      (client) => client.metaContext("SET_META_CONTEXT", "nothing", names[0] ?? "")
    ],
    ["one that fails: bad data", (client) => client.option("SET_META_CONTEXT", filled(5, 255))],
    ["one for another export", (client) => client.metaContext("SET_META_CONTEXT", "plain", "base:allocation")]
  ]
  it.scoped.each(replacements)(
    "S-061 S-065: the selection is replaced by %s",
    ([, replace]) =>
      greeted({}, (client, server) =>
        Effect.gen(function*() {
          expect(idsOf(yield* client.metaContext("SET_META_CONTEXT", "disk", "base:allocation"))).toEqual([0])
          yield* replace(client)
          const before = (yield* server.violations).length
          expect((yield* client.info("GO", "disk")).at(-1)).toEqual(ack)
          yield* client.request("BLOCK_STATUS", { length: 512 })
          expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR, done: true }])
          expect((yield* server.violations).slice(before)).toMatchObject([{ rule: "C-149, S-065", fatal: false }])
        }))
  )

  it.scoped("what was selected for the first export by its name does not count for the empty name", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        yield* client.metaContext("SET_META_CONTEXT", "disk", "base:allocation")
        yield* client.info("GO", "")
        yield* client.request("BLOCK_STATUS", { length: 512 })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
      })))

  it.scoped("the empty name selects for the empty name, by INFO, GO and EXPORT_NAME", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        yield* client.metaContext("SET_META_CONTEXT", "", "base:allocation")
        yield* client.exportName("")
        yield* client.request("BLOCK_STATUS", { length: 512 })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.BLOCK_STATUS }])
      })))
})

describe.each(["LIST_META_CONTEXT", "SET_META_CONTEXT"] as const)("%s", (option) => {
  it.scoped("S-064: before structured replies it is ERR_INVALID", () =>
    greeted({ structured: false }, (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.metaContext(option, "disk", "base:allocation")).toEqual([error(replyType.ERR_INVALID)])
        expect(yield* server.violations).toMatchObject([{ rule: "C-107, S-064", fatal: false }])
      })))

  it.scoped("S-100: after extended headers it needs no structured replies", () =>
    greeted({ structured: false }, (client) =>
      Effect.gen(function*() {
        yield* client.option("EXTENDED_HEADERS")
        expect(named(yield* client.metaContext(option, "disk", "base:allocation"))).toEqual(["base:allocation", "Ack"])
      })))

  it.scoped("an unknown export is ERR_UNKNOWN", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.metaContext(option, "nothing", "base:allocation")).toEqual([error(replyType.ERR_UNKNOWN)])
      })))

  it.scoped("S-062: more than 1024 queries are ERR_TOO_BIG, and 1024 are not", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const many = Array.from({ length: 1024 }, (_, index) => `x-many:${index}`)
        expect(yield* client.metaContext(option, "disk", ...many)).toEqual([ack])
        const more = [...many, "base:allocation"]
        expect(yield* client.metaContext(option, "disk", ...more)).toEqual([error(replyType.ERR_TOO_BIG)])
        expect(named(yield* client.metaContext(option, "disk", "base:allocation"))).toEqual(["base:allocation", "Ack"])
      })))

  it.scoped.each(["allocation", ":allocation", "", "ba se:x", "\u0007:x", "base\n:x"])(
    "the query %j has no namespace: ERR_INVALID",
    (query) =>
      greeted({}, (client, server) =>
        Effect.gen(function*() {
          expect(yield* client.metaContext(option, "disk", "base:allocation", query)).toEqual([
            error(replyType.ERR_INVALID)
          ])
          expect(yield* server.violations).toMatchObject([{ rule: "C-110", fatal: false }])
        }))
  )

  const sound = encodeMetaContextRequest({ exportName: "disk", queries: ["base:allocation"] })
  const cut = Array.from(
    { length: sound.byteLength },
    (_, length) => [`cut to ${length} bytes`, sound.slice(0, length)]
  )
  const changed = (at: number, ...bytes: ReadonlyArray<number>): Uint8Array => {
    const copy = sound.slice()
    copy.set(bytes, at)
    return copy
  }
  it.scoped(`S-058: inconsistent lengths are ERR_INVALID, and the next option is in sync`, () =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        const cases = [
          ...cut,
          ["with a byte more", Uint8Array.from([...sound, 0])],
          ["with a name of 0xffffffff bytes", changed(0, 255, 255, 255, 255)],
          ["with a name as long as the data", changed(0, 0, 0, 0, sound.byteLength)],
          ["with 0xffffffff queries", changed(8, 255, 255, 255, 255)],
          ["with no queries, and one there", changed(8, 0, 0, 0, 0)],
          ["with two queries, and one there", changed(8, 0, 0, 0, 2)],
          ["with a query of 0xffffffff bytes", changed(12, 255, 255, 255, 255)],
          ["with a query longer than the data", changed(12, 0, 0, 0, 16)]
        ] as ReadonlyArray<readonly [string, Uint8Array]>
        for (const [what, data] of cases) {
          const replies = yield* client.option(option, data)
          expect([what, replies]).toEqual([what, [error(replyType.ERR_INVALID)]])
        }
        expect((yield* server.violations).length).toBe(cases.length)
        expect(named(yield* client.option(option, sound))).toEqual(["base:allocation", "Ack"])
      })))

  it.scoped("is ERR_UNSUP where meta contexts are switched off, and can be refused by name", () =>
    Effect.zipRight(
      greeted({ metaContexts: false }, (client) =>
        Effect.gen(function*() {
          expect(yield* client.metaContext(option, "disk")).toEqual([error(replyType.ERR_UNSUP)])
        })),
      greeted({ refuse: { [option]: "ERR_POLICY" } }, (client) =>
        Effect.gen(function*() {
          expect(yield* client.metaContext(option, "disk")).toEqual([error(replyType.ERR_POLICY)])
        }))
    ))
})

it.scoped("an export may have no context at all", () =>
  greeted({ exports: [{ ...plain, allocation: false }] }, (client) =>
    Effect.gen(function*() {
      expect(yield* client.metaContext("LIST_META_CONTEXT", "plain")).toEqual([ack])
      expect(yield* client.metaContext("SET_META_CONTEXT", "plain", "base:allocation")).toEqual([ack])
    })))

it.scoped("S-099: BLOCK_STATUS_PAYLOAD is told of the export whose contexts were selected only", () =>
  greeted({ structured: false }, (client) =>
    Effect.gen(function*() {
      const told = (name: string) =>
        Effect.map(
          client.info("INFO", name),
          (replies) =>
            replies.some((reply) =>
              reply._tag === "InfoReply" && reply.info._tag === "ExportInfo" &&
              (reply.info.flags & TransmissionFlags.BLOCK_STATUS_PAYLOAD) !== 0
            )
        )
      yield* client.option("EXTENDED_HEADERS")
      expect(yield* told("disk")).toBe(false)
      yield* client.metaContext("SET_META_CONTEXT", "disk", "base:allocation")
      expect([yield* told("disk"), yield* told("plain")]).toEqual([true, false])
      expect(optionCode.EXTENDED_HEADERS).toBe(11)
    })))
