/** Extended headers: how they are agreed on, and every command with them, by bytes. */
import { decodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { type OptionReply, replyType } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import type { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { FakeServer, MemoryPipe, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import {
  connect,
  extendedBytes,
  filled,
  pattern,
  type RawClient,
  requestBytes,
  transmittingExtended
} from "./fixtures/RawClient.ts"

const page = 65_536
const disk = { name: "disk", size: 8 * page }
const payloadLength = CommandFlags.PAYLOAD_LEN
const ack: OptionReply = { _tag: "Ack" }

const haggling = (
  config: Partial<FakeServer.FakeServerConfig>,
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: [disk], ...config })
    const client = yield* connect(server)
    yield* client.greet()
    yield* test(client, server)
  })

const session = (
  config: Partial<FakeServer.FakeServerConfig>,
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports: [disk], ...config })
    const { client } = yield* transmittingExtended(server, "disk")
    yield* test(client, server)
  })

const write = (client: RawClient, offset: bigint | number, payload: Uint8Array) =>
  Effect.gen(function*() {
    yield* client.extended("WRITE", { offset, payload, flags: payloadLength })
    expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE, offset: BigInt(offset) }])
  })

const refused = (client: RawClient, errno: number) =>
  Effect.gen(function*() {
    const [chunk, ...others] = yield* client.chunks("extended")
    expect(others).toEqual([])
    expect(chunk).toMatchObject({ type: chunkType.ERROR, done: true })
    const payload = chunk?.payload ?? filled(6, 0)
    expect(viewOf(payload).getUint32(0)).toBe(errno)
    expect(decodeText(payload.subarray(6))).not.toBe("")
    return chunk
  })

describe("NBD_OPT_EXTENDED_HEADERS", () => {
  const error = (type: number) => [{ _tag: "ErrorReply", type, message: expect.any(String) }]

  it.scoped("S-028: with data it is ERR_INVALID, and not negotiated", () =>
    haggling({}, (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.option("EXTENDED_HEADERS", filled(1, 1))).toEqual(error(replyType.ERR_INVALID))
        expect(yield* server.violations).toMatchObject([{ fatal: false }])
        yield* client.info("GO", "disk")
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
      })))

  it.scoped("S-016: where it is switched off it is ERR_UNSUP", () =>
    haggling({ extendedHeaders: false }, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("EXTENDED_HEADERS")).toEqual(error(replyType.ERR_UNSUP))
      })))

  it.scoped("S-017: a second time it is ERR_INVALID, and stays negotiated", () =>
    haggling({}, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("EXTENDED_HEADERS")).toEqual([ack])
        expect(yield* client.option("EXTENDED_HEADERS")).toEqual(error(replyType.ERR_INVALID))
        yield* client.info("GO", "disk")
        yield* client.extended("FLUSH")
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE }])
      })))

  it.scoped("S-100: it can follow structured replies, which are ERR_EXT_HEADER_REQD after it", () =>
    haggling({}, (client, server) =>
      Effect.gen(function*() {
        expect(yield* client.option("STRUCTURED_REPLY")).toEqual([ack])
        expect(yield* client.option("EXTENDED_HEADERS")).toEqual([ack])
        expect(yield* client.option("STRUCTURED_REPLY")).toEqual(error(replyType.ERR_EXT_HEADER_REQD))
        expect(yield* server.violations).toEqual([])
        yield* client.info("GO", "disk")
        yield* client.extended("READ", { length: 1 })
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.OFFSET_HOLE }])
      })))

  it.scoped("S-100: it can be had where there are no structured replies at all", () =>
    haggling({ structuredReplies: false }, (client) =>
      Effect.gen(function*() {
        expect(yield* client.option("EXTENDED_HEADERS")).toEqual([ack])
      })))

  it.scoped("contexts that were selected before it stay selected", () =>
    haggling({}, (client) =>
      Effect.gen(function*() {
        yield* client.option("STRUCTURED_REPLY")
        yield* client.metaContext("SET_META_CONTEXT", "disk", "base:allocation")
        yield* client.option("EXTENDED_HEADERS")
        yield* client.info("GO", "disk")
        yield* client.extended("BLOCK_STATUS", { length: 512 })
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.BLOCK_STATUS_EXT }])
      })))

  it.scoped("EXPORT_NAME after it breaks the protocol", () =>
    haggling({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.option("EXTENDED_HEADERS")
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, new Uint8Array(0)))
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.violations).toMatchObject([{ rule: "C-220", fatal: true }])
      })))

  it.scoped("S-011: SEND_DF is offered with it", () =>
    haggling({}, (client) =>
      Effect.gen(function*() {
        yield* client.option("EXTENDED_HEADERS")
        const [info] = yield* client.info("INFO", "disk")
        expect(info).toMatchObject({ info: { flags: 0x0ded } })
        expect(0x0ded & TransmissionFlags.SEND_DF).not.toBe(0)
      })))
})

