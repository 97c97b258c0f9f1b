/** Random programs against a server that is not ours, over a socket. */
import { Program } from "@effect-nbd/testing"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import { has, nbdkitUnix } from "./RealServers.ts"

const area = { size: 1_048_576, window: 4096 }

it.scopedLive.skipIf(!has("nbdkit"))("every program keeps to the model over nbdkit", () =>
  Effect.gen(function*() {
    const transport = yield* Layer.build(nbdkitUnix("memory", "1M"))
    let succeeded = 0
    yield* Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          Program.arbitrary({ ...area, maxLength: 20 }),
          FastCheck.constantFrom(Effect.yieldNow(), Effect.sleep("1 millis")),
          async (program, turn) => {
            const report = await Effect.runPromise(Effect.provide(Program.run(program, { turn }), transport))
            succeeded += report.succeeded
          }
        ),
        { numRuns: 25 }
      )
    )
    expect(succeeded).toBeGreaterThan(20)
  }))
