/**
 * NBD_OPT_INFO and NBD_OPT_GO, and what they tell of an export.
 *
 * @since 0.1.0
 */
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { type Info, infoType } from "@effect-nbd/core/wire/Info"
import type { OptionReply } from "@effect-nbd/core/wire/OptionReply"
import * as Effect from "effect/Effect"
import { type Check, expectEqual, type Target } from "../Check.ts"
import { ask, probe } from "./Asking.ts"
import { about, decodes, expectDone, expectReply, isAck, isRefusal, saw } from "./Judge.ts"
import { arriving, check, enter, goes, haggling, has, sizes, skip } from "./Talk.ts"

const known = [infoType.NAME, infoType.DESCRIPTION, infoType.BLOCK_SIZE]

const infosOf = (replies: ReadonlyArray<OptionReply>) =>
  replies.flatMap((reply) => reply._tag === "InfoReply" ? [reply.info] : [])

/** Every value that one option's replies contain is the same in the other option's replies. */
const expectSame = (byInfo: ReadonlyArray<Info>, byGo: ReadonlyArray<Info>) => {
  const before = factsOf(byInfo)
  const after = factsOf(byGo)
  const names = [...new Set([...before.keys(), ...after.keys()])]
  return Effect.forEach(
    names,
    (name) =>
      expectEqual(`${name} by GO, as INFO told it`, after.get(name) ?? "nothing", before.get(name) ?? "nothing"),
    { discard: true }
  )
}

const factsOf = (infos: ReadonlyArray<Info>): ReadonlyMap<string, string> =>
  new Map(
    infos.flatMap(({ _tag, ...facts }) => Object.entries(facts).map(([name, fact]) => [`${_tag}.${name}`, `${fact}`]))
  )

const isPowerOfTwo = (size: number): boolean => size > 0 && (size & (size - 1)) === 0

/**
 * @since 0.1.0
 * @category constructors
 */
