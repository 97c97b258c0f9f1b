/**
 * The conformance suite over streams that are not of this package's making, and TLS over them.
 */
import { Conformance } from "@effect-nbd/conformance"
import { Handle } from "@effect-nbd/core"
import { describe, expect, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { Pki, pkiLayer } from "./Pki.ts"
import { folder, has, listening } from "./RealServers.ts"
import { bridge, fakeDisk, overNodeSocket, overUpgrade, overWebSocket } from "./Streams.ts"
import { requireTls, trusting } from "./TlsPeers.ts"

const transports = [
  ["a WebSocket", overWebSocket],
  ["a net socket of the platform", overNodeSocket],
  ["the socket of an HTTP upgrade", overUpgrade]
] as const

describe.each(transports)("over %s", (_name, over) => {
  for (const { name, run } of Conformance.checks({ exportName: "disk", unknownExport: "nothing" })) {
    it.scopedLive(name, () => Effect.provide(run, over(fakeDisk)))
  }
})

describe.skipIf(!has("nbdkit") || !has("certtool"))("TLS", () => {
  layer(pkiLayer, { excludeTestServices: true })((it) => {
    it.scoped.each(transports)("goes over %s", ([, over]) =>
      Effect.gen(function*() {
        const pki = yield* Pki
        const serving = Effect.gen(function*() {
          const socket = path.join(yield* folder, "socket")
          yield* listening("nbdkit", ["-f", "-U", socket, ...requireTls(pki), "memory", "1M"], { path: socket })
          return bridge(socket)
        })
        yield* Effect.gen(function*() {
          const handle = yield* Handle.connect({ tls: trusting(pki) })
          expect(handle.agreed.tls).toBe(true)
          const bytes = new Uint8Array(65_536).fill(7)
          yield* handle.write(0n, bytes)
          expect(yield* handle.read(0n, bytes.byteLength)).toStrictEqual(bytes)
          yield* handle.shutdown
        }).pipe(Effect.scoped, Effect.provide(over(serving)))
      }), 20_000)
  })
})
