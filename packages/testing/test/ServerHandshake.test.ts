import { concat, encodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { decodeOldstyleRest, size as greetingSize } from "@effect-nbd/core/wire/Greeting"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import { encodeOption, optionCode, type OptionName } from "@effect-nbd/core/wire/NbdOption"
import { encodeOptionReply, type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { FakeServer } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect, filled, type RawClient } from "./fixtures/RawClient.ts"

const disk = { name: "disk", size: 1_048_576, description: "a disk", canonicalName: "the disk" }
const small = { name: "small", size: 4096, readOnly: true }
const config = { exports: [disk, small] }

/** A client after the greeting. */
const greeted = (
  overrides: Partial<FakeServer.FakeServerConfig>,
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ ...config, ...overrides })
    const client = yield* connect(server)
    yield* client.greet()
    yield* test(client, server)
  })

const ack: OptionReply = { _tag: "Ack" }
const error = (type: number, message: unknown = expect.any(String)) => ({ _tag: "ErrorReply", type, message })
const infos = (replies: ReadonlyArray<OptionReply>): ReadonlyArray<Info> =>
  replies.flatMap((reply) => reply._tag === "InfoReply" ? [reply.info] : [])

const switchedOff: ReadonlyArray<OptionName> = [
  "STARTTLS",
  "LIST_META_CONTEXT",
  "SET_META_CONTEXT",
  "EXTENDED_HEADERS"
]

describe("the greeting", () => {
  it.scoped("S-004 S-005: fixed newstyle and NO_ZEROES are offered, and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      expect(yield* (yield* connect(server)).greet()).toBe(3)
      yield* server.awaitOptions(0)
    }))

  it.scoped("S-004: not fixed, and without NO_ZEROES, neither is offered", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, protocol: "newstyle", noZeroes: false })
      expect(yield* (yield* connect(server)).greet(0)).toBe(0)
    }))

  it.scoped.each([[7, true], [0x8000_0003, true], [1, false], [2, false], [3, true]] as const)(
    "S-007: client flags %i, mirrored or not",
    ([flags, isFixed]) =>
      Effect.gen(function*() {
        const protocol = isFixed ? "newstyle-fixed" : "newstyle"
        const server = yield* FakeServer.make({ ...config, protocol, noZeroes: isFixed })
        const client = yield* connect(server)
        yield* client.greet(flags)
        if (flags === 3) {
          expect(yield* client.option("ABORT")).toEqual([ack])
          expect(yield* server.clientFlags).toEqual([{ session: 1, flags: 3 }])
          expect(yield* server.violations).toEqual([])
        } else {
          expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
          expect(yield* server.violations).toMatchObject([{ session: 1, rule: "S-007", fatal: true }])
        }
      })
  )

  it.scoped("S-005 oldstyle: 152 bytes, upper flags clear, simple replies, no NO_ZEROES and no DF", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, protocol: "oldstyle" })
      const client = yield* connect(server)
      yield* client.take(greetingSize.start)
      const greeting = decodeOldstyleRest(yield* client.take(greetingSize.oldstyleRest))
      expect(greeting).toMatchObject({ _tag: "OldstyleGreeting", exportSize: 1_048_576n, flags: 0x0d6d })
      yield* client.request("READ", { length: 3 })
      expect(yield* client.simple(3)).toEqual({ error: 0, cookie: 1n, data: filled(3, 0) })
    }))

  it.scoped("S-018: newstyle that is not fixed takes no option but EXPORT_NAME", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ ...config, protocol: "newstyle" })
      const client = yield* connect(server)
      yield* client.greet(2)
      yield* client.send(encodeOption(optionCode.LIST, new Uint8Array(0)))
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      const other = yield* connect(server)
      yield* other.greet(2)
      expect(yield* other.exportName("small")).toEqual({ exportSize: 4096n, flags: 0x0507 })
      expect(yield* server.violations).toMatchObject([{ session: 1, received: "NBD_OPT_LIST", fatal: true }])
    }))

  it.scoped("S-006: a client that did not mirror FIXED_NEWSTYLE is treated as one that does not know it", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make(config)
      const client = yield* connect(server)
      yield* client.greet(0)
      expect(yield* client.exportName("disk", false)).toMatchObject({ exportSize: 1_048_576n })
    }))
})

