/** NBD_CMD_BLOCK_STATUS with structured replies and with extended headers, by bytes. */
import { DeviceError } from "@effect-nbd/block/DeviceError"
import { decodeBlockStatus, encodeStatusFilter } from "@effect-nbd/core/wire/BlockStatus"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import { ServedContext, type ServedExport } from "@effect-nbd/server"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { connect, filled, pattern, type RawChunk, type RawClient, transmittingExtended } from "./fixtures/RawClient.ts"

const page = 65_536
const { HOLE, ZERO } = ServedContext.allocationFlags
const both = HOLE | ZERO

type Width = "compact" | "extended"

const selected = (server: FakeServer.FakeServerService, width: Width, ...contexts: ReadonlyArray<string>) =>
  width === "extended"
    ? transmittingExtended(server, "disk", ...contexts)
    : Effect.gen(function*() {
      const client = yield* connect(server)
      yield* client.greet()
      yield* client.option("STRUCTURED_REPLY")
      const replies = yield* client.metaContext("SET_META_CONTEXT", "disk", ...contexts)
      const ids = replies.flatMap((reply) => reply._tag === "MetaContextReply" ? [reply.id] : [])
      yield* client.info("GO", "disk")
      return { client, ids }
    })

type Status = readonly [length: bigint, flags: bigint]

const statusOf = (width: Width, { payload, type }: RawChunk): readonly [id: number, ReadonlyArray<Status>] => {
  expect(type).toBe(width === "extended" ? chunkType.BLOCK_STATUS_EXT : chunkType.BLOCK_STATUS)
  const decoded = decodeBlockStatus(width, payload)
  if (isWireError(decoded)) throw new Error(`${decoded.expected}: ${decoded.received}`)
  const all = Array.from({ length: decoded.count }, (_, at): Status => [decoded.lengthAt(at), decoded.flagsAt(at)])
  return [decoded.contextId, all]
}

interface Asked {
  readonly offset?: bigint | number
  readonly length: number
  readonly flags?: number
}

/** What each context says, in order. */
const ask = (client: RawClient, width: Width, request: Asked) =>
  Effect.gen(function*() {
    yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
    const chunks = yield* client.chunks(width === "extended" ? "extended" : "structured")
    return chunks.map((chunk) => statusOf(width, chunk))
  })

const statuses = (client: RawClient, width: Width, request: Asked) =>
  Effect.map(ask(client, width, request), (all) => all.map(([, status]) => status))

const serving = (
  config: Partial<ServedExport.MemoryExportConfig>,
  rest: Partial<FakeServer.FakeServerConfig> = {}
) => FakeServer.make({ exports: [{ name: "disk", size: 8 * page, ...config }], ...rest })

const custom = (
  name: string,
  status: ReadonlyArray<Status>,
  more: Partial<ServedContext.ServedContext> = {}
): ServedContext.ServedContext => ({
  name,
  status: () => Effect.succeed(status.map(([length, flags]) => ({ length, flags }))),
  ...more
})