describe("commands", () => {
  it.scoped("S-095: every reply is an extended chunk that repeats the request's offset and cookie", () =>
    session({ acknowledgements: "Simple" }, (client) =>
      Effect.gen(function*() {
        const bytes = pattern(2 * page)
        yield* write(client, page, bytes)
        yield* client.extended("READ", { cookie: 9, offset: page - 10, length: 2 * page + 20 })
        const chunks = yield* client.chunks("extended")
        expect(chunks.map(({ cookie, offset, type }) => [type, cookie, offset])).toEqual([
          [chunkType.OFFSET_HOLE, 9n, BigInt(page - 10)],
          [chunkType.OFFSET_DATA, 9n, BigInt(page - 10)],
          [chunkType.OFFSET_HOLE, 9n, BigInt(page - 10)]
        ])
        const data = chunks[1]?.payload ?? filled(8, 0)
        expect(viewOf(data).getBigUint64(0)).toBe(BigInt(page))
        expect(Buffer.compare(data.subarray(8), bytes)).toBe(0)
        for (const command of ["FLUSH", "CACHE", "TRIM", "WRITE_ZEROES"] as const) {
          const range = command === "FLUSH" ? {} : { offset: page, length: page }
          yield* client.extended(command, { ...range, cookie: 3 })
          const offset = BigInt(range.offset ?? 0)
          expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE, cookie: 3n, offset }])
        }
      })))

  it.scoped("errors are extended chunks too, with offsets of their own", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        yield* server.onRequest(() => Steering.fail("EIO", { offset: 700n, message: "sector" }))
        yield* client.extended("READ", { offset: 512, length: 512 })
        const chunks = yield* client.chunks("extended")
        expect(chunks).toMatchObject([
          { type: chunkType.OFFSET_HOLE, offset: 512n, done: false },
          { type: chunkType.ERROR_OFFSET, offset: 512n, done: true }
        ])
      })))

  it.scoped("S-078: DF, chunk sizes and the last NONE as with structured replies", () =>
    session({ chunkSize: 40_000, endWithNone: true }, (client) =>
      Effect.gen(function*() {
        yield* write(client, 0, filled(page, 1))
        yield* client.extended("READ", { length: 2 * page, flags: CommandFlags.DF })
        expect((yield* client.chunks("extended")).map(({ payload, type }) => [type, payload.byteLength])).toEqual([
          [chunkType.OFFSET_DATA, 2 * page + 8],
          [chunkType.NONE, 0]
        ])
        yield* client.extended("READ", { length: page })
        expect((yield* client.chunks("extended")).map(({ payload }) => payload.byteLength)).toEqual([40_008, 25_544, 0])
      })))

  it.scoped("effect lengths take 64 bits: trimming, zeroing and caching 2^63 bytes", () =>
    session({ exports: [{ name: "disk", size: 2n ** 63n }] }, (client, server) =>
      Effect.gen(function*() {
        yield* write(client, 2n ** 40n, filled(512, 1))
        for (const command of ["CACHE", "TRIM"] as const) {
          yield* client.extended(command, { length: 2n ** 63n })
          expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE }])
        }
        expect(yield* server.exportBytes("disk", 2n ** 40n, 512)).toEqual(filled(512, 0))
        yield* write(client, 2n ** 62n, filled(512, 1))
        yield* client.extended("WRITE_ZEROES", { offset: 2n ** 62n, length: 2n ** 62n })
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE }])
        expect(yield* server.exportBytes("disk", 2n ** 62n, 512)).toEqual(filled(512, 0))
        yield* client.extended("WRITE_ZEROES", { length: 2n ** 62n, flags: CommandFlags.NO_HOLE })
        yield* refused(client, 28)
      })))

  it.scoped("S-055 S-084: 64-bit lengths are held to the export without wrapping", () =>
    session({ exports: [{ name: "disk", size: 2n ** 64n - 1n }] }, (client) =>
      Effect.gen(function*() {
        const cases: ReadonlyArray<readonly [keyof typeof commandCode, bigint, bigint, number]> = [
          ["TRIM", 1n, 2n ** 64n - 1n, 22],
          ["TRIM", 2n ** 64n - 1n, 1n, 22],
          ["CACHE", 2n ** 63n, 2n ** 63n, 22],
          ["WRITE_ZEROES", 2n ** 63n, 2n ** 63n, 28],
          ["BLOCK_STATUS", 0n, 1n, 22],
          ["READ", 0n, 2n ** 32n, 75],
          ["READ", 0n, 2n ** 64n - 1n, 75],
          ["READ", 0n, 33_554_433n, 75]
        ]
        for (const [command, offset, wideLength, errno] of cases) {
          yield* client.extended(command, { offset, length: wideLength })
          yield* refused(client, errno)
        }
      })))

  it.scoped("a WRITE without PAYLOAD_LEN is noted, and has its payload all the same: qemu's client sends such", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.extended("WRITE", { offset: 5, payload: filled(512, 7) })
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE, offset: 5n }])
        expect(yield* server.exportBytes("disk", 5n, 512)).toEqual(filled(512, 7))
        expect(yield* server.violations).toMatchObject([{ rule: "C-222", fatal: false }])
        yield* write(client, 0, filled(3, 1))
      })))

  it.scoped("S-098: the payload of commands that have none is taken, and is EINVAL", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        for (const command of ["READ", "FLUSH", "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS", 99] as const) {
          yield* client.extended(command, { flags: payloadLength, payload: filled(200_001, 0x21) })
          yield* refused(client, 22)
        }
        yield* write(client, 0, filled(3, 1))
        expect((yield* server.violations).map(({ fatal }) => fatal)).toEqual(Array.from({ length: 7 }, () => false))
      })))

  it.scoped("S-056 S-084: a WRITE to a read-only export or past its end is taken and refused", () =>
    session({ exports: [{ ...disk, readOnly: true }] }, (client) =>
      Effect.gen(function*() {
        yield* client.extended("WRITE", { flags: payloadLength, payload: filled(100_000, 1) })
        yield* refused(client, 1)
        yield* client.extended("FLUSH")
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.NONE }])
      })))

  it.scoped("PAYLOAD_LEN with compact headers is EINVAL", () =>
    haggling({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.option("STRUCTURED_REPLY")
        yield* client.metaContext("SET_META_CONTEXT", "disk", "base:allocation")
        yield* client.info("GO", "disk")
        for (const command of ["READ", "BLOCK_STATUS", "FLUSH"] as const) {
          yield* client.request(command, { flags: payloadLength, length: command === "FLUSH" ? 0 : 16 })
          expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
        }
        yield* client.request("WRITE", { flags: payloadLength, payload: filled(16, 1) })
        expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
        expect(yield* server.violations).toHaveLength(4)
      })))

  it.scoped("S-092: DISC ends the session", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        yield* client.extended("DISC")
        expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
        expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
      })))
})

