import { Conformance } from "@effect-nbd/conformance"
import { Effect } from "effect"

// It takes a Transport, and writes to the export, which should have a MiB at least.
export const report = Effect.gen(function*() {
  const target = yield* Conformance.targetOf("scratch")
  const report = yield* Conformance.run(target)
  return Conformance.format(report) // or Conformance.toJson(report)
})