describe.each(["compact", "extended"] as const)("%s headers", (width) => {
  const p = BigInt(page)

  it.scoped("S-066 S-081 S-096: base:allocation tells data, holes, and zeroes that are kept", () =>
    Effect.gen(function*() {
      const server = yield* serving({ content: pattern(page + 5) })
      const { client, ids } = yield* selected(server, width, "base:allocation")
      expect(yield* ask(client, width, { length: 8 * page })).toEqual([[ids[0], [[2n * p, 0n], [6n * p, both]]]])
      const disk = server.exports.get("disk")
      yield* disk?.write(4n * p, filled(2 * page, 1)) ?? Effect.void
      yield* disk?.trim(p, p) ?? Effect.void
      yield* disk?.writeZeroes(5n * p, p, { noHole: true }) ?? Effect.void
      expect(yield* statuses(client, width, { offset: 100, length: 7 * page })).toEqual([[
        [p - 100n, 0n],
        [3n * p, both],
        [p, 0n],
        [p, ZERO],
        [p + 100n, both]
      ]])
    }))

  it.scoped("S-081: writes, trims and zeroes of clients show at once", () =>
    Effect.gen(function*() {
      const server = yield* serving({})
      const { client } = yield* selected(server, width, "base:allocation")
      const send = (command: "WRITE" | "TRIM" | "WRITE_ZEROES", request: Parameters<RawClient["request"]>[1]) =>
        Effect.gen(function*() {
          const flags = (request?.flags ?? 0) |
            (width === "extended" && command === "WRITE" ? CommandFlags.PAYLOAD_LEN : 0)
          yield* width === "extended"
            ? client.extended(command, { ...request, flags })
            : client.request(command, { ...request, flags })
          expect(yield* client.chunks(width === "extended" ? "extended" : "structured")).toMatchObject([
            { type: chunkType.NONE }
          ])
        })
      yield* send("WRITE", { offset: page, payload: filled(2 * page, 1) })
      expect(yield* statuses(client, width, { length: 8 * page })).toEqual([[[p, both], [2n * p, 0n], [5n * p, both]]])
      yield* send("TRIM", { offset: page, length: page })
      yield* send("WRITE_ZEROES", { offset: 4 * page, length: page, flags: CommandFlags.NO_HOLE })
      expect(yield* statuses(client, width, { length: 8 * page })).toEqual([
        [[2n * p, both], [p, 0n], [p, both], [p, ZERO], [3n * p, both]]
      ])
    }))

  it.scoped("S-081: REQ_ONE gives one extent for each context, within the request", () =>
    Effect.gen(function*() {
      const server = yield* serving({
        content: filled(page, 1),
        contexts: [custom("x-a:long", [[100n * p, 3n]]), custom("x-a:short", [[1n, 4n], [1n, 5n]])]
      })
      const { client, ids } = yield* selected(server, width, "base:allocation", "x-a:long", "x-a:short")
      const flags = CommandFlags.REQ_ONE
      expect(yield* ask(client, width, { length: 2 * page, flags })).toEqual([
        [ids[0], [[p, 0n]]],
        [ids[1], [[2n * p, 3n]]],
        [ids[2], [[1n, 4n]]]
      ])
    }))

  it.scoped("S-081: without REQ_ONE the last extent may run past the request, but not past the export", () =>
    Effect.gen(function*() {
      const server = yield* serving({
        contexts: [
          custom("x-a:past", [[p, 0n], [3n * p, 1n], [p, 2n]]),
          custom("x-a:end", [[100n * p, 1n]]),
          custom("x-a:equal", [[p, 1n], [2n * p, 1n], [2n * p, 1n], [p, 2n]]),
          custom("x-a:exact", [[2n * p, 1n], [p, 2n]])
        ]
      })
      const { client } = yield* selected(server, width, "x-a:past", "x-a:end", "x-a:equal", "x-a:exact")
      expect(yield* statuses(client, width, { offset: page, length: 2 * page })).toEqual([
        [[p, 0n], [3n * p, 1n]],
        [[7n * p, 1n]],
        [[5n * p, 1n]],
        [[2n * p, 1n]]
      ])
    }))

  it.scoped("S-082: equal neighbours are joined, and more than maxDescriptors are left out", () =>
    Effect.gen(function*() {
      const every = Array.from({ length: 1000 }, (_, index): Status => [1n, BigInt(index % 4 < 2 ? 0 : 1)])
      const server = yield* serving({ contexts: [custom("x-a:many", every)] }, { maxDescriptors: 10 })
      const { client } = yield* selected(server, width, "x-a:many")
      const [status = []] = yield* statuses(client, width, { length: page })
      expect(status).toEqual(Array.from({ length: 10 }, (_, index) => [2n, BigInt(index % 2)]))
    }))

  it.scoped("S-074: a chunk is never larger than the payload that the export advertises", () =>
    Effect.gen(function*() {
      const every = Array.from({ length: 1000 }, (_, index): Status => [512n, BigInt(index % 2)])
      const blockSize = { minimum: 1, preferred: 512, maximum: 512 }
      const server = yield* serving({ blockSize, contexts: [custom("x-a:many", every)] })
      const { client } = yield* selected(server, width, "x-a:many")
      const [status = []] = yield* statuses(client, width, { length: 8 * page })
      expect(status.length).toBe(width === "compact" ? 63 : 31)
    }))

  it.scoped("S-083: a length of zero is EINVAL, and the session goes on", () =>
    Effect.gen(function*() {
      const server = yield* serving({})
      const { client } = yield* selected(server, width, "base:allocation")
      yield* width === "extended" ? client.extended("BLOCK_STATUS") : client.request("BLOCK_STATUS")
      const [chunk] = yield* client.chunks(width === "extended" ? "extended" : "structured")
      expect(chunk).toMatchObject({ type: chunkType.ERROR })
      expect(yield* statuses(client, width, { length: 1 })).toEqual([[[1n, both]]])
    }))

  it.scoped("S-084: a range outside the export is EINVAL", () =>
    Effect.gen(function*() {
      const server = yield* serving({})
      const { client } = yield* selected(server, width, "base:allocation")
      for (const offset of [8n * p - 1n, 8n * p, 2n ** 64n - 1n]) {
        const request = { offset, length: 2 }
        yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
        const chunks = yield* client.chunks(width === "extended" ? "extended" : "structured")
        expect(chunks).toMatchObject([{ type: chunkType.ERROR }])
        expect(Array.from(chunks[0]?.payload.subarray(0, 4) ?? [])).toEqual([0, 0, 0, 22])
      }
    }))

  it.scoped("S-085: flags of other commands are EINVAL, and noted", () =>
    Effect.gen(function*() {
      const server = yield* serving({})
      const { client } = yield* selected(server, width, "base:allocation")
      const request = { length: 512, flags: CommandFlags.DF }
      yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
      expect(yield* client.chunks(width === "extended" ? "extended" : "structured")).toMatchObject([
        { type: chunkType.ERROR }
      ])
      expect(yield* server.violations).toMatchObject([{ rule: "C-124, S-085", fatal: false }])
    }))

  it.scoped("S-080: a context that fails, dies or says nothing fails its request alone", () =>
    Effect.gen(function*() {
      const tooHot = new DeviceError({
        device: "disk",
        operation: "extents",
        offset: 0n,
        length: 512n,
        errno: "ENOMEM",
        reason: "too hot"
      })
      const failing: ReadonlyArray<readonly [string, ServedContext.ServedContext["status"], number]> = [
        ["x-a:fails", () => tooHot, 12],
        ["x-a:dies", () => Effect.die("bug"), 5],
        ["x-a:empty", () => Effect.succeed([]), 5],
        ["x-a:nil", () => Effect.succeed([{ length: 0n, flags: 0n }]), 5],
        ["x-a:throws", () => {
          throw new Error("bug")
        }, 5]
      ]
      for (const [name, status, errno] of failing) {
        const server = yield* serving({ contexts: [{ name, status }] })
        const { client } = yield* selected(server, width, name)
        const request = { length: 512 }
        yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
        const [chunk] = yield* client.chunks(width === "extended" ? "extended" : "structured")
        expect([name, chunk?.type, chunk?.payload[3]]).toEqual([name, chunkType.ERROR, errno])
      }
    }))

  it.scoped("dirty bitmaps: what is dirty from the start, and what clients change; reads change nothing", () =>
    Effect.gen(function*() {
      const dirtyBitmaps = [
        { name: "a", granularity: 4096, dirty: [{ offset: 5000, length: 1 }, { offset: 7n * p, length: 100n * p }] },
        { name: "b" }
      ]
      const server = yield* serving({ dirtyBitmaps })
      const { client } = yield* selected(server, width, "qemu:dirty-bitmap:a", "qemu:dirty-bitmap:b")
      expect(yield* statuses(client, width, { length: 8 * page })).toEqual([
        [[4096n, 0n], [4096n, 1n], [7n * p - 8192n, 0n], [p, 1n]],
        [[8n * p, 0n]]
      ])
      const disk = server.exports.get("disk")
      yield* disk?.write(2n * p - 1n, filled(2, 1)) ?? Effect.void
      yield* disk?.trim(4n * p, 1n) ?? Effect.void
      yield* disk?.read(0n, page) ?? Effect.void
      expect(yield* statuses(client, width, { length: 6 * page })).toEqual([
        [[4096n, 0n], [4096n, 1n], [2n * p - 12_288n, 0n], [8192n, 1n], [2n * p - 4096n, 0n], [4096n, 1n], [
          2n * p - 4096n,
          0n
        ]],
        [[p, 0n], [2n * p, 1n], [p, 0n], [p, 1n], [p, 0n]]
      ])
    }))

  it.scoped("S-097: bits of a bitmap are no smaller than the minimum block size", () =>
    Effect.gen(function*() {
      const blockSize = { minimum: 4096, preferred: 4096, maximum: 1 << 20 }
      const dirtyBitmaps = [{ name: "a", granularity: 512, dirty: [{ offset: 513, length: 1 }] }]
      const server = yield* serving({ blockSize, dirtyBitmaps })
      const { client } = yield* selected(server, width, "qemu:dirty-bitmap:a")
      expect(yield* statuses(client, width, { length: page })).toEqual([[[4096n, 1n], [p - 4096n, 0n]]])
    }))

  it.scoped("qemu:allocation-depth: 2 for content, 1 for what was changed, 0 otherwise", () =>
    Effect.gen(function*() {
      const server = yield* serving({ content: filled(3 * page, 1), allocationDepth: true })
      const { client } = yield* selected(server, width, "qemu:allocation-depth")
      const disk = server.exports.get("disk")
      yield* disk?.write(0n, filled(5, 1)) ?? Effect.void
      yield* disk?.trim(p, p) ?? Effect.void
      yield* disk?.trim(5n * p, p) ?? Effect.void
      expect(yield* statuses(client, width, { length: 8 * page })).toEqual([[[2n * p, 1n], [p, 2n], [5n * p, 0n]]])
    }))

  it.scoped("steering reaches block status: errors with a text and an offset, and holding", () =>
    Effect.gen(function*() {
      const server = yield* serving({})
      const { client } = yield* selected(server, width, "base:allocation")
      yield* server.onRequest(() => Steering.fail("EIO", { offset: 100n }))
      const request = { offset: 10, length: 500 }
      yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
      expect(yield* client.chunks(width === "extended" ? "extended" : "structured")).toMatchObject([
        { type: chunkType.ERROR_OFFSET }
      ])
      yield* server.onRequest(() => Steering.hold)
      yield* width === "extended" ? client.extended("BLOCK_STATUS", request) : client.request("BLOCK_STATUS", request)
      yield* server.awaitRequests(2)
      const disk = server.exports.get("disk")
      yield* disk?.write(0n, filled(page, 1)) ?? Effect.void
      yield* server.release
      // Carried out when it is answered.
      const [chunk] = yield* client.chunks(width === "extended" ? "extended" : "structured")
      expect(chunk === undefined ? [] : statusOf(width, chunk)[1]).toEqual([[500n, 0n]])
    }))
})

