/**
 * NBD_OPT_STARTTLS: servers without TLS, with it for clients that want it, and with it for all. Which of them a server is
 * shows in how it answers a client that has not begun TLS.
 *
 * @since 0.1.0
 */
import { Transport } from "@effect-nbd/core/Transport"
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import { ClientFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { infoType } from "@effect-nbd/core/wire/Info"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import type { OptionReply } from "@effect-nbd/core/wire/OptionReply"
import * as Effect from "effect/Effect"
import { type Check, expectEqual, type Target } from "../Check.ts"
import { about, expectEnd, expectReply, isAck, isRefusal, saw } from "./Judge.ts"
import { arriving, check, greeted, sizes, skip } from "./Talk.ts"

const someData = new Uint8Array(16)
const everything = [infoType.NAME, infoType.DESCRIPTION, infoType.BLOCK_SIZE]

const expectNoTlsRequired = (what: string, replies: ReadonlyArray<OptionReply>) =>
  expectEqual(`${what} is ERR_TLS_REQD`, isRefusal(replies, "ERR_TLS_REQD"), false)

/**
 * @since 0.1.0
 * @category constructors
 */
export const tlsChecks = (target: Target): ReadonlyArray<Check> => {
  const { exportName } = target

  /** Skips where the transport brings no TLS. */
  const settings = Effect.flatMap(
    Transport,
    ({ tls }) => tls?.mode === "Require" ? Effect.succeed(tls) : skip("TLS is not asked for")
  )

  /** The connection of a client that still asks by EXPORT_NAME is ended. */
  const insistence = Effect.scoped(Effect.gen(function*() {
    const client = yield* greeted(target)
    yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText(exportName)))
    yield* expectEnd("EXPORT_NAME before TLS", client)
  }))

  return [
    check(
      "without TLS on the server, STARTTLS is refused, nothing is ERR_TLS_REQD, and haggling goes on",
      ["S-026", "S-043"],
      Effect.gen(function*() {
        const client = yield* greeted(target)
        for (const data of [new Uint8Array(0), someData]) {
          const replies = yield* client.option("STARTTLS", data)
          if (isAck(replies)) return yield* skip("the server has TLS")
          yield* about(
            isRefusal(replies, "ERR_TLS_REQD") ? "S-043" : "S-026",
            expectReply("STARTTLS", replies, "ERR_UNSUP", "ERR_POLICY", "ERR_INVALID", "ERR_PLATFORM")
          )
        }
        for (const option of ["LIST", "STRUCTURED_REPLY", 0x7fff_1234] as const) {
          yield* about("S-043", expectNoTlsRequired(`${option}`, yield* client.option(option)))
        }
        yield* about("S-043", arriving("GO", target, client))
      })
    ),
    check(
      "STARTTLS with data is ERR_INVALID, and no TLS follows",
      ["S-026"],
      Effect.gen(function*() {
        yield* settings
        const client = yield* greeted(target)
        yield* expectReply("STARTTLS with data", yield* client.option("STARTTLS", someData), "ERR_INVALID")
        yield* expectReply("ABORT in plaintext", yield* client.option("ABORT"), "ACK")
      })
    ),
    check(
      "with TLS for all, everything before it but ABORT is ERR_TLS_REQD, and EXPORT_NAME ends the session",
      ["S-044"],
      Effect.zipRight(
        Effect.scoped(Effect.gen(function*() {
          const client = yield* greeted(target)
          if (!isRefusal(yield* client.option("LIST"), "ERR_TLS_REQD")) return yield* skip("TLS is not for all")
          for (const option of ["STRUCTURED_REPLY", 0x7fff_1234] as const) {
            yield* expectReply(`${option} before TLS`, yield* client.option(option), "ERR_TLS_REQD")
          }
          for (const option of ["INFO", "GO"] as const) {
            yield* expectReply(`${option} before TLS`, yield* client.info(option, exportName, sizes), "ERR_TLS_REQD")
          }
          yield* expectReply("ABORT before TLS", yield* client.option("ABORT"), "ACK")
        })),
        insistence
      )
    ),
    check(
      "with TLS for some, what is about no export is not ERR_TLS_REQD",
      ["S-047"],
      Effect.gen(function*() {
        yield* settings
        const client = yield* greeted(target)
        const listed = yield* client.option("LIST")
        if (isRefusal(listed, "ERR_TLS_REQD")) return yield* skip("TLS is for all")
        for (const option of ["STRUCTURED_REPLY", 0x7fff_1234] as const) {
          yield* expectNoTlsRequired(`${option}`, yield* client.option(option))
        }
      })
    ),
    check(
      "an export that takes TLS is ERR_TLS_REQD before it, and not described; EXPORT_NAME for it ends the session",
      ["S-046", "S-050"],
      Effect.zipRight(
        Effect.scoped(Effect.gen(function*() {
          const tls = yield* settings
          const client = yield* greeted(target)
          if (isRefusal(yield* client.option("LIST"), "ERR_TLS_REQD")) return yield* skip("TLS is for all")
          const asked = yield* client.info("INFO", exportName, everything)
          const entered = yield* client.info("GO", exportName, everything)
          if (isRefusal(entered, "ERR_UNSUP")) return yield* skip("the server does not know NBD_OPT_GO")
          if (isAck(asked) && isAck(entered)) return yield* skip("the export takes no TLS")
          for (const [option, replies] of [["INFO", asked], ["GO", entered]] as const) {
            if (isRefusal(replies, "ERR_UNSUP")) continue
            yield* about("S-046", expectReply(`${option} before TLS`, replies, "ERR_TLS_REQD"))
            yield* about("S-050", expectEqual(`replies to ${option}`, replies.length, 1))
          }
          yield* about("S-046", expectReply("STARTTLS", yield* client.startTls(tls), "ACK"))
          yield* about("S-046", arriving("GO under TLS", target, client))
        })),
        about("S-046", insistence)
      )
    ),
    check(
      "whether TLS is required does not change on the way",
      ["S-041"],
      Effect.gen(function*() {
        const client = yield* greeted(target)
        const isRequired = isRefusal(yield* client.option("LIST"), "ERR_TLS_REQD")
        for (const option of [0x7fff_1234, "STRUCTURED_REPLY"] as const) {
          yield* client.option(option)
          const still = isRefusal(yield* client.option("LIST"), "ERR_TLS_REQD")
          yield* expectEqual(`LIST behind ${option} is ERR_TLS_REQD`, still, isRequired)
        }
      })
    ),
    check(
      "a client that did not take up fixed newstyle gets no TLS",
      ["S-042"],
      Effect.gen(function*() {
        yield* settings
        const client = yield* greeted(target, ClientFlags.NO_ZEROES)
        const replies = yield* Effect.catchTag(client.option("STARTTLS"), "NbdStreamEnded", () => Effect.succeed([]))
        yield* expectEqual("STARTTLS is acknowledged", isAck(replies), false)
      })
    ),
    check(
      "with TLS, nothing is ERR_TLS_REQD any more, and a second STARTTLS is ERR_INVALID",
      ["S-045", "S-048", "S-049"],
      Effect.gen(function*() {
        const tls = yield* settings
        const client = yield* greeted(target)
        yield* about("S-045", expectReply("STARTTLS", yield* about("S-049", client.startTls(tls)), "ACK"))
        yield* about("S-045", expectReply("a second STARTTLS", yield* client.option("STARTTLS"), "ERR_INVALID"))
        for (const replies of [yield* client.option("LIST"), yield* client.info("INFO", exportName, sizes)]) {
          yield* about("S-048", expectNoTlsRequired("an option under TLS", replies))
        }
        yield* about("S-048", arriving("GO", target, client))
      })
    ),
    check(
      "nothing agreed on before STARTTLS is kept",
      ["S-027"],
      Effect.gen(function*() {
        const tls = yield* settings
        const client = yield* greeted(target)
        const agreed = yield* client.option("STRUCTURED_REPLY")
        if (!isAck(agreed)) return yield* skip("nothing can be agreed on before TLS")
        yield* client.startTls(tls)
        const { flags } = yield* arriving("GO", target, client)
        yield* expectEqual("NBD_FLAG_SEND_DF", (flags ?? 0) & TransmissionFlags.SEND_DF, 0)
        yield* client.request("READ", { cookie: 3n, length: 512 })
        const { style } = yield* client.reply(512)
        if (style !== "simple") yield* saw("style of a reply", "simple", style)
      })
    )
  ]
}