describe("NBD_OPT_EXPORT_NAME", () => {
  it.scoped("S-008: 10 bytes with NO_ZEROES on both sides", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.exportName("disk")).toEqual({ exportSize: 1_048_576n, flags: 0x0d6d })
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
      })))

  it.scoped.each([[true, 1], [false, 1]] as const)(
    "S-008: 134 bytes otherwise (offered %s, answered %i)",
    ([noZeroes, flags]) =>
      Effect.gen(function*() {
        const server = yield* FakeServer.make({ ...config, noZeroes })
        const client = yield* connect(server)
        yield* client.greet(flags)
        yield* client.exportName("disk", false)
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
      })
  )

  it.scoped("S-011: after structured replies it says SEND_DF", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        yield* client.option("STRUCTURED_REPLY")
        expect((yield* client.exportName("disk")).flags & TransmissionFlags.SEND_DF).not.toBe(0)
      })))

  it.scoped("the empty name is the first export, or the one that is called so", () =>
    Effect.gen(function*() {
      const unnamed = yield* FakeServer.make({ exports: [small, { name: "", size: 5 }] })
      const named = yield* FakeServer.make({ exports: [small, disk] })
      for (const [server, size] of [[unnamed, 5n], [named, 4096n]] as const) {
        const client = yield* connect(server)
        yield* client.greet()
        expect((yield* client.exportName("")).exportSize).toBe(size)
      }
    }))

  it.scoped("S-021: a missing export ends the session", () =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText("nothing")))
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        const ending = { _tag: "ExportRefused", exportName: "nothing" }
        expect(yield* server.awaitEnds(1)).toEqual([{ session: 1, ending }])
      })))
})

