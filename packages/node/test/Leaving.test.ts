/**
 * A real server whose client leaves under its requests: it must be there for others afterwards.
 */
import { Handle } from "@effect-nbd/core"
import { UnixTransport } from "@effect-nbd/node"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { join } from "node:path"
import { folder, has, listening } from "./RealServers.ts"

describe.skipIf(!has("nbdkit"))("nbdkit", () => {
  it.scopedLive("survives a client that leaves with reads in flight that nobody waits for (C-198)", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "socket")
      const slow = ["--filter=delay", "memory", "64M", "delay-read=50ms"]
      const server = yield* listening("nbdkit", ["-f", "-U", path, ...slow], { path })
      const transport = UnixTransport.layer({ path })
      for (let round = 0; round < 5; round++) {
        yield* Effect.scoped(
          Effect.gen(function*() {
            const nbd = yield* Handle.connect()
            const reads = yield* Effect.forEach(
              Array.from({ length: 64 }),
              (_, at) => Effect.fork(nbd.read(BigInt(at) * 65_536n, 65_536))
            )
            yield* Effect.yieldNow()
            expect(yield* nbd.inFlight).toBe(64)
            yield* Fiber.interruptAll(reads)
          })
        ).pipe(Effect.provide(transport))
      }
      const bytes = yield* Effect.scoped(Effect.flatMap(Handle.connect(), (nbd) => nbd.read(0n, 4))).pipe(
        Effect.provide(transport)
      )
      expect(bytes).toStrictEqual(new Uint8Array(4))
      expect([server.process.exitCode, server.process.signalCode]).toStrictEqual([null, null])
      expect(server.output()).not.toContain("Assertion")
    }))
})
