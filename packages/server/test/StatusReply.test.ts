/** The content of replies to NBD_CMD_BLOCK_STATUS. */
import { statusChunks } from "#server/session/StatusReply"
import type { Terms } from "#server/session/Terms"
import { CommandFlags, TransmissionFlags } from "@effect-nbd/core/wire/Flags"
import { commandCode } from "@effect-nbd/core/wire/RequestHeader"
import { type ServedContext, ServedExport } from "@effect-nbd/server"
import type { Request } from "@effect-nbd/server/ServerRequest"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

it.effect("no reply has more than 64 MiB, however many contexts were selected", () =>
  Effect.gen(function*() {
    const [even, odd] = [{ length: 512n, flags: 0n }, { length: 512n, flags: 1n }] as const
    const context = (at: number): ServedContext.ServedContext<never> => ({
      name: `x-test:${at}`,
      status: () => Effect.succeed(Array.from({ length: 1_048_576 }, (_, index) => index % 2 === 0 ? even : odd))
    })
    const contexts = Array.from({ length: 5 }, (_, id) => ({ id, context: context(id) }))
    const terms: Terms = {
      export: ServedExport.make({ name: "disk", size: 2n ** 40n }),
      replyStyle: "Extended",
      contexts,
      flags: TransmissionFlags(1)
    }
    const request: Request = {
      flags: CommandFlags(0),
      command: commandCode.BLOCK_STATUS,
      cookie: 1n,
      offset: 0n,
      length: 2n ** 40n,
      payloadLength: 0
    }
    const chunks = yield* statusChunks(terms, request, 1_048_576)
    const counts = chunks.map((chunk) => chunk._tag === "BlockStatus" ? chunk.descriptors.length : 0)
    expect(counts).toHaveLength(5)
    const bytes = counts.reduce((all, count) => all + 8 + 16 * count, 0)
    expect(bytes).toBeLessThanOrEqual(67_108_864)
    expect(bytes).toBeGreaterThan(67_000_000)
  }))
