/**
 * The conformance suite over streams that are not of this package's making.
 */
import { Conformance } from "@effect-nbd/testing"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { overNodeSocket, overUpgrade, overWebSocket } from "./Streams.ts"

describe.each(
  [
    ["a WebSocket", overWebSocket],
    ["a net socket of the platform", overNodeSocket],
    ["the socket of an HTTP upgrade", overUpgrade]
  ] as const
)("over %s", (_name, layer) => {
  for (const { name, run } of Conformance.checks({ exportName: "disk", unknownExport: "nothing" })) {
    it.scopedLive(name, () => Effect.provide(run, layer))
  }
})
