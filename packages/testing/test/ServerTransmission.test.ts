import { concat, decodeText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { FakeServer, MemoryPipe, Steering } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Scope from "effect/Scope"
import { filled, pattern, type RawChunk, type RawClient, transmitting } from "./fixtures/RawClient.ts"

const page = 65_536
const disk = { name: "disk", size: 8 * page }

const session = (
  config: Partial<FakeServer.FakeServerConfig> & { readonly structured?: boolean },
  test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const { structured = true, ...rest } = config
    const server = yield* FakeServer.make({ exports: [disk], ...rest })
    yield* test(yield* transmitting(server, structured), server)
  })

/** What a reply says, in short: `data 0+5`, `hole 65536+65536`, `none`, `error 22`, `error 5 at 7`; DONE is `.`. */
const inShort = ({ done, payload, type }: RawChunk): string => {
  const view = viewOf(payload)
  const end = done ? "." : ""
  switch (type) {
    case chunkType.NONE:
      return `none${end}`
    case chunkType.OFFSET_DATA:
      return `data ${view.getBigUint64(0)}+${payload.byteLength - 8}${end}`
    case chunkType.OFFSET_HOLE:
      return `hole ${view.getBigUint64(0)}+${view.getUint32(8)}${end}`
    case chunkType.ERROR:
      return `error ${view.getUint32(0)}${end}`
    case chunkType.ERROR_OFFSET:
      return `error ${view.getUint32(0)} at ${view.getBigUint64(6 + view.getUint16(4))}${end}`
    default:
      return `type ${type}${end}`
  }
}

const told = (client: RawClient) => Effect.map(client.chunks(), (chunks) => chunks.map(inShort))

const write = (client: RawClient, offset: number, payload: Uint8Array) =>
  Effect.gen(function*() {
    yield* client.request("WRITE", { offset, payload })
    expect(yield* told(client)).toEqual(["none."])
  })

describe("commands, with simple replies (S-067 S-068)", () => {
  it.scoped("S-067: the cookie comes back unchanged, also the largest", () =>
    session({ structured: false }, (client) =>
      Effect.gen(function*() {
        yield* client.request("FLUSH", { cookie: Number.MAX_SAFE_INTEGER })
        expect(yield* client.simple()).toMatchObject({ cookie: 2n ** 53n - 1n })
      })))

  it.scoped("READ, WRITE, FLUSH, CACHE, TRIM and WRITE_ZEROES do what they say (S-088, S-089)", () =>
    session({ structured: false }, (client, server) =>
      Effect.gen(function*() {
        const bytes = pattern(3 * page)
        yield* client.request("WRITE", { offset: 1000, payload: bytes, flags: CommandFlags.FUA })
        expect(yield* client.simple()).toMatchObject({ error: 0, cookie: 1n })
        yield* client.request("READ", { cookie: 2, offset: 1000, length: bytes.byteLength })
        expect((yield* client.simple(bytes.byteLength)).data).toEqual(bytes)
        for (const command of ["FLUSH", "CACHE", "TRIM", "WRITE_ZEROES"] as const) {
          const range = command === "FLUSH" ? {} : { offset: command === "WRITE_ZEROES" ? page : 0, length: page }
          yield* client.request(command, { ...range, cookie: 3 })
          expect(yield* client.simple()).toMatchObject({ error: 0, cookie: 3n })
        }
        expect(yield* server.exportBytes("disk", 0n, 2 * page)).toEqual(filled(2 * page, 0))
        expect(yield* server.exportBytes("disk", BigInt(2 * page), 5)).toEqual(bytes.slice(2 * page - 1000).slice(0, 5))
        expect((yield* server.requests).map(({ command }) => command)).toEqual(
          ["WRITE", "READ", "FLUSH", "CACHE", "TRIM", "WRITE_ZEROES"]
        )
      })))

  it.scoped("S-079: an error to a READ carries no data", () =>
    session({ structured: false }, (client) =>
      Effect.gen(function*() {
        yield* client.request("READ", { offset: 8 * page, length: 1 })
        yield* client.request("FLUSH", { cookie: 2 })
        expect(yield* client.simple(1)).toMatchObject({ error: 22, cookie: 1n })
        expect(yield* client.simple()).toMatchObject({ error: 0, cookie: 2n })
      })))

  it.scoped("S-011 S-085: DF without structured replies is EINVAL", () =>
    session({ structured: false }, (client) =>
      Effect.gen(function*() {
        yield* client.request("READ", { length: 1, flags: CommandFlags.DF })
        expect(yield* client.simple(1)).toMatchObject({ error: 22 })
      })))
})

