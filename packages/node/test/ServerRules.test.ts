/**
 * The rules for servers over real ones: what they do otherwise than the specification asks, as these versions do it
 * (nbdkit 1.32, qemu-nbd 7.2, nbd-server 3.24). A deviation that has gone fails a test too.
 */
import { Conformance } from "@effect-nbd/testing"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { has, nbdkitUnix, nbdServer, qemuNbd } from "./RealServers.ts"
import type { Server } from "./TlsPeers.ts"

const named = { exportName: "disk", unknownExport: "nothing" } as const

interface Known {
  /** What its reason says, by the name of the check. */
  readonly deviations: Readonly<Record<string, RegExp>>
  /** Checks that pass or fail as the time falls. */
  readonly sometimes?: ReadonlyArray<string>
}

const servers: ReadonlyArray<readonly [name: string, program: string, server: Server, Conformance.Target, Known]> = [
  ["nbdkit", "nbdkit", nbdkitUnix("memory", "64M"), { exportName: "", lists: false }, {
    deviations: {
      "each type of information comes once, also if it is asked for twice": /expected 2, saw 3/,
      // nbdkit answers what it cannot place by a simple reply, whatever was agreed on.
      "errors to other structured requests are chunks too": /saw "simple"/
    },
    // Its threads may leave without the replies that are under way.
    sometimes: ["DISC ends the session without a reply, when what was asked before is done"]
  }],
  ["qemu-nbd", "qemu-nbd", qemuNbd(67_108_864, "-x", "disk"), named, {
    deviations: {
      "a write past the end is ENOSPC, and its payload is taken": /expected "ENOSPC", saw "EINVAL \(22\)"/
    },
    // It does not finish the replies that are under way.
    sometimes: ["DISC ends the session without a reply, when what was asked before is done"]
  }],
  ["nbd-server", "nbd-server", nbdServer(67_108_864), named, {
    deviations: {
      "client flags that it cannot know, or has not offered, end the session": /expected "the end of the connection"/,
      "LIST with data is ERR_INVALID, and haggling goes on": /received one to NBD_OPT_LIST|the stream ended/,
      "ABORT is acknowledged, and ends the session": /the stream ended after 0 of 20 bytes/,
      "data with ABORT is ignored": /the stream ended after 0 of 20 bytes/,
      "GO tells what INFO has just told": /"exportSize\\":\\"0\\"/,
      "flags of other commands are EINVAL": /READ with NO_HOLE: expected "EINVAL", saw "success"/
    }
  }]
]

describe("deviations from the rules for servers", () => {
  it.scopedLive.each(servers.filter(([, program]) => has(program)))("of %s are the known ones", (
    [, , server, target, { deviations, sometimes = [] }]
  ) =>
    Effect.gen(function*() {
      const checks = Conformance.serverChecks(target)
      const report = yield* Conformance.run(target, { checks, timeout: "5 seconds" })
      const failed = report.checks.flatMap(({ name, verdict }) =>
        verdict._tag === "Failed" && !sometimes.includes(name) ? [[name, verdict.reason]] : []
      )
      expect(Object.fromEntries(failed)).toEqual(
        Object.fromEntries(Object.entries(deviations).map(([name, reason]) => [name, expect.stringMatching(reason)]))
      )
    }).pipe(Effect.provide(server)), 30_000)
})
