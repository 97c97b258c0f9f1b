import { Handle } from "@effect-nbd/core"
import { FakeServer, Steering } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

it.scoped("a bad sector fails one read, and the connection lives on", () =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    const disk = yield* Handle.connect({ exportName: "disk" })
    yield* server.onRequest(({ offset }) => offset === 512n ? Steering.fail("EIO") : Steering.proceed)

    const error = yield* Effect.flip(disk.read(512n, 512))
    expect(error).toMatchObject({ _tag: "NbdCommandError", errno: "EIO", offset: 512n })
    expect(yield* disk.read(0n, 512)).toEqual(new Uint8Array(512))

    const requests = yield* server.requests
    expect(requests.map(({ command, offset }) => [command, offset])).toEqual([["READ", 512n], ["READ", 0n]])
  }).pipe(Effect.provide(FakeServer.layer({ exports: [{ name: "disk", size: 1_048_576 }] }))))