describe("NO_HOLE and FAST_ZERO (S-087 S-088)", () => {
  it.scoped("zeroes are a hole, or allocated with NO_HOLE; FAST_ZERO succeeds", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        yield* write(client, 0, filled(2 * page, 1))
        yield* client.request("WRITE_ZEROES", { length: page, flags: CommandFlags.NO_HOLE })
        yield* client.request("WRITE_ZEROES", { offset: page, length: page, flags: CommandFlags.FAST_ZERO })
        expect([yield* told(client), yield* told(client)]).toEqual([["none."], ["none."]])
        const extents = yield* server.exports.get("disk")?.extents(0n, BigInt(2 * page)) ?? Effect.succeed([])
        expect([...extents].map(({ allocated, zero }) => [allocated, zero])).toEqual([[true, true], [false, true]])
      })))
})

describe("structured replies to READ", () => {
  it.scoped("S-069 S-075: data as data, holes as holes, DONE on the last chunk only, and no other flag (S-072, S-073)", () =>
    session({}, (client) =>
      Effect.gen(function*() {
        yield* write(client, page, filled(10, 1))
        yield* client.request("READ", { offset: 10, length: 4 * page })
        expect(yield* told(client)).toEqual([
          `hole 10+${page - 10}`,
          `data ${page}+${page}`,
          `hole ${2 * page}+${2 * page + 10}.`
        ])
      })))

  it.scoped("S-075: cut to the chunk size, from the end, and ended with NONE, where so configured", () =>
    session({ chunkSize: 30_000, chunkOrder: "Descending", endWithNone: true }, (client) =>
      Effect.gen(function*() {
        const bytes = pattern(page)
        yield* write(client, page, bytes)
        yield* client.request("READ", { offset: page, length: page + 100 })
        const chunks = yield* client.chunks()
        expect(chunks.map(inShort)).toEqual([
          `hole ${2 * page}+100`,
          `data ${page + 60_000}+5536`,
          `data ${page + 30_000}+30000`,
          `data ${page}+30000`,
          "none."
        ])
        const data = chunks.slice(1, 4).toReversed().map(({ payload }) => payload.subarray(8))
        expect(concat(data)).toEqual(bytes)
      })))

  it.scoped("S-078: DF gives one chunk: data where areas are mixed, a hole where there is nothing else", () =>
    session({ chunkSize: 1000 }, (client) =>
      Effect.gen(function*() {
        yield* write(client, page, filled(10, 1))
        yield* client.request("READ", { length: 2 * page, flags: CommandFlags.DF })
        expect(yield* told(client)).toEqual([`data 0+${2 * page}.`])
        yield* client.request("WRITE_ZEROES", { offset: page, length: page, flags: CommandFlags.NO_HOLE })
        expect(yield* told(client)).toEqual(["none."])
        yield* client.request("READ", { length: 4 * page, flags: CommandFlags.DF })
        expect(yield* told(client)).toEqual([`hole 0+${4 * page}.`])
      })))

  it.effect.prop(
    "S-075: any read is covered once, whatever the chunk size and order",
    [
      FastCheck.record({
        offset: FastCheck.nat({ max: 3 * page }),
        length: FastCheck.integer({ min: 1, max: 3 * page }),
        chunkSize: FastCheck.integer({ min: 5000, max: 2 * page }),
        chunkOrder: FastCheck.constantFrom("Ascending" as const, "Descending" as const),
        endWithNone: FastCheck.boolean()
      })
    ],
    ([{ length, offset, ...rules }]) =>
      Effect.scoped(session(rules, (client, server) =>
        Effect.gen(function*() {
          yield* write(client, 1000, pattern(page))
          yield* write(client, 3 * page, pattern(page, 9))
          yield* client.request("READ", { offset, length })
          const bytes = filled(length, 0xee)
          let covered = 0
          for (const { payload, type } of yield* client.chunks()) {
            if (type === chunkType.NONE) continue
            const at = Number(viewOf(payload).getBigUint64(0)) - offset
            const count = type === chunkType.OFFSET_HOLE ? viewOf(payload).getUint32(8) : payload.byteLength - 8
            bytes.set(type === chunkType.OFFSET_HOLE ? new Uint8Array(count) : payload.subarray(8), at)
            covered += count
          }
          expect(covered).toBe(length)
          expect(Buffer.compare(bytes, yield* server.exportBytes("disk", BigInt(offset), length))).toBe(0)
        }))),
    { fastCheck: { numRuns: 30 } }
  )

  it.scoped("S-069: acknowledgements may be simple, and READ never is", () =>
    session({ acknowledgements: "Simple" }, (client) =>
      Effect.gen(function*() {
        yield* client.request("FLUSH")
        expect(yield* client.simple()).toMatchObject({ error: 0 })
        yield* client.request("TRIM", { offset: 8 * page, length: 1 })
        expect(yield* client.simple()).toMatchObject({ error: 22 })
        yield* client.request("READ", { length: 1 })
        expect(yield* told(client)).toEqual(["hole 0+1."])
      })))

  it.scoped("S-083: requests of no length are answered", () =>
    session({}, (client) =>
      Effect.gen(function*() {
        for (const command of ["READ", "WRITE", "TRIM", "WRITE_ZEROES", "CACHE"] as const) {
          yield* client.request(command, { length: 0 })
          expect(yield* told(client)).toEqual(["none."])
        }
      })))
})

