/**
 * How requests that succeed are answered, what they do, and how a session ends.
 *
 * @since 0.1.0
 */
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType, isErrorChunk } from "@effect-nbd/core/wire/Reply"
import * as Effect from "effect/Effect"
import type { RawChunk, RawRequest } from "../../RawClient.ts"
import { type Check, expectBytes, expectEqual, expectKept, pattern, type Target } from "../Check.ts"
import { answer, ask, breach, content, probe, tell } from "./Asking.ts"
import { about, decodes, expectDone, expectEnd, expectError, saw } from "./Judge.ts"
import { check, enter, has, needs, skip, type Talk } from "./Talk.ts"

/** Where the content of a chunk lies; undefined for what is no content. */
const contentTypes: ReadonlySet<number> = new Set([chunkType.OFFSET_DATA, chunkType.OFFSET_HOLE])

const contentOf = ({ payload, type }: RawChunk): { readonly at: bigint; readonly length: number } | undefined => {
  const view = viewOf(payload)
  if (type === chunkType.OFFSET_DATA) return { at: view.getBigUint64(0), length: payload.byteLength - 8 }
  if (type === chunkType.OFFSET_HOLE) return { at: view.getBigUint64(0), length: view.getUint32(8) }
  return undefined
}

/** Where an error lies, if it says so. */
const placeOf = ({ payload, type }: RawChunk): bigint | undefined =>
  type === chunkType.ERROR_OFFSET ? viewOf(payload).getBigUint64(payload.byteLength - 8) : undefined

const preparation = ({ piece }: Talk) => ({ offset: BigInt(piece), payload: pattern(BigInt(piece), piece, 71) })

/** A pattern with nothing before and behind it. */
const prepared = (talk: Talk) =>
  Effect.gen(function*() {
    yield* needs(talk, "writable")
    const write = preparation(talk)
    yield* expectDone("WRITE", yield* ask(talk, "WRITE", write))
    return write
  })

/**
 * @since 0.1.0
 * @category constructors
 */