export const exportChecks = (target: Target): ReadonlyArray<Check> => {
  const { exportName, unknownExport } = target
  return [
    check(
      "NBD_INFO_EXPORT comes unasked, before the acknowledgement",
      ["S-031"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        for (const option of ["INFO", "GO"] as const) {
          const replies = yield* option === "GO" ? goes(client, exportName) : client.info(option, exportName, sizes)
          if (option === "INFO" && isRefusal(replies)) continue
          yield* expectReply(option, replies, "ACK")
          const found = infosOf(replies).filter(({ _tag }) => _tag === "ExportInfo").length
          yield* expectEqual(`NBD_INFO_EXPORT in ${option}`, found > 0, true)
        }
      })
    ),
    check(
      "information of a type that nobody knows is not missed",
      ["S-030"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const replies = yield* goes(client, exportName, [0x7ffe, infoType.BLOCK_SIZE, 0xffff])
        yield* expectReply("GO", replies, "ACK")
      })
    ),
    check(
      "each type of information comes once",
      ["S-034"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const tags = infosOf(yield* goes(client, exportName, known)).map(({ _tag }) => _tag)
        yield* expectEqual("types of information", tags.length, new Set(tags).size)
      })
    ),
    check(
      "GO tells what INFO has just told",
      ["S-035", "S-037"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const info = yield* decodes("S-037", client.info("INFO", exportName, known))
        if (isRefusal(info)) return yield* skip("the server refuses NBD_OPT_INFO")
        yield* about("S-035", expectReply("INFO", info, "ACK"))
        const gone = yield* decodes("S-037", goes(client, exportName, known))
        yield* about("S-035", expectReply("GO", gone, "ACK"))
        yield* about("S-035", expectSame(infosOf(info), infosOf(gone)))
      })
    ),
    check(
      "no padding follows the acknowledgement of GO",
      ["S-036"],
      Effect.flatMap(enter(target, { room: "nothing" }), probe)
    ),
    check(
      "an unknown export is refused, by ERR_UNKNOWN without information, and haggling goes on",
      ["S-033"],
      Effect.gen(function*() {
        if (unknownExport === undefined) return yield* skip("no name is known that the server refuses")
        const client = yield* haggling(target)
        for (const option of ["INFO", "GO"] as const) {
          const replies = yield* client.info(option, unknownExport, known)
          yield* expectEqual(`${option} of an unknown export is acknowledged`, isAck(replies), false)
          // Other refusals may be the server's policy, or mean that it does not know the option.
          if (isRefusal(replies, "ERR_UNKNOWN")) yield* expectEqual("replies", replies.length, 1)
        }
        yield* arriving("GO", target, client)
      })
    ),
    check(
      "block sizes are told to who asks, are powers of two, and fit one another",
      ["S-051"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const sizes = infosOf(yield* goes(client, exportName))
          .find((info) => info._tag === "BlockSizeInfo")
        if (sizes === undefined) return yield* skip("the server tells no block sizes")
        const { maximum, minimum, preferred } = sizes
        if (!isPowerOfTwo(minimum) || minimum > 65_536) {
          return yield* saw("minimum", "a power of two up to 64 KiB", minimum)
        }
        if (!isPowerOfTwo(preferred) || preferred < Math.max(minimum, 512)) {
          return yield* saw("preferred size", "a power of two, at least 512 and the minimum", preferred)
        }
        if (maximum < preferred) yield* saw("maximum", `${preferred} at least`, maximum)
      })
    ),
    check(
      "where no block sizes are told the default ones hold: every byte is aligned, and 32 MiB are no matter",
      ["S-038", "S-053"],
      Effect.gen(function*() {
        const talk = yield* enter(target)
        if (talk.told !== undefined) return yield* skip("the server tells its block sizes")
        if (talk.size > 1n) {
          const one = yield* ask(talk, "READ", { offset: 1n, length: 1 })
          yield* about("S-038", expectDone("READ of one byte", one))
        }
        const whole = { length: talk.size < 33_554_432n ? talk.size : 33_554_432n }
        const read = about("S-053", ask(talk, "READ", whole))
        yield* about("S-053", expectDone("READ of 32 MiB, or of everything", yield* read))
      })
    ),
    check(
      "whoever is told to ask for the block sizes is told them",
      ["S-040"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const replies = yield* goes(client, exportName, [])
        if (!isRefusal(replies, "ERR_BLOCK_SIZE_REQD")) return yield* skip("clients do not have to ask for sizes")
        const tags = infosOf(replies).map(({ _tag }) => _tag)
        yield* expectEqual("NBD_INFO_BLOCK_SIZE before ERR_BLOCK_SIZE_REQD", tags.includes("BlockSizeInfo"), true)
      })
    ),
    check(
      "the size is a multiple of the minimum block size, and payloads of 1 MiB are taken",
      ["S-052"],
      Effect.gen(function*() {
        const { maximum, minimum, size } = yield* enter(target, { room: "nothing" })
        yield* expectEqual("bytes behind the last block", size % BigInt(minimum), 0n)
        if (size >= 1_048_576n && maximum < 1_048_576) yield* saw("maximum payload", "1 MiB at least", maximum)
      })
    ),
    check(
      "a client that asks for block sizes is not told to ask for them",
      ["S-039"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        yield* expectReply("GO", yield* goes(client, exportName), "ACK")
      })
    ),
    check(
      "HAS_FLAGS is set, and FAST_ZERO not without WRITE_ZEROES",
      ["S-009", "S-012"],
      Effect.gen(function*() {
        const talk = yield* enter(target, { style: "structured", room: "nothing" })
        yield* about("S-009", expectEqual("NBD_FLAG_HAS_FLAGS", talk.flags & TransmissionFlags.HAS_FLAGS, 1))
        if (!has(talk, "SEND_FAST_ZERO")) return
        yield* about("S-012", expectEqual("SEND_WRITE_ZEROES", has(talk, "SEND_WRITE_ZEROES"), true))
      })
    )
  ]
}
