/**
 * Reads the greeting and answers it with client flags.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FrameReader } from "../framing/FrameReader.ts"
import { fromWireError, NotNbdServerError } from "../ProtocolError.ts"
import { concat, decodeDisplayText, decodeText } from "../wire/Bytes.ts"
import { ClientFlags, HandshakeFlags } from "../wire/Flags.ts"
import {
  decodeGreetingStart,
  decodeMagic,
  decodeNewstyleRest,
  decodeOldstyleRest,
  encodeClientFlags,
  type OldstyleGreeting,
  size
} from "../wire/Greeting.ts"
import { isWireError } from "../wire/WireError.ts"
import { disconnected } from "./Haggling.ts"
import type { GreetingFault } from "./HandshakeError.ts"

/**
 * What the greeting settled. After `Oldstyle` the transmission phase has begun; after `Newstyle` haggling has.
 *
 * @since 0.1.0
 * @category models
 */
export type Greeted =
  | { readonly _tag: "Oldstyle"; readonly greeting: OldstyleGreeting }
  | { readonly _tag: "Newstyle"; readonly fixed: boolean; readonly noZeroes: boolean }

/**
 * Nothing is sent before both magic numbers were right. Only flags that the server offered and `willing` allows are
 * sent back (C-014 to C-017).
 *
 * @since 0.1.0
 * @category handshake
 */
export const greet = (reader: FrameReader, willing: HandshakeFlags): Effect.Effect<Greeted, GreetingFault> =>
  Effect.gen(function*() {
    const { head, start } = yield* greetingStart(reader)
    if (start === "OldstyleGreeting") {
      const greeting = decodeOldstyleRest(yield* reader.takeRest(head, size.oldstyleRest))
      if (isWireError(greeting)) return yield* fromWireError("greeting", greeting)
      return { _tag: "Oldstyle", greeting } as const
    }
    const greeting = decodeNewstyleRest(yield* reader.takeRest(head, size.newstyleRest))
    if (isWireError(greeting)) return yield* fromWireError("greeting", greeting)
    const both = greeting.flags & willing
    const fixed = (both & HandshakeFlags.FIXED_NEWSTYLE) !== 0
    const noZeroes = (both & HandshakeFlags.NO_ZEROES) !== 0
    const answer = (fixed ? ClientFlags.FIXED_NEWSTYLE : 0) | (noZeroes ? ClientFlags.NO_ZEROES : 0)
    yield* reader.send([encodeClientFlags(ClientFlags(answer))])
    return { _tag: "Newstyle", fixed, noZeroes } as const
  }).pipe(
    Effect.mapError((error) => error._tag === "NbdStreamEnded" ? disconnected(reader, "greeting")(error) : error)
  )

/**
 * A peer that is not an NBD server may send fewer bytes than a greeting has, so the first 8 are judged alone, and a
 * stream that ends early is still looked at for what it was.
 */
const greetingStart = (reader: FrameReader) =>
  Effect.gen(function*() {
    const first = yield* reader.take(8).pipe(
      Effect.mapError((ended) => {
        const looksLike = recognise(ended.received)
        return looksLike === "unknown" ? ended : stranger(reader, ended.received, looksLike)
      })
    )
    if (isWireError(decodeMagic(first))) return yield* stranger(reader, first, recognise(first))
    reader.traffic.chunksReceived += 1
    const head = concat([first, yield* reader.takeRest(first, size.start - 8)])
    const start = decodeGreetingStart(head)
    return isWireError(start) ? yield* fromWireError("greeting", start) : { head, start }
  })

const stranger = (
  reader: FrameReader,
  first: Uint8Array,
  looksLike: NotNbdServerError["looksLike"]
): NotNbdServerError =>
  new NotNbdServerError({
    peer: reader.connection.peer,
    received: decodeDisplayText(concat([first, reader.peek(56)])),
    looksLike
  })

const recognise = (first: Uint8Array): NotNbdServerError["looksLike"] => {
  const text = decodeText(first)
  if (text.startsWith("HTTP/") || text.startsWith("<!") || text.startsWith("<html")) return "HTTP"
  if (text.startsWith("SSH-")) return "SSH"
  if (text.startsWith("RFB ")) return "VNC"
  if (text.startsWith("220 ") || text.startsWith("220-")) return "SMTP"
  // A TLS record: handshake or alert, version 3.x.
  if ((first[0] === 0x15 || first[0] === 0x16) && first[1] === 0x03) return "TLS"
  return "unknown"
}
