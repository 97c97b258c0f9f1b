/**
 * Extended headers, of the experimental branch of the specification.
 *
 * @since 0.1.0
 */
import { encodeStatusFilter } from "@effect-nbd/core/wire/BlockStatus"
import { viewOf } from "@effect-nbd/core/wire/Bytes"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import * as Effect from "effect/Effect"
import { type Check, expectEqual, expectKept, pattern, type Target } from "../Check.ts"
import { ask, breach, content, expectEndAfter, probe } from "./Asking.ts"
import { about, expectDone, expectError, expectReply, isAck, isRefusal } from "./Judge.ts"
import { arriving, check, enter, haggling, has, needs, skip, type Talk } from "./Talk.ts"

const style = "extended"
/** Every chunk repeats the request's offset. */
const expectOffsets = (what: string, chunks: ReadonlyArray<{ readonly offset: bigint | undefined }>, offset: bigint) =>
  Effect.forEach(chunks, (chunk) => expectEqual(`offset in a chunk of ${what}`, chunk.offset, offset), {
    discard: true
  })

/**
 * @since 0.1.0
 * @category constructors
 */
export const extendedChecks = (target: Target): ReadonlyArray<Check> => {
  const extended = (
    name: string,
    rules: Check["rules"],
    body: (talk: Talk) => Effect.Effect<void, unknown>,
    room: "nothing" | "pieces" = "nothing"
  ) => check(name, rules, Effect.flatMap(enter(target, { room, style }), body))

  return [
    extended(
      "every reply is an extended chunk that repeats offset and cookie",
      ["S-095"],
      (talk) =>
        Effect.gen(function*() {
          const length = talk.piece
          const offset = BigInt(length)
          const read = yield* ask(talk, "READ", { offset, length })
          yield* expectDone("READ", read)
          yield* expectOffsets("READ", read.chunks, offset)
          const failed = yield* breach(talk, "READ", { offset: talk.size, length })
          yield* expectError("READ past the end", failed, "EINVAL", "EOVERFLOW")
          yield* expectOffsets("READ past the end", failed.chunks, talk.size)
          if (has(talk, "READ_ONLY")) return
          const payload = pattern(offset, length, 101)
          const write = yield* ask(talk, "WRITE", { offset, payload, flags: CommandFlags.PAYLOAD_LEN })
          yield* expectDone("WRITE", write)
          yield* expectOffsets("WRITE", write.chunks, offset)
          yield* expectKept("read back", yield* content(talk, { offset, length }), payload)
        }),
      "pieces"
    ),
    extended(
      "lengths of more than 32 bits are refused where they reach past the end, without wrapping",
      ["S-084"],
      (talk) =>
        Effect.gen(function*() {
          yield* needs(talk, "SEND_WRITE_ZEROES")
          // Together they are 2^64.
          const range = { offset: 65_536n, length: 2n ** 64n - 65_536n }
          const zeroes = yield* breach(talk, "WRITE_ZEROES", range)
          const readOnly = has(talk, "READ_ONLY") ? ["EPERM"] as const : []
          yield* expectError("WRITE_ZEROES of 2^64 - 65536 bytes", zeroes, "EINVAL", "ENOSPC", "EOVERFLOW", ...readOnly)
          yield* probe(talk)
        })
    ),
    check(
      "they need no structured replies, which are ERR_EXT_HEADER_REQD or ERR_INVALID afterwards",
      ["S-100"],
      Effect.gen(function*() {
        const canElse = yield* Effect.scoped(
          Effect.flatMap(haggling(target), (other) => Effect.map(other.option("STRUCTURED_REPLY"), isAck))
        )
        const client = yield* haggling(target)
        if (!isAck(yield* client.option("EXTENDED_HEADERS"))) {
          return yield* skip("the server does not offer NBD_OPT_EXTENDED_HEADERS")
        }
        const replies = yield* client.option("STRUCTURED_REPLY")
        // A server that never does it may say so here too.
        if (canElse || !isRefusal(replies)) {
          yield* expectReply("STRUCTURED_REPLY afterwards", replies, "ERR_EXT_HEADER_REQD", "ERR_INVALID")
        }
        yield* arriving("GO", target, client, { byName: false })
      })
    ),
    check(
      "status has 64 bits, and a count that fits its length",
      ["S-096", "S-097"],
      Effect.gen(function*() {
        const talk = yield* about("S-096", enter(target, { style, contexts: ["base:allocation"] }))
        const status = yield* ask(talk, "BLOCK_STATUS", { length: talk.span })
        yield* about("S-096", expectDone("BLOCK_STATUS", status))
        for (const { payload, type } of status.chunks) {
          if (type === chunkType.NONE) continue
          yield* about("S-096", expectEqual("type", type, chunkType.BLOCK_STATUS_EXT))
          const length = payload.byteLength < 8 ? 8 : 8 + 16 * viewOf(payload).getUint32(4)
          yield* about("S-097", expectEqual("length", payload.byteLength, length))
          for (let at = 8; at < payload.byteLength; at += 16) {
            const upper = viewOf(payload).getUint32(at + 8)
            yield* about("S-097", expectEqual("upper half of the status", upper, 0))
          }
        }
      })
    ),
    // The specification does not say what follows: a server may close the connection, as QEMU does.
    extended("a payload that nobody expects is swallowed, and EINVAL", ["S-098"], (talk) =>
      Effect.gen(function*() {
        const request = { payload: new Uint8Array(Math.min(4096, talk.maximum)), flags: CommandFlags.PAYLOAD_LEN }
        yield* expectError("READ with a payload", yield* breach(talk, "READ", request), "EINVAL")
        yield* probe(talk)
      })),
    extended(
      "a payload that is too long ends the session",
      ["S-098"],
      (talk) =>
        expectEndAfter("a payload of 1 TiB", talk, "WRITE", { length: 2n ** 40n, flags: CommandFlags.PAYLOAD_LEN })
    ),
    check(
      "a filter with an id that was not selected, or one twice, is swallowed, and EINVAL",
      ["S-099"],
      Effect.gen(function*() {
        const talk = yield* enter(target, { style, contexts: ["base:allocation"] })
        yield* needs(talk, "BLOCK_STATUS_PAYLOAD")
        const [id = 0] = talk.contexts.keys()
        for (const contextIds of [[0x7fff_0000], [id, id]]) {
          const payload = encodeStatusFilter({ length: BigInt(talk.block), contextIds })
          const status = yield* breach(talk, "BLOCK_STATUS", { payload, flags: CommandFlags.PAYLOAD_LEN })
          yield* expectError(`BLOCK_STATUS of ${contextIds.join(" and ")}`, status, "EINVAL")
          yield* probe(talk)
        }
      })
    )
  ]
}