describe("32 bits", () => {
  it.scoped("lengths and flags are cut to what 32 bits can say", () =>
    Effect.gen(function*() {
      const size = 2n ** 40n
      const server = yield* serving({ size, contexts: [custom("x-a:long", [[2n ** 33n, 2n ** 40n + 5n]])] })
      const { client } = yield* selected(server, "compact", "base:allocation", "x-a:long")
      expect(yield* statuses(client, "compact", { length: 0xffff_ffff })).toEqual([
        [[0xffff_ffffn, both]],
        [[0xffff_0000n, 5n]]
      ])
    }))
})

describe("64 bits", () => {
  it.scoped("S-097: one extent of 2^63 bytes, and flags of 64 bits from contexts that have them", () =>
    Effect.gen(function*() {
      const size = 2n ** 63n
      const all = 2n ** 64n - 1n
      const server = yield* serving({
        size,
        contexts: [custom("x-a:narrow", [[size, all]]), custom("x-a:wide", [[size, all]], { wide: true })]
      })
      const { client, ids } = yield* selected(server, "extended", "base:allocation", "x-a:narrow", "x-a:wide")
      yield* client.extended("BLOCK_STATUS", { length: size })
      const chunks = yield* client.chunks("extended")
      expect(chunks.map((chunk) => statusOf("extended", chunk))).toEqual([
        [ids[0], [[size, both]]],
        [ids[1], [[size, 0xffff_ffffn]]],
        [ids[2], [[size, all]]]
      ])
    }))

  it.scoped("S-099: the payload form limits the reply to contexts, and gives the length", () =>
    Effect.gen(function*() {
      const server = yield* serving({ allocationDepth: true, dirtyBitmaps: [{ name: "a" }] })
      const names = ["base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:a"]
      const { client, ids } = yield* selected(server, "extended", ...names)
      const [first = -1, second = -1, third = -1] = ids
      const filter = (length: bigint, ...contextIds: ReadonlyArray<number>) =>
        client.extended("BLOCK_STATUS", {
          offset: page,
          flags: CommandFlags.PAYLOAD_LEN,
          payload: encodeStatusFilter({ length, contextIds })
        })
      yield* filter(512n, third, first)
      const chunks = yield* client.chunks("extended")
      expect(chunks.map((chunk) => statusOf("extended", chunk))).toEqual([[first, [[512n, both]]], [third, [[
        512n,
        0n
      ]]]])
      expect(chunks.map(({ offset }) => offset)).toEqual([BigInt(page), BigInt(page)])
      expect((yield* server.requests).at(-1)).toMatchObject({ length: 512, contextIds: [third, first] })
      const refused: ReadonlyArray<readonly [bigint, ReadonlyArray<number>]> = [
        [512n, []],
        [512n, [99]],
        [512n, [first, first]],
        [512n, [first, second, third, first]],
        [0n, [first]],
        [2n ** 64n - 1n, [first]],
        [BigInt(7 * page) + 1n, [first]]
      ]
      for (const [length, contextIds] of refused) {
        yield* filter(length, ...contextIds)
        const [chunk] = yield* client.chunks("extended")
        expect([length, contextIds, chunk?.type, chunk?.payload[3]]).toEqual([
          length,
          contextIds,
          chunkType.ERROR,
          22
        ])
      }
      for (const bytes of [1, 7, 9, 11, 13, 100_000]) {
        yield* client.extended("BLOCK_STATUS", { flags: CommandFlags.PAYLOAD_LEN, payload: filled(bytes, 0) })
        expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.ERROR, done: true }])
      }
      expect(yield* statuses(client, "extended", { length: 1 })).toHaveLength(3)
      expect((yield* server.violations).every(({ fatal }) => !fatal)).toBe(true)
    }))

  it.scoped("S-099: where the payload form is not offered, it is taken and EINVAL", () =>
    Effect.gen(function*() {
      const server = yield* serving({ can: { blockStatusPayload: false } })
      const { client, ids } = yield* selected(server, "extended", "base:allocation")
      const payload = encodeStatusFilter({ length: 512n, contextIds: ids })
      yield* client.extended("BLOCK_STATUS", { flags: CommandFlags.PAYLOAD_LEN, payload })
      expect(yield* client.chunks("extended")).toMatchObject([{ type: chunkType.ERROR }])
      expect(yield* server.violations).toMatchObject([{ rule: "C-124, S-085", fatal: false }])
      expect(yield* statuses(client, "extended", { length: 1 })).toEqual([[[1n, both]]])
    }))
})
