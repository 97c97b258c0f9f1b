/**
 * Servers that break a rule of structured reply chunks.
 */
import { concat, encodeText } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { magic } from "@effect-nbd/core/wire/Magic"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { Misbehaviour, Steering } from "@effect-nbd/testing"
import type { RecordedRequest } from "@effect-nbd/testing/Recording"
import { type Breakers, disk, type Hearing, is, isPast, readFails, size } from "./Breaker.ts"
import * as Hears from "./Hears.ts"
import * as Says from "./Says.ts"

const isRead = is("READ")
const hasFlag = (flag: number) => ({ flags }: RecordedRequest): boolean => (flags & flag) !== 0

const content = {
  offset: size - 512n,
  type: chunkType.OFFSET_DATA,
  payload: Says.fields([8, size - 512n], ...Array.from({ length: 64 }, () => [8, 1] as const))
}
const errorAt = (place: bigint) => ({
  offset: size - 512n,
  type: chunkType.ERROR_OFFSET,
  payload: Says.fields([4, 5], [2, 0], [8, place])
})

/** A read finds other bytes than were written. */
const scribblesAt = (offset: bigint): Hearing =>
  Hears.request((heard, server) => {
    if (Hears.is(heard, "READ")) Hears.scribbles(server, offset)
  })

/** So many holes, none of which is the last chunk. */
const holesAt = (cookie: bigint, offset: bigint, count: number) => {
  const hole = concat([
    Says.fields([4, magic.STRUCTURED_REPLY], [2, 0], [2, chunkType.OFFSET_HOLE], [8, cookie], [4, 12]),
    Says.fields([8, offset], [4, 1])
  ])
  return Misbehaviour.raw(concat(Array.from({ length: count }, () => hole)))
}

/** In answer to a read across the end. */
const across = (frames: (cookie: bigint) => ReadonlyArray<Misbehaviour.Frame>) =>
  Says.toRequest(
    (request) => isRead(request) && request.offset === size - 512n,
    (_, { request: { cookie } }) => frames(cookie)
  )