describe("options", () => {
  it.scoped("S-022 S-023: ABORT is answered, stray data ignored, and the session ends in order", () =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.option("ABORT", filled(7, 1))).toEqual([ack])
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.awaitEnds(1)).toEqual([{ session: 1, ending: { _tag: "Aborted" } }])
      })))

  it.scoped("S-023: a client that aborts and closes without waiting does no harm", () =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.send(encodeOption(optionCode.ABORT, new Uint8Array(0)))
        client.reader.connection.close()
        yield* server.awaitSessions(0)
        expect(yield* server.violations).toEqual([])
        expect(yield* server.ends).toMatchObject([{ ending: { _tag: "Aborted" } }])
      })))

  it.scoped("S-024: LIST names every export with its description", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("LIST")).toEqual([
          { _tag: "Server", name: "disk", description: "a disk" },
          { _tag: "Server", name: "small", description: "" },
          ack
        ])
      })))

  it.scoped.each([["LIST", "S-025"], ["STRUCTURED_REPLY", "S-028"]] as const)(
    "%s with data is ERR_INVALID (%s), in sync and noted",
    ([option]) =>
      greeted({}, (client, server) =>
        Effect.gen(function*() {
          expect(yield* client.option(option, filled(9, 1))).toEqual([error(replyType.ERR_INVALID)])
          expect((yield* client.option(option)).at(-1)).toEqual(ack)
          expect(yield* server.violations).toMatchObject([{ received: "9 bytes", fatal: false }])
        }))
  )

  it.scoped.each([...switchedOff.map((name) => optionCode[name]), 4, 0x1234_5678, 0xffff_ffff])(
    "S-016 S-043: option %i is ERR_UNSUP where it is unknown or switched off, and its data is skipped",
    (option) =>
      greeted({ metaContexts: false, extendedHeaders: false }, (client) =>
        Effect.gen(function*() {
          expect(yield* client.option(option, filled(100, 0x49))).toEqual([error(replyType.ERR_UNSUP)])
          expect(yield* client.option(option)).toEqual([error(replyType.ERR_UNSUP)])
          expect((yield* client.info("GO", "disk")).at(-1)).toEqual(ack)
        }))
  )

  it.scoped("S-017: STRUCTURED_REPLY twice is ERR_INVALID, and stays negotiated", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("STRUCTURED_REPLY")).toEqual([ack])
        expect(yield* client.option("STRUCTURED_REPLY")).toEqual([error(replyType.ERR_INVALID)])
        expect(infos(yield* client.info("INFO", "disk"))).toMatchObject([{ flags: 0x0ded }])
      })))

  it.scoped("S-003: what a client is called back in an error is cut, and stays UTF-8", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        for (const name of ["€".repeat(1365), "\u0001".repeat(4096), "𝄞".repeat(1024)]) {
          const [reply] = yield* client.info("INFO", name)
          const message = reply?._tag === "ErrorReply" ? reply.message : ""
          expect(message).toContain("no export is called")
          expect(message).not.toContain("\ufffd")
          expect(encodeText(message).byteLength).toBeLessThan(1000)
        }
      })))

  it.scoped("S-015: every reply repeats the code of its option, of those nobody knows too", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        for (const option of [...Object.values(optionCode), 99].filter((code) => code > 2 && code !== optionCode.GO)) {
          yield* client.send(encodeOption(option, new Uint8Array(0)))
          let type = 0
          while (type !== replyType.ACK && type < 0x8000_0000) {
            const view = viewOf(yield* client.take(20))
            expect([view.getBigUint64(0), view.getUint32(8)]).toEqual([0x0003_e889_0455_65a9n, option])
            type = view.getUint32(12)
            yield* client.take(view.getUint32(16))
          }
        }
      })))

  it.scoped("S-029: without structured replies nothing is offered that needs them", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const needy = TransmissionFlags.SEND_DF | TransmissionFlags.BLOCK_STATUS_PAYLOAD
        const [info] = infos(yield* client.info("INFO", "disk"))
        expect(info?._tag === "ExportInfo" ? info.flags & needy : -1).toBe(0)
        expect((yield* client.exportName("disk")).flags & needy).toBe(0)
      })))

  it.scoped.each([[16_384, 0], [64, 262_144]] as const)(
    "S-018: %i options with %i bytes each are all that one client may have, and then it is left",
    ([most, length]) =>
      greeted({ structuredReplies: false }, (client, server) =>
        Effect.gen(function*() {
          const each = encodeOption(optionCode.STRUCTURED_REPLY, new Uint8Array(length))
          yield* client.send(each)
          const reply = yield* client.optionReply(optionCode.STRUCTURED_REPLY)
          expect(reply).toMatchObject({ _tag: "ErrorReply" })
          const { byteLength } = encodeOptionReply(optionCode.STRUCTURED_REPLY, reply)
          for (let left = most - 1; left > 0; left -= 63) {
            const count = Math.min(63, left)
            yield* Effect.fork(client.send(concat(Array.from({ length: count }, () => each))))
            yield* client.take(count * byteLength)
          }
          expect(yield* server.violations).toEqual([])
          for (const _ of [1, 2]) yield* Effect.fork(client.send(each))
          yield* server.awaitEnds(1)
          expect(yield* server.violations).toMatchObject([{ rule: "S-018", fatal: true }])
        }))
  )

  it.scoped("S-042: a client that did not answer FIXED_NEWSTYLE gets no TLS", () =>
    Effect.gen(function*() {
      const settings = { credentials: { _tag: "Psk", keyOf: () => undefined } } as const
      const server = yield* FakeServer.make({ ...config, tls: { mode: "Allow", settings } })
      const client = yield* connect(server)
      yield* client.greet(0)
      yield* client.send(encodeOption(optionCode.STARTTLS, new Uint8Array(0)))
      expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
      expect(yield* server.violations).toMatchObject([{ received: "NBD_OPT_STARTTLS", fatal: true }])
    }))

  it.scoped("S-016: STRUCTURED_REPLY is ERR_UNSUP where it is switched off", () =>
    greeted({ structuredReplies: false }, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("STRUCTURED_REPLY")).toEqual([error(replyType.ERR_UNSUP)])
        expect(infos(yield* client.info("GO", "disk"))).toMatchObject([{ flags: 0x0d6d }])
      })))

  it.scoped("S-019: options can be refused by name, with an error and a text", () =>
    greeted({
      refuse: { GO: "ERR_UNSUP", LIST: { reply: "ERR_POLICY", message: "not for you" }, EXPORT_NAME: "ERR_POLICY" }
    }, (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.info("GO", "disk")).toEqual([error(replyType.ERR_UNSUP, "")])
        expect(yield* client.option("LIST")).toEqual([error(replyType.ERR_POLICY, "not for you")])
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText("disk")))
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.options).toMatchObject([
          { session: 1, option: 7, name: "NBD_OPT_GO", exportName: "disk" },
          { name: "NBD_OPT_LIST", exportName: undefined },
          { name: "NBD_OPT_EXPORT_NAME", exportName: "disk", data: encodeText("disk") }
        ])
      })))
})

