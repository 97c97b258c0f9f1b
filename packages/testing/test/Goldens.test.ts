/**
 * Whole conversations byte for byte, written by hand from the layouts in the specification ("Newstyle negotiation",
 * "Fixed newstyle negotiation", "Request message", "Structured reply chunk message"; those with extended headers from
 * the branch "extension-ext-header" of the specification), since server and client share their encoders and a mistake
 * on both sides would not show otherwise.
 */
import { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { FakeServer, MemoryPipe, Transcript } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { readFileSync } from "node:fs"

const hexOf = (data: Uint8Array): string => Buffer.from(data).toString("hex")

/** Bytes from hexadecimal, laid out as in a transcript. */
const bytes = (text: string): Uint8Array =>
  Transcript.bytesFrom("server", Either.getOrThrow(Transcript.parse(`server:\n${text}`)))

const converse = (config: FakeServer.FakeServerConfig, text: string) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make(config)
    const transcript = Either.getOrThrow(Transcript.parse(`${text}\nserver ends`))
    yield* Transcript.replayClient(transcript, yield* server.open)
    return server
  })

const content = Uint8Array.of(0xc0, 0xff, 0xee, 0x00)
const exports = [{ name: "disk", size: 131_072, content, description: "a disk" }]

const greeting = `
      server:
        4e 42 44 4d 41 47 49 43  49 48 41 56 45 4f 50 54  00 03 # NBDMAGIC, IHAVEOPT, FIXED_NEWSTYLE | NO_ZEROES
      client:
        00 00 00 03
    `

const deliveries = [
  ["whole", MemoryPipe.whole],
  ["bytes", MemoryPipe.bytes],
  ["coalesced", MemoryPipe.coalesced],
  ["random", MemoryPipe.random(11)]
] as const

it.scoped.each(deliveries)(
  "newstyle, structured replies, GO, commands, DISC (delivered %s)",
  ([, delivery]) =>
    Effect.gen(function*() {
      const server = yield* converse(
        { exports, delivery },
        `
      ${greeting}
      client:
        49 48 41 56 45 4f 50 54  00 00 00 08  00 00 00 00 # STRUCTURED_REPLY
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 08  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 03  00 00 00 00 # LIST
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 03  00 00 00 02  00 00 00 0e # SERVER, 14 bytes
        00 00 00 04  64 69 73 6b  61 20 64 69 73 6b # "disk", "a disk"
        00 03 e8 89 04 55 65 a9  00 00 00 03  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 07  00 00 00 0e # GO, 14 bytes
        00 00 00 04  64 69 73 6b  00 02  00 03 00 01 # "disk", two types: BLOCK_SIZE, NAME
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 03  00 00 00 0c # INFO, 12 bytes
        00 00  00 00 00 00 00 02 00 00  0d ed # EXPORT: 128 KiB, every flag but READ_ONLY, ROTATIONAL, RESIZE
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 03  00 00 00 06 # INFO, 6 bytes
        00 01  64 69 73 6b # NAME
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 03  00 00 00 0e # INFO, 14 bytes
        00 03  00 00 00 01  00 00 10 00  02 00 00 00 # BLOCK_SIZE: 1, 4096, 32 MiB
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 01  00 00 00 00 # ACK
      client:
        25 60 95 13  00 00  00 00  01 02 03 04 05 06 07 08 # READ, cookie
        00 00 00 00 00 00 ff fe  00 00 00 04 # 4 bytes at 65534, on both sides of the end of the data
      server:
        66 8e 33 ef  00 00  00 01  01 02 03 04 05 06 07 08  00 00 00 0a # OFFSET_DATA, 10 bytes, not the last
        00 00 00 00 00 00 ff fe  00 00
        66 8e 33 ef  00 01  00 02  01 02 03 04 05 06 07 08  00 00 00 0c # OFFSET_HOLE, 12 bytes, DONE
        00 00 00 00 00 01 00 00  00 00 00 02
      client:
        25 60 95 13  00 01  00 01  00 00 00 00 00 00 00 09 # WRITE with FUA
        00 00 00 00 00 00 00 01  00 00 00 02  aa bb
      server:
        66 8e 33 ef  00 01  00 00  00 00 00 00 00 00 00 09  00 00 00 00 # NONE, DONE
      client:
        25 60 95 13  00 00  00 00  00 00 00 00 00 00 00 0a  00 00 00 00 00 00 00 00  00 00 00 04 # READ
        25 60 95 13  00 00  00 03  ff ff ff ff ff ff ff ff  00 00 00 00 00 00 00 00  00 00 00 00 # FLUSH
      server:
        66 8e 33 ef  00 01  00 01  00 00 00 00 00 00 00 0a  00 00 00 0c
        00 00 00 00 00 00 00 00  c0 aa bb 00
        66 8e 33 ef  00 01  00 00  ff ff ff ff ff ff ff ff  00 00 00 00
      client:
        25 60 95 13  00 00  00 02  00*8  00*8  00*4 # DISC
    `
      )
      expect(yield* server.violations).toEqual([])
      expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
    })
)

