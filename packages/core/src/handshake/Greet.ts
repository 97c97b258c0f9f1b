/**
 * Reads the greeting and answers it with client flags.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type FrameReader, StreamEnded } from "../framing/FrameReader.ts"
import { fromWireError, NotNbdServerError } from "../ProtocolError.ts"
import { concat, decodeDisplayText, decodeText } from "../wire/Bytes.ts"
import { ClientFlags, HandshakeFlags } from "../wire/Flags.ts"
import {
  decodeGreetingStart,
  decodeNewstyleRest,
  decodeOldstyleRest,
  encodeClientFlags,
  mayBeMagic,
  mayBeSecondMagic,
  type OldstyleGreeting,
  size
} from "../wire/Greeting.ts"
import { isWireError } from "../wire/WireError.ts"
import { disconnected } from "./Haggling.ts"
import { type GreetingFault, HandshakeTimeoutError } from "./HandshakeError.ts"

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
 * sent back (C-014 to C-017). `patience` is the time limit for the server's first byte.
 *
 * @since 0.1.0
 * @category handshake
 */
export const greet = (
  reader: FrameReader,
  willing: HandshakeFlags,
  patience: Duration.Duration = Duration.infinity
): Effect.Effect<Greeted, GreetingFault | HandshakeTimeoutError> =>
  Effect.gen(function*() {
    const { head, start } = yield* greetingStart(reader, patience)
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
 * A peer that is not an NBD server may send fewer bytes than a greeting has, and then wait or leave: each byte is
 * checked as soon as it has arrived, of both magic numbers. There are at most 16 turns.
 */
const greetingStart = (reader: FrameReader, patience: Duration.Duration) =>
  Effect.gen(function*() {
    let head = yield* inTime(reader, magicBytes(reader, new Uint8Array(0)), patience)
    while (head.byteLength < size.magic) head = yield* magicBytes(reader, head)
    reader.traffic.chunksReceived += 1
    while (head.byteLength < size.start && mayBeSecondMagic(head)) {
      head = concat([head, yield* reader.takeRest(head, 1, size.start - head.byteLength)])
    }
    const start = decodeGreetingStart(head)
    return isWireError(start) ? yield* fromWireError("greeting", start) : { head, start }
  })

/** The bytes of the first magic that have arrived: at least one byte more than before. */
const magicBytes = (
  reader: FrameReader,
  before: Uint8Array
): Effect.Effect<Uint8Array, StreamEnded | NotNbdServerError> =>
  reader.take(1, size.magic - before.byteLength).pipe(
    Effect.mapError(({ end }) => new StreamEnded({ end, wanted: size.magic, received: before })),
    Effect.map((more) => concat([before, more])),
    Effect.filterOrFail(mayBeMagic, (bytes) => stranger(reader, bytes))
  )

const inTime = <A, E>(
  reader: FrameReader,
  first: Effect.Effect<A, E>,
  patience: Duration.Duration
): Effect.Effect<A, E | HandshakeTimeoutError> =>
  Effect.timeoutFail(first, {
    duration: patience,
    onTimeout: () => new HandshakeTimeoutError({ peer: reader.connection.peer, timeout: patience, received: 0 })
  })

const stranger = (
  reader: FrameReader,
  taken: Uint8Array
): NotNbdServerError => {
  const first = concat([taken, reader.peek(64 - taken.byteLength)])
  return new NotNbdServerError({
    peer: reader.connection.peer,
    received: decodeDisplayText(first),
    looksLike: recognise(first)
  })
}

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