const blocks = { name: "disk", size: 8 * page + 100, blockSize: { minimum: 512, preferred: 4096, maximum: 2 * page } }
const readOnly = { ...disk, readOnly: true }
const bare = {
  ...disk,
  can: { flush: false, fua: false, trim: false, writeZeroes: false, cache: false, df: false }
}
const past = { offset: 8 * page - 1, length: 2 }
const one = { length: 1 }

describe("errors (S-070 S-080 S-084 S-085)", () => {
  it.scoped.each(
    [
      ["EPERM", 1, "WRITE", { payload: filled(1, 1) }, readOnly, false],
      ["EPERM", 1, "TRIM", one, readOnly, false],
      ["EPERM", 1, "WRITE_ZEROES", one, readOnly, false],
      ["EINVAL past the end", 22, "READ", past, disk, false],
      ["EINVAL past the end", 22, "TRIM", past, disk, false],
      ["EINVAL past the end", 22, "CACHE", past, disk, false],
      ["EINVAL past 2^64", 22, "READ", { offset: 2n ** 64n - 1n, length: 0xffff }, disk, false],
      ["ENOSPC past the end", 28, "WRITE", { offset: 8 * page - 1, payload: filled(2, 1) }, disk, false],
      ["ENOSPC past the end", 28, "WRITE_ZEROES", past, disk, false],
      ["EOVERFLOW over 32 MiB", 75, "READ", { length: 33_554_433 }, { ...disk, size: 2 ** 30 }, false],
      ["EOVERFLOW over the maximum", 75, "READ", { length: 2 * page + 512 }, blocks, false],
      ["EINVAL over the maximum", 22, "WRITE", { payload: filled(2 * page + 512, 1) }, blocks, false],
      ["EINVAL misaligned offset (S-055)", 22, "READ", { offset: 1, length: 512 }, blocks, false],
      ["EINVAL misaligned length (S-055)", 22, "TRIM", { length: 511 }, blocks, false],
      ["EINVAL unknown command", 22, 77, {}, disk, true],
      ["EINVAL no context (S-065)", 22, "BLOCK_STATUS", one, disk, true],
      ["EINVAL unknown flag", 22, "READ", { ...one, flags: 0x8000 }, disk, true],
      ["EINVAL flag of another command", 22, "READ", { ...one, flags: CommandFlags.NO_HOLE }, disk, true],
      ["EINVAL unknown flag of CACHE (S-089)", 22, "CACHE", { ...one, flags: 0x40 }, disk, true],
      ["EINVAL FUA not offered", 22, "WRITE", { payload: filled(1, 1), flags: CommandFlags.FUA }, bare, true],
      ["EINVAL DF not offered", 22, "READ", { ...one, flags: CommandFlags.DF }, bare, true],
      ["EINVAL FLUSH not offered", 22, "FLUSH", {}, bare, true],
      ["EINVAL TRIM not offered", 22, "TRIM", one, bare, true],
      ["EINVAL CACHE not offered", 22, "CACHE", one, bare, true],
      ["EINVAL WRITE_ZEROES not offered", 22, "WRITE_ZEROES", one, bare, true],
      ["EINVAL FLUSH with a range", 22, "FLUSH", one, disk, true]
    ] as const
  )(
    "%s (%i) on %s",
    ([, errno, command, request, target, isViolation]) =>
      session({ exports: [target] }, (client, server) =>
        Effect.gen(function*() {
          const before = yield* server.exportBytes("disk", 0n, 1000)
          yield* client.request(command, request)
          const [chunk, ...others] = yield* client.chunks()
          expect(others).toEqual([])
          expect(chunk).toMatchObject({ type: chunkType.ERROR, cookie: 1n })
          const payload = chunk?.payload ?? new Uint8Array(6)
          expect(viewOf(payload).getUint32(0)).toBe(errno)
          expect(decodeText(payload.subarray(6))).not.toBe("")
          yield* client.request("READ", { cookie: 2, length: 512 })
          expect((yield* client.chunks()).at(-1)).toMatchObject({ cookie: 2n, type: chunkType.OFFSET_HOLE })
          expect(yield* server.exportBytes("disk", 0n, 1000)).toEqual(before)
          const violations = yield* server.violations
          expect(violations.map(({ fatal }) => fatal)).toEqual(isViolation ? [false] : [])
        }))
  )

  it.scoped("the ragged end of an export counts as aligned", () =>
    session({ exports: [blocks] }, (client) =>
      Effect.gen(function*() {
        yield* client.request("READ", { offset: 8 * page, length: 100 })
        expect(yield* told(client)).toEqual([`hole ${8 * page}+100.`])
      })))

  it.scoped("S-086: FUA goes with every command where it is offered", () =>
    session({}, (client) =>
      Effect.gen(function*() {
        const flags = CommandFlags.FUA
        for (const command of ["READ", "FLUSH", "TRIM", "CACHE", "WRITE_ZEROES"] as const) {
          yield* client.request(command, { flags, length: command === "FLUSH" ? 0 : 512 })
          expect((yield* told(client)).at(-1)).toMatch(/^(none|hole 0\+512)\.$/)
        }
      })))

  it.scoped("S-057: 32 MiB are written and read, and more than 64 MiB end the session", () =>
    session(
      { exports: [{ ...disk, size: 2 ** 30 }], delivery: MemoryPipe.whole },
      (client, server) =>
        Effect.gen(function*() {
          const payload = filled(33_554_432, 7)
          yield* write(client, 0, payload)
          yield* client.request("READ", { length: payload.byteLength })
          const [chunk] = yield* client.chunks()
          expect(Buffer.compare(chunk?.payload.subarray(8) ?? payload.subarray(1), payload)).toBe(0)
          yield* client.request("WRITE", { length: 67_108_865 })
          expect(yield* client.end()).toEqual({ _tag: "Finished", unread: 0 })
          expect(yield* server.violations).toMatchObject([{ rule: "NBD_CMD_WRITE, S-057", fatal: true }])
        })
    ))

  it.scoped("S-013: whatever would change a read-only export is EPERM, also by clients that were not told", () =>
    session(
      { exports: [{ ...disk, readOnly: true, content: filled(page, 5) }] },
      (client, server) =>
        Effect.gen(function*() {
          for (const command of ["WRITE", "TRIM", "WRITE_ZEROES"] as const) {
            yield* client.request(command, command === "WRITE" ? { payload: filled(512, 1) } : { length: 512 })
            expect(yield* told(client)).toEqual(["error 1."])
          }
          expect(yield* server.exportBytes("disk", 0n, page)).toEqual(filled(page, 5))
        })
    ))

  it.scoped("S-032 S-054: a client that did not ask for the block sizes gets clean errors, and nothing is damaged", () =>
    session({ exports: [{ ...blocks, content: filled(page, 5) }] }, (client, server) =>
      Effect.gen(function*() {
        const before = yield* server.exportBytes("disk", 0n, page)
        yield* client.request("WRITE", { offset: 1, payload: filled(512, 1) })
        expect(yield* told(client)).toEqual(["error 22."])
        yield* client.request("WRITE_ZEROES", { offset: 0, length: 511 })
        expect(yield* told(client)).toEqual(["error 22."])
        expect(yield* server.exportBytes("disk", 0n, page)).toEqual(before)
      })))

  it.scoped("S-094: a hundred requests that are refused do not end the session", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        for (let index = 0; index < 100; index++) {
          // All but WRITE, whose payload would follow, and DISC.
          const code = [0, 3, 4, 5, 6, 7, 8, 99][index % 8] ?? 0
          yield* client.request(code, { offset: 2n ** 64n - 1n, length: 0xffff_ffff })
          expect(yield* client.chunks()).toMatchObject([{ type: chunkType.ERROR }])
        }
        expect(yield* server.sessions).toBe(1)
      })))

  it.scoped("S-091: what base:allocation calls allocated can be written when there is no room left", () =>
    session(
      { exports: [{ ...disk, content: filled(2 * page, 5), capacity: 2 * page }] },
      (client) =>
        Effect.gen(function*() {
          yield* client.request("WRITE_ZEROES", { offset: 2 * page, length: page, flags: CommandFlags.NO_HOLE })
          expect(yield* told(client)).toEqual(["none."])
          yield* write(client, 3 * page, filled(page, 1))
          yield* client.request("WRITE", { offset: 4 * page, payload: filled(1, 1) })
          expect(yield* told(client)).toEqual(["error 28."])
          for (let index = 0; index < 4; index++) yield* write(client, index * page, filled(page, 2))
        })
    ))

  it.scoped("a disk without room says ENOSPC", () =>
    session({ exports: [{ ...disk, capacity: page }] }, (client) =>
      Effect.gen(function*() {
        yield* write(client, 0, filled(page, 1))
        yield* client.request("WRITE", { offset: page, payload: filled(1, 1) })
        expect(yield* told(client)).toEqual(["error 28."])
      })))

  it.scoped("a cookie that is pending already is noted", () =>
    session({}, (client, server) =>
      Effect.gen(function*() {
        yield* server.hold
        yield* client.request("FLUSH", { cookie: 5 })
        yield* client.request("FLUSH", { cookie: 5 })
        expect(yield* server.awaitViolations(1)).toMatchObject([{ received: "5", fatal: false }])
      })))
})

