import { Handle } from "@effect-nbd/core"
import { FakeServer, Misbehaviour } from "@effect-nbd/testing"
import { Effect } from "effect"

const server = FakeServer.layer({
  exports: [{ name: "disk", size: 1_048_576, content: Uint8Array.of(1, 2, 3, 4) }],
  misbehaviours: [
    // The second read from the first sector comes without half of its data, in chunks of single bytes.
    Misbehaviour.at(Misbehaviour.gapInData, { request: ({ offset }) => offset === 0n, nth: 2, times: 1 }),
    Misbehaviour.singleByteChunks
  ]
})

// Whoever flushes is answered by zeroes.
const nonsense = Misbehaviour.make({
  name: "nonsense",
  rule: "our own",
  sentence: "A flush is answered by what is no reply.",
  reaction: "Connection",
  moment: "Answer",
  change: (_, { request }) =>
    request.command === "FLUSH" ? Misbehaviour.saying(Misbehaviour.raw(new Uint8Array(32))) : undefined
})

export const badReplies = Effect.gen(function*() {
  const fake = yield* FakeServer.FakeServer
  const disk = yield* Handle.connect({ exportName: "disk" })
  const sound = yield* disk.read(0n, 4)
  const gap = yield* Effect.flip(disk.read(0n, 4)) // NbdReplyInvalidError: this read alone
  yield* fake.misbehave([nonsense])
  const lost = yield* Effect.flip(disk.flush) // NbdCommandLostError: the connection is dead
  return { sound, gap, lost }
}).pipe(Effect.scoped, Effect.provide(server))