describe("NBD_OPT_INFO and NBD_OPT_GO", () => {
  const all = Object.values(infoType)

  it.scoped("S-031 S-034 S-035 S-037 S-052: what was asked for, once each, the same for INFO and GO; S-036: no padding", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const expected: ReadonlyArray<Info> = [
          { _tag: "ExportInfo", exportSize: 1_048_576n, flags: TransmissionFlags(0x0d6d) },
          { _tag: "NameInfo", name: "the disk" },
          { _tag: "DescriptionInfo", description: "a disk" },
          { _tag: "BlockSizeInfo", minimum: 1, preferred: 4096, maximum: 33_554_432 }
        ]
        expect(infos(yield* client.info("INFO", "disk", all))).toEqual(expected)
        expect(infos(yield* client.info("GO", "disk", all))).toEqual(expected)
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
      })))

  it.scoped("S-031: NBD_INFO_EXPORT comes unasked, and nothing else does", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(infos(yield* client.info("INFO", "small")).map(({ _tag }) => _tag)).toEqual(["ExportInfo"])
      })))

  it.scoped("S-030: information types nobody knows are ignored", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        const replies = yield* client.info("GO", "disk", [0x7777, infoType.NAME])
        expect(infos(replies).map(({ _tag }) => _tag)).toEqual(["ExportInfo", "NameInfo"])
      })))

  it.scoped("a type asked for twice is noted and answered once", () =>
    greeted({}, (client, server) =>
      Effect.gen(function*() {
        expect(infos(yield* client.info("GO", "disk", [1, 1])).length).toBe(2)
        expect(yield* server.violations).toMatchObject([{ rule: "NBD_OPT_GO, C-048", fatal: false }])
      })))

  it.scoped("S-033: an unknown export is ERR_UNKNOWN without information, and haggling goes on", () =>
    greeted({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.info("INFO", "nothing", all)).toEqual([error(replyType.ERR_UNKNOWN)])
        expect(yield* client.info("GO", "nothing", all)).toEqual([error(replyType.ERR_UNKNOWN)])
        expect((yield* client.info("GO", "disk")).at(-1)).toEqual(ack)
      })))

  it.scoped("S-038 S-039 S-040: ERR_BLOCK_SIZE_REQD after the sizes, only for a client that did not ask", () =>
    Effect.gen(function*() {
      const blockSize = { minimum: 512, preferred: 4096, maximum: 65_536 }
      const server = yield* FakeServer.make({ exports: [{ ...disk, blockSize }, small], requireBlockSize: true })
      const client = yield* connect(server)
      yield* client.greet()
      expect(yield* client.info("GO", "disk")).toEqual([
        { _tag: "InfoReply", info: { _tag: "BlockSizeInfo", ...blockSize } },
        error(replyType.ERR_BLOCK_SIZE_REQD)
      ])
      expect((yield* client.info("INFO", "small")).at(-1)).toEqual(ack)
      const replies = yield* client.info("GO", "disk", [infoType.BLOCK_SIZE])
      expect(infos(replies).at(-1)).toEqual({ _tag: "BlockSizeInfo", ...blockSize })
    }))

  it.scoped.each(
    [
      ["empty", []],
      ["a name longer than the data", [0, 0, 0, 9, 65, 0, 0]],
      ["a name length of 0xffffffff", [255, 255, 255, 255, 65, 0, 0]],
      ["more types counted than sent", [0, 0, 0, 1, 65, 0, 2, 0, 1]],
      ["fewer types counted than sent", [0, 0, 0, 1, 65, 0, 0, 0, 1]]
    ] as const
  )(
    "data that is %s is ERR_INVALID, in sync and noted",
    ([, data]) =>
      greeted({}, (client, server) =>
        Effect.gen(function*() {
          expect(yield* client.option("GO", Uint8Array.from(data))).toEqual([error(replyType.ERR_INVALID)])
          expect((yield* client.info("GO", "disk")).at(-1)).toEqual(ack)
          expect((yield* server.violations).length).toBe(1)
        }))
  )
})

it.scoped("a client that leaves between options without a word is seen to have left", () =>
  greeted({}, (client, server) =>
    Effect.gen(function*() {
      client.reader.connection.close()
      expect(yield* server.awaitEnds(1)).toMatchObject([{ ending: { _tag: "ClientLeft", end: { _tag: "Finished" } } }])
      expect(yield* server.violations).toEqual([])
    })))
