/** Everything that makes sense of bytes by itself, and the text of transcripts: none of it may throw. */
import { NbdUri } from "@effect-nbd/core"
import * as BlockStatus from "@effect-nbd/core/wire/BlockStatus"
import { decodeDisplayText, viewOf } from "@effect-nbd/core/wire/Bytes"
import { decodeExportNameReply } from "@effect-nbd/core/wire/ExportName"
import * as Greeting from "@effect-nbd/core/wire/Greeting"
import { decodeInfo } from "@effect-nbd/core/wire/Info"
import { decodeMetaContextReply, decodeMetaContextRequest } from "@effect-nbd/core/wire/MetaContext"
import * as NbdOption from "@effect-nbd/core/wire/NbdOption"
import * as OptionReply from "@effect-nbd/core/wire/OptionReply"
import { decodeErrorPayload } from "@effect-nbd/core/wire/Reply"
import * as ReplyHeader from "@effect-nbd/core/wire/ReplyHeader"
import * as RequestHeader from "@effect-nbd/core/wire/RequestHeader"
import { Transcript } from "@effect-nbd/testing"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Random } from "./Random.ts"

type Decoder = readonly [name: string, decode: (bytes: Uint8Array, number: number) => unknown]

const decoders: readonly [Decoder, ...ReadonlyArray<Decoder>] = [
  ["decodeGreetingStart", Greeting.decodeGreetingStart],
  ["decodeMagic", Greeting.decodeMagic],
  ["decodeNewstyleRest", Greeting.decodeNewstyleRest],
  ["decodeOldstyleRest", Greeting.decodeOldstyleRest],
  ["decodeClientFlags", Greeting.decodeClientFlags],
  ["decodeExportNameReply", decodeExportNameReply],
  ["decodeInfo", decodeInfo],
  ["decodeMetaContextRequest", decodeMetaContextRequest],
  ["decodeMetaContextReply", decodeMetaContextReply],
  ["decodeOptionHeader", NbdOption.decodeOptionHeader],
  ["decodeInfoRequest", NbdOption.decodeInfoRequest],
  ["decodeOptionReplyHeader", OptionReply.decodeOptionReplyHeader],
  ["decodeRawReplyHeader", OptionReply.decodeRawReplyHeader],
  [
    "decodeOptionReply",
    (bytes, type) => OptionReply.decodeOptionReply({ option: 7, type, length: bytes.byteLength }, bytes)
  ],
  ["decodeErrorPayload", (bytes, type) => decodeErrorPayload(type, bytes)],
  [
    "decodeBlockStatus",
    (bytes, number) => BlockStatus.decodeBlockStatus(number % 2 === 0 ? "compact" : "extended", bytes)
  ],
  ["decodeStatusFilter", BlockStatus.decodeStatusFilter],
  ["decodeSimpleReply", ReplyHeader.decodeSimpleReply],
  ["decodeChunkHeader", ReplyHeader.decodeChunkHeader],
  ["decodeExtendedChunkHeader", ReplyHeader.decodeExtendedChunkHeader],
  ["decodeRequestHeader", (bytes) => RequestHeader.decodeRequestHeader(viewOf(bytes), 0)],
  ["decodeExtendedRequestHeader", (bytes) => RequestHeader.decodeExtendedRequestHeader(viewOf(bytes), 0)],
  ["NbdUri.parse", (bytes) => Effect.runSync(Effect.either(NbdUri.parse(`nbd://${decodeDisplayText(bytes)}`)))],
  ["Transcript.parse", (bytes) => Transcript.parse(`client:\n${decodeDisplayText(bytes)}`)],
  ["Transcript.print", (bytes, number) => {
    const from = number % 2 === 0 ? "client" : "server"
    const transcript = Transcript.make([{ _tag: "Bytes", from, bytes }])
    const again = Either.getOrThrow(Transcript.parse(Transcript.print(transcript)))
    if (Buffer.compare(Transcript.bytesFrom(from, again), bytes) !== 0) throw new Error("other bytes")
  }]
]

const numbers = [0, 1, 2, 3, 4, 7, 0x8000_0001, 0x8001, 0x8002, 0x9000, 0xffff_ffff] as const

/** What threw, if anything did. `material` is bytes that were a message once. */
export const decode = (random: Random, material: Uint8Array): ReadonlyArray<string> => {
  const [name, decoder] = random.pick(decoders)
  const at = random.below(material.byteLength + 1)
  const bytes = random.chance(0.3) ? random.bytes(random.below(80)) : material.slice(at, at + random.below(300))
  for (let flips = random.below(4); flips > 0 && bytes.byteLength > 0; flips--) {
    bytes[random.below(bytes.byteLength)] = random.pick([0, 0xff, 0x7f, 0x80, random.below(256)])
  }
  try {
    decoder(bytes, random.pick(numbers))
    return []
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    return [`${name} threw ${why}, on ${Buffer.from(bytes).toString("hex")}`]
  }
}
