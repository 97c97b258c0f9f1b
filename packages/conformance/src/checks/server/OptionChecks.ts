/**
 * Options that have nothing to do with one export: unknown ones, LIST, ABORT, and those that switch something on.
 *
 * @since 0.1.0
 */
import { TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { encodeOption, optionCode, type OptionName } from "@effect-nbd/core/wire/NbdOption"
import * as Effect from "effect/Effect"
import { type Check, expectEqual, type Target } from "../Check.ts"
import { probe } from "./Asking.ts"
import { about, decodes, expectEnd, expectReply, isAck, isRefusal } from "./Judge.ts"
import { arriving, check, enter, haggling, sizes, skip } from "./Talk.ts"

const someData = new Uint8Array(1000).fill(0x61)
const nobodyKnows = 0x7fff_1234

/**
 * @since 0.1.0
 * @category constructors
 */
export const optionChecks = (target: Target): ReadonlyArray<Check> => {
  const { unknownExport } = target

  const entered = (client: Effect.Effect.Success<ReturnType<typeof haggling>>) =>
    arriving("a GO after it", target, client)

  const withData = (option: OptionName) =>
    Effect.gen(function*() {
      const client = yield* haggling(target)
      const replies = yield* client.option(option, someData)
      if (isRefusal(replies) && isRefusal(yield* client.option(option))) {
        return yield* skip(`the server refuses NBD_OPT_${option} with data and without`)
      }
      yield* expectReply(`${option} with data`, replies, "ERR_INVALID")
      yield* entered(client)
    })

  const aborted = (data: Uint8Array) =>
    Effect.gen(function*() {
      const client = yield* haggling(target)
      yield* expectReply("ABORT", yield* client.option("ABORT", data), "ACK")
      yield* expectEnd("ABORT", client)
    })

  return [
    check(
      "an unknown option is ERR_UNSUP, its data is skipped, and haggling goes on",
      ["S-015", "S-016"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        for (const data of [new Uint8Array(0), someData]) {
          const replies = yield* decodes("S-015", about("S-016", client.option(nobodyKnows, data)))
          yield* about("S-016", expectReply("an unknown option", replies, "ERR_UNSUP"))
        }
        yield* about("S-016", entered(client))
      })
    ),
    check(
      "sixteen refused options do not end the session",
      ["S-018"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        for (let count = 0; count < 16; count++) yield* client.option(nobodyKnows + count)
        yield* entered(client)
      })
    ),
    check(
      "a client that asks for an export that there is not is told so every time",
      ["S-019"],
      Effect.gen(function*() {
        if (unknownExport === undefined) return yield* skip("no name is known that the server refuses")
        const client = yield* haggling(target)
        for (let count = 0; count < 8; count++) {
          const replies = yield* client.info("GO", unknownExport, sizes)
          yield* expectEqual("GO is refused", isAck(replies), false)
        }
        yield* entered(client)
      })
    ),
    check(
      "LIST names exports, each in a reply of its own, and is acknowledged",
      ["S-003", "S-024"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        const replies = yield* decodes("S-003", about("S-024", client.option("LIST")), "C-003")
        if (!isAck(replies)) return yield* skip("the server does not list its exports")
        const kinds = [...new Set(replies.slice(0, -1).map(({ _tag }) => _tag))].join()
        const expected = kinds === "" ? "" : "Server"
        yield* about("S-024", expectEqual("kinds of replies before the acknowledgement", kinds, expected))
        const names = replies.flatMap((reply) => reply._tag === "Server" ? [reply.name + reply.description] : [])
        const withNul = names.filter((name) => name.includes("\u0000")).length
        yield* about("S-003", expectEqual("texts with a NUL in them", withNul, 0))
        // What is not UTF-8 was decoded to U+FFFD.
        const notUtf8 = names.filter((name) => name.includes("\ufffd")).length
        yield* about("S-003", expectEqual("texts that are not UTF-8", notUtf8, 0))
        yield* about("S-024", entered(client))
      })
    ),
    check("LIST with data is ERR_INVALID, and haggling goes on", ["S-025"], withData("LIST")),
    check(
      "STRUCTURED_REPLY with data is ERR_INVALID, and agrees on nothing",
      ["S-028"],
      Effect.gen(function*() {
        yield* Effect.scoped(withData("STRUCTURED_REPLY"))
        const client = yield* haggling(target)
        yield* client.option("STRUCTURED_REPLY", someData)
        const told = yield* client.info("INFO", target.exportName, sizes)
        for (const reply of told) {
          if (reply._tag !== "InfoReply" || reply.info._tag !== "ExportInfo") continue
          yield* expectEqual("NBD_FLAG_SEND_DF", reply.info.flags & TransmissionFlags.SEND_DF, 0)
        }
      })
    ),
    check("EXTENDED_HEADERS with data is ERR_INVALID", ["S-028"], withData("EXTENDED_HEADERS")),
    check(
      "an option that has been agreed to may be refused the second time, in sync",
      ["S-017"],
      Effect.gen(function*() {
        const client = yield* haggling(target)
        if (!isAck(yield* client.option("STRUCTURED_REPLY"))) return yield* skip("there is no such option")
        // The server may refuse it, and no rule says that only one error is right.
        yield* client.option("STRUCTURED_REPLY")
        yield* entered(client)
      })
    ),
    check(
      "without structured replies nothing is offered that needs them",
      ["S-011", "S-029", "S-099"],
      Effect.gen(function*() {
        const { flags } = yield* enter(target, { room: "nothing" })
        const withFilter = flags & TransmissionFlags.BLOCK_STATUS_PAYLOAD
        yield* about(["S-011", "S-029"], expectEqual("NBD_FLAG_SEND_DF", flags & TransmissionFlags.SEND_DF, 0))
        yield* about(["S-029", "S-099"], expectEqual("NBD_FLAG_BLOCK_STATUS_PAYLOAD", withFilter, 0))
      })
    ),
    check("ABORT is acknowledged, and ends the session", ["S-022"], aborted(new Uint8Array(0))),
    check(
      "data with ABORT is ignored",
      ["S-023"],
      Effect.gen(function*() {
        const plain = yield* Effect.either(Effect.scoped(aborted(new Uint8Array(0))))
        if (plain._tag === "Left") return yield* skip("ABORT without data is not acknowledged either (S-022)")
        yield* Effect.scoped(aborted(someData))
      })
    ),
    check(
      "a client that aborts and closes without waiting does no harm",
      ["S-023"],
      Effect.gen(function*() {
        const abort = encodeOption(optionCode.ABORT, new Uint8Array(0))
        yield* Effect.scoped(Effect.flatMap(haggling(target), (hasty) => hasty.send(abort)))
        yield* probe(yield* enter(target, { room: "nothing" }))
      })
    )
  ]
}