it.scoped.each(deliveries)(
  "structured replies, meta contexts, block status (delivered %s)",
  ([, delivery]) =>
    Effect.asVoid(converse(
      { exports, delivery },
      `
      ${greeting}
      client:
        49 48 41 56 45 4f 50 54  00 00 00 08  00 00 00 00 # STRUCTURED_REPLY
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 08  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 09  00 00 00 15 # LIST_META_CONTEXT, 21 bytes
        00 00 00 04  64 69 73 6b  00 00 00 01  00 00 00 05  62 61 73 65 3a # "disk", one query: "base:"
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 09  00 00 00 04  00 00 00 13 # META_CONTEXT, 19 bytes
        00 00 00 00  62 61 73 65 3a 61 6c 6c 6f 63 61 74 69 6f 6e # "base:allocation"
        00 03 e8 89 04 55 65 a9  00 00 00 09  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 0a  00 00 00 1f # SET_META_CONTEXT, 31 bytes
        00 00 00 04  64 69 73 6b  00 00 00 01 # "disk", one query
        00 00 00 0f  62 61 73 65 3a 61 6c 6c 6f 63 61 74 69 6f 6e
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 0a  00 00 00 04  00 00 00 13 # META_CONTEXT, 19 bytes
        00 00 00 00  62 61 73 65 3a 61 6c 6c 6f 63 61 74 69 6f 6e # id 0
        00 03 e8 89 04 55 65 a9  00 00 00 0a  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 01  00 00 00 04  64 69 73 6b # EXPORT_NAME
      server:
        00 00 00 00 00 02 00 00  0d ed
      client:
        25 60 95 13  00 00  00 07  00*7 05  00*8  00 02 00 00 # BLOCK_STATUS of 128 KiB
      server:
        66 8e 33 ef  00 01  00 05  00*7 05  00 00 00 14 # BLOCK_STATUS, 20 bytes, DONE
        00 00 00 00  00 01 00 00  00 00 00 00  00 01 00 00  00 00 00 03 # data, then HOLE and ZERO
      client:
        25 60 95 13  00 08  00 07  00*7 06  00*7 01  00 00 00 07 # BLOCK_STATUS with REQ_ONE
      server:
        66 8e 33 ef  00 01  00 05  00*7 06  00 00 00 0c  00 00 00 00  00 00 00 07  00 00 00 00
      client:
        25 60 95 13  00 00  00 02  00*8  00*8  00*4 # DISC
    `
    ))
)

