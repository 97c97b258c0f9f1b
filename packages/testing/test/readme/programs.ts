import type { Transport } from "@effect-nbd/core"
import { Program } from "@effect-nbd/testing"
import { Effect, FastCheck, type Layer } from "effect"

const programs = Program.arbitrary({ size: 4096, blockSize: { minimum: 512 } })

// `transport` connects to an export of 4096 bytes whose content may go.
export const keepsToTheModel = (transport: Layer.Layer<Transport.Transport, unknown>): Promise<void> =>
  FastCheck.assert(
    FastCheck.asyncProperty(programs, async (program) => {
      await Effect.runPromise(Effect.provide(Program.run(program), transport))
    }),
    { numRuns: 50 }
  )
