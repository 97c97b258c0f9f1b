/**
 * Servers outlive copies that end in the middle: nbdkit 1.32 aborts, for all its clients, when a client leaves it with
 * several replies to send.
 */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cli, itWith, startCli } from "./support/programs.ts"
import { nbdkit } from "./support/servers.ts"

/** It takes one alone some luck to survive. */
const times = 4

const isAlive = (uri: string, size: number) =>
  Effect.map(
    cli("info", "--size", uri),
    ({ stderr, stdout }) => expect({ stderr, stdout }).toEqual({ stderr: "", stdout: `${size}\n` })
  )

describe("replies under way are waited for", () => {
  itWith("nbdkit")(
    "when a copy has failed",
    () =>
      Effect.gen(function*() {
        const from = yield* nbdkit("--filter=delay", "pattern", "64M", "rdelay=30ms")
        const to = yield* nbdkit("--filter=error", "memory", "64M", "error-pwrite=EIO", "error-pwrite-rate=30%")
        for (let time = 0; time < times; time++) {
          expect(yield* cli("copy", from, to)).toMatchObject({ code: 1, stderr: expect.stringMatching(/EIO/) })
        }
        yield* isAlive(from, 67_108_864)
        yield* isAlive(to, 67_108_864)
      }),
    120_000
  )

  itWith("nbdkit")(
    "when a copy is interrupted",
    () =>
      Effect.gen(function*() {
        const from = yield* nbdkit("--filter=delay", "pattern", "1G", "rdelay=20ms")
        for (let time = 0; time < times; time++) {
          const copying = yield* startCli("copy", "--progress", from, "null:")
          yield* Effect.raceFirst(copying.complained("MiB/s"), copying.ended)
          yield* copying.kill("SIGINT")
          expect((yield* copying.ended).code).toBe(130)
        }
        yield* isAlive(from, 1_073_741_824)
      }),
    120_000
  )
})