export const chunkBreakers: Breakers = {
  "with structured replies a READ has chunks that cover it once, and DONE on the last": [
    {
      rule: "S-069",
      found: /style of the reply to READ: expected "structured", saw "simple"/,
      says: [Misbehaviour.simpleReadReply]
    },
    {
      rule: "S-072",
      found: /NONE is the last, and empty: expected true, saw false/,
      others: [],
      among: { server: { endWithNone: true } },
      says: [
        Says.toRequest(isRead, (frames) =>
          frames.map((frame) =>
            frame._tag === "Chunk" && frame.type === chunkType.NONE
              ? Misbehaviour.withPayload(frame, new Uint8Array(8))
              : frame
          ))
      ]
    },
    {
      rule: "S-072",
      found: /NONE is the last, and empty: expected true, saw false/,
      says: [
        Says.toRequest(
          isRead,
          (frames, { replyStyle, request: { cookie, offset } }) =>
            replyStyle === "Simple" ? undefined : [
              Misbehaviour.chunk(replyStyle, { cookie, offset, type: chunkType.NONE, flags: 0 }),
              ...frames
            ]
        )
      ]
    },
    {
      rule: "S-072",
      found: /cookie of the reply to READ/,
      says: [Misbehaviour.at(Misbehaviour.chunkBehindDone, { request: isRead })]
    },
    {
      rule: "S-072",
      found: /an end within 600ms/,
      says: [Misbehaviour.at(Misbehaviour.doneMissing, { request: isRead })],
      timeout: "600 millis"
    },
    {
      rule: "S-072",
      found: /a reply in chunks without an end: gave up after 131073 /,
      says: [Says.toRequest(isRead, (_, { request: { cookie, offset } }) => [holesAt(cookie, offset, 131_073)])]
    },
    { rule: "S-073", found: /no flag but DONE, received 0xffff/, says: [Misbehaviour.unknownReplyFlags()] },
    { rule: "S-075", found: /where a piece of content begins/, says: [Misbehaviour.gapInData] },
    { rule: "S-075", found: /where a piece of content begins/, says: [Misbehaviour.duplicateData] },
    { rule: "S-075", found: /where a piece of content begins/, says: [Misbehaviour.duplicateForGap] },
    {
      rule: "S-075",
      found: /reply to READ: expected "data inside the request"/,
      says: [Misbehaviour.dataOutside(131_072n)]
    },
    {
      rule: "S-075",
      found: /content of a chunk: expected "one byte at least", saw 0/,
      says: [Misbehaviour.dataWithoutBytes]
    },
    { rule: "S-075", found: /content of a chunk: expected "one byte at least", saw 0/, says: [Misbehaviour.emptyHole] },
    { rule: "S-075", found: /where the content ends/, says: [Misbehaviour.holeOutside] },
    { rule: "S-075", found: /expected "a hole of 12 bytes", saw "11 bytes"/, says: [Misbehaviour.holeLength()] },
    {
      rule: "S-075",
      found: /expected "an offset of 8 bytes", saw "7 bytes"/,
      says: [Misbehaviour.dataWithoutOffset()]
    },
    {
      rule: "S-069",
      found: /chunks that no READ has: expected 0, saw 1/,
      says: [Misbehaviour.at(Misbehaviour.unknownChunkType(), { request: isRead })]
    },
    { rule: "S-069", found: /READ: expected "none", saw "EINVAL \(22\)"/, says: [Says.failing("EINVAL", isRead)] },
    { rule: "S-075", found: /read, byte 0: expected .*, saw 238/, hears: scribblesAt(65_536n) },
    {
      rule: "S-067",
      found: /cookie of the reply to READ/,
      says: [
        Says.toRequest(
          isRead,
          (frames) =>
            frames.map((frame, index) =>
              frame._tag === "Chunk" && index === 1 ? { ...frame, cookie: frame.cookie + 1n } : frame
            )
        )
      ]
    }
  ],
  "content never follows an error at its place, and a chunk that has begun is finished before one": [
    {
      rule: "S-076",
      found: /content at 1048064: expected "none behind the error at 1048064", saw "content"/,
      others: [],
      says: [
        across((cookie) => [
          Misbehaviour.chunk("Structured", { ...errorAt(size - 512n), cookie, flags: 0 }),
          Misbehaviour.chunk("Structured", { ...content, cookie })
        ])
      ]
    },
    {
      rule: "S-076",
      found: /expected 0x668e33ef, received/,
      // The chunk announces 512 bytes of data and has 100.
      says: [
        across((cookie) => [
          {
            ...Misbehaviour.chunk("Structured", { ...content, cookie, flags: 0 }),
            payload: content.payload.subarray(0, 108)
          },
          Misbehaviour.chunk("Structured", { ...errorAt(size - 412n), cookie }),
          Misbehaviour.raw(new Uint8Array(400))
        ])
      ]
    },
    { rule: "S-076", ...readFails }
  ],
  "an error to a structured READ is a chunk that is well-formed, and no error comes twice": [
    {
      rule: "S-077",
      found: /errors with and without an offset together: expected false, saw true/,
      others: [],
      says: [Misbehaviour.at(Misbehaviour.severalErrors, { request: isPast("READ") })]
    },
    {
      rule: "S-069",
      found: /style of the reply to READ: expected "structured", saw "simple"/,
      says: [
        Says.toRequest(
          isPast("READ"),
          (_, { request: { cookie } }) => [Misbehaviour.simpleReply(cookie, errno.EINVAL)]
        )
      ]
    },
    {
      rule: "S-069",
      found: /style of the reply to READ: expected "structured", saw "simple"/,
      // One that fails for another reason.
      says: [
        Says.toRequest(
          (request) => isRead(request) && request.flags === 0x8000,
          (_, { request: { cookie } }) => [Misbehaviour.simpleReply(cookie, errno.EINVAL)]
        )
      ]
    },
    {
      rule: "S-080",
      found: /a message of at most/,
      // The bytes of the length of its text are swapped.
      says: [
        Says.toRequest(
          (request) => isRead(request) && request.offset === size - 512n,
          (_, { replyStyle, request: { cookie, offset } }) => {
            const payload = concat([Says.fields([4, errno.EINVAL], [2, 0x0500]), encodeText("wrong")])
            return replyStyle === "Simple"
              ? undefined
              : [Misbehaviour.chunk(replyStyle, { cookie, offset, type: chunkType.ERROR, payload })]
          }
        )
      ]
    },
    { rule: "S-080", found: /an error chunk of at least 6 bytes/, says: [Misbehaviour.errorTooShort()] },
    { rule: "S-080", found: /a message of at most/, says: [Misbehaviour.errorTextOverrun] },
    { rule: "S-080", found: /"an error", saw "0"/, says: [Misbehaviour.errorOfZero] },
    { rule: "S-080", found: /error chunk of at least 14 bytes/, says: [Misbehaviour.errorOffsetTooShort] },
    { rule: "S-080", found: /expected "4096 bytes of text at most", saw 4097/, says: [Misbehaviour.longErrorText] },
    { rule: "S-080", found: /expected "an offset inside the request", saw/, says: [Misbehaviour.errorOffsetOutside] },
    {
      rule: "S-077",
      found: /errors at the same offset: expected 0, saw 1/,
      says: [
        Says.toRequest(isPast("READ"), (_, { request: { cookie } }) => [
          Misbehaviour.chunk("Structured", { ...errorAt(size), cookie, flags: 0 }),
          Misbehaviour.chunk("Structured", { ...errorAt(size), cookie })
        ])
      ]
    }
  ],
  "errors to other structured requests are chunks too": [
    {
      rule: "S-070",
      found: /style of the error to an unknown command: expected "structured", saw "simple"/,
      others: [],
      server: { acknowledgements: "Simple" }
    }
  ],
  "no chunk is longer than the payload that the export advertises": [
    {
      rule: "S-074",
      found: /a chunk of data: expected "65536 bytes at most", saw 66048/,
      others: [],
      among: {
        disk: {
          blockSize: { minimum: 1, preferred: 512, maximum: 65_536 },
          content: new Uint8Array(disk.size).fill(1)
        }
      },
      disk: { blockSize: { minimum: 1, preferred: 512, maximum: 1_048_576 } },
      says: [Misbehaviour.smallMaximumPayload(65_536)]
    }
  ],
  "with DF there is one piece of content": [
    { rule: "S-078", found: /pieces: expected 1, saw 2/, others: [], says: [Misbehaviour.fragmentedDespiteDf] },
    {
      rule: "S-078",
      found: /READ with DF: expected "none", saw "EOVERFLOW \(75\)"/,
      does: (request) => hasFlag(CommandFlags.DF)(request) ? Steering.fail("EOVERFLOW") : Steering.proceed
    },
    { rule: "S-078", found: /read, byte 0: expected .*, saw 238/, hears: scribblesAt(65_536n) }
  ]
}
