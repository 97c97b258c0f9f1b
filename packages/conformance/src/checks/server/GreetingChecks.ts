/**
 * The greeting, and what has to be true of NBD_OPT_EXPORT_NAME, which every server knows.
 *
 * @since 0.1.0
 */
import { Transport } from "@effect-nbd/core/Transport"
import { encodeText } from "@effect-nbd/core/wire/Bytes"
import { errno } from "@effect-nbd/core/wire/Errno"
import { ClientFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { decodeGreetingStart, decodeOldstyleRest, size } from "@effect-nbd/core/wire/Greeting"
import { encodeOption, optionCode } from "@effect-nbd/core/wire/NbdOption"
import { hex, isWireError } from "@effect-nbd/core/wire/WireError"
import * as Effect from "effect/Effect"
import { bothFlags, open, type RawClient } from "../../RawClient.ts"
import { type Check, expectBytes, expectEqual, type Target } from "../Check.ts"
import { about, expectEnd, isOfCircumstance, saw } from "./Judge.ts"
import { arriving, check, greeted, haggling, skip } from "./Talk.ts"

const readOnce = (client: RawClient) =>
  Effect.gen(function*() {
    // A multiple of every minimum block size. A client that was told none may still be refused (S-054).
    yield* client.request("READ", { cookie: 77n, offset: 0, length: 65_536 })
    const { cookie, error } = yield* client.simple(65_536)
    const isRight = error === 0 || error === errno.EINVAL || error === errno.EOVERFLOW || isOfCircumstance(error)
    yield* expectEqual("a read right behind the answer", [isRight ? 0 : error, cookie].join(), "0,77")
  })

/**
 * @since 0.1.0
 * @category constructors
 */
export const greetingChecks = (target: Target): ReadonlyArray<Check> => {
  const { unknownExport } = target
  return [
    check(
      "it greets as fixed newstyle, with no flag that nobody knows",
      ["S-004", "S-005"],
      Effect.gen(function*() {
        if (target.protocol === "oldstyle") return yield* skip("the server does not haggle")
        const client = yield* open
        const flags = yield* client.greet((offered) => offered)
        yield* about("S-005", expectEqual("handshake flags beyond bits 0 and 1", flags & ~3, 0))
        if (target.protocol === "newstyle") return
        yield* about("S-004", expectEqual("NBD_FLAG_FIXED_NEWSTYLE", flags & 1, 1))
      })
    ),
    check(
      "an oldstyle greeting has no handshake flags",
      ["S-005"],
      Effect.gen(function*() {
        if (target.protocol !== "oldstyle") return yield* skip("the server greets in newstyle")
        const client = yield* open
        yield* expectEqual("greeting", decodeGreetingStart(yield* client.take(size.start)), "OldstyleGreeting")
        const rest = decodeOldstyleRest(yield* client.take(size.oldstyleRest))
        if (isWireError(rest)) yield* saw("oldstyle greeting", rest.expected, rest.received)
      })
    ),
    check(
      "client flags that it cannot know, or has not offered, end the session",
      ["S-007"],
      Effect.gen(function*() {
        if (target.protocol === "oldstyle") return yield* skip("the server does not haggle")
        const refuses = Effect.fnUntraced(function*(bit: number) {
          const client = yield* open
          const offered = yield* client.greet((offered) => offered | bit)
          if ((offered & bit) !== 0) return
          yield* client.send(encodeOption(optionCode.LIST, new Uint8Array(0)))
          yield* expectEnd(`client flag ${hex(bit, 4)}`, client)
        })
        yield* Effect.scoped(refuses(0x4000_0000))
        yield* Effect.scoped(refuses(ClientFlags.NO_ZEROES))
      })
    ),
    check(
      "a client that takes up no handshake flag enters by EXPORT_NAME, as if none had been offered",
      ["S-006"],
      Effect.gen(function*() {
        const { tls } = yield* Transport
        if (tls?.mode === "Require") return yield* skip("without fixed newstyle there is no TLS")
        const client = yield* greeted(target, 0)
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText(target.exportName)))
        const reply = yield* client.take(134)
        yield* expectBytes("the padding", reply.subarray(10), new Uint8Array(124))
        yield* readOnce(client)
      })
    ),
    check(
      "EXPORT_NAME is answered with 124 zeroes behind it, unless the client took up NO_ZEROES",
      ["S-008", "S-009"],
      Effect.gen(function*() {
        const offered = yield* Effect.scoped(
          Effect.flatMap(open, (client) => client.greet((offered) => offered & bothFlags))
        )
        const enters = Effect.fnUntraced(function*(flags: number) {
          const client = yield* haggling(target, flags)
          yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText(target.exportName)))
          const reply = yield* about("S-008", client.take(10))
          const hasFlags = (reply[9] ?? 0) & TransmissionFlags.HAS_FLAGS
          yield* about("S-009", expectEqual("NBD_FLAG_HAS_FLAGS", hasFlags, 1))
          const isPadded = (offered & flags & ClientFlags.NO_ZEROES) === 0
          const padding = Effect.flatMap(
            client.take(isPadded ? 124 : 0),
            (bytes) => expectBytes("the padding", bytes, new Uint8Array(isPadded ? 124 : 0))
          )
          yield* about("S-008", Effect.zipRight(padding, readOnce(client)))
        })
        yield* Effect.scoped(enters(ClientFlags.FIXED_NEWSTYLE))
        yield* Effect.scoped(enters(bothFlags))
      })
    ),
    check(
      "EXPORT_NAME for an export that there is not ends the session",
      ["S-021"],
      Effect.gen(function*() {
        if (unknownExport === undefined) return yield* skip("no name is known that the server refuses")
        const client = yield* haggling(target)
        yield* client.send(encodeOption(optionCode.EXPORT_NAME, encodeText(unknownExport)))
        yield* expectEnd("EXPORT_NAME", client)
      })
    ),
    check(
      "a client that leaves in the middle of an option hurts nobody",
      ["S-094"],
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.flatMap(greeted(target), (bad) => bad.send(Uint8Array.of(0x49, 0x48, 0x41))))
        const good = yield* haggling(target)
        yield* arriving("GO", target, good)
      })
    )
  ]
}
