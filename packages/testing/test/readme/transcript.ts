import { Handle } from "@effect-nbd/core"
import { FakeServer, Transcript } from "@effect-nbd/testing"
import { Effect, Layer } from "effect"

const firstSector = Effect.flatMap(Handle.connect(), (disk) => disk.read(0n, 512)).pipe(Effect.scoped)

// Over any transport: FakeServer's here, TcpTransport.layer(…) to record a real server.
const recorded = Transcript.layerRecording().pipe(
  Layer.provide(FakeServer.layer({ exports: [{ name: "disk", size: 65_536 }] }))
)

/** The text to save in a file. */
export const text = Effect.gen(function*() {
  yield* firstSector
  const [transcript] = yield* (yield* Transcript.Recording).transcripts
  return transcript === undefined ? "" : Transcript.print(transcript)
}).pipe(Effect.provide(recorded))

/** The same client, with the server that the file tells of. It fails with the first byte that is another, and its field. */
export const replayed = (text: string) =>
  Effect.gen(function*() {
    const replay = yield* Transcript.replayServer(yield* Transcript.parse(text))
    return yield* replay.playedBy(firstSector)
  }).pipe(Effect.scoped)
