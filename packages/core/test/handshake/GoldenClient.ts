/**
 * A client that asks what the client of a golden asked, with the library's own handshake, and puts down in words what
 * it was told.
 */
import type { FrameReader } from "@effect-nbd/core/framing/FrameReader"
import { abort } from "@effect-nbd/core/handshake/Abort"
import type { Agreed } from "@effect-nbd/core/handshake/Agreed"
import { type ConnectError, isFatal } from "@effect-nbd/core/handshake/ConnectError"
import { enterByName } from "@effect-nbd/core/handshake/ExportName"
import { greet } from "@effect-nbd/core/handshake/Greet"
import { haggle, refused } from "@effect-nbd/core/handshake/Haggling"
import { go, info, type ToldFacts } from "@effect-nbd/core/handshake/InfoAndGo"
import { list } from "@effect-nbd/core/handshake/List"
import { listContexts, setContexts } from "@effect-nbd/core/handshake/MetaContext"
import { extendedHeaders, structuredReply } from "@effect-nbd/core/handshake/ReplyStyle"
import { HandshakeFlags } from "@effect-nbd/core/wire/Flags"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type Golden, type GoldenMessage, splitAtTransmission } from "../fixtures/Golden.ts"
import { finished } from "../fixtures/ManualConnection.ts"
import type { Line } from "./ScriptedPeer.ts"

/** The handshake of a golden as a script. */
export const scriptOf = (golden: Golden): ReadonlyArray<Line> =>
  splitAtTransmission(golden).handshake.map((message): Line => {
    if (message.kind === "end") return { end: finished }
    return message.from === "client" ? { client: message.bytes } : { server: message.bytes }
  })

const hex = (flags: number): string => `0x${flags.toString(16).padStart(4, "0")}`

const known = ({ blockSize, canonicalName, description, flags, replyStyle, size }: ToldFacts): string =>
  [
    `${size} bytes, flags ${hex(flags)}, ${replyStyle}`,
    ...Option.toArray(Option.map(blockSize, (sizes) => `blocks ${sizes.minimum}/${sizes.preferred}/${sizes.maximum}`)),
    ...Option.toArray(Option.map(canonicalName, (name) => `named ${JSON.stringify(name)}`)),
    ...Option.toArray(Option.map(description, (text) => `described ${JSON.stringify(text)}`))
  ].join(", ")

/** One option of a golden, asked again. */
const ask = (
  reader: FrameReader,
  agreed: Agreed,
  message: GoldenMessage
): Effect.Effect<{ readonly agreed: Agreed; readonly told: string }, ConnectError> => {
  const name = message.text("name")
  const types = message.numbers("information type")
  const wanted = { fullInfo: types.includes(1), blockSize: types.includes(3) }
  const telling = (prefix: string) => (facts: ToldFacts) => ({ agreed, told: `${prefix}: ${known(facts)}` })
  switch (message.number("option")) {
    case 1:
      return Effect.map(enterByName(reader, name, agreed.noZeroes), ({ exportSize, flags }) => ({
        agreed,
        told: `entered by name: ${exportSize} bytes, flags ${hex(flags)}`
      }))
    case 2:
      return Effect.as(abort(reader), { agreed, told: "left" })
    case 3:
      return Effect.map(list(reader), (exports) => ({
        agreed,
        told: `list: ${exports.map(({ description, name }) => JSON.stringify([name, description])).join(" ")}`
      }))
    case 6:
      return Effect.map(info(reader, agreed, name, wanted), telling("info"))
    case 7:
      return Effect.map(go(reader, agreed, name, wanted), telling("entered"))
    case 8:
      return Effect.map(
        structuredReply(reader),
        (agrees) => {
          const replyStyle = agrees ? "Structured" : "Simple"
          return { agreed: { ...agreed, replyStyle }, told: replyStyle }
        }
      )
    case 9:
      return Effect.map(
        listContexts(reader, name, message.texts("query")),
        (contexts) => ({ agreed, told: `contexts: ${contexts.join(" ")}` })
      )
    case 10:
      return Effect.map(
        setContexts(reader, name, message.texts("query")),
        (contexts) => ({ agreed, told: `selected: ${contexts.map(({ id, name }) => `${id} ${name}`).join(", ")}` })
      )
    case 11:
      return Effect.map(extendedHeaders(reader), (agrees) => ({ agreed, told: agrees ? "Extended" : "not extended" }))
    default: {
      const option = message.number("option")
      return Effect.flatMap(
        haggle(reader, option, new Uint8Array(0), () => undefined),
        ({ final }) =>
          final._tag === "Ack"
            ? Effect.succeed({ agreed, told: "acknowledged" })
            : Effect.fail(refused(option, final))
      )
    }
  }
}

/** Everything that was told, a refusal among it; a fault fails. */
export const askAgain = (golden: Golden) => (reader: FrameReader): Effect.Effect<ReadonlyArray<string>, ConnectError> =>
  Effect.gen(function*() {
    const { handshake } = splitAtTransmission(golden)
    const flags = handshake.find(({ kind }) => kind === "client flags")?.number("client flags") ?? 0
    const greeted = yield* greet(reader, HandshakeFlags(flags))
    if (greeted._tag === "Oldstyle") {
      return [`oldstyle: ${greeted.greeting.exportSize} bytes, flags ${hex(greeted.greeting.flags)}`]
    }
    let agreed: Agreed = {
      protocol: greeted.fixed ? "newstyle-fixed" : "newstyle",
      replyStyle: "Simple",
      noZeroes: greeted.noZeroes,
      tls: false
    }
    const told = [`${agreed.protocol}${agreed.noZeroes ? " without zeroes" : ""}`]
    for (const message of handshake.filter(({ kind }) => kind === "option")) {
      const answer = yield* Effect.either(ask(reader, agreed, message))
      if (Either.isRight(answer)) {
        agreed = answer.right.agreed
        told.push(answer.right.told)
      } else if (answer.left._tag !== "NbdExportRefusedError" && isFatal(answer.left)) return yield* answer.left
      else told.push(`${answer.left._tag}: ${answer.left.message}`)
    }
    return told
  })
