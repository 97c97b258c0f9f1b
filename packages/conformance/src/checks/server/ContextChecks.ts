/**
 * Meta contexts: how they are listed and selected, and what NBD_CMD_BLOCK_STATUS tells of them.
 *
 * @since 0.1.0
 */
import { decodeBlockStatus, type Descriptors } from "@effect-nbd/core/wire/BlockStatus"
import { concat, encodeText } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { CommandFlags } from "@effect-nbd/core/wire/Flags"
import { encodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import type { OptionReply } from "@effect-nbd/core/wire/OptionReply"
import { chunkType } from "@effect-nbd/core/wire/Reply"
import { isWireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { type Check, expectEqual, pattern, type Target } from "../Check.ts"
import { ask, breach, probe } from "./Asking.ts"
import { type Answer, expectDone, expectError, expectFailure, expectReply, isAck, isRefusal, saw } from "./Judge.ts"
import { arriving, check, enter, going, haggling, has, needs, skip, type Talk } from "./Talk.ts"

const base = "base:allocation"
const unknown = "x-nobody:nothing"

const contextsOf = (replies: ReadonlyArray<OptionReply>) =>
  replies.flatMap((reply) => reply._tag === "MetaContextReply" ? [reply] : [])

/** A request whose last string is said to be longer than what is left. */
const inconsistent = (exportName: string): Uint8Array => {
  const bytes = concat([encodeMetaContextRequest({ exportName, queries: [base] }).slice(), encodeText("")])
  bytes[bytes.byteLength - base.length - 1] = 0xff
  return bytes
}

/** The one chunk that a context has, decoded. */
const statusOf = (talk: Talk, answer: Answer, id: number) =>
  Effect.gen(function*() {
    yield* expectDone("BLOCK_STATUS", answer)
    const type = talk.style === "extended" ? chunkType.BLOCK_STATUS_EXT : chunkType.BLOCK_STATUS
    const found: Array<Descriptors> = []
    for (const chunk of answer.chunks) {
      if (chunk.type === chunkType.NONE) continue
      yield* expectEqual("type of a status chunk", chunk.type, type)
      const decoded = decodeBlockStatus(talk.style === "extended" ? "extended" : "compact", chunk.payload)
      if (isWireError(decoded)) return yield* saw("a status chunk", decoded.expected, decoded.received)
      if (decoded.contextId === id) found.push(decoded)
      else if (!talk.contexts.has(decoded.contextId)) yield* saw("context id", "a selected one", decoded.contextId)
    }
    const [only, another] = found
    if (only === undefined || another !== undefined) return yield* saw("status chunks of a context", 1, found.length)
    return Array.from({ length: only.count }, (_, at) => ({ length: only.lengthAt(at), flags: only.flagsAt(at) }))
  })

/**
 * @since 0.1.0
 * @category constructors
 */
export const contextChecks = (target: Target): ReadonlyArray<Check> => {
  const { exportName } = target

  /** A client with structured replies, of a server that offers `base:allocation`. */
  const capable = Effect.gen(function*() {
    const client = yield* haggling(target)
    if (!isAck(yield* client.option("STRUCTURED_REPLY"))) {
      return yield* skip("the server does not offer NBD_OPT_STRUCTURED_REPLY")
    }
    const replies = yield* client.metaContext("LIST_META_CONTEXT", exportName, base)
    const selected = yield* client.metaContext("SET_META_CONTEXT", exportName, base)
    if (contextsOf(replies).length === 0 || isRefusal(selected)) return yield* skip(`the server does not offer ${base}`)
    return client
  })

  const withStatus = (
    name: string,
    rules: Check["rules"],
    body: (talk: Talk, id: number) => Effect.Effect<void, unknown>
  ) =>
    check(
      name,
      rules,
      Effect.gen(function*() {
        const talk = yield* enter(target, { style: "structured", contexts: [base] })
        if (!has(talk, "READ_ONLY") && talk.size >= 2 * talk.piece) {
          const offset = BigInt(talk.piece)
          yield* ask(talk, "WRITE", { offset, payload: pattern(offset, talk.piece, 61) })
        }
        yield* Effect.forEach(talk.contexts.keys(), (id) => body(talk, id), { discard: true })
      })
    )

  return [
    check(
      "selecting before structured replies is ERR_INVALID",
      ["S-064"],
      Effect.gen(function*() {
        yield* Effect.scoped(capable)
        const client = yield* haggling(target)
        const replies = yield* client.metaContext("SET_META_CONTEXT", exportName, base)
        yield* expectReply("SET_META_CONTEXT", replies, "ERR_INVALID")
        yield* arriving("GO", target, client)
      })
    ),
    check(
      "lengths that do not fit are ERR_INVALID, and haggling goes on",
      ["S-058"],
      Effect.gen(function*() {
        const client = yield* capable
        for (const option of ["LIST_META_CONTEXT", "SET_META_CONTEXT"] as const) {
          const replies = yield* client.option(option, inconsistent(exportName))
          yield* expectReply(`${option} with lengths that do not fit`, replies, "ERR_INVALID")
        }
        yield* arriving("GO", target, client)
      })
    ),
    check(
      "unknown namespaces and leaves are passed over",
      ["S-059"],
      Effect.gen(function*() {
        const client = yield* capable
        for (const option of ["LIST_META_CONTEXT", "SET_META_CONTEXT"] as const) {
          for (const query of [unknown, "base:nothing-of-this-name"]) {
            const replies = yield* client.metaContext(option, exportName, query)
            yield* expectReply(`${option} of ${query}`, replies, "ACK")
            yield* expectEqual(`contexts for ${query}`, contextsOf(replies).length, 0)
          }
        }
        const names = contextsOf(yield* client.metaContext("SET_META_CONTEXT", exportName, unknown, base))
        yield* expectEqual("selected beside it", names.map(({ name }) => name).join(), base)
      })
    ),
    check(
      "a list without queries names everything; base: is a wildcard there, and selects nothing",
      ["S-060"],
      Effect.gen(function*() {
        const client = yield* capable
        const listed = (...queries: ReadonlyArray<string>) =>
          Effect.map(
            client.metaContext("LIST_META_CONTEXT", exportName, ...queries),
            (replies) => contextsOf(replies).map(({ name }) => name)
          )
        yield* expectEqual(`${base} is in the list of all`, (yield* listed()).includes(base), true)
        yield* expectEqual("listed for base:", (yield* listed("base:")).includes(base), true)
        const selected = contextsOf(yield* client.metaContext("SET_META_CONTEXT", exportName, "base:"))
        yield* expectEqual("selected by base:", selected.length, 0)
      })
    ),
    check(
      "ids in a list are zero",
      ["S-063"],
      Effect.gen(function*() {
        const client = yield* capable
        const ids = contextsOf(yield* client.metaContext("LIST_META_CONTEXT", exportName)).filter(({ id }) => id !== 0)
        yield* expectEqual("ids other than 0", ids.length, 0)
      })
    ),
    check(
      "each selected context has an id of its own",
      ["S-062"],
      Effect.gen(function*() {
        const client = yield* capable
        const all = contextsOf(yield* client.metaContext("LIST_META_CONTEXT", exportName)).map(({ name }) => name)
        const selected = contextsOf(yield* client.metaContext("SET_META_CONTEXT", exportName, ...all))
        yield* expectEqual("selected", selected.map(({ name }) => name).toSorted().join(), all.toSorted().join())
        yield* expectEqual("different ids", new Set(selected.map(({ id }) => id)).size, selected.length)
      })
    ),
    check(
      "each selection replaces the one before, also if it selects nothing or fails",
      ["S-061"],
      Effect.forEach(
        [encodeMetaContextRequest({ exportName, queries: [] }), inconsistent(exportName)],
        (data) =>
          Effect.scoped(Effect.gen(function*() {
            const client = yield* capable
            yield* client.metaContext("SET_META_CONTEXT", exportName, base)
            yield* client.option("SET_META_CONTEXT", data)
            const talk = yield* going(target, client, "structured")
            const status = yield* breach(talk, "BLOCK_STATUS", { length: talk.block })
            yield* expectFailure("BLOCK_STATUS without a context", status)
            yield* probe(talk)
          })),
        { discard: true }
      )
    ),
    check(
      "BLOCK_STATUS without a context is EINVAL",
      ["S-065"],
      Effect.gen(function*() {
        const talk = yield* enter(target, { style: "structured", room: "nothing" })
        yield* expectError("BLOCK_STATUS", yield* breach(talk, "BLOCK_STATUS", { length: talk.block }), "EINVAL")
        yield* probe(talk)
      })
    ),
    withStatus(
      "each context has one chunk, of extents that are not empty, and all but the last within the request",
      ["S-081"],
      (talk, id) =>
        Effect.gen(function*() {
          const length = BigInt(talk.span)
          const extents = yield* statusOf(talk, yield* ask(talk, "BLOCK_STATUS", { length }), id)
          yield* expectEqual("extents of no bytes", extents.filter(({ length }) => length === 0n).length, 0)
          const inside = extents.slice(0, -1).reduce((sum, { length }) => sum + length, 0n)
          if (inside >= length) yield* saw("bytes before the last extent", `less than ${length}`, inside)
        })
    ),
    withStatus(
      "with REQ_ONE there is one extent, inside the request",
      ["S-081"],
      (talk, id) =>
        Effect.gen(function*() {
          const asked = talk.piece
          const request = { length: asked, flags: CommandFlags.REQ_ONE }
          const extents = yield* statusOf(talk, yield* ask(talk, "BLOCK_STATUS", request), id)
          yield* expectEqual("extents", extents.length, 1)
          const length = extents[0]?.length ?? 0n
          yield* expectEqual(`${length} bytes are within ${asked}`, length <= BigInt(asked), true)
        })
    ),
    withStatus(
      "BLOCK_STATUS past the end is EINVAL, and the next request is answered",
      ["S-055", "S-084"],
      (talk) =>
        Effect.gen(function*() {
          const past = { offset: talk.size, length: talk.block }
          yield* expectError("BLOCK_STATUS past the end", yield* breach(talk, "BLOCK_STATUS", past), "EINVAL")
          yield* probe(talk)
        })
    ),
    withStatus(
      "what is allocated can be written",
      ["S-091"],
      (talk, id) =>
        Effect.gen(function*() {
          yield* needs(talk, "writable")
          let offset = 0n
          for (
            const { flags, length } of yield* statusOf(
              talk,
              yield* ask(talk, "BLOCK_STATUS", { length: talk.span }),
              id
            )
          ) {
            const isAllocated = (flags & 1n) === 0n
            const write = { offset, payload: pattern(offset, talk.block, 62) }
            if (isAllocated && length >= BigInt(talk.block)) {
              const written = yield* ask(talk, "WRITE", write)
              const hasNoRoom = written.error === errno.ENOSPC
              return yield* hasNoRoom
                ? expectError(`WRITE at ${offset}`, written, "none")
                : expectDone(`WRITE at ${offset}`, written)
            }
            offset += length
          }
          yield* skip("nothing is allocated")
        })
    ),
    withStatus(
      "neighbours differ, and begin at multiples of the minimum block size",
      ["S-082"],
      (talk, id) =>
        Effect.gen(function*() {
          const extents = yield* statusOf(talk, yield* ask(talk, "BLOCK_STATUS", { length: talk.span }), id)
          let at = 0n
          for (const [index, { flags, length }] of extents.entries()) {
            if (index > 0 && extents[index - 1]?.flags === flags) yield* saw(`extent at ${at}`, "other flags", flags)
            at += length
            if (index < extents.length - 1) yield* expectEqual(`${at} is aligned`, at % BigInt(talk.minimum), 0n)
          }
        })
    ),
    withStatus(
      "only the bits of base:allocation that have a meaning are set",
      ["S-066"],
      (talk, id) =>
        Effect.gen(function*() {
          for (const { flags } of yield* statusOf(talk, yield* ask(talk, "BLOCK_STATUS", { length: talk.span }), id)) {
            yield* expectEqual("reserved bits", flags & ~3n, 0n)
          }
        })
    )
  ]
}
