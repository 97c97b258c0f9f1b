import { Handle } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { Effect } from "effect"

const server = FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576 }] })

export const brokenDisk = Effect.gen(function*() {
  const fake = yield* FakeServer.FakeServer
  yield* fake.onRequest(() => Steering.fail("EIO"))
  const disk = yield* Handle.connect({ exportName: "disk" })
  return yield* Effect.flip(disk.read(0n, 512)) // NbdCommandError, errno EIO
}).pipe(Effect.scoped, Effect.provide(server))