describe("steered errors", () => {
  const failing =
    (action: Steering.Action, config: Partial<FakeServer.FakeServerConfig> = {}) =>
    (test: (client: RawClient, server: FakeServer.FakeServerService) => Effect.Effect<void, unknown, Scope.Scope>) =>
      session(config, (client, server) => Effect.zipRight(server.onRequest(() => action), test(client, server)))

  it.scoped("carry a text, and take no effect", () =>
    failing(Steering.fail("EIO", { message: "bad sector" }))((client, server) =>
      Effect.gen(function*() {
        yield* client.request("WRITE", { payload: filled(9, 1) })
        const [chunk] = yield* client.chunks()
        expect(decodeText(chunk?.payload.subarray(6) ?? filled(1, 0))).toBe("bad sector")
        expect(yield* server.exportBytes("disk", 0n, 9)).toEqual(filled(9, 0))
      })
    ))

  it.scoped("S-076 S-077 S-080: with an offset in a READ, what lies before it is sent first", () =>
    failing(Steering.fail("EIO", { offset: 700n }))((client) =>
      Effect.gen(function*() {
        yield* client.request("READ", { offset: 512, length: 512 })
        expect(yield* told(client)).toEqual(["hole 512+188", "error 5 at 700."])
        yield* client.request("WRITE_ZEROES", { offset: 512, length: 512 })
        expect(yield* told(client)).toEqual(["error 5 at 700."])
        yield* client.request("READ", { offset: 701, length: 512 })
        expect(yield* told(client)).toEqual(["error 5."])
        yield* client.request("FLUSH")
        expect(yield* told(client)).toEqual(["error 5."])
      })
    ))

  it.scoped("may have numbers that are in no table", () =>
    failing(Steering.fail(4711))((client) =>
      Effect.gen(function*() {
        yield* client.request("FLUSH")
        expect(yield* told(client)).toEqual(["error 4711."])
      })
    ))
})