it.scoped.each(deliveries)(
  "extended headers, GO, commands, DISC (delivered %s)",
  ([, delivery]) =>
    Effect.gen(function*() {
      const large = { ...exports[0], name: "disk", size: 0x4000_0000_0000_0000n }
      const server = yield* converse(
        { exports: [large], delivery },
        `
      ${greeting}
      client:
        49 48 41 56 45 4f 50 54  00 00 00 0b  00 00 00 00 # EXTENDED_HEADERS
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 0b  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 0a  00 00 00 1f # SET_META_CONTEXT, 31 bytes
        00 00 00 04  64 69 73 6b  00 00 00 01 # "disk", one query
        00 00 00 0f  62 61 73 65 3a 61 6c 6c 6f 63 61 74 69 6f 6e
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 0a  00 00 00 04  00 00 00 13 # META_CONTEXT, 19 bytes
        00 00 00 00  62 61 73 65 3a 61 6c 6c 6f 63 61 74 69 6f 6e # id 0
        00 03 e8 89 04 55 65 a9  00 00 00 0a  00 00 00 01  00 00 00 00 # ACK
      client:
        49 48 41 56 45 4f 50 54  00 00 00 07  00 00 00 0a  00 00 00 04  64 69 73 6b  00 00 # GO
      server:
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 03  00 00 00 0c # INFO, 12 bytes
        00 00  40 00 00 00 00 00 00 00  1d ed # EXPORT: 2^62 bytes, BLOCK_STATUS_PAYLOAD too
        00 03 e8 89 04 55 65 a9  00 00 00 07  00 00 00 01  00 00 00 00 # ACK
      client:
        21 e4 1c 71  00 00  00 07  00*7 01  00*7 04 # BLOCK_STATUS from offset 4
        3f ff ff ff ff ff ff fc # to the end
      server:
        6e 8a 27 8c  00 01  00 06  00*7 01  00*7 04  00*7 28 # BLOCK_STATUS_EXT, 40 bytes, DONE
        00 00 00 00  00 00 00 02 # context 0, two descriptors
        00 00 00 00 00 00 ff fc  00*8
        3f ff ff ff ff ff 00 00  00*7 03
      client:
        21 e4 1c 71  00 28  00 07  00*7 02  00*7 04  00*7 0c # PAYLOAD_LEN and REQ_ONE, 12 bytes of payload
        00*7 08  00 00 00 00 # 8 bytes, context 0
      server:
        6e 8a 27 8c  00 01  00 06  00*7 02  00*7 04  00*7 18
        00 00 00 00  00 00 00 01  00*7 08  00*8
      client:
        21 e4 1c 71  00 21  00 01  00*7 03  00*7 01  00*7 02  aa bb # WRITE with FUA and PAYLOAD_LEN
        21 e4 1c 71  00 00  00 00  00*7 04  00 00 00 00 00 00 ff fe  00*7 04 # READ
        21 e4 1c 71  00 00  00 06  00*7 05  00*6 02 00  00 00 01 00 00 00 00 00 # WRITE_ZEROES of 2^40 bytes
        21 e4 1c 71  00 00  00 04  00*7 06  40 00 00 00 00 00 00 00  00*7 01 # TRIM past the end
      server:
        6e 8a 27 8c  00 01  00 00  00*7 03  00*7 01  00*8 # NONE, DONE
        6e 8a 27 8c  00 00  00 01  00*7 04  00 00 00 00 00 00 ff fe  00*7 0a # OFFSET_DATA
        00 00 00 00 00 00 ff fe  00 00
        6e 8a 27 8c  00 01  00 02  00*7 04  00 00 00 00 00 00 ff fe  00*7 0c # OFFSET_HOLE, DONE
        00 00 00 00 00 01 00 00  00 00 00 02
        6e 8a 27 8c  00 01  00 00  00*7 05  00*6 02 00  00*8 # NONE, DONE
        6e 8a 27 8c  00 01  80 01  00*7 06  40 00 00 00 00 00 00 00  00*7 37 # ERROR, 55 bytes, DONE
        00 00 00 16  00 31 # EINVAL, a text of 49 bytes
        70 61 73 74 20 74 68 65 20 65 6e 64 20 6f 66 20 74 68 65 20 65 78 70 6f 72 74 20 61 74 20
        34 36 31 31 36 38 36 30 31 38 34 32 37 33 38 37 39 30 34
      client:
        21 e4 1c 71  00 00  00 02  00*8  00*8  00*8 # DISC
    `
      )
      expect(yield* server.violations).toEqual([])
      expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
    })
)