describe("bad clients are closed on, and hurt nobody else", () => {
  const cases: ReadonlyArray<readonly [string, Uint8Array, string]> = [
    ["a compact request", Uint8Array.from([...requestBytes("FLUSH", {}), 0, 0, 0, 0]), "Extended request, C-219"],
    ["no magic", filled(32, 0x47), "Extended request, C-219"],
    ["a header cut short", extendedBytes("FLUSH", {}).slice(0, 31), "Extended request header"],
    [
      "a payload of 2^64 - 1 bytes",
      extendedBytes("WRITE", { flags: payloadLength, length: 2n ** 64n - 1n }),
      "Extended request, S-098"
    ],
    [
      "a WRITE of 2^64 - 1 bytes without the flag",
      extendedBytes("WRITE", { length: 2n ** 64n - 1n }),
      "Extended request, S-098"
    ],
    [
      "a payload of 2^32 bytes",
      extendedBytes("BLOCK_STATUS", { flags: payloadLength, length: 2n ** 32n }),
      "Extended request, S-098"
    ],
    [
      "a payload of a byte more than 32 MiB",
      extendedBytes("READ", { flags: payloadLength, length: 33_554_433 }),
      "Extended request, S-098"
    ],
    [
      "a payload cut short",
      extendedBytes("WRITE", { flags: payloadLength, length: 10, payload: filled(9, 1) }),
      "NBD_CMD_WRITE, C-139"
    ],
    [
      "the payload of another command cut short",
      extendedBytes("TRIM", { flags: payloadLength, length: 100_000, payload: filled(70_000, 1) }),
      "Request payload, C-222"
    ],
    [
      "a list of contexts cut short",
      extendedBytes("BLOCK_STATUS", { flags: payloadLength, length: 12, payload: filled(11, 0) }),
      "Request payload, C-222"
    ]
  ]
  it.scoped.each(cases)("%s", ([, sent, rule]) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.make({ exports: [disk] })
      const { client: good } = yield* transmittingExtended(server, "disk")
      const { client: bad } = yield* transmittingExtended(server, "disk", "base:allocation")
      yield* bad.send(sent)
      bad.reader.connection.endWrites()
      yield* bad.end()
      yield* server.awaitSessions(1)
      const fatal = (yield* server.violations).filter(({ fatal }) => fatal)
      expect(fatal).toMatchObject([{ session: 2, rule }])
      expect(yield* server.ends).toMatchObject([{ session: 2, ending: { _tag: "Misbehaved" } }])
      yield* good.extended("FLUSH")
      expect(yield* good.chunks("extended")).toMatchObject([{ type: chunkType.NONE }])
    }))

  it.scoped("S-057 S-098: 32 MiB are never an attack, and what an export advertises is not either", () =>
    Effect.gen(function*() {
      const blockSize = { minimum: 1, preferred: 4096, maximum: 65_536 }
      const large = { minimum: 1, preferred: 4096, maximum: 40_000_000 }
      const server = yield* FakeServer.make({
        exports: [{ name: "disk", size: 2 ** 30, blockSize }, { name: "large", size: 2 ** 30, blockSize: large }],
        delivery: MemoryPipe.whole
      })
      const { client } = yield* transmittingExtended(server, "disk")
      yield* client.extended("WRITE", { flags: payloadLength, payload: filled(33_554_432, 1) })
      yield* refused(client, 22)
      const { client: other } = yield* transmittingExtended(server, "large")
      yield* write(other, 0, filled(40_000_000, 1))
    }))
})