export const replyChecks = (target: Target): ReadonlyArray<Check> => [
  check(
    "without structured replies every reply is a simple one, with its request's cookie",
    ["S-067", "S-068", "S-079"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { room: "nothing" })
      const asked = Effect.gen(function*() {
        yield* breach(talk, "READ", { offset: talk.size, length: talk.block })
        for (const cookie of [0n, 1n, 2n ** 63n, 2n ** 64n - 1n]) {
          yield* ask(talk, "READ", { length: talk.block, cookie })
        }
        yield* breach(talk, 0x7777)
      })
      // What is no reply is data behind an error.
      yield* decodes("S-079", asked)
    })
  ),
  check(
    "with structured replies a READ has chunks that cover it once, and DONE on the last",
    ["S-067", "S-069", "S-072", "S-073", "S-075"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured", room: "pieces" })
      const { offset, payload } = yield* prepared(talk)
      const { length } = payload
      // With what is before it and behind it, unless that is more than a read can be.
      const before = 3 * length <= talk.maximum ? length : 0
      const wide = { offset: offset - BigInt(before), length: before + length + before }
      const read = yield* ask(talk, "READ", wide)
      const { chunks, data } = read
      yield* about("S-069", expectDone("READ", read))
      const strange = chunks.filter(({ type }) => type !== chunkType.NONE && !contentTypes.has(type)).length
      yield* about("S-069", expectEqual("chunks that no READ has", strange, 0))
      const pieces = chunks.flatMap((chunk) => contentOf(chunk) ?? []).toSorted((a, b) => Number(a.at - b.at))
      let at = wide.offset
      for (const piece of pieces) {
        if (piece.length === 0) yield* about("S-075", saw("content of a chunk", "one byte at least", 0))
        yield* about("S-075", expectEqual("where a piece of content begins", piece.at, at))
        at += BigInt(piece.length)
      }
      yield* about("S-075", expectEqual("where the content ends", at, wide.offset + BigInt(wide.length)))
      yield* about("S-075", expectKept("read", data.subarray(before, before + length), payload))
      for (const { done, payload, type } of chunks) {
        if (type !== chunkType.NONE) continue
        yield* about("S-072", expectEqual("NONE is the last, and empty", done && payload.length === 0, true))
      }
      yield* about("S-072", probe(talk))
    })
  ),
  check(
    "an error to a structured READ is a chunk that is well-formed, and no error comes twice",
    ["S-069", "S-077", "S-080"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured", room: "nothing" })
      const whole = { offset: 0n, length: talk.block }
      // Servers handle each of these in a different part of their code. All are tested, because a client cannot cause
      // the error of a bad disk.
      const failing: ReadonlyArray<RawRequest> = [
        { ...whole, offset: talk.size },
        ...talk.size < talk.block ? [] : [{ offset: talk.size - BigInt(talk.block), length: 2 * talk.block }],
        { ...whole, flags: 0x8000 },
        ...talk.minimum > 1 ? [{ ...whole, offset: 1n }] : []
      ]
      let failures = 0
      for (const request of failing) {
        const failed = yield* breach(talk, "READ", request)
        if (failed.error === 0) continue
        failures += 1
        const errors = failed.chunks.filter(({ type }) => isErrorChunk(type)).map(placeOf)
        const isMixed = errors.length > 1 && errors.includes(undefined)
        yield* about("S-077", expectEqual("errors with and without an offset together", isMixed, false))
        yield* about("S-077", expectEqual("errors at the same offset", errors.length - new Set(errors).size, 0))
      }
      if (failures === 0) yield* skip("no read fails")
    })
  ),
  check(
    "content never follows an error at its place, and a chunk that has begun is finished before one",
    ["S-076"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured" })
      const offset = talk.size - BigInt(talk.block)
      const failed = yield* breach(talk, "READ", { offset, length: 2 * talk.block })
      if (failed.error === 0) return yield* skip("a read across the end succeeds")
      const places: Array<bigint> = []
      for (const chunk of failed.chunks) {
        const place = isErrorChunk(chunk.type) ? placeOf(chunk) : undefined
        if (place !== undefined) places.push(place)
        const content = contentOf(chunk)
        if (content === undefined) continue
        const end = content.at + BigInt(content.length)
        const hit = places.find((place) => place >= content.at && place < end)
        if (hit !== undefined) yield* saw(`content at ${content.at}`, `none behind the error at ${hit}`, "content")
      }
      yield* probe(talk)
    })
  ),
  check(
    "errors to other structured requests are chunks too",
    ["S-070"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured", room: "nothing" })
      const { style } = yield* breach(talk, 0x7777)
      yield* expectEqual("style of the error to an unknown command", style, "structured")
    })
  ),
  check(
    "no chunk is longer than the payload that the export advertises",
    ["S-074"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured", room: "nothing" })
      const { maximum } = talk.told ?? { maximum: Infinity }
      const length = maximum + talk.block
      if (maximum > 33_554_432 || talk.size < length) return yield* skip("no read can be longer than that")
      // It may be refused, or be answered in pieces.
      const { chunks } = yield* ask(talk, "READ", { length })
      const longest = Math.max(
        ...chunks.map((chunk) => chunk.type === chunkType.OFFSET_DATA ? chunk.payload.byteLength - 8 : 0)
      )
      if (longest > maximum) yield* saw("a chunk of data", `${maximum} bytes at most`, longest)
    })
  ),
  check(
    "with DF there is one piece of content",
    ["S-078"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { style: "structured", room: "pieces" })
      yield* needs(talk, "SEND_DF")
      const { offset, payload } = yield* prepared(talk)
      const { length } = payload
      // Half of it is behind a hole, in whole blocks.
      const before = Math.floor(length / talk.block / 2) * talk.block
      const request = { offset: offset - BigInt(before), length, flags: CommandFlags.DF }
      const read = yield* ask(talk, "READ", request)
      const { chunks, data } = read
      yield* expectDone("READ with DF", read)
      yield* expectEqual("pieces", chunks.filter((chunk) => contentOf(chunk) !== undefined).length, 1)
      yield* expectKept("read", data.subarray(before), payload.subarray(0, length - before))
    })
  ),
  check(
    "zeroes that are written read as zeroes, also where no hole may be, and are never ENOTSUP unless they have to be fast",
    ["S-087", "S-088"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { room: "pieces" })
      yield* needs(talk, "SEND_WRITE_ZEROES")
      for (const flags of [0, CommandFlags.NO_HOLE]) {
        const { offset, payload: { length } } = yield* prepared(talk)
        const zeroes = yield* ask(talk, "WRITE_ZEROES", { offset, length, flags })
        const isNotSupported = zeroes.error === errno.ENOTSUP
        yield* about(isNotSupported ? "S-087" : "S-088", expectDone("WRITE_ZEROES", zeroes))
        const data = yield* content(talk, { offset, length })
        yield* about("S-088", expectBytes("zeroes", data, new Uint8Array(length)))
      }
      // Where no hole may be there is room.
      const { offset, payload } = preparation(talk)
      yield* about("S-088", expectError("WRITE", yield* ask(talk, "WRITE", { offset, payload }), "none"))
    })
  ),
  check(
    "fast zeroes succeed, or are ENOTSUP and leave the data",
    ["S-087"],
    Effect.gen(function*() {
      const talk = yield* enter(target, { room: "pieces" })
      yield* needs(talk, "SEND_FAST_ZERO")
      const { offset, payload } = yield* prepared(talk)
      const range = { offset, length: payload.length }
      const zeroes = yield* ask(talk, "WRITE_ZEROES", { ...range, flags: CommandFlags.FAST_ZERO })
      yield* expectDone("WRITE_ZEROES", zeroes, "ENOTSUP")
      const data = yield* content(talk, range)
      yield* expectKept("read", data, zeroes.error === 0 ? new Uint8Array(payload.length) : payload)
    })
  ),
  check(
    "what is written with FUA, or flushed, is seen on every connection, where several count as one",
    ["S-014", "S-071"],
    Effect.gen(function*() {
      if (target.keepsContent === false) return yield* skip("every connection finds content of its own")
      const one = yield* enter(target)
      yield* needs(one, "CAN_MULTI_CONN", "SEND_FLUSH", "writable")
      const entered = yield* Effect.either(Effect.timeoutOption(enter(target), "5 seconds"))
      if (entered._tag === "Left" || entered.right._tag === "None") {
        return yield* skip("the server takes one client at a time")
      }
      const other = entered.right.value
      for (const flags of has(one, "SEND_FUA") ? [0, CommandFlags.FUA] : [0]) {
        const bytes = pattern(0n, one.piece, 81 + flags)
        const written = yield* ask(one, "WRITE", { payload: bytes, flags })
        yield* about("S-071", expectDone("WRITE", written))
        if (flags === 0) yield* about("S-071", expectDone("FLUSH", yield* ask(one, "FLUSH")))
        const data = yield* content(other, { length: one.piece })
        yield* about("S-014", expectKept("read by another", data, bytes))
      }
    })
  ),
  check(
    "requests that are sent at once are all answered",
    ["S-067"],
    Effect.gen(function*() {
      const talk = yield* enter(target)
      const waiting = new Set<bigint>()
      for (let count = 0; count < 32; count++) waiting.add(yield* tell(talk, "READ", { length: talk.block }))
      while (waiting.size > 0) {
        const { cookie } = yield* talk.client.simple(talk.block)
        if (!waiting.delete(cookie)) yield* saw("a reply", "one to a request that waits", `a cookie ${cookie}`)
      }
      yield* probe(talk)
    })
  ),
  check(
    "DISC ends the session without a reply, when what was asked before is done",
    ["S-092"],
    Effect.gen(function*() {
      const bytes = yield* Effect.scoped(leaving(target))
      if (target.keepsContent === false) return
      const again = yield* enter(target)
      yield* expectKept("read again", yield* content(again, { length: bytes.byteLength }), bytes)
    })
  )
]

/** Writes, asks for more, and disconnects before that is answered. */
const leaving = (target: Target) =>
  Effect.gen(function*() {
    const talk = yield* enter(target)
    yield* needs(talk, "writable")
    const length = talk.piece
    const bytes = pattern(0n, length, 91)
    const cookie = yield* tell(talk, "WRITE", { payload: bytes })
    yield* expectDone("WRITE before DISC", yield* answer(talk, "WRITE", {}, cookie))
    const reads = yield* Effect.forEach([1, 2, 3, 4], () => tell(talk, "READ", { length }))
    yield* tell(talk, "DISC")
    for (const _ of reads) {
      yield* expectDone("READ before DISC", { ...yield* talk.client.simple(length), style: "simple", chunks: [] })
    }
    yield* expectEnd("DISC", talk.client)
    return bytes
  })
