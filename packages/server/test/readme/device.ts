import { Memory } from "@effect-nbd/block"
import { NbdServer } from "@effect-nbd/server"
import { Effect } from "effect"

// Any device: a file, a connected handle, functions. This one is in memory.
export const server = Effect.gen(function*() {
  const device = yield* Memory.make({ size: 1n << 30n })
  return yield* NbdServer.make({ exports: [{ name: "disk", device }] })
})

// server.serve(connection) runs one session to its end, and closes the connection.