it.scoped("an error chunk with its offset", () =>
  Effect.gen(function*() {
    const server = yield* FakeServer.make({ exports, refuse: { GO: { reply: "ERR_POLICY", message: "no" } } })
    const reader = new FrameReader(yield* server.open)
    yield* reader.take(18)
    yield* reader.send([bytes("00 00 00 03  49 48 41 56 45 4f 50 54  00 00 00 08  00 00 00 00")])
    yield* reader.take(20)
    yield* reader.send([bytes("49 48 41 56 45 4f 50 54  00 00 00 07  00 00 00 06  00 00 00 00  00 00")])
    const refused = "00 03 e8 89 04 55 65 a9  00 00 00 07  80 00 00 02  00 00 00 02  6e 6f"
    expect(hexOf(yield* reader.take(22))).toBe(hexOf(bytes(refused)))
    yield* reader.send([bytes("49 48 41 56 45 4f 50 54  00 00 00 01  00 00 00 00")])
    expect(hexOf(yield* reader.take(10))).toBe(hexOf(bytes("00 00 00 00 00 02 00 00  0d ed")))
    yield* server.onRequest(() => ({ _tag: "Fail", errno: "EIO", message: "sector", offset: 2n }))
    yield* reader.send([bytes("25 60 95 13  00 00  00 00  00*7 07  00*8  00 00 00 04")])
    const expected = bytes(`66 8e 33 ef  00 00  00 01  00*7 07  00 00 00 0a  00*8  c0 ff # what lies before it
                            66 8e 33 ef  00 01  80 02  00*7 07  00 00 00 14 # ERROR_OFFSET, 20 bytes
                            00 00 00 05  00 06  73 65 63 74 6f 72  00 00 00 00 00 00 00 02 # EIO, "sector", 2`)
    expect(hexOf(yield* reader.take(expected.byteLength))).toBe(hexOf(expected))
  }))

it.scoped("EXPORT_NAME with its padding, and simple replies", () =>
  Effect.asVoid(converse(
    { exports, noZeroes: false },
    `
      server:
        4e 42 44 4d 41 47 49 43  49 48 41 56 45 4f 50 54  00 01
      client:
        00 00 00 01  49 48 41 56 45 4f 50 54  00 00 00 01  00 00 00 04  64 69 73 6b
      server:
        00 00 00 00 00 02 00 00  0d 6d  00*124
      client:
        25 60 95 13  00 00  00 00  00*7 05  00*8  00 00 00 03
      server:
        67 44 66 98  00 00 00 00  00*7 05  c0 ff ee
      client:
        25 60 95 13  00 00  00 00  00*7 06  00 00 00 00 00 02 00 00  00 00 00 01
      server:
        67 44 66 98  00 00 00 16  00*7 06 # EINVAL
      client:
        25 60 95 13  00 00  00 02  00*8  00*8  00*4
    `
  )))

it.scoped("the oldstyle greeting", () =>
  Effect.asVoid(converse(
    { exports, protocol: "oldstyle" },
    `
      server:
        4e 42 44 4d 41 47 49 43  00 00 42 02 81 86 12 53  00 00 00 00 00 02 00 00  00 00  0d 6d  00*124
      client:
        25 60 95 13  00 00  00 02  00*8  00*8  00*4
    `
  )))

/**
 * Conversations of the fake server with clients that know extended headers, as they were captured between the two on a
 * Unix socket: what the clients sent is theirs, and what the server sent they took for right. The older ones that tests
 * run against have no such headers.
 */
const captured = (name: string): string =>
  readFileSync(new URL(`fixtures/transcripts/${name}.txt`, import.meta.url), "utf8")

const exported = {
  name: "disk",
  size: 1_099_511_627_776,
  content: Uint8Array.of(0xc0, 0xff, 0xee),
  dirtyBitmaps: [{ name: "monday" }],
  description: "a disk"
}

it.scoped.each(
  [
    ["libnbd", []],
    ["nbdinfo", []],
    // It is noted, and carried out.
    ["qemu-io", [{ rule: "C-222", fatal: false }]]
  ] as const
)(
  "extended headers as %s speaks them, captured",
  ([name, violations]) =>
    Effect.forEach(deliveries, ([, delivery]) =>
      Effect.scoped(Effect.gen(function*() {
        const server = yield* converse({ exports: [exported], delivery }, captured(name))
        expect(yield* server.violations).toMatchObject(violations)
        expect(yield* server.ends).toEqual([{ session: 1, ending: { _tag: "Disconnected" } }])
      })))
)
